//! A stream as a session has it: bytes that pass as they are, or through a cipher.
//!
//! ```text
//!   session ◀─────────── bytes, file by sendfile ───▶ socket       a Stream
//!   session ◀── plaintext ──▶ cipher ◀── records ──▶ socket       Secured
//! ```

use std::os::fd::AsFd;

use windlass_core::fault::Fault;
use windlass_core::stream::{Read, Write};

use super::readiness::Readiness;
use crate::sys::Errno;
use crate::sys::stream::Stream;

/// A stream, with or without a cipher: a [`Stream`], or a `Secured` one.
pub trait Channel: AsFd {
    /// The stream itself.
    fn stream(&self) -> &Stream;

    /// Whether it has a cipher: then no call moves bytes from a file to the socket.
    fn is_secured(&self) -> bool {
        false
    }

    /// Whether bytes of the session cannot be sent yet.
    fn is_handshaking(&self) -> bool {
        false
    }

    /// Why the cipher has failed, if it has. What it says of that to the peer may still wait.
    fn fault(&self) -> Option<Fault> {
        None
    }

    /// Why it has failed, in words.
    fn failure(&self) -> Option<&str> {
        None
    }

    /// Whether the peer has ended its bytes by a message, behind which the stream may go on.
    fn has_ended(&self) -> bool {
        false
    }

    /// Whether records wait for room.
    fn has_records(&self) -> bool {
        false
    }

    /// Reads once, at most this number of bytes.
    fn receive(
        &mut self,
        buf: &mut [u8],
        most: usize,
        readiness: &mut Readiness,
    ) -> Result<Received, Errno>;

    /// Writes once. `parts` are not all empty.
    fn transmit(&mut self, parts: [&[u8]; 2], readiness: &mut Readiness) -> Result<Sent, Errno>;

    /// Writes the records that wait. Returns the number of bytes that the socket took.
    fn flush(&mut self, _: &mut Readiness) -> Result<usize, Errno> {
        Ok(0)
    }

    /// Has the peer told that the bytes end here, before the stream ends. Whether there is something to
    /// write for that, which there is once.
    fn say_end(&mut self) -> bool {
        false
    }
}

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Bytes for the session, at the front of the buffer.
    pub(crate) bytes: usize,
    /// Bytes that the socket gave.
    pub(crate) wire: usize,
    /// The stream is at its end.
    pub(crate) end: bool,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Bytes of the session that were taken. Some may still wait as records.
    pub(crate) taken: usize,
    /// Bytes that the socket took.
    pub(crate) wire: usize,
}

impl Channel for Stream {
    fn stream(&self) -> &Stream {
        self
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        most: usize,
        readiness: &mut Readiness,
    ) -> Result<Received, Errno> {
        let room = buf.len().min(most);
        let buf = &mut buf[..room];
        let read = self.recv(buf)?;
        readiness.did_read(read, buf.len());
        Ok(match read {
            Read::Moved(n) => Received { bytes: n.get(), wire: n.get(), end: false },
            Read::Eof => Received { end: true, ..Received::default() },
            Read::WouldBlock | Read::Interrupted => Received::default(),
        })
    }

    fn transmit(&mut self, parts: [&[u8]; 2], readiness: &mut Readiness) -> Result<Sent, Errno> {
        let sent = self.send(parts)?;
        readiness.did_write(sent, parts[0].len() + parts[1].len());
        Ok(match sent {
            Write::Moved(n) => Sent { taken: n.get(), wire: n.get() },
            Write::WouldBlock | Write::Interrupted | Write::Nothing => Sent::default(),
        })
    }
}
