//! What is known of a stream without asking the kernel.

use windlass_core::stream::{Read, Write};

use crate::sys::ready::Ready;

/// What the last calls and events said. Both kinds of waiting rely on it: after an edge nothing is said
/// again, and where the level is reported a call that would block is a call too many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness {
    input: Input,
    /// The last write was not cut short, or an event said that there is room.
    pub(crate) writable: bool,
    /// An event said that the connection is dead both ways.
    dead: bool,
}

#[derive(Debug, Clone, Copy)]
enum Input {
    Open {
        /// The last read left something, or an event said that there is something.
        readable: bool,
        /// A short read does not mean that nothing is left: reads go on until one would block. An event
        /// said that the peer sends no more, or that urgent data came, and no event will come for what is
        /// behind that; or the stream is one that reads short.
        thorough: bool,
    },
    /// Its end was read.
    Ended,
}

impl Readiness {
    /// A socket that was just connected. There is room, and events say when there is input.
    pub(crate) const fn of_socket() -> Self {
        Self::with(true, false)
    }

    /// A stream of any kind; `reads_short`: with more behind.
    pub(crate) const fn with(writable: bool, reads_short: bool) -> Self {
        let input = Input::Open { readable: false, thorough: reads_short };
        Self { input, writable, dead: false }
    }

    /// An event.
    pub(crate) fn note(&mut self, ready: Ready) {
        if let Input::Open { readable, thorough } = &mut self.input {
            *readable |= ready.read || ready.hup;
            *thorough |= ready.hup;
        }
        self.writable |= ready.write || ready.dead;
        self.dead |= ready.dead;
    }

    /// The time has come: the kernel is asked before it is said that nothing moved.
    pub(crate) fn look_again(&mut self) {
        self.note(Ready { read: true, write: true, ..Ready::NONE });
    }

    /// A read into `room` bytes.
    pub(crate) fn did_read(&mut self, read: Read, room: usize) {
        if let Input::Open { readable, thorough } = &mut self.input {
            match read {
                // An end that came with the data makes no event of its own.
                Read::Moved(n) => *readable = n.get() == room || *thorough,
                Read::WouldBlock => *readable = false,
                Read::Interrupted => {}
                Read::Eof => self.input = Input::Ended,
            }
        }
    }

    /// A write. One that is cut short found the socket full, so there is no second try: the kernel has
    /// noted that room is waited for.
    pub(crate) fn did_write(&mut self, written: Write, offered: usize) {
        match written {
            Write::Moved(n) => self.writable = n.get() == offered,
            Write::WouldBlock | Write::Nothing => self.writable = false,
            Write::Interrupted => {}
        }
    }

    /// Nothing more is to be read.
    pub(crate) fn end(&mut self) {
        self.input = Input::Ended;
    }

    /// There may be more behind the end that was read.
    pub(crate) fn read_on(&mut self) {
        if self.has_ended() {
            self.input = Input::Open { readable: false, thorough: true };
        }
    }

    /// Reads go on until one would block.
    pub(crate) fn read_short(&mut self) {
        if let Input::Open { thorough, .. } = &mut self.input {
            *thorough = true;
        }
    }

    /// Whether there may be input.
    pub(crate) fn is_readable(self) -> bool {
        matches!(self.input, Input::Open { readable: true, .. })
    }

    /// Whether the end of the input was read.
    pub(crate) fn has_ended(self) -> bool {
        matches!(self.input, Input::Ended)
    }

    /// Whether nothing that is sent arrives any more.
    pub(crate) fn is_dead(self) -> bool {
        self.dead
    }
}
