//! Standard input to a socket, and the socket to standard output.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use crate::sys::Errno;
use windlass_core::stream::{Read, Step, WriteN};

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::sys::connect::connect;
use crate::sys::ready::Interest;
use crate::sys::stream::Stream;
use crate::sys::{clock, poll};

/// Bytes moved at a time.
const PIECE: usize = 64 * 1024;

/// Talks to the server at `address`, reached within `timeout_us`.
///
/// The end of standard input half-closes the connection, and what the server still says arrives.
/// The conversation is over when the server ends it, whether or not it took all of the input.
///
/// The two directions are two threads: neither can hold the other up, whatever standard input and
/// output are, and no flag of a terminal is changed that other programs share.
///
/// # Errors
/// It cannot be reached, the connection is lost, or standard input or output fails.
pub fn talk(address: &Address, timeout_us: u64) -> Result<()> {
    let stream = Arc::new(connect(address, clock::now().after(timeout_us))?);
    let sender = {
        let stream = Arc::clone(&stream);
        thread::spawn(move || {
            let sent = send_input(&stream);
            // Also when the input failed: the server is not left waiting for more.
            stream.shutdown_write();
            sent
        })
    };
    receive_output(&stream, address)?;
    if sender.is_finished() {
        return sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    // Standard input goes on, and nobody listens any more.
    Ok(())
}

/// Sends standard input to its end, or until the server takes no more: why it does not is for the
/// receiving side to see.
fn send_input(stream: &Stream) -> Result<()> {
    let mut input = std::io::stdin().lock();
    let mut buf = vec![0; PIECE];
    loop {
        match input.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) if send_all(stream, &buf[..n]).is_err() => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new("read", "standard input", error)),
        }
    }
}

fn receive_output(stream: &Stream, address: &Address) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let mut buf = vec![0; PIECE];
    loop {
        match stream.recv(&mut buf).map_err(Error::of("receive from", address))? {
            Read::Moved(n) => output
                .write_all(&buf[..n.get()])
                .and_then(|()| output.flush())
                .map_err(Error::of("write", "standard output"))?,
            Read::Eof => return Ok(()),
            Read::WouldBlock => drop(poll::wait(stream.as_fd(), Interest::READ, None, None)),
            Read::Interrupted => {}
        }
    }
}

fn send_all(stream: &Stream, bytes: &[u8]) -> std::result::Result<(), Errno> {
    let mut write = WriteN::new(bytes);
    let mut step = write.step();
    loop {
        match step {
            Step::Done => return Ok(()),
            Step::Again => step = write.handle_write(stream.send([write.unwritten(), &[]])?),
            Step::Wait => {
                let _ = poll::wait(stream.as_fd(), Interest::WRITE, None, None);
                step = write.step();
            }
            Step::Ended { .. } => return Err(Errno::EPIPE),
        }
    }
}
