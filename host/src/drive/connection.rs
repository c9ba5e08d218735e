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

use windlass_core::fault::{Fault, Limit, Peer, Storage};
use windlass_core::session::{Out, Session};
use windlass_core::stream::Read;
use windlass_core::time::{Instant, Wake};
use windlass_core::want::Close;

use super::buffers::{Buffers, Reports};
use super::files::{Answer, Late};
use super::linger::{self, LINGER_US, Last};
use super::outlet::Outlet;
use super::rules::{RulesId, TimeLimits};
use super::transmit::{self, Did};
use super::turns::{Next, Turns};
use crate::sys::ready::{Interest, Ready};
use crate::sys::stream::Stream;

/// A socket and the session that it serves.
pub struct Connection<S: ?Sized = dyn Session + Send> {
    outlet: Outlet,
    stage: Stage,
    /// Those of its listener.
    rules: RulesId,
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

impl<S: Session + ?Sized> Connection<S> {
    /// A connection that has not moved anything yet, under the first rules of its loop.
    pub fn new(stream: Stream, session: Box<S>, now: Instant) -> Self {
        let rules = RulesId::default();
        let outlet = Outlet::new(stream, now);
        Self { outlet, stage: Stage::Open, rules, asking_us: 0, session }
    }

    /// The session.
    pub fn session(&self) -> &S {
        &self.session
    }

    /// It used up its budget. What a level-triggered wait reports at once if there is more to do: room
    /// for output, also where the next step is its file's. Until then it is as if there were none.
    fn rest(&mut self) -> Next {
        let want = self.session.want();
        let write = want.write || want.file;
        if write {
            self.outlet.readiness.set_writable(false);
        }
        Next::Wait(Interest { read: !write, write })
    }

    /// Whether it is given up now.
    fn is_late(&mut self, now: Instant, limits: &TimeLimits, buffers: &Buffers) -> bool {
        let over = |connection: &Self, busy| {
            connection.limit(limits, busy).is_some_and(|until| until <= now)
        };
        if buffers.hurries() && self.outlet.pace_ends(true).is_some() {
            // Bit by bit: what went into the peer's buffer first is not to count for the time after it.
            self.outlet.keep_pace(now, limits);
        }
        let busy = !over(self, false) && over(self, true) && buffers.is_overloaded();
        if !over(self, busy) {
            return false;
        }
        // Perhaps the peer has taken something, and no event came for that.
        self.outlet.keep_pace(now, limits);
        over(self, busy)
    }

    /// When it is given up; `busy`: while other clients wait.
    fn limit(&self, limits: &TimeLimits, busy: bool) -> Option<Instant> {
        let moved = self.outlet.last_moved;
        if self.stage == Stage::Lingering {
            return Some(moved.after(LINGER_US));
        }
        if let Some(until) = self.outlet.pace_ends(busy) {
            return limits.idle_us.is_some().then_some(until);
        }
        let idle = limits.idle_us.map(|us| moved.after(us));
        let request_us = limits.request_us.filter(|_| self.session.awaits_request());
        let request = request_us.map(|us| {
            let us = limits.busy_us.filter(|_| busy).map_or(us, |busy_us| busy_us.min(us));
            moved.after(us.saturating_sub(self.asking_us.into()))
        });
        [idle, request].into_iter().flatten().min()
    }

    /// Whether a helper has not answered yet.
    fn awaits_file(&self) -> bool {
        self.outlet.backlog.as_ref().is_some_and(|it| matches!(it.late, Late::Asked(_)))
    }

    /// For how long it has been waited for.
    fn waited_us(&self, now: Instant) -> u64 {
        now.since(self.outlet.last_moved).saturating_add(self.asking_us.into())
    }

