//! Standard input to a socket, and the socket to standard output.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
        sending: Mutex::new(Sending { reset: false, failed: None }),
    });
    {
        let line = Arc::clone(&line);
        thread::spawn(move || {
            // Noted before the server is told of the end, and so before it can answer with its own.
            let sent = send_input(&line);
            line.sending().failed = sent.err();
            line.stream.shutdown_write();
        });
    }
    receive_output(&line, address)?;
    // If standard input goes on, nobody listens any more.
    let failed = line.sending().failed.take();
    failed.map_or(Ok(()), Err)
}

/// The connection, and what its two threads have to tell each other.
struct Line {
    stream: Stream,
    sending: Mutex<Sending>,
}

struct Sending {
    /// A send learned of a reset. The kernel reports it once, to whichever direction asks first, and
    /// the other one sees a clean end: so a send is made and noted under the lock.
    reset: bool,
    /// Standard input failed.
    failed: Option<Error>,
}

impl Line {
    fn send(&self, bytes: &[u8]) -> std::result::Result<Write, Errno> {
        let mut sending = self.sending();
        let sent = self.stream.send([bytes, &[]]);
        sending.reset |= sent == Err(Errno::ECONNRESET);
        sent
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends standard input to its end, or until the server takes no more: why it does not is for the
/// receiving side to say.
fn send_input(line: &Line) -> Result<()> {
    let fail = || Error::of("read", "standard input");
    let mut input = File::from(stdin().as_fd().try_clone_to_owned().map_err(fail())?);
    let mut buf = vec![0; PIECE];
    loop {
        match input.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) if send_all(line, &buf[..n]).is_err() => return Ok(()),
            Ok(_) => {}
            Err(error) => pass_over(error, &input, Interest::READ).map_err(fail())?,
        }
    }
}

fn receive_output(line: &Line, address: &Address) -> Result<()> {
    let fail = || Error::of("write", "standard output");
    let mut output = File::from(stdout().as_fd().try_clone_to_owned().map_err(fail())?);
    let mut buf = vec![0; PIECE];
    loop {
        match line.stream.recv(&mut buf).map_err(Error::of("receive from", address))? {
            Read::Moved(n) => write_all(&mut output, &buf[..n.get()]).map_err(fail())?,
            Read::Eof if line.sending().reset => {
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

fn write_all(output: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) => pass_over(error, output, Interest::WRITE)?,
        }
    }
    Ok(())
}

/// A signal is no error, and neither is a descriptor that somebody else made nonblocking: it is
/// waited for.
fn pass_over(error: std::io::Error, file: &File, interest: Interest) -> std::io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock => {
            let _ = poll::wait(file.as_fd(), interest, None, None);
            Ok(())
        }
        _ => Err(error),
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
