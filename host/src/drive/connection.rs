//! One socket and its session.
//!
//! ```text
//!                 ┌──────── Open ────────┐  want.close = WriteHalf, output flushed:
//!                 │                      ▼  shutdown(WR)
//!                 │                 HalfClosed ──┐
//!   Done(Ok),     ▼                              ▼  Done(Ok), flushed
//!   peer at EOF ── closed ◀── EOF or 2 s ── Lingering    (only if the peer is still talking)
//! ```

use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::{Fault, Limit, Peer};
use windlass_core::session::{Out, Session};
use windlass_core::stream::Read;
use windlass_core::time::{Instant, Wake};
use windlass_core::want::Close;

use super::lent::{Lent, Patience};
use super::outlet::{Outlet, lost};
use super::transmit::{self, Did};
use crate::sys::ready::{Interest, Ready};
use crate::sys::stream::Stream;

/// A socket and the session that it serves.
pub struct Connection<S: ?Sized = dyn Session + Send> {
    outlet: Outlet,
    stage: Stage,
    /// The last read left something, or an event said that there is something.
    readable: bool,
    /// An event said that the peer sends no more, or that urgent data came. From then on a short read
    /// does not mean that the socket is empty: the end of the stream, or what follows the urgent
    /// mark, is still behind it, and no event will come for that.
    hup: bool,
    /// The session was told of the end of the stream.
    eof: bool,
    /// How long the request took until something moved last, in microseconds.
    asking_us: u32,
    session: Box<S>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Both directions are open.
    Open,
    /// Our output is over and the peer knows it.
    HalfClosed,
    /// The session is over and the peer still talks. To close now would reset the connection, and
    /// the reset could overtake our last bytes: what it says is read and thrown away.
    Lingering,
}

/// What a connection needs after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Another turn when the socket is ready for this, or at [`Connection::deadline`].
    Wait(Interest),
    /// Another turn when the others had theirs: it used up its budget.
    Again,
    /// It is over. Drop it.
    Closed(Result<(), Fault>),
}

/// How long a peer that still talks is listened to after the end, in microseconds (Apache's
/// `SECONDS_TO_LINGER`).
const LINGER_US: u64 = 2_000_000;

impl<S: Session + ?Sized> Connection<S> {
    /// A connection that has not moved anything yet.
    pub fn new(stream: Stream, session: Box<S>, now: Instant) -> Self {
        Self {
            outlet: Outlet::new(stream, now),
            stage: Stage::Open,
            readable: false,
            hup: false,
            eof: false,
            asking_us: 0,
            session,
        }
    }

    /// Takes note of an event, for a turn that comes later.
    pub fn note(&mut self, ready: Ready) {
        self.readable |= ready.read || ready.hup;
        self.outlet.writable |= ready.write || ready.dead;
        self.hup |= ready.hup;
        self.outlet.dead |= ready.dead;
    }

    /// Moves what can be moved: at most the budget's worth of input and new output, and all held
    /// output that fits.
    pub fn turn(&mut self, ready: Ready, now: Instant, lent: &mut Lent) -> Next {
        self.note(ready);
        if self.limit(&lent.patience, lent.hurries()).is_some_and(|until| until <= now) {
            // The others had their turns since the wait, and something may have come meanwhile: it is
            // looked for before it is said that nothing did.
            (self.readable, self.outlet.writable) = (true, true);
        }
        let next = match self.advance(now, lent) {
            // Nothing is waited for but time, and the peer will not live to see it. Without this
            // a level-triggered wait would report the dead socket for ever.
            Ok(Next::Wait(Interest::NONE)) if self.outlet.dead => Err(Peer::Reset.into()),
            // Also after `Again`: a peer that talks faster than a turn reads has no more patience.
            Ok(next @ (Next::Wait(_) | Next::Again)) => match self.is_late(now, lent) {
                false => Ok(next),
                true if self.stage == Stage::Lingering => Ok(Next::Closed(Ok(()))),
                true => Err(Fault::TimedOut { waited_us: self.waited_us(now) }),
            },
            done => done,
        };
        next.unwrap_or_else(|fault| self.fail(fault))
    }

    /// When it wants a turn without an event: the session's own time, or the end of patience.
    pub fn deadline(&self, lent: &Lent) -> Option<Instant> {
        let patience = self.limit(&lent.patience, false);
        match self.session.want().wake {
            Wake::Now => Some(Instant::ZERO),
            Wake::At(at) => Some(patience.map_or(at, |until| until.min(at))),
            Wake::Never => patience,
        }
    }

