//! A pump over the link layer: any session on a line that drops, doubles and flips bytes.

use super::Engine;
use crate::fault::Fault;
use crate::file::Answer;
use crate::frame::link::Link;
use crate::pump::{Need, Pump};
use crate::session::Session;
use crate::time::{Instant, Wake};
use crate::want::Close;

/// Runs a session over a [`Link`], and says what the line needs next, as a [`Pump`] does for a line
/// that does not lie: every driver here takes either.
///
/// A session is over with `Ok` when both streams have ended and every byte has arrived; until then it
/// drops what still comes for a session that has ended. A fault of the link ends the session, and a
/// fault of the session resets the link, so that the other end learns of it. While storage is busy the
/// line is served: the other end is told to wait.
///
/// A read may be dropped at any time: what that loses on the line is sent again.
///
/// ```
/// use windlass_core::driver::Linked;
/// use windlass_core::frame::link::Link;
/// use windlass_core::pump::{Need, Pump};
/// use windlass_core::{session::TimeClient, time::Instant};
///
/// let (mut link_rx, mut link_tx) = ([0; Link::rx_len(64)], [0; Link::tx_len(64)]);
/// let (mut rx, mut tx, mut line) = ([0; 32], [0; 32], [0; 64]);
/// let link = Link::connect(&mut link_rx, &mut link_tx, 7);
/// let mut linked = Linked::new(Pump::new(&mut rx, &mut tx), link, &mut line);
/// let mut session = TimeClient::new();
/// // The first thing on the line is the opening of the link.
/// let Need::Send { bytes, .. } = linked.next(&mut session, Instant::ZERO) else { panic!() };
/// assert_eq!((bytes[0], bytes.len()), (0, 10));
/// ```
#[derive(Debug)]
pub struct Linked<'m> {
    pump: Pump<'m>,
    link: Link<'m>,
    memory: &'m mut [u8],
    /// What of `memory` is to be sent: from here to there.
    from: usize,
    to: usize,
    /// Bytes of `memory` that have come. Never while some are to be sent.
    came: usize,
    /// The line itself has ended.
    is_cut: bool,
    /// The session is over, and the link is not yet.
    over: Option<Result<(), Fault>>,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Linked<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Linked {{ pump: {}, counts: {}, unsent: {=usize}, over: {} }}",
            self.pump,
            self.link.counts(),
            self.to.saturating_sub(self.from),
            self.over,
        );
    }
}

/// What the stream needs when nothing can be moved.
enum Stream {
    Moved,
    Waits(Wake),
    File,
}

impl<'m> Linked<'m> {
    /// The session's bytes are in the memory of `pump`, its packets in that of `link`; `memory` has at
    /// least one byte and holds what is on its way to and from the port: 64 bytes suit a UART.
    pub const fn new(pump: Pump<'m>, link: Link<'m>, memory: &'m mut [u8]) -> Self {
        Self { pump, link, memory, from: 0, to: 0, came: 0, is_cut: false, over: None }
    }

    /// The link, for what went wrong on the line so far.
    pub const fn link(&self) -> &Link<'m> {
        &self.link
    }

    /// What the line needs next. The session is the same in every call until it is over.
    pub fn next<'s, S: Session + ?Sized>(
        &mut self,
        session: &'s mut S,
        now: Instant,
    ) -> Need<'_, 's> {
        self.heard(now);
        loop {
            let patience = self.pump.patience_end(now);
            if self.link.want().wake.is_due(now) {
                self.link.tick(now);
            }
            if self.over.is_some() && patience.is_due(now) {
                // Nothing is gained by waiting for the other end once more.
                return Need::Over(self.ended(self.out_of_patience(now)));
            }
            if self.from < self.to {
                return self.send(patience);
            }
            if let Close::Done(how) = self.link.want().close {
                if let Err(fault) = how {
                    session.abort(fault);
                }
                return Need::Over(self.ended(how));
            }
            let stream = self.stream(session, now);
            if let Stream::Moved = stream {
                continue;
            }
            // The line before a storage that takes its time.
            if self.link.want().write {
                (self.from, self.to) = (0, self.link.render(now, self.memory));
                if self.to > 0 {
                    return self.send(patience);
                }
            }
            let until = match stream {
                Stream::File => return self.pump.next(session, now),
                Stream::Waits(until) => until.min(self.link.want().wake),
                Stream::Moved => Wake::Now,
            };
            return Need::Recv { buf: self.memory, until };
        }
    }

    /// The first `n` bytes of [`Need::Send`] left.
    pub fn sent(&mut self, n: usize) {
        self.from = self.from.saturating_add(n).min(self.to);
    }

    /// `n` bytes came into the memory of [`Need::Recv`].
    pub fn received(&mut self, n: usize) {
        debug_assert!(self.from == self.to, "nothing was to be received");
        self.came = n;
    }

    /// The port will bring no more.
    pub const fn eof(&mut self) {
        self.is_cut = true;
    }

    /// The answer to [`Need::File`], at once or later.
    pub fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer) {
        self.pump.answer(session, now, answer);
    }

    fn send<'s>(&self, patience: Wake) -> Need<'_, 's> {
        let bytes = self.memory.get(self.from..self.to).unwrap_or_default();
        Need::Send { bytes, until: patience }
    }

    /// Gives the link what came.
    fn heard(&mut self, now: Instant) {
        let came = core::mem::take(&mut self.came);
        self.link.input(now, self.memory.get(..came).unwrap_or_default());
        if core::mem::take(&mut self.is_cut) {
            self.link.eof(now);
        }
    }

    /// How the session ended, when the link ended so.
    fn ended(&self, link: Result<(), Fault>) -> Result<(), Fault> {
        match self.over {
            Some(Err(fault)) => Err(fault),
            Some(Ok(())) | None => link,
        }
    }

    /// The other end did not end its stream, or does not hear that this one did.
    fn out_of_patience(&self, now: Instant) -> Result<(), Fault> {
        if self.link.is_closed() {
            Ok(())
        } else {
            Err(Fault::TimedOut { waited_us: self.pump.waited_us(now) })
        }
    }

    /// Moves bytes between the pump and the link.
    fn stream<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant) -> Stream {
        match self.pump.next(session, now) {
            Need::Send { bytes, until, .. } => match self.link.send(bytes) {
                0 => Stream::Waits(until),
                n => {
                    self.pump.sent(n);
                    Stream::Moved
                }
            },
            Need::Recv { buf, until, .. } => match self.link.recv(buf) {
                0 if self.link.is_ended() => {
                    self.pump.eof();
                    Stream::Moved
                }
                0 => Stream::Waits(until),
                n => {
                    self.pump.received(n);
                    Stream::Moved
                }
            },
            Need::File { .. } => Stream::File,
            Need::Shutdown => {
                self.link.close();
                Stream::Moved
            }
            Need::Wait(until) => Stream::Waits(until),
            Need::Over(how) => {
                if self.over.is_none() {
                    self.over = Some(how);
                    // The other end has as long again to hear of it.
                    self.pump.be_patient_again();
                    match how {
                        Ok(()) => self.link.close(),
                        Err(_) => self.link.reset(),
                    }
                    return Stream::Moved;
                }
                let unwanted = self.link.received().len();
                self.link.taken(unwanted);
                if unwanted > 0 {
                    Stream::Moved
                } else {
                    Stream::Waits(self.pump.patience_end(now))
                }
            }
        }
    }
}

impl Engine for Linked<'_> {
    const KEEPS_TIME: bool = true;

    fn patience_end(&mut self, now: Instant) -> Wake {
        self.pump.patience_end(now)
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
