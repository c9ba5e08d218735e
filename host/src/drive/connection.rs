//! One socket and its session.
//!
//! ```text
//!                 ┌──────── Open ────────┐  want.close = WriteHalf, output flushed:
//!                 │                      ▼  shutdown(WR)
//!                 │                 HalfClosed ──┐
//!   Done(Ok),     ▼                              ▼  Done(Ok), flushed
//!   peer at EOF ── closed ◀── EOF or 2 s ── Lingering    (only if the peer still sends)
//! ```

use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::{Fault, Limit, Peer, StorageFault};
use windlass_core::session::{Out, Session};
use windlass_core::time::{Instant, Wake};
use windlass_core::want::Close;

use super::buffers::Buffers;
use super::channel::{Channel, Received};
use super::files::{Answer, Late};
use super::linger::{self, Last};
use super::outlet::Outlet;
use super::rules::{RulesId, TimeLimits};
use super::transmit::{self, Did};
use super::turns::{Next, Turns};
use crate::sys::ready::{Interest, Ready};
use crate::sys::stream::Stream;
use crate::sys::traffic;
use crate::totals::Count;

/// A socket and the session that it serves.
pub struct Connection<S: ?Sized = dyn Session + Send, C = Stream> {
    outlet: Outlet<C>,
    stage: Stage,
    /// The rules of its listener.
    rules: RulesId,
    /// How long the request took until the last byte moved, in microseconds.
    asking_us: u32,
    session: Box<S>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Both directions are open.
    Open,
    /// The output has ended, and the end was sent.
    HalfClosed,
    /// The session is over and the peer still sends. To close now would reset the connection, and
    /// the reset could overtake the last output, so input is read and dropped.
    Lingering,
}

impl<S: Session + ?Sized, C: Channel> Connection<S, C> {
    /// A connection at its beginning, under the first rules of its loop.
    pub fn new(channel: C, session: Box<S>, now: Instant) -> Self {
        let rules = RulesId::default();
        let outlet = Outlet::new(channel, now);
        Self { outlet, stage: Stage::Open, rules, asking_us: 0, session }
    }

    /// The session.
    pub fn session(&self) -> &S {
        &self.session
    }

    fn count_begin(&mut self, now: Instant, buffers: &Buffers) {
        if self.outlet.began.has_first_turn() {
            buffers.tally(self.rules).begin(now);
        }
    }

    /// Counts what this thread has moved since it had moved so much.
    fn count_bytes(&mut self, (received, sent): (u64, u64), now: Instant, buffers: &Buffers) {
        let tally = buffers.tally(self.rules);
        let sent = traffic::sent().wrapping_sub(sent);
        tally.add(Count::BytesIn, traffic::received().wrapping_sub(received));
        tally.add(Count::BytesOut, sent);
        if sent > 0 && self.outlet.began.has_first_byte() {
            tally.first_byte(self.outlet.began.ago_us(now));
        }
    }

    fn count_end(&self, how: Result<(), Fault>, now: Instant, buffers: &Buffers) {
        self.count_file(Count::FilesFailed, buffers);
        let peer = || buffers.client.or_else(|| self.outlet.channel.stream().peer_address());
        buffers.tally(self.rules).end(how, now, self.outlet.began.ago_us(now), peer);
    }

    /// What becomes of the file, if one is open.
    fn count_file(&self, outcome: Count, buffers: &Buffers) {
        if self.outlet.backlog.as_ref().is_some_and(|backlog| backlog.file.is_some()) {
            buffers.tally(self.rules).add(outcome, 1);
        }
    }

