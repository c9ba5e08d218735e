//! What is known of a stream without asking the kernel.

use windlass_core::stream::{Read, Write};

use crate::sys::ready::Ready;
use crate::sys::stream::Stream;

/// What the last calls and events said. Both kinds of waiting rely on it: after an edge nothing is said
/// again, and where the level is reported a call that would block is a call too many.
///
/// In one byte without a niche: a table keeps its variants in that of [`Stage`](super::Connection), which
/// is at the end of a connection and leaves room for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness(u8);

/// The last read left something, or an event said that there is something.
const READABLE: u8 = 1;

/// A short read does not mean that nothing is left: reads go on until one would block. An event said that
/// the peer sends no more, or that urgent data came, and no event will come for what is behind that; or
/// the stream is one that reads short.
const READS_SHORT: u8 = 2;

/// The end of the input was read.
const ENDED: u8 = 4;

/// The last write was not cut short, or an event said that there is room.
const WRITABLE: u8 = 8;

/// An event said that the connection is dead both ways.
const DEAD: u8 = 16;

/// It is no socket: a write may be cut short with room left.
const WRITES_SHORT: u8 = 32;

impl Readiness {
    /// A socket that was just connected. There is room, and events say when there is input.
    pub(crate) const fn of_socket() -> Self {
        Self(WRITABLE)
    }

    /// A stream of any kind. The kernel says whether there is input: a FIFO without a writer reads as one at
    /// its end.
    pub(crate) fn of(stream: &Stream) -> Self {
        match stream.is_socket() {
            true if stream.is_unix() => Self(WRITABLE | READS_SHORT),
            true => Self(WRITABLE),
            false => Self(WRITABLE | READS_SHORT | WRITES_SHORT),
        }
    }

    /// An event.
    pub(crate) fn note(&mut self, ready: Ready) {
        self.set(READABLE, self.is_readable() || ready.read || ready.hup);
        self.set(READS_SHORT, self.has(READS_SHORT) || ready.hup);
        self.set(WRITABLE, self.is_writable() || ready.write || ready.dead);
        self.set(DEAD, self.is_dead() || ready.dead);
    }

    /// The time has come: the kernel is asked before it is said that nothing moved.
    pub(crate) fn look_again(&mut self) {
        self.0 |= READABLE | WRITABLE;
    }

    /// A read into `room` bytes.
    pub(crate) fn did_read(&mut self, read: Read, room: usize) {
        match read {
            // An end that came with the data makes no event of its own.
            Read::Moved(n) => self.set(READABLE, n.get() == room || self.has(READS_SHORT)),
            Read::WouldBlock => self.set(READABLE, false),
            Read::Interrupted => {}
            Read::Eof => self.end(),
        }
    }

    /// A write. One that is cut short found the socket full, so there is no second try: the kernel has
    /// noted that room is waited for.
    pub(crate) fn did_write(&mut self, written: Write, offered: usize) {
        match written {
            Write::Moved(n) => self.set_writable(n.get() == offered || !self.is_socket()),
            Write::WouldBlock | Write::Nothing => self.set_writable(false),
            Write::Interrupted => {}
        }
    }

    /// Nothing more is to be read.
    pub(crate) fn end(&mut self) {
        self.set(READABLE, false);
        self.set(ENDED, true);
    }

    /// There may be more behind the end that was read.
    pub(crate) fn read_on(&mut self) {
        self.set(ENDED, false);
    }

    /// Reads go on until one would block.
    pub(crate) fn read_short(&mut self) {
        self.set(READS_SHORT, true);
    }

    /// From now on, whether there is room: where that is known otherwise than by a write.
    pub(crate) fn set_writable(&mut self, writable: bool) {
        self.set(WRITABLE, writable);
    }

    /// Whether there may be room.
    pub(crate) fn is_writable(self) -> bool {
        self.has(WRITABLE)
    }

    /// Whether there may be input.
    pub(crate) fn is_readable(self) -> bool {
        self.has(READABLE)
    }

    /// Whether the end of the input was read.
    pub(crate) fn has_ended(self) -> bool {
        self.has(ENDED)
    }

    /// Whether nothing that is sent arrives any more.
    pub(crate) fn is_dead(self) -> bool {
        self.has(DEAD)
    }

    /// Whether it is a socket, of those that may be something else.
    pub(crate) fn is_socket(self) -> bool {
        !self.has(WRITES_SHORT)
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    fn set(&mut self, bit: u8, on: bool) {
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}
