//! Reading and writing exact amounts over calls that move fewer bytes than asked.
//!
//! These are the classic `Readn`, `Writen` and `Readline` as machines: the caller owns the buffer
//! and the system call, the machine owns the count. So nothing is lost to a signal, a short count,
//! `EAGAIN` or an early end of the stream, and two connections can never share a hidden buffer.

mod read_line;
mod read_n;
mod write_n;

pub use read_line::{Ending, Line, LineStep, ReadLine};
pub use read_n::ReadN;
pub use write_n::WriteN;

use core::num::NonZeroUsize;

/// The outcome of one `read(2)`-like call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Read {
    /// So many bytes came.
    Moved(NonZeroUsize),
    /// `EINTR`: nothing moved, nothing is lost.
    Interrupted,
    /// `EAGAIN`: nothing is there yet.
    WouldBlock,
    /// The peer will send no more.
    Eof,
}

impl Read {
    /// The outcome of a call that returned `count`, where 0 means the end of the stream.
    pub const fn count(count: usize) -> Self {
        match NonZeroUsize::new(count) {
            Some(moved) => Read::Moved(moved),
            None => Read::Eof,
        }
    }
}

/// The outcome of one `write(2)`-like call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Write {
    /// So many bytes went.
    Moved(NonZeroUsize),
    /// `EINTR`: nothing moved, nothing is lost.
    Interrupted,
    /// `EAGAIN`: no room yet.
    WouldBlock,
    /// The call took nothing and gave no reason: the other end is gone.
    Nothing,
}

impl Write {
    /// The outcome of a call that returned `count`.
    pub const fn count(count: usize) -> Self {
        match NonZeroUsize::new(count) {
            Some(moved) => Write::Moved(moved),
            None => Write::Nothing,
        }
    }
}

/// What to do after a [`ReadN`] or [`WriteN`] took an outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Step {
    /// Make the call again with what is left.
    Again,
    /// Wait until the descriptor is ready, then make the call again.
    Wait,
    /// All `n` bytes moved.
    Done,
    /// The stream ended first; `moved` bytes of the `n` went through and are kept.
    Ended {
        /// Bytes moved before the end.
        moved: usize,
    },
}