    /// Whether a helper has not answered yet.
    fn awaits_file(&self) -> bool {
        self.outlet.backlog.as_ref().is_some_and(|it| matches!(it.late, Late::Asked(_)))
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
                // A tick is due whether or not the peer takes output.
                self.session.tick(now);
                want = self.session.want();
                if want.wake.is_due(now) {
                    return Err(stuck_with(&buffers.output));
                }
            }
            // Output before input: while output waits nothing is read, and the peer has to wait.
            if self.outlet.has_output() && !self.outlet.flush(now, &mut buffers.spare, limits)? {
                return Ok(Next::Wait(Interest::WRITE));
            }
            if let Some(fault) = self.outlet.channel.fault() {
                // The peer is told, and what it still sends must not destroy that.
                return match self.linger(now, buffers, budget) {
                    Next::Closed(_) => Err(fault),
                    next => Ok(next),
                };
            }
            if self.outlet.channel.is_handshaking() {
                if !self.outlet.readiness.is_readable() {
                    return Ok(Next::Wait(Interest::READ));
                } else if budget == 0 {
                    return Ok(Next::Again);
                }
                budget = budget.saturating_sub(self.shake_hands(now, buffers)?);
                continue;
            }
            match want.close {
                Close::Open => {}
                Close::WriteHalf | Close::Done(Ok(())) if self.outlet.channel.say_end() => continue,
                Close::WriteHalf => self.half_close(),
                Close::Done(how) => {
                    how?;
                    self.count_file(Count::FilesSent, buffers);
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
            } else if self.outlet.channel.has_ended() {
                self.outlet.readiness.end();
                self.session.eof(now);
            } else if !self.outlet.readiness.is_readable() {
                return Ok(Next::Wait(Interest::READ));
            } else if budget == 0 {
                return Ok(Next::Again);
            } else {
                budget = budget.saturating_sub(self.read(now, limits, buffers)?);
            }
        }
    }

    /// Reads once, and counts how long what is read takes in all.
    fn receive(&mut self, now: Instant, buffers: &mut Buffers) -> Result<Received, Fault> {
        let Buffers { input, most, .. } = buffers;
        let Outlet { channel, readiness, .. } = &mut self.outlet;
        let is_handshake = channel.is_handshaking();
        let received = channel.receive(input, *most, readiness);
        let received = received.map_err(self.outlet.lost(now))?;
        if received.wire > 0 {
            // A client that rests goes on resting until its record is there: pieces of it renew no patience.
            let rests = self.session.rests() && received.bytes > 0;
            let asks = is_handshake || (self.session.awaits_request() && !rests);
            let asking_us = if asks { self.waited_us(now) } else { 0 };
            self.asking_us = u32::try_from(asking_us).unwrap_or(u32::MAX);
            self.outlet.set_moved(now);
        }
        Ok(received)
    }

    /// One read of a handshake. Bytes for the session may come behind it. Returns the number of bytes read.
    fn shake_hands(&mut self, now: Instant, buffers: &mut Buffers) -> Result<usize, Fault> {
        let Received { bytes, wire, .. } = self.receive(now, buffers)?;
        self.outlet.hold_input(&buffers.input[..bytes], &mut buffers.spare);
        if !self.outlet.channel.is_handshaking() {
            // The request has its full time.
            self.asking_us = 0;
        }
        Ok(wire)
    }

    /// One read, and the session's answer to it. Returns the number of bytes read.
    fn read(
        &mut self,
        now: Instant,
        limits: &TimeLimits,
        buffers: &mut Buffers,
    ) -> Result<usize, Fault> {
        let Received { bytes: n, wire, end } = self.receive(now, buffers)?;
        let Buffers { input, output, spare, .. } = buffers;
        if n > 0 {
            let mut out = Out::new(output);
            let consumed = self.session.input(now, &mut input[..n], &mut out);
            let taken = consumed.bytes.min(n);
            if !self.session.awaits_request() {
                // The next one has its full time.
                self.asking_us = 0;
            }
            let parts = [out.rendered(), &input[..consumed.reply.min(taken)]];
            self.outlet.send(parts, now, spare, limits)?;
            self.outlet.hold_input(&input[taken..n], spare);
        } else if end {
            self.session.eof(now);
        }
        Ok(wire)
    }

    /// Offers the session the input that it did not take before.
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

    /// Lets the session render, and sends the output. Returns the number of rendered bytes.
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

    /// Moves what can be moved now, and sees to the time limits.
    fn work(&mut self, now: Instant, buffers: &mut Buffers) -> Next {
        let limits = buffers.rules(self.rules).limits;
        buffers.input();
        if self.outlet.channel.is_secured() {
            buffers.make_room();
        }
        if self.limit(&limits, buffers.hurries()).is_some_and(|until| until <= now) {
            // Other connections had turns since the wait, and input may have arrived meanwhile: it is
            // looked for before the timeout is reported.
            self.outlet.readiness.look_again();
        }
        let mut moved = self.advance(now, &limits, buffers);
        if matches!(moved, Ok(Next::Wait(_) | Next::Again))
            && !self.outlet.channel.is_handshaking()
            && self.session.awaits_request()
            && self.is_late(now, &limits, buffers)
            && self.session.expire(now)
        {
            // It has a last word, and its time to say it.
            self.outlet.set_moved(now);
            self.asking_us = 0;
            moved = self.advance(now, &limits, buffers);
        }
        let next = match moved {
            // The connection waits only for a deadline, and the peer is gone. Without this
            // a level-triggered wait would report the dead socket for ever.
            Ok(Next::Wait(Interest::NONE)) if self.outlet.readiness.is_dead() => {
                Err(Peer::Reset.into())
            }
            // Also after `Again`: a peer that sends faster than a turn reads has no more time.
            Ok(next @ (Next::Wait(_) | Next::Again)) => match self.is_late(now, &limits, buffers) {
                false => Ok(next),
                true if self.stage == Stage::Lingering => Ok(Next::Closed(Ok(()))),
                true if self.awaits_file() => Err(StorageFault::Stalled.into()),
                true => Err(Fault::TimedOut { waited_us: self.waited_us(now) }),
            },
            done => done,
        };
        next.unwrap_or_else(|fault| {
            self.session.abort(fault);
            Next::Closed(Err(fault))
        })
    }

    fn half_close(&mut self) {
        if self.stage == Stage::Open {
            self.outlet.channel.stream().shutdown_write();
            self.stage = Stage::HalfClosed;
        }
    }

    /// The session is over and its output is flushed: close, as soon as that cannot destroy output
    /// that the peer has not read yet.
    fn linger(&mut self, now: Instant, buffers: &mut Buffers, mut budget: usize) -> Next {
        let Outlet { channel, readiness, .. } = &mut self.outlet;
        let talks = self.stage == Stage::Lingering;
        if !talks && !readiness.has_ended() && self.stage == Stage::Open {
            // Input that arrives between the last check and the close is answered with a reset.
            // Because of the end before it, the peer has read everything by then.
            channel.stream().shutdown_write();
            self.stage = Stage::HalfClosed;
        }
        let last =
            linger::discard(channel.stream(), readiness, talks, &mut buffers.input, &mut budget);
        if last == Last::Gone {
            return Next::Closed(Ok(()));
        }
        if !talks {
            self.stage = Stage::Lingering;
            self.outlet.set_moved(now);
        }
        if last == Last::Wait { Next::Wait(Interest::READ) } else { Next::Again }
    }
}