    fn advance(
        &mut self,
        now: Instant,
        limits: &TimeLimits,
        buffers: &mut Buffers,
    ) -> Result<Next, Fault> {
        let mut budget = buffers.budget;
        loop {
            let mut want = self.session.want();
            if want.wake.is_due(now) {
                // Its time comes whether or not the peer takes anything.
                self.session.tick(now);
                want = self.session.want();
                if want.wake.is_due(now) {
                    return Err(stuck_with(&buffers.output));
                }
            }
            // Output before input: while any waits, nothing is read, and the peer feels it.
            if self.outlet.has_output() && !self.outlet.flush(now, &mut buffers.spare, limits)? {
                return Ok(Next::Wait(Interest::WRITE));
            }
            match want.close {
                Close::Open => {}
                Close::WriteHalf => self.half_close(),
                Close::Done(how) => {
                    how?;
                    buffers.spare.give_back(self.outlet.backlog.take());
                    return Ok(self.linger(now, buffers, budget));
                }
            }
            if want.write || want.file {
                if budget == 0 {
                    return Ok(Next::Again);
                }
                if let Some(user) = self.session.file() {
                    if self.outlet.readiness.is_dead() {
                        // The client is gone, and the work would be for nothing.
                        return Err(Peer::Reset.into());
                    }
                    match transmit::perform(
                        user,
                        &mut self.outlet,
                        now,
                        budget,
                        (buffers, self.rules),
                    )? {
                        Did::Nothing => {}
                        Did::Moved(n) => {
                            budget = budget.saturating_sub(n);
                            continue;
                        }
                        Did::Full => return Ok(Next::Wait(Interest::WRITE)),
                        Did::Later => return Ok(Next::Wait(Interest::NONE)),
                    }
                }
                let rendered = self.render(now, limits, buffers)?;
                if rendered == 0 && self.session.want() == want {
                    return Err(stuck_with(&buffers.output));
                }
                budget = budget.saturating_sub(rendered);
            } else if !want.read || self.outlet.readiness.has_ended() {
                return Ok(Next::Wait(Interest::NONE));
            } else if self.outlet.has_input() {
                self.offer_again(now, limits, buffers)?;
            } else if !self.outlet.readiness.is_readable() {
                return Ok(Next::Wait(Interest::READ));
            } else if budget == 0 {
                return Ok(Next::Again);
            } else {
                budget = budget.saturating_sub(self.read(now, limits, buffers)?);
            }
        }
    }

    /// One read, and the session's answer to it. How many bytes came.
    fn read(
        &mut self,
        now: Instant,
        limits: &TimeLimits,
        buffers: &mut Buffers,
    ) -> Result<usize, Fault> {
        let Buffers { input, output, spare, .. } = buffers;
        let read = self.outlet.stream.recv(input).map_err(self.outlet.lost(now))?;
        self.outlet.readiness.did_read(read, input.len());
        match read {
            Read::Moved(n) => {
                let n = n.get();
                let asks = self.session.awaits_request();
                let asking_us = if asks { self.waited_us(now) } else { 0 };
                self.asking_us = u32::try_from(asking_us).unwrap_or(u32::MAX);
                self.outlet.last_moved = now;
                let mut out = Out::new(output);
                let consumed = self.session.input(now, &mut input[..n], &mut out);
                let taken = consumed.bytes.min(n);
                let parts = [out.rendered(), &input[..consumed.reply.min(taken)]];
                self.outlet.send(parts, now, spare, limits)?;
                self.outlet.hold_input(&input[taken..n], spare);
                return Ok(n);
            }
            Read::Eof => self.session.eof(now),
            Read::WouldBlock | Read::Interrupted => {}
        }
        Ok(0)
    }

    /// Offers the session what it did not take before.
    fn offer_again(
        &mut self,
        now: Instant,
        limits: &TimeLimits,
        buffers: &mut Buffers,
    ) -> Result<(), Fault> {
        let Buffers { output, spare, .. } = buffers;
        let mut input = self.outlet.take_input();
        let before = self.session.want();
        let mut out = Out::new(output);
        let consumed = self.session.input(now, input.data_mut(), &mut out);
        let taken = consumed.bytes.min(input.len());
        let rendered = out.rendered();
        let stuck = taken == 0 && rendered.is_empty() && self.session.want() == before;
        let reply = &input.data()[..consumed.reply.min(taken)];
        self.outlet.send([rendered, reply], now, spare, limits)?;
        input.consume(taken);
        self.outlet.return_input(input, spare);
        if stuck { Err(stuck_with(output)) } else { Ok(()) }
    }

