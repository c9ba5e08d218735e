//! The client of a server's control socket.

use std::os::fd::AsFd;
use std::path::Path;

use windlass_core::stream::{Read, Write};
use windlass_core::time::Instant;

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::printable::{printable_json, words};
use crate::status::{Refusal, Status};
use crate::sys::connect::connect;
use crate::sys::poll::{Woken, wait};
use crate::sys::ready::Interest;
use crate::sys::stream::Stream;
use crate::sys::{Errno, clock};

/// A client of the control socket: it asks as often as necessary over one connection.
#[derive(Debug)]
pub struct Observer {
    address: Address,
    stream: Option<Stream>,
}

/// Bytes of an answer: 256 workers have fewer than 64 KiB.
const ANSWER_MAX: usize = 4 << 20;

impl Observer {
    /// A client for the control socket at `path`. It is not connected yet.
    pub fn new(path: &Path) -> Self {
        Self { address: Address::Unix(path.to_owned()), stream: None }
    }

    /// Asks for the state of the server, within `timeout_us`. Also returns the answer as it came:
    /// one line of JSON without its LF. All texts are printable, also those of errors.
    ///
    /// # Errors
    /// No server is there or answers in time, or the answer is a refusal or cannot be read.
    pub fn ask(&mut self, timeout_us: u64) -> Result<(Status, String)> {
        let deadline = clock::now().after(timeout_us);
        // The server may have closed the kept connection because it was silent, or have ended.
        let kept = self.stream.take();
        let answer = match kept.map(|stream| self.ask_on(stream, deadline)) {
            Some(Ok(line)) => line,
            Some(Err(error)) if clock::now() >= deadline => return Err(error),
            Some(Err(_)) | None => self.ask_on(connect(&self.address, deadline)?, deadline)?,
        };
        if let Ok(Refusal { error }) = serde_json::from_str(&answer) {
            self.stream = None;
            return Err(self.failed(&error));
        }
        match serde_json::from_str(&answer) {
            Ok(status) => Ok((Status::printable(status), printable_json(&answer))),
            Err(error) => Err(self.failed(&format!("the answer is no state: {error}"))),
        }
    }

    /// Asks, and keeps the connection if the answer came.
    fn ask_on(&mut self, stream: Stream, deadline: Instant) -> Result<String> {
        let line = ask_line(&stream, deadline).map_err(Error::of(OP, &self.address))?;
        let line = String::from_utf8(line).map_err(Error::of(OP, &self.address))?;
        self.stream = Some(stream);
        Ok(line)
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(OP, &self.address, words(why.as_bytes()).to_string())
    }
}

const OP: &str = "read the state from";

type Cause = Box<dyn std::error::Error + Send + Sync>;

fn ask_line(stream: &Stream, deadline: Instant) -> std::result::Result<Vec<u8>, Cause> {
    match send_question(stream, deadline) {
        Ok(()) => read_line(stream, deadline),
        // A client that is refused gets the reason before its request.
        Err(error) => read_line(stream, deadline).map_err(|_| error.into()),
    }
}

fn send_question(stream: &Stream, deadline: Instant) -> std::result::Result<(), Errno> {
    let mut question: &[u8] = b"status\n";
    while !question.is_empty() {
        match stream.send([question, &[]])? {
            Write::Moved(n) => question = &question[n.get()..],
            Write::WouldBlock => until(stream, Interest::WRITE, deadline)?,
            Write::Interrupted | Write::Nothing => {}
        }
    }
    Ok(())
}

fn read_line(stream: &Stream, deadline: Instant) -> std::result::Result<Vec<u8>, Cause> {
    let (mut line, mut buf) = (Vec::new(), vec![0; 64 * 1024]);
    while line.len() <= ANSWER_MAX {
        match stream.recv(&mut buf)? {
            Read::Moved(n) => {
                line.extend_from_slice(&buf[..n.get()]);
                if line.last() == Some(&b'\n') {
                    line.pop();
                    return Ok(line);
                }
            }
            Read::Eof => {
                return Err("the server closed the connection in the middle of the answer".into());
            }
            Read::WouldBlock => until(stream, Interest::READ, deadline)?,
            Read::Interrupted => {}
        }
    }
    Err(format!("the answer has more than {ANSWER_MAX} bytes").into())
}

fn until(stream: &Stream, interest: Interest, deadline: Instant) -> std::result::Result<(), Errno> {
    match wait(stream.as_fd(), interest, None, Some(deadline)) {
        Woken::TimedOut => Err(Errno::ETIMEDOUT),
        Woken::Ready(_) | Woken::Other | Woken::Interrupted => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_client_gets_the_reason() {
        let ask = |words: &[u8]| {
            let (ours, theirs) = Stream::pair().unwrap();
            if !words.is_empty() {
                theirs.send([words, &[]]).unwrap();
            }
            drop(theirs);
            ask_line(&ours, clock::now().after(60_000_000)).map_err(|error| error.to_string())
        };
        assert_eq!(ask(b"full\n").unwrap(), b"full");
        let silent = ask(b"").unwrap_err();
        assert!(silent.contains("EPIPE"), "{silent}");
        assert_eq!(ask(b"cut").unwrap_err(), silent);
    }
}
