//! TLS between a stream and a session.
//!
//! ```text
//!   socket ──recv──▶ │ room │ records │ ──▶ rustls ──▶ │ plaintext │ ──▶ session        in one buffer
//!   session, file ──▶ rustls ──▶ records ──sendmsg──▶ socket                what the socket does not take waits here
//! ```
//!
//! While records wait, no byte of the session is taken: what waits is at most what one turn encrypts.
//!
//! An end of the stream without the message that announces it (`close_notify`) is a fault: an attacker
//! between the two ends can make it.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use rustls::{AlertDescription, Connection, Error};
use tracing::debug;
use windlass_core::fault::{Fault, Peer};
use windlass_core::stream::{Read, Write};

use super::channel::{Channel, Received, Sent};
use super::readiness::Readiness;
use crate::sys::Errno;
use crate::sys::stream::Stream;
use crate::tls::{LEFT, reason};

/// One end of a TLS connection.
pub struct Secured {
    stream: Stream,
    conn: Connection,
    failure: Option<Failure>,
    /// How many bytes came during the handshake.
    heard: usize,
    /// The peer has announced its end.
    has_ended: bool,
    /// The end of this side was announced.
    has_said_end: bool,
    /// What a client that speaks plain HTTP still has to be told.
    plain: &'static [u8],
}

/// Why it has failed.
#[derive(Debug)]
struct Failure {
    fault: Fault,
    why: String,
}

/// The largest plaintext of a record, in bytes.
const RECORD: usize = 16 * 1024;

/// Bytes of a client's handshake at most. Without a certificate of its own it has some kilobytes.
const HANDSHAKE_MAX: usize = 16 * 1024;

/// The answer to plain HTTP. The client would not understand an alert.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 36\r\nConnection: close\r\n\r\nThis port speaks TLS: use https://.\n";

/// Why a connection that ended without an announcement is not at its end.
const CUT: &str = "the connection ended without close_notify: what came may be cut";

impl Secured {
    pub(crate) fn new(stream: Stream, conn: impl Into<Connection>) -> Self {
        let mut conn = conn.into();
        // What waits is bounded by what it is given.
        conn.set_buffer_limit(None);
        Self {
            stream,
            conn,
            failure: None,
            heard: 0,
            has_ended: false,
            has_said_end: false,
            plain: &[],
        }
    }

    /// Decrypts what stands behind `at` to the front. Returns the length of the plaintext.
    fn open(&mut self, buf: &mut [u8], mut at: usize) -> usize {
        let mut filled = 0;
        while at < buf.len() && !self.has_ended {
            // It fails only when a message of a handshake is too long.
            let Ok(read @ 1..) = self.conn.read_tls(&mut &buf[at..]) else {
                self.fail(Peer::Malformed.into(), "a message is too long");
                return 0;
            };
            at += read;
            match self.conn.process_new_packets() {
                Ok(state) => self.has_ended = state.peer_has_closed(),
                Err(error) => {
                    self.fail(fault_of(&error), reason(&error));
                    return 0;
                }
            }
            while let Ok(n @ 1..) = self.conn.reader().read(&mut buf[filled..at]) {
                filled += n;
            }
        }
        if self.has_ended && self.conn.is_handshaking() {
            self.fail(Peer::Truncated.into(), LEFT);
        }
        if self.heard > HANDSHAKE_MAX && self.is_server() && self.conn.is_handshaking() {
            self.fail(Peer::Malformed.into(), "the handshake has more than 16 KiB");
        }
        filled
    }

    fn is_server(&self) -> bool {
        matches!(self.conn, Connection::Server(_))
    }

    fn fail(&mut self, fault: Fault, why: impl Into<String>) {
        let why = why.into();
        debug!(%fault, "TLS: {why}");
        self.failure = Some(Failure { fault, why });
    }
}

impl Channel for Secured {
    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn is_secured(&self) -> bool {
        true
    }

    fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    fn fault(&self) -> Option<Fault> {
        self.failure.as_ref().map(|failure| failure.fault)
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| &*failure.why)
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn has_records(&self) -> bool {
        self.conn.wants_write() || !self.plain.is_empty()
    }

