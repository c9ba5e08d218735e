//! What a machine wants from its shell: one small `Copy` value, computed in constant time.

use crate::fault::Fault;
use crate::time::Wake;

/// What a session wants next. The shell turns it into an `epoll` mask, a `select` set, an embassy
/// `select`, or a decision to sleep until an interrupt. It changes only in a `&mut` call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Want {
    /// It can take input. While false the shell stops reading, and the peer feels it.
    pub read: bool,
    /// It has output: when there is room, send what its
    /// [`FileUser::piece`](crate::file::FileUser::piece) names, or else call
    /// [`render`](crate::session::Session::render).
    pub write: bool,
    /// It waits for the answer to an operation on a file: [`FileUser::op`](crate::file::FileUser::op).
    pub file: bool,
    /// How far the session has closed.
    pub close: Close,
    /// When it wants [`tick`](crate::session::Session::tick).
    pub wake: Wake,
}

impl Want {
    /// Input, and nothing else: what an idle server session wants.
    pub const READ: Self = Self { read: true, ..Self::NOTHING };

    /// Room for output, and nothing else.
    pub const WRITE: Self = Self { write: true, ..Self::NOTHING };

    /// The answer to an operation on a file, and nothing else.
    pub const FILE: Self = Self { file: true, ..Self::NOTHING };

    const NOTHING: Self =
        Self { read: false, write: false, file: false, close: Close::Open, wake: Wake::Never };

    /// Nothing but the end: what a session wants once it is [`Close::Done`].
    pub const fn done(how: Result<(), Fault>) -> Self {
        Self { close: Close::Done(how), ..Self::NOTHING }
    }
}

/// How far a session has closed. It only ever moves down this list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Close {
    /// Both directions are in use.
    Open,
    /// No more output will come: `shutdown(SHUT_WR)` once what was rendered is flushed.
    WriteHalf,
    /// The session is over. After `Ok`, flush and close; after a fault, close without waiting.
    Done(Result<(), Fault>),
}

impl Close {
    /// Whether the session is over.
    pub const fn is_done(self) -> bool {
        matches!(self, Close::Done(_))
    }

    /// The session is over. What it was over with before stays.
    pub const fn end(&mut self, how: Result<(), Fault>) {
        if !self.is_done() {
            *self = Close::Done(how);
        }
    }
}

// A `Want` crosses the boundary after every call: it has to stay a value of a few words.
const _: () = assert!(size_of::<Want>() <= 48, "Want grew beyond six words");
