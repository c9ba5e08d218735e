//! Standard input to a socket, and the socket to standard output.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use windlass_core::stream::{Read, Step, Write, WriteN};

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::sys::Errno;
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
    let line = Arc::new(Line {
        stream: connect(address, clock::now().after(timeout_us))?,
        reset: Mutex::new(false),
    });
    let sender = {
        let line = Arc::clone(&line);
        thread::spawn(move || {
            let sent = send_input(&line);
            // Also when the input failed: the server is not left waiting for more.
            line.stream.shutdown_write();
            sent
        })
    };
    receive_output(&line, address)?;
    if sender.is_finished() {
        return sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    // Standard input goes on, and nobody listens any more.
    Ok(())
}

/// The connection, and what its two threads have to tell each other.
struct Line {
    stream: Stream,
    /// A send learned of a reset. The kernel reports it once, to whichever direction asks first, and
    /// the other one sees a clean end: so a send is made and noted under the lock.
    reset: Mutex<bool>,
}

impl Line {
    fn send(&self, bytes: &[u8]) -> std::result::Result<Write, Errno> {
        let mut reset = self.reset.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.stream.send([bytes, &[]]);
        *reset |= sent == Err(Errno::ECONNRESET);
        sent
    }

    fn was_reset(&self) -> bool {
        *self.reset.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends standard input to its end, or until the server takes no more: why it does not is for the
/// receiving side to say.
fn send_input(line: &Line) -> Result<()> {
    let mut input = std::io::stdin().lock();
    let mut buf = vec![0; PIECE];
    loop {
        match input.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) if send_all(line, &buf[..n]).is_err() => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new("read", "standard input", error)),
        }
    }
}

fn receive_output(line: &Line, address: &Address) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let mut buf = vec![0; PIECE];
    loop {
        match line.stream.recv(&mut buf).map_err(Error::of("receive from", address))? {
            Read::Moved(n) => output
                .write_all(&buf[..n.get()])
                .and_then(|()| output.flush())
                .map_err(Error::of("write", "standard output"))?,
            Read::Eof if line.was_reset() => {
                return Err(Error::new("receive from", address, Errno::ECONNRESET));
            }
            Read::Eof => return Ok(()),
            Read::WouldBlock => {
                let _ = poll::wait(line.stream.as_fd(), Interest::READ, None, None);
            }
            Read::Interrupted => {}
        }
    }
}

fn send_all(line: &Line, bytes: &[u8]) -> std::result::Result<(), Errno> {
    let mut write = WriteN::new(bytes);
    let mut step = write.step();
    loop {
        match step {
            Step::Done => return Ok(()),
            Step::Again => step = write.handle_write(line.send(write.unwritten())?),
            Step::Wait => {
                let _ = poll::wait(line.stream.as_fd(), Interest::WRITE, None, None);
                step = write.step();
            }
            Step::Ended { .. } => return Err(Errno::EPIPE),
        }
    }
}