    /// Whether it has less time while other clients wait.
    pub(super) fn can_be_hurried(&self, lent: &Lent) -> bool {
        let limits = [false, true].map(|busy| self.limit(&lent.patience, busy));
        limits[0] != limits[1]
    }

    /// The session.
    pub fn session(&self) -> &S {
        &self.session
    }

    /// It used up its budget. What a level-triggered wait reports at once if there is more to do: room
    /// for output, also where the next step is its file's. Until then it is as if there were none.
    pub(super) fn rest(&mut self) -> Interest {
        let want = self.session.want();
        let write = want.write || want.file;
        self.outlet.writable &= !write;
        Interest { read: !write, write }
    }

    /// Ends it from this side.
    pub fn abort(&mut self, why: Fault) {
        self.session.abort(why);
        self.outlet.stream.shutdown_both();
    }

    fn fail(&mut self, fault: Fault) -> Next {
        self.session.abort(fault);
        Next::Closed(Err(fault))
    }

    /// Whether it is given up now.
    fn is_late(&mut self, now: Instant, lent: &Lent) -> bool {
        let over = |connection: &Self, busy| {
            connection.limit(&lent.patience, busy).is_some_and(|until| until <= now)
        };
        if lent.hurries() && self.outlet.pace_ends(true).is_some() {
            // Bit by bit: what went into the peer's buffer first is not to count for the time after it.
            self.outlet.settle(now, &lent.patience);
        }
        let busy = !over(self, false) && over(self, true) && lent.is_crowded();
        if !over(self, busy) {
            return false;
        }
        // Perhaps the peer has taken something, and no event came for that.
        self.outlet.settle(now, &lent.patience);
        over(self, busy)
    }

    /// When it is given up; `busy`: while other clients wait.
    fn limit(&self, patience: &Patience, busy: bool) -> Option<Instant> {
        let moved = self.outlet.last_moved;
        if self.stage == Stage::Lingering {
            return Some(moved.after(LINGER_US));
        }
        if let Some(until) = self.outlet.pace_ends(busy) {
            return patience.idle_us.is_some().then_some(until);
        }
        let idle = patience.idle_us.map(|us| moved.after(us));
        let request_us = patience.request_us.filter(|_| self.session.awaits_request());
        let request = request_us.map(|us| {
            let us = patience.busy_us.filter(|_| busy).map_or(us, |busy_us| busy_us.min(us));
            moved.after(us.saturating_sub(self.asking_us.into()))
        });
        [idle, request].into_iter().flatten().min()
    }

    /// For how long it has been waited for.
    fn waited_us(&self, now: Instant) -> u64 {
        now.since(self.outlet.last_moved).saturating_add(self.asking_us.into())
    }

    fn advance(&mut self, now: Instant, lent: &mut Lent) -> Result<Next, Fault> {
        let mut budget = lent.budget;
        loop {
            let mut want = self.session.want();
            if want.wake.is_due(now) {
                // Its time comes whether or not the peer takes anything.
                self.session.tick(now);
                want = self.session.want();
                if want.wake.is_due(now) {
                    return Err(stuck_with(&lent.output));
                }
            }
            // Output before input: while any is held, nothing is read, and the peer feels it.
            if self.outlet.holds_output()
                && !self.outlet.flush(now, &mut lent.spare, &lent.patience)?
            {
                return Ok(Next::Wait(Interest::WRITE));
            }
            match want.close {
                Close::Open => {}
                Close::WriteHalf => self.half_close(),
                Close::Done(how) => {
                    how?;
                    lent.spare.give_back(self.outlet.held.take());
                    return Ok(self.linger(now, lent, budget));
                }
            }
            if want.write || want.file {
                if budget == 0 {
                    return Ok(Next::Again);
                }
                if let Some(user) = self.session.file() {
                    if self.outlet.dead {
                        // Nobody is there whom the work would be for.
                        return Err(Peer::Reset.into());
                    }
                    match transmit::perform(user, &mut self.outlet, now, budget, lent)? {
                        Did::Nothing => {}
                        Did::Moved(n) => {
                            budget = budget.saturating_sub(n);
                            continue;
                        }
                        Did::Full => return Ok(Next::Wait(Interest::WRITE)),
                    }
                }
                let rendered = self.render(now, lent)?;
                if rendered == 0 && self.session.want() == want {
                    return Err(stuck_with(&lent.output));
                }
                budget = budget.saturating_sub(rendered);
            } else if !want.read || self.eof {
                return Ok(Next::Wait(Interest::NONE));
            } else if self.outlet.holds_input() {
                self.offer_again(now, lent)?;
            } else if !self.readable {
                return Ok(Next::Wait(Interest::READ));
            } else if budget == 0 {
                return Ok(Next::Again);
            } else {
                budget = budget.saturating_sub(self.read(now, lent)?);
            }
        }
    }

