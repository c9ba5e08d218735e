//! A pump over the link layer: any session on a line that loses, doubles and changes bytes.

use super::Engine;
use crate::file::Answer;
use crate::frame::link::Link;
use crate::pump::{Need, Pump};
use crate::session::Session;
use crate::time::{Instant, Wake};

/// Runs a session over a [`Link`], and says what the line needs next, as a [`Pump`] does for a reliable
/// line. Every driver of this module accepts both.
///
/// A session is over with `Ok` when both streams have ended and every byte has arrived; until then it
/// drops input for a session that has ended. A fault of the link ends the session, and a
/// fault of the session resets the link, so that the other end is told. While the storage is busy the
/// line is served: the other end is told to wait.
///
/// A read may be dropped at any time: bytes that this loses are sent again.
///
/// ```
/// use windlass_core::driver::Linked;
/// use windlass_core::frame::link::Link;
/// use windlass_core::pump::{Need, Pump};
/// use windlass_core::{session::TimeClient, time::Instant};
///
/// let (mut link_rx, mut link_tx) = ([0; Link::rx_len(64)], [0; Link::tx_len(64)]);
/// let (mut rx, mut tx, mut line) = ([0; 32], [0; 32], [0; 64]);
/// let mut link = Link::connect(&mut link_rx, &mut link_tx, 7);
/// let mut linked = Linked::new(Pump::new(&mut rx, &mut tx), &mut link, &mut line);
/// let mut session = TimeClient::new();
/// // The first thing on the line is the opening of the link.
/// let Need::Send { bytes, .. } = linked.next(&mut session, Instant::ZERO) else { panic!() };
/// assert_eq!((bytes[0], bytes.len()), (0, 10));
/// ```
#[derive(Debug)]
pub struct Linked<'l, 'm> {
    pump: Pump<'m>,
    link: &'l mut Link<'m>,
    memory: &'m mut [u8],
    /// The number of received bytes in `memory`.
    came: usize,
    /// Bytes that the link took from the pump, and bytes that it gave to the pump.
    sent: usize,
    got: usize,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Linked<'_, '_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Linked {{ pump: {}, over: {} }}", self.pump, self.link.over());
    }
}

impl<'l, 'm> Linked<'l, 'm> {
    /// The session's bytes are in the memory of `pump`, its packets in that of `link`; `memory` has at
    /// least one byte and is received into: 64 bytes suit a UART.
    pub const fn new(pump: Pump<'m>, link: &'l mut Link<'m>, memory: &'m mut [u8]) -> Self {
        Self { pump, link, memory, came: 0, sent: 0, got: 0 }
    }

    /// The link.
    pub const fn link(&self) -> &Link<'m> {
        self.link
    }

    /// What the line needs next. Pass the same session in every call until it is over.
    pub fn next<'s, S: Session + ?Sized>(
        &mut self,
        session: &'s mut S,
        now: Instant,
    ) -> Need<'_, 's> {
        let came = core::mem::take(&mut self.came);
        self.link.input(now, self.memory.get(..came).unwrap_or_default());
        let over = self.link.over();
        if let Some(Err(fault)) = over {
            session.abort(fault);
        }
        self.pump.sent(core::mem::take(&mut self.sent));
        self.pump.received(core::mem::take(&mut self.got));
        if self.link.is_ended() {
            self.pump.eof();
        }
        let mut file = None;
        let until = match self.pump.next(session, now) {
            Need::Send { bytes, until } => {
                self.sent = self.link.send(bytes);
                if self.sent > 0 { Wake::Now } else { until }
            }
            Need::Recv { buf, until } => {
                self.got = self.link.recv(buf);
                if self.got > 0 { Wake::Now } else { until }
            }
            Need::File { op, memory } => {
                file = Some((op, memory));
                Wake::Never
            }
            Need::Shutdown => {
                self.link.close();
                Wake::Now
            }
            Need::Wait(until) => until,
            Need::Over(how) => {
                if let Some(over) = over {
                    return Need::Over(over.and(how));
                }
                self.link.leave(how.is_ok());
                Wake::Never
            }
        };
        if until == Wake::Now {
            return Need::Wait(until);
        }
        let until = self.link.wake_or(until);
        // The line is served before a slow storage.
        let bytes = self.link.output(now);
        if !bytes.is_empty() {
            Need::Send { bytes, until }
        } else if let Some((op, memory)) = file {
            Need::File { op, memory }
        } else {
            Need::Recv { buf: self.memory, until }
        }
    }

    /// Notes that the first `n` bytes of [`Need::Send`] were sent.
    pub fn sent(&mut self, n: usize) {
        self.link.wrote(n);
    }

    /// Notes that `n` bytes were received into the memory of [`Need::Recv`].
    pub const fn received(&mut self, n: usize) {
        self.came = n;
    }

    /// Notes that the port will receive no more.
    pub fn eof(&mut self) {
        self.link.eof();
    }

    /// Takes the answer to [`Need::File`], at once or later.
    pub fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer) {
        self.pump.answer(session, now, answer);
    }
}

impl Engine for Linked<'_, '_> {
    const KEEPS_TIME: bool = true;

    fn idle_deadline(&mut self, now: Instant) -> Wake {
        self.pump.idle_deadline(now)
    }

    fn next<'s, S: Session + ?Sized>(&mut self, session: &'s mut S, now: Instant) -> Need<'_, 's> {
        Linked::next(self, session, now)
    }

    fn sent(&mut self, n: usize) {
        Linked::sent(self, n);
    }

    fn received(&mut self, n: usize) {
        Linked::received(self, n);
    }

    fn eof(&mut self) {
        Linked::eof(self);
    }

    fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer) {
        Linked::answer(self, session, now, answer);
    }
}

#[cfg(test)]
mod tests;
