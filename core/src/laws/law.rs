//! The laws of a session, and how one run of the lab differs from another.

use core::fmt;

/// A law that a session must keep, whatever its shell does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Law {
    /// The output is the same however the input is cut into pieces.
    Chunking,
    /// The output is the same however little room there is for it.
    ShortWrites,
    /// The input may end at any byte. Then the session ends too, or wants something that can still
    /// happen.
    EndsAfterEof,
    /// A tick before it is due, and room that the session did not want, have no effect.
    SpuriousCalls,
    /// Every call that the session wanted makes progress. After its output is sent no tick is due.
    NoSpin,
    /// A session consumes at most the bytes that it was lent, and its reply is at most the bytes
    /// that it consumed.
    Counts,
    /// A session never reopens, and sends nothing after it announced that no more output will come.
    ClosesForward,
    /// After `abort` the session is done with that fault, and has no output.
    Aborts,
    /// A session that has a last word when the time for a request is over then has output, and awaits no
    /// request. For any other nothing changes.
    Expires,
    /// A clock that steps backwards does no harm.
    ClockStepsBack,
    /// The stored bytes of a file are the same however the input is cut, and whatever the storage
    /// answers: busy, or one byte at a time.
    Stores,
    /// Under a [`Pump`](crate::pump::Pump) with memory for one byte, or for many, the output is the same.
    Pumps,
    /// The lab is too small for this input or its output: give `Lab` a larger number.
    LabTooSmall,
}

/// A law that a session broke, and the run that showed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// Bytes of input lent at a time.
    pub chunk: usize,
    /// Bytes of room lent at a time.
    pub room: usize,
    /// Where the input ended, or where it was aborted.
    pub end: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, chunk, room, end } = self;
        write!(f, "{law:?} is broken: input by {chunk}, room by {room}, ended after {end} bytes")
    }
}

impl core::error::Error for Broken {}

/// How one run differs from the reference run.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) chunk: usize,
    pub(super) room: usize,
    pub(super) end: usize,
    pub(super) spurious: bool,
    pub(super) clock_steps_back: bool,
    /// The storage is busy at first, and keeps, reads and digests one byte at a time.
    pub(super) slow_storage: bool,
}

impl Plan {
    pub(super) fn breaks(self, law: Law) -> Broken {
        Broken { law, chunk: self.chunk, room: self.room, end: self.end }
    }
}
