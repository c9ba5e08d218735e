//! The sending side of a connection: direct writes, and what the socket did not take.

use windlass_core::fault::{Fault, Peer};
use windlass_core::stream::Write;
use windlass_core::time::Instant;

use super::lent::{Held, Spare};
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
}

impl Outlet {
    pub(super) fn new(stream: Stream, now: Instant) -> Self {
        Self { stream, held: None, last_moved: now, writable: true }
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
    ) -> Result<(), Fault> {
        while self.writable && first.len() + then.len() > 0 {
            match self.stream.send([first, then]).map_err(lost)? {
                Write::Moved(n) => {
                    self.last_moved = now;
                    self.writable = n.get() == first.len() + then.len();
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
            self.is_full();
        }
        Ok(())
    }

    /// Sends what is held. True when all of it went.
    pub(super) fn flush(&mut self, now: Instant, spare: &mut Spare) -> Result<bool, Fault> {
        let Some(held) = &mut self.held else { return Ok(true) };
        while self.writable && held.sent < held.output.len() {
            let rest = &held.output[held.sent..];
            match self.stream.send([rest, &[]]).map_err(lost)? {
                Write::Moved(n) => {
                    self.last_moved = now;
                    self.writable = n.get() == rest.len();
                    held.sent += n.get();
                }
                Write::WouldBlock | Write::Nothing => self.writable = false,
                Write::Interrupted => {}
            }
        }
        if held.sent < held.output.len() {
            self.is_full();
            return Ok(false);
        }
        held.output.clear();
        held.sent = 0;
        if held.is_empty() {
            spare.give_back(self.held.take());
        }
        Ok(true)
    }

    /// Whether the peer has taken something of what the kernel has for it, since this was asked last. The
    /// kernel reports room when a third of its buffer is free, which a slow reader may not make in time.
    pub(super) fn drains(&mut self, now: Instant) -> bool {
        let Some(held) = &mut self.held else { return false };
        let Some(left) = self.stream.unsent() else { return false };
        let drains = held.in_flight.replace(left).is_some_and(|before| left < before);
        if drains {
            self.last_moved = now;
        }
        drains
    }

    /// The socket is full: what the peer takes from now on counts.
    pub(super) fn is_full(&mut self) {
        if let Some(held) = &mut self.held {
            held.in_flight = self.stream.unsent();
        }
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