impl<S: Session + ?Sized, C: Channel> Turns for Connection<S, C> {
    fn note(&mut self, ready: Ready) {
        self.outlet.readiness.note(ready);
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.note(ready);
        self.count_begin(now, buffers);
        let before = (traffic::received(), traffic::sent());
        let next = self.work(now, buffers);
        self.count_bytes(before, now, buffers);
        if let Next::Closed(how) = next {
            self.count_end(how, now, buffers);
        }
        next
    }

    /// There is room for output as a rule, and it is the next step also for a file. Until the wait has reported
    /// it, the connection counts as not ready.
    fn rest(&mut self) -> Option<Interest> {
        let want = self.session.want();
        let write = (want.write || want.file) && !self.outlet.channel.is_handshaking();
        if write {
            self.outlet.readiness.set_writable(false);
        }
        Some(Interest { read: !write, write })
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

    fn rested(&mut self, now: Instant) {
        self.outlet.set_moved(now);
    }

    fn dismiss(&mut self) {
        linger::leave(self.outlet.channel.stream());
    }

    fn abort(&mut self, why: Fault) {
        self.session.abort(why);
        self.outlet.channel.stream().shutdown_both();
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
    }

    fn given_up(&mut self, why: Fault, now: Instant, buffers: &Buffers) {
        self.count_begin(now, buffers);
        self.count_end(Err(why), now, buffers);
    }
}

impl<S: ?Sized, C: Channel> AsFd for Connection<S, C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outlet.channel.as_fd()
    }
}

/// The fault of a session that makes no progress with the room that it was lent.
fn stuck_with(output: &[u8]) -> Fault {
    Limit { need: output.len() + 1, have: output.len() }.into()
}

mod limits;
#[cfg(test)]
mod tests;
