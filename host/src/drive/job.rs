//! The one kind of thing that every server model carries.
//!
//! ```text
//!   acceptor ──▶ Client ──▶ queue, worker's order, child process ──▶ offer ──▶ Job ──▶ turns, to its end
//! ```
//!
//! No model looks inside of either: what comes in another way than a stream is another variant here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use windlass_core::fault::Fault;
use windlass_core::session::Session;
use windlass_core::stream::Read;
use windlass_core::time::Instant;

use super::buffers::Buffers;
use super::connection::{Connection, Next};
use super::rules::RulesId;
use crate::sys::ready::Ready;
use crate::sys::stream::Stream;

/// What an acceptor took in, until something serves it.
#[derive(Debug)]
pub enum Client {
    /// A connection.
    Stream(Stream),
}

/// What a model gives turns to, or waits for, until it is over.
pub enum Job {
    /// A connection and its session.
    Stream(Connection),
}

impl Client {
    /// One that another process of ours accepted, and passed here.
    pub(crate) fn passed(fd: OwnedFd) -> Self {
        Self::Stream(Stream::of_socket(fd))
    }

    /// Whether it can be served by another process as if it had just been accepted.
    pub(crate) fn is_untouched(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_untouched(),
        }
    }

    /// Tells the client that it is not served, as cleanly as that can be. It is dropped next.
    pub(super) fn turn_away(&self) {
        match self {
            Self::Stream(stream) => {
                // Input left unread would turn the end into a reset: what has come by now is read.
                let mut buf = [0; 4096];
                for _ in 0..16 {
                    if !matches!(stream.recv(&mut buf), Ok(Read::Moved(_))) {
                        break;
                    }
                }
                stream.shutdown_write();
            }
        }
    }
}

impl Job {
    /// A connection and its session, under the first rules of its loop.
    pub fn stream(stream: Stream, session: Box<dyn Session + Send>, now: Instant) -> Self {
        Self::Stream(Connection::new(stream, session, now))
    }

    /// The same, under the rules of its listener.
    #[must_use]
    pub fn under(self, rules: RulesId) -> Self {
        match self {
            Self::Stream(connection) => Self::Stream(connection.under(rules)),
        }
    }

    /// Takes note of an event, for a turn that comes later.
    pub fn note(&mut self, ready: Ready) {
        match self {
            Self::Stream(connection) => connection.note(ready),
        }
    }

    /// Moves what can be moved, and says what it needs next. It never waits.
    pub fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        match self {
            Self::Stream(connection) => connection.turn(ready, now, buffers),
        }
    }

    /// When it wants a turn without an event.
    pub fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        match self {
            Self::Stream(connection) => connection.deadline(buffers),
        }
    }

    /// How often to look whether other clients wait, if it has less time then, in microseconds.
    pub(super) fn look_every_us(&self, buffers: &Buffers) -> Option<u64> {
        match self {
            Self::Stream(connection) => connection.look_every_us(buffers),
        }
    }

    /// Ends it from this side.
    pub fn abort(&mut self, why: Fault) {
        match self {
            Self::Stream(connection) => connection.abort(why),
        }
    }
}

impl AsFd for Job {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(connection) => connection.as_fd(),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(stream) => stream.as_fd(),
        }
    }
}