    /// Lets the session render, and sends it. How many bytes it rendered.
    fn render(
        &mut self,
        now: Instant,
        limits: &TimeLimits,
        buffers: &mut Buffers,
    ) -> Result<usize, Fault> {
        let mut out = Out::new(&mut buffers.output);
        self.session.render(now, &mut out);
        self.outlet.send([out.rendered(), &[]], now, &mut buffers.spare, limits)?;
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
    fn linger(&mut self, now: Instant, buffers: &mut Buffers, mut budget: usize) -> Next {
        let Outlet { stream, readiness, .. } = &mut self.outlet;
        let talks = self.stage == Stage::Lingering;
        if !talks && !readiness.has_ended() && self.stage == Stage::Open {
            // Input that comes between the last look and the close is answered with a reset: with the
            // end before it, the peer has read everything by then.
            stream.shutdown_write();
            self.stage = Stage::HalfClosed;
        }
        let last = linger::discard(stream, readiness, talks, &mut buffers.input, &mut budget);
        if last == Last::Gone {
            return Next::Closed(Ok(()));
        }
        if !talks {
            self.stage = Stage::Lingering;
            self.outlet.last_moved = now;
        }
        if last == Last::Wait { Next::Wait(Interest::READ) } else { Next::Again }
    }
}

impl<S: Session + ?Sized> Turns for Connection<S> {
    fn note(&mut self, ready: Ready) {
        self.outlet.readiness.note(ready);
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.note(ready);
        let limits = buffers.rules(self.rules).limits;
        buffers.input();
        if self.limit(&limits, buffers.hurries()).is_some_and(|until| until <= now) {
            // The others had their turns since the wait, and something may have come meanwhile: it is
            // looked for before it is said that nothing did.
            self.outlet.readiness.look_again();
        }
        let next = match self.advance(now, &limits, buffers) {
            // Nothing is waited for but time, and the peer will not live to see it. Without this
            // a level-triggered wait would report the dead socket for ever.
            Ok(Next::Wait(Interest::NONE)) if self.outlet.readiness.is_dead() => {
                Err(Peer::Reset.into())
            }
            // Also after `Again`: a peer that talks faster than a turn reads has no more time.
            Ok(next @ (Next::Wait(_) | Next::Again)) => match self.is_late(now, &limits, buffers) {
                false if next == Next::Again && buffers.reports == Reports::WhileReady => {
                    Ok(self.rest())
                }
                false => Ok(next),
                true if self.stage == Stage::Lingering => Ok(Next::Closed(Ok(()))),
                true if self.awaits_file() => Err(Storage::Stalled.into()),
                true => Err(Fault::TimedOut { waited_us: self.waited_us(now) }),
            },
            done => done,
        };
        next.unwrap_or_else(|fault| {
            self.session.abort(fault);
            Next::Closed(Err(fault))
        })
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        let limit = self.limit(&buffers.rules(self.rules).limits, false);
        match self.session.want().wake {
            Wake::Now => Some(Instant::ZERO),
            Wake::At(at) => Some(limit.map_or(at, |until| until.min(at))),
            Wake::Never => limit,
        }
    }

    fn look_every_us(&self, buffers: &Buffers) -> Option<u64> {
        let limits = &buffers.rules(self.rules).limits;
        let [calm, busy] = [false, true].map(|busy| self.limit(limits, busy));
        buffers.look_every_us(limits).filter(|_| calm != busy)
    }

    fn came(&mut self, answer: Answer) {
        if self.awaits_file()
            && let Some(backlog) = &mut self.outlet.backlog
        {
            backlog.late = Late::Came(answer);
        }
    }

    fn abort(&mut self, why: Fault) {
        self.session.abort(why);
        self.outlet.stream.shutdown_both();
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
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
