//! The state of a stream that is known without a system call.

use windlass_core::stream::{Read, Write};

use crate::sys::ready::Ready;
use crate::sys::stream::Stream;

/// The state by the last calls and events. Both kinds of waiting need it: after an edge there is no
/// second event, and with level-triggered events a call that would block is wasted.
///
/// It is one byte without a niche: a table keeps its variants in the niche of
/// [`Stage`](super::Connection), which is at the end of a connection and leaves room for them.
#[derive(Debug, Clone, Copy)]
pub struct Readiness(u8);

/// The last read left input, or an event reported input.
const READABLE: u8 = 1;

/// A short read does not mean that no input is left: read until a call would block. An event
/// reported that the peer sends no more, or that urgent data came, and no event will come for input
/// behind that; or reads of this stream can be short.
const READS_SHORT: u8 = 2;

/// The end of the input was read.
const ENDED: u8 = 4;

/// The last write was not short, or an event reported room.
const WRITABLE: u8 = 8;

/// An event reported that the connection is dead in both directions.
const DEAD: u8 = 16;

/// It is not a socket: a write may be short with room left.
const WRITES_SHORT: u8 = 32;

impl Readiness {
    /// A socket that was just connected. There is room, and events say when there is input.
    pub(crate) const fn of_socket() -> Self {
        Self(WRITABLE)
    }

    /// A stream of any kind. The kernel reports whether there is input: a FIFO without a writer
    /// reads as one at its end.
    pub(crate) fn of(stream: &Stream) -> Self {
        match stream.is_socket() {
            true if stream.is_unix() => Self(WRITABLE | READS_SHORT),
            true => Self(WRITABLE),
            false => Self(WRITABLE | READS_SHORT | WRITES_SHORT),
        }
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, ready: Ready) {
        self.set(READABLE, self.is_readable() || ready.read || ready.hup);
        self.set(READS_SHORT, self.has(READS_SHORT) || ready.hup);
        self.set(WRITABLE, self.is_writable() || ready.write || ready.dead);
        self.set(DEAD, self.is_dead() || ready.dead);
    }

    /// Notes that a deadline came: the kernel is asked before a timeout is reported.
    pub(crate) fn look_again(&mut self) {
        self.0 |= READABLE | WRITABLE;
    }

    /// Notes the result of a read into `room` bytes.
    pub(crate) fn did_read(&mut self, read: Read, room: usize) {
        match read {
            // An end that comes with the data has no event of its own.
            Read::Moved(n) => self.set(READABLE, n.get() == room || self.has(READS_SHORT)),
            Read::WouldBlock => self.set(READABLE, false),
            Read::Interrupted => {}
            Read::Eof => self.end(),
        }
    }

    /// Notes the result of a write. A short write found the socket full, so there is no second try:
    /// the kernel has noted that room is waited for.
    pub(crate) fn did_write(&mut self, written: Write, offered: usize) {
        match written {
            Write::Moved(n) => self.set_writable(n.get() == offered || !self.is_socket()),
            Write::WouldBlock | Write::Nothing => self.set_writable(false),
            Write::Interrupted => {}
        }
    }

    /// Notes that nothing more will be read.
    pub(crate) fn end(&mut self) {
        self.set(READABLE, false);
        self.set(ENDED, true);
    }

    /// Notes that there may be input behind the end that was read.
    pub(crate) fn read_on(&mut self) {
        self.set(ENDED, false);
    }

    /// Makes reads go on until one would block.
    pub(crate) fn read_short(&mut self) {
        self.set(READS_SHORT, true);
    }

    /// Sets whether there is room, if that is known from something other than a write.
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

    /// Whether output cannot arrive any more.
    pub(crate) fn is_dead(self) -> bool {
        self.has(DEAD)
    }

    /// Whether it is a socket.
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
