//! What a machine wants from its shell: one small `Copy` value, computed in constant time.

use crate::fault::Fault;
use crate::time::Wake;

/// What a session or a transfer wants next. The shell turns it into an `epoll` mask, a `select` set, an Embassy
/// `select`, or a decision to sleep until an interrupt. It changes only in a `&mut` call of the
/// session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Want {
    /// The session can take input. While this is false the shell does not read, and the peer has to
    /// wait.
    pub read: bool,
    /// The session has output: when there is room, send what its
    /// [`FileUser::piece`](crate::file::FileUser::piece) names, or else call
    /// [`render`](crate::session::Session::render). A transfer renders datagrams.
    pub write: bool,
    /// The session waits for the answer to an operation on a file:
    /// [`FileUser::op`](crate::file::FileUser::op).
    pub file: bool,
    /// How far the session has closed.
    pub close: Close,
    /// When the session wants a call of [`tick`](crate::session::Session::tick).
    pub wake: Wake,
}

impl Want {
    /// Input, and nothing else: what an idle server session wants.
    pub const READ: Self = Self { read: true, ..Self::NOTHING };

    /// Room for output, and nothing else.
    pub const WRITE: Self = Self { write: true, ..Self::NOTHING };

    /// The answer to an operation on a file, and nothing else.
    pub const FILE: Self = Self { file: true, ..Self::NOTHING };

    pub(crate) const NOTHING: Self =
        Self { read: false, write: false, file: false, close: Close::Open, wake: Wake::Never };

    /// Nothing but the end: what a session wants once it is [`Close::Done`].
    pub const fn done(how: Result<(), Fault>) -> Self {
        Self { close: Close::Done(how), ..Self::NOTHING }
    }
}

/// How far a session has closed. A session moves down this list and never up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Close {
    /// Both directions are in use.
    Open,
    /// No more output will come: call `shutdown(SHUT_WR)` once the rendered output is sent. Of a transfer: the
    /// file is complete and valid, and only the last answer is repeated.
    WriteHalf,
    /// The session is over. After `Ok`, send the rest and close; after a fault, close at once. A
    /// transfer may have one more datagram for the peer.
    Done(Result<(), Fault>),
}

impl Close {
    /// Whether the session is over.
    pub const fn is_done(self) -> bool {
        matches!(self, Close::Done(_))
    }

    /// The session is over. If it was over before, the first result stays.
    pub const fn end(&mut self, how: Result<(), Fault>) {
        if !self.is_done() {
            *self = Close::Done(how);
        }
    }
}

// A `Want` crosses the boundary after every call: it has to stay a value of a few words.
const _: () = assert!(size_of::<Want>() <= 48, "Want grew beyond six words");
