//! Reading and writing exact amounts by calls that may move fewer bytes.
//!
//! These are `readn`, `writen` and `readline` of Stevens' *UNIX Network Programming* as machines:
//! the caller has the buffer and makes the system call, the machine has the count. So no byte is
//! lost to a signal, a short count, `EAGAIN` or an early end of the stream, and two connections
//! never share a hidden buffer.

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
    /// How many bytes were read.
    Moved(NonZeroUsize),
    /// `EINTR`: nothing moved, nothing is lost.
    Interrupted,
    /// `EAGAIN`: no byte has arrived yet.
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
    /// How many bytes were written.
    Moved(NonZeroUsize),
    /// `EINTR`: nothing moved, nothing is lost.
    Interrupted,
    /// `EAGAIN`: there is no room yet.
    WouldBlock,
    /// The call wrote nothing and reported no error: the other end is gone.
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
    /// Make the call again with the rest.
    Again,
    /// Wait until the descriptor is ready, then make the call again.
    Wait,
    /// All `n` bytes moved.
    Done,
    /// The stream ended before all `n` bytes had moved. The `moved` bytes are kept.
    Ended {
        /// Bytes moved before the end.
        moved: usize,
    },
}