    fn receive(
        &mut self,
        buf: &mut [u8],
        most: usize,
        readiness: &mut Readiness,
    ) -> Result<Received, Errno> {
        // Before the records there is room for the plaintext of a record that began before.
        let room = RECORD.min(buf.len() / 2);
        let end = buf.len().min(room.saturating_add(most));
        let read = self.stream.recv(&mut buf[room..end])?;
        readiness.did_read(read, end - room);
        let wire = match read {
            Read::Moved(n) => n.get(),
            Read::Eof => {
                if !self.has_ended {
                    self.fail(Peer::Truncated.into(), CUT);
                }
                return Ok(Received { end: self.has_ended, ..Received::default() });
            }
            Read::WouldBlock | Read::Interrupted => return Ok(Received::default()),
        };
        if self.conn.is_handshaking() {
            if self.heard == 0 && self.is_server() && is_plain_http(&buf[room..][..wire]) {
                self.plain = SPEAK_TLS;
                self.fail(Peer::Malformed.into(), "the client speaks plain HTTP");
                return Ok(Received { wire, ..Received::default() });
            }
            self.heard += wire;
        }
        let bytes = self.open(&mut buf[..room + wire], room);
        self.flush(readiness)?;
        Ok(Received { bytes, wire, end: false })
    }

    fn transmit(&mut self, parts: [&[u8]; 2], readiness: &mut Readiness) -> Result<Sent, Errno> {
        let mut sent = Sent { taken: 0, wire: self.flush(readiness)? };
        if self.failure.is_some() {
            // Nothing can be said any more.
            return Ok(Sent { taken: parts[0].len() + parts[1].len(), ..sent });
        }
        if self.has_records() {
            return Ok(sent);
        }
        sent.taken = self
            .conn
            .writer()
            .write_vectored(&parts.map(IoSlice::new))
            .map_err(|error| errno(&error))?;
        sent.wire += self.flush(readiness)?;
        Ok(sent)
    }

    fn flush(&mut self, readiness: &mut Readiness) -> Result<usize, Errno> {
        let mut wire = 0;
        while readiness.is_writable() && self.has_records() {
            let mut socket = Socket { stream: &self.stream, readiness };
            let written = match self.plain {
                [] => self.conn.write_tls(&mut socket),
                text => socket.write(text).inspect(|&n| self.plain = &text[n..]),
            };
            match written {
                Ok(n) => wire += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(wire)
    }

    fn say_end(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.has_said_end, true);
        if is_first {
            self.conn.send_close_notify();
        }
        is_first
    }
}

impl AsFd for Secured {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secured").field("failure", &self.failure).finish_non_exhaustive()
    }
}

/// A socket as `rustls` writes to it.
struct Socket<'a> {
    stream: &'a Stream,
    readiness: &'a mut Readiness,
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = self.stream.send_parts(parts)?;
        self.readiness.did_write(sent, parts.iter().map(|part| part.len()).sum());
        match sent {
            Write::Moved(n) => Ok(n.get()),
            Write::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            Write::WouldBlock | Write::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the first bytes of a connection are those of a request: a method and a space, or as much of that as came.
fn is_plain_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let is_whole = |&byte: &u8| method >= 3 && byte == b' ';
    (1..=16).contains(&method) && bytes.get(method).is_none_or(is_whole)
}

fn fault_of(error: &Error) -> Fault {
    match error {
        // An end that is announced before there are keys.
        Error::AlertReceived(AlertDescription::CloseNotify) => Peer::Truncated.into(),
        Error::AlertReceived(_) => Peer::Refused.into(),
        // No version or suite in common; or its certificate is not trusted.
        Error::PeerIncompatible(_)
        | Error::NoApplicationProtocol
        | Error::NoCertificatesPresented
        | Error::InvalidCertificate(_) => Fault::Denied,
        Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime | Error::General(_) => {
            Fault::Aborted
        }
        _ => Peer::Malformed.into(),
    }
}

/// The error of the socket.
fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
