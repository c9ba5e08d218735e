//! The sending side of a connection: direct writes, and what the socket did not take.

use windlass_core::fault::{Fault, Peer};
use windlass_core::stream::Write;
use windlass_core::time::Instant;

use super::lent::{Held, Patience, Spare};
use super::pace::Pace;
use crate::sys::Errno;
use crate::sys::stream::Stream;

/// A socket with the output that it owes.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) stream: Stream,
    pub(super) held: Option<Box<Held>>,
    /// When a byte last moved, in either direction.
    pub(super) last_moved: Instant,
    /// The last write was not cut short, or an event said that there is room.
    pub(super) writable: bool,
    /// An event said that the connection is dead both ways.
    pub(super) dead: bool,
}

impl Outlet {
    pub(super) fn new(stream: Stream, now: Instant) -> Self {
        Self { stream, held: None, last_moved: now, writable: true, dead: false }
    }

    pub(super) fn holds_output(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.sent < held.output.len())
    }

    pub(super) fn holds_input(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.input.is_empty())
    }

    /// Sends both parts; what the socket does not take is held. No output was held before.
    ///
    /// A short write means that the socket is full, so there is no second try: the kernel has noted
    /// that we wait for room.
    pub(super) fn send(
        &mut self,
        [mut first, mut then]: [&[u8]; 2],
        now: Instant,
        spare: &mut Spare,
        patience: &Patience,
    ) -> Result<(), Fault> {
        while self.writable && first.len() + then.len() > 0 {
            match self.stream.send([first, then]).map_err(lost)? {
                Write::Moved(n) => {
                    self.moved(now, n.get(), n.get() == first.len() + then.len());
                    let of_first = n.get().min(first.len());
                    first = &first[of_first..];
                    then = &then[n.get() - of_first..];
                }
                Write::WouldBlock | Write::Nothing => self.writable = false,
                Write::Interrupted => {}
            }
        }
        if first.len() + then.len() > 0 {
            let held = self.held.get_or_insert_with(|| spare.take());
            held.output.extend_from_slice(first);
            held.output.extend_from_slice(then);
            self.settle(now, patience);
        }
        Ok(())
    }

    /// Sends what is held. True when all of it went.
    pub(super) fn flush(
        &mut self,
        now: Instant,
        spare: &mut Spare,
        patience: &Patience,
    ) -> Result<bool, Fault> {
        while self.writable
            && let Some(held) = self.held.as_mut().filter(|held| held.sent < held.output.len())
        {
            let rest = &held.output[held.sent..];
            match self.stream.send([rest, &[]]).map_err(lost)? {
                Write::Moved(n) => {
                    let all = n.get() == rest.len();
                    held.sent += n.get();
                    self.moved(now, n.get(), all);
                }
                Write::WouldBlock | Write::Nothing => self.writable = false,
                Write::Interrupted => {}
            }
        }
        self.settle(now, patience);
        let Some(held) = &mut self.held else { return Ok(true) };
        if held.sent < held.output.len() {
            return Ok(false);
        }
        held.output.clear();
        held.sent = 0;
        if held.is_empty() {
            spare.give_back(self.held.take());
        }
        Ok(true)
    }

    /// The socket took `n` bytes; `all` of what it was offered.
    pub(super) fn moved(&mut self, now: Instant, n: usize, all: bool) {
        self.last_moved = now;
        self.writable = all;
        if let Some(pace) = self.held.as_mut().and_then(|held| held.pace.as_mut()) {
            pace.sent(n);
        }
    }

    /// Takes note of what the peer has taken of what the kernel has for it, and that it is waited for from
    /// now on if the socket is full. The kernel reports room when a third of its buffer is free, which a
    /// slow reader may not make in time.
    pub(super) fn settle(&mut self, now: Instant, patience: &Patience) {
        let Some(held) = &mut self.held else { return };
        if self.writable && held.pace.is_none() {
            return;
        }
        let unsent = self.stream.unsent().unwrap_or(0);
        let pace = held.pace.get_or_insert_with(|| Pace::new(patience));
        if self.writable {
            pace.rest(now, unsent, patience);
        } else {
            pace.wait(now, unsent, patience);
        }
    }

    /// When the peer has not kept up, if it is waited for.
    pub(super) fn pace_ends(&self, busy: bool) -> Option<Instant> {
        self.held.as_ref()?.pace.as_ref()?.end(busy)
    }

    /// Keeps input that the session did not take.
    pub(super) fn hold_input(&mut self, input: &[u8], spare: &mut Spare) {
        if !input.is_empty() {
            self.held.get_or_insert_with(|| spare.take()).input.extend_from_slice(input);
        }
    }

    /// Takes the input that is held.
    pub(super) fn take_input(&mut self) -> Vec<u8> {
        self.held.as_mut().map(|held| std::mem::take(&mut held.input)).unwrap_or_default()
    }

    /// Puts back the buffer of [`take_input`](Self::take_input) without its first `taken` bytes.
    pub(super) fn return_input(&mut self, mut input: Vec<u8>, taken: usize, spare: &mut Spare) {
        input.drain(..taken);
        if let Some(held) = &mut self.held {
            held.input = input;
            if held.is_empty() {
                spare.give_back(self.held.take());
            }
        }
    }
}

/// The connection is lost, for a reason that the peer or the network gave.
pub(super) fn lost(_: Errno) -> Fault {
    Peer::Reset.into()
}