    /// One read, and the session's answer to it. How many bytes came.
    fn read(&mut self, now: Instant, lent: &mut Lent) -> Result<usize, Fault> {
        let Lent { input, output, spare, patience, .. } = lent;
        match self.outlet.stream.recv(input).map_err(lost)? {
            Read::Moved(n) => {
                let n = n.get();
                // An end that came with the data makes no event of its own.
                self.readable = n == input.len() || self.hup;
                let asks = self.session.awaits_request();
                let asking_us = if asks { self.waited_us(now) } else { 0 };
                self.asking_us = u32::try_from(asking_us).unwrap_or(u32::MAX);
                self.outlet.last_moved = now;
                let mut out = Out::new(output);
                let consumed = self.session.input(now, &mut input[..n], &mut out);
                let taken = consumed.bytes.min(n);
                let parts = [out.rendered(), &input[..consumed.reply.min(taken)]];
                self.outlet.send(parts, now, spare, patience)?;
                self.outlet.hold_input(&input[taken..n], spare);
                Ok(n)
            }
            Read::Eof => {
                self.eof = true;
                self.session.eof(now);
                Ok(0)
            }
            Read::WouldBlock => {
                self.readable = false;
                Ok(0)
            }
            Read::Interrupted => Ok(0),
        }
    }

    /// Offers the session what it did not take before.
    fn offer_again(&mut self, now: Instant, lent: &mut Lent) -> Result<(), Fault> {
        let Lent { output, spare, patience, .. } = lent;
        let mut input = self.outlet.take_input();
        let before = self.session.want();
        let mut out = Out::new(output);
        let consumed = self.session.input(now, &mut input, &mut out);
        let taken = consumed.bytes.min(input.len());
        let rendered = out.rendered();
        let stuck = taken == 0 && rendered.is_empty() && self.session.want() == before;
        self.outlet.send([rendered, &input[..consumed.reply.min(taken)]], now, spare, patience)?;
        self.outlet.return_input(input, taken, spare);
        if stuck { Err(stuck_with(output)) } else { Ok(()) }
    }

    /// Lets the session render, and sends it. How many bytes it rendered.
    fn render(&mut self, now: Instant, lent: &mut Lent) -> Result<usize, Fault> {
        let mut out = Out::new(&mut lent.output);
        self.session.render(now, &mut out);
        self.outlet.send([out.rendered(), &[]], now, &mut lent.spare, &lent.patience)?;
        Ok(out.rendered().len())
    }

    fn half_close(&mut self) {
        if self.stage == Stage::Open {
            self.outlet.stream.shutdown_write();
            self.stage = Stage::HalfClosed;
        }
    }

    /// The session is over and its output is flushed: close, as soon as that cannot cost the peer
    /// what it has not read yet.
    fn linger(&mut self, now: Instant, lent: &mut Lent, mut budget: usize) -> Next {
        if !self.eof {
            // Input that comes between the last look and the close is answered with a reset: with the
            // end before it, the peer has read everything by then.
            self.half_close();
        }
        while !self.eof {
            if self.stage == Stage::Lingering && !self.readable {
                return Next::Wait(Interest::READ);
            }
            match self.outlet.stream.recv(&mut lent.input) {
                Ok(Read::Moved(n)) => {
                    budget = budget.saturating_sub(n.get());
                    if self.stage != Stage::Lingering {
                        self.half_close();
                        self.stage = Stage::Lingering;
                        self.outlet.last_moved = now;
                    }
                    self.readable = true;
                    if budget == 0 {
                        return Next::Again;
                    }
                }
                Ok(Read::WouldBlock) if self.stage == Stage::Lingering => self.readable = false,
                Ok(Read::Interrupted) => {}
                // Silent so far, at its end, or lost: nothing is left that a reset could take.
                Ok(Read::WouldBlock | Read::Eof) | Err(_) => self.eof = true,
            }
        }
        Next::Closed(Ok(()))
    }
}

impl<S: ?Sized> AsFd for Connection<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outlet.stream.as_fd()
    }
}

/// A session wants to go on and does nothing with the room it has: more than this it does not get.
fn stuck_with(output: &[u8]) -> Fault {
    Limit { need: output.len() + 1, have: output.len() }.into()
}

#[cfg(test)]
mod tests;
