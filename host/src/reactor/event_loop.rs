//! The loop: wait, see which sources are ready, give each of them a turn.
//!
//! ```text
//! a round:  wait ──▶ harvest: descriptors, signals, deadlines, calls of other threads
//!                       │       each joins the run queue of its priority, once
//!                       ▼
//!           dispatch: High, all ─▶ Normal, ≤ 256 ─▶ Low, ≤ 32 ─▶ deferred calls
//!                       │
//!                       ▼  a source that used up its budget joins again
//! ```
//!
//! No callback is called while the batch of the kernel is walked. So a callback can remove the
//! source that is to be called next, and its token, looked up again for the call, finds nothing.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

#[cfg(test)]
use windlass_core::time::Instant;
use windlass_core::time::Wake;

use super::context::{Call, Clock, Leave};
use super::conversation::Step;
use super::kernel_set::KernelSet;
use super::sources::Source;
use super::watch::{Fired, Priority, micros};
use super::{BELL, Context, SIGNALS, Token};
use crate::drive::flush_access_log;
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::ready::{Interest, Ready};
use crate::sys::signals::SignalQueue;

/// A loop over sources with callbacks that share the state `S` (`event_base`).
///
/// It dereferences to its [`Context`], to add sources before it runs.
///
/// ```
/// use std::time::Duration;
/// use windlass::reactor::EventLoop;
///
/// let mut events = EventLoop::new()?;
/// events.every(Duration::from_millis(1), |ticks: &mut u32, cx| {
///     *ticks += 1;
///     if *ticks == 3 {
///         cx.exit();
///     }
/// });
/// let mut ticks = 0;
/// events.run(&mut ticks)?;
/// assert_eq!(ticks, 3);
/// # Ok::<(), windlass::error::Error>(())
/// ```
pub struct EventLoop<S> {
    context: Context<S>,
    /// An empty list for the inbox.
    calls: Vec<Call<S>>,
}

impl<S> EventLoop<S> {
    /// A loop without sources.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: it needs a descriptor, and others for signals and for other threads.
    pub fn new() -> Result<Self> {
        Self::with(Clock { now: clock::now, next: clock::next })
    }

    /// With a clock that the test moves.
    #[cfg(test)]
    pub(crate) fn with_clock(clock: fn() -> Instant) -> Result<Self> {
        Self::with(Clock { now: clock, next: clock })
    }

    fn with(clock: Clock) -> Result<Self> {
        let kernel = KernelSet::new().map_err(Error::of("open", "an epoll instance"))?;
        Ok(Self { context: Context::new(kernel, clock), calls: Vec::new() })
    }

    /// Runs until a callback calls [`exit`](Context::exit), or until no event can happen any more: no
    /// armed source, no stream, no [`Remote`](super::Remote) (`event_base_dispatch`).
    ///
    /// A panic of a callback leaves this function. Its source is removed; all other sources are as
    /// they were, and the loop can run again.
    ///
    /// # Errors
    /// The kernel cannot give the loop a set any more (`EMFILE`, `ENOMEM`).
    pub fn run(&mut self, state: &mut S) -> Result<()> {
        while !self.context.is_idle() {
            self.round(state, Wake::Never)?;
            if std::mem::replace(&mut self.context.leave, Leave::No) != Leave::No {
                break;
            }
        }
        Ok(())
    }

    /// One round: waits at most `wait`, for ever if `None`, and makes the calls that are due.
    /// Returns how many it made (`event_base_loop` with `EVLOOP_ONCE`, and `EVLOOP_NONBLOCK` for a
    /// wait of zero).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_once(&mut self, state: &mut S, wait: Option<Duration>) -> Result<u64> {
        let before = self.context.stats.calls;
        let wake = match wait {
            None => Wake::Never,
            Some(Duration::ZERO) => Wake::Now,
            Some(wait) => Wake::At(self.context.next().after(micros(wait))),
        };
        self.round(state, wake)?;
        self.context.leave = Leave::No;
        Ok(self.context.stats.calls - before)
    }

    /// In a forked child, before anything else is done with the loop (`event_reinit`): it gets a
    /// kernel set of its own, with every source in it, and the parent's is left alone. A child that does
    /// not use the loop may drop it instead; that does not affect the parent either.
    ///
    /// Children that the parent watched are not children of this process: they are reported as
    /// [`Exit::Unknown`](crate::sys::pidfd::Exit::Unknown) when they end; remove them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn after_fork(&mut self) -> Result<()> {
        let fail = |errno| Error::new("renew", "an event loop after a fork", errno);
        if let Some(inbox) = &self.context.inbox {
            inbox.bell.renew().map_err(fail)?;
        }
        if let Some(signals) = &mut self.context.signals {
            signals.renew().map_err(fail)?;
        }
        // The helpers are threads of the parent: their answers do not come to this process.
        self.context.buffers.stop_helpers();
        self.context.start_helpers();
        self.context.rebuild().map_err(fail)
    }

    fn round(&mut self, state: &mut S, limit: Wake) -> Result<()> {
        let cx = &mut self.context;
        let wait_us = cx.wait_us(limit);
        flush_access_log();
        let count = cx.kernel.wait(wait_us).map_err(Error::of("epoll_wait", ""))?;
        cx.woke = cx.now();
        cx.stats.rounds += 1;
        let round = Round(cx);
        round.0.harvest(count)?;
        if let Some(inbox) = &round.0.inbox {
            inbox.take(&mut self.calls);
            // A call is made with the deferred ones.
            for call in self.calls.drain(..) {
                round.0.deferred.push_back(call);
            }
        }
        round.0.dispatch_all(state);
        Ok(())
    }
}

/// A round, which ends when it is over or a call panics.
struct Round<'a, S>(&'a mut Context<S>);

impl<S> Drop for Round<'_, S> {
    fn drop(&mut self) {
        self.0.current = None;
        if std::thread::panicking() {
            // The panic decides how the run ends.
            self.0.leave = Leave::No;
        }
    }
}

impl<S> Context<S> {
    fn wait_us(&mut self, limit: Wake) -> Option<u64> {
        let in_a_hurry = !self.deferred.is_empty()
            || self.sources.queues.iter().any(|queue| !queue.is_empty())
            || self.leave != Leave::No
            || self.kernel.always().iter().any(|&file| self.is_watched(file))
            // A run without anything to wait for ends instead.
            || self.is_idle() && limit == Wake::Never;
        let now = self.now();
        let wake = self.sources.table.wake(now, |source| source.deadline(&self.buffers));
        match wake.min(limit) {
            _ if in_a_hurry => Some(0),
            Wake::Now => Some(0),
            // The wait counts from now, because the calls of the last round took time.
            Wake::At(at) => Some(at.since(self.now())),
            Wake::Never => None,
        }
    }

    /// Sources that the kernel reported, and sources that are due, join the run queues.
    fn harvest(&mut self, count: usize) -> Result<()> {
        let mut leaked = false;
        // The wait may have found a descriptor before a handler, which runs when the wait returns, rang the
        // bell. A signal is not behind what happened after it: a child's end, say.
        self.collect_signals(SignalQueue::noted);
        for index in 0..count {
            let (token, ready) = self.kernel.event(index);
            match token {
                // Read with the round's other calls.
                BELL => {}
                SIGNALS => self.collect_signals(SignalQueue::take),
                Token::HELPERS => self.hear_helpers(),
                token => leaked |= !self.reported(token, ready),
            }
        }
        for index in 0..self.kernel.always().len() {
            let file = self.kernel.always()[index];
            if let Some(watched) = self.sources.get(file).and_then(Source::watched) {
                let Interest { read, write } = watched.watch.interest;
                self.reported(file, Ready { read, write, ..Ready::NONE });
            }
        }
        self.sources.expire(self.woke, &self.buffers);
        if leaked { self.rebuild().map_err(Error::of("renew", "an epoll set")) } else { Ok(()) }
    }

    /// A source is ready. False when it was removed, before this wait: what is removed leaves the
    /// kernel's set, so its descriptor was closed first, and lives on in a copy that only a new set
    /// forgets. (A session's socket leaves the set by being closed, which saves a system call for each;
    /// with a copy alive it stays, and is found in the same way.)
    fn reported(&mut self, token: Token, ready: Ready) -> bool {
        let Some(source) = self.sources.get_mut(token) else {
            self.stats.stale += 1;
            return false;
        };
        match source.watched_mut() {
            Some(watched) if !watched.is_on => {}
            watched => {
                if let Some(watched) = watched {
                    watched.is_on = !watched.watch.trigger.once;
                }
                self.sources.fire(token, ready);
            }
        }
        true
    }

    /// Every source in the run queues has its turn, up to the share of its priority.
    fn dispatch_all(&mut self, state: &mut S) {
        for priority in Priority::ALL {
            let mut turns = priority.share();
            for _ in 0..self.sources.queues[priority as usize].len() {
                let next = self.sources.queues[priority as usize].pop_front();
                let Some(token) = next else { break };
                // A source that was removed or disarmed meanwhile does not count.
                turns -= usize::from(self.dispatch(state, token));
                if self.leave == Leave::AtOnce {
                    return;
                }
                if turns == 0 {
                    break;
                }
            }
        }
        for _ in 0..self.deferred.len() {
            let Some(call) = self.deferred.pop_front() else { break };
            self.stats.calls += 1;
            call(state, self);
            if self.leave == Leave::AtOnce {
                return;
            }
        }
    }

    /// Gives a source its turn. Returns whether it had one.
    fn dispatch(&mut self, state: &mut S, token: Token) -> bool {
        let is_due = self.sources.table.take_turn(token);
        let Some(source) = self.sources.get_mut(token) else {
            self.stats.stale += 1;
            return false;
        };
        // Otherwise it was disarmed meanwhile.
        if is_due {
            match source {
                Source::Job(_) => self.carry_on(state, token),
                Source::Stream(..) => self.converse(state, token),
                Source::Descriptor(_) => self.call_descriptor(state, token),
                Source::Timer(_) | Source::Periodic(_) | Source::Signal(_) => {
                    self.call(state, token, Fired::NOTHING);
                }
            }
        }
        is_due
    }

    /// Calls a descriptor. Its timeout starts again with every event.
    fn call_descriptor(&mut self, state: &mut S, token: Token) {
        let Some(Source::Descriptor(descriptor)) = self.sources.get_mut(token) else { return };
        let (watched, called) = (descriptor.watched, &mut descriptor.called);
        let ready = std::mem::replace(&mut descriptor.ready, Ready::NONE);
        let fired = Fired { ready, timed_out: std::mem::take(&mut called.timed_out) };
        let delay_us = called.alarm.delay_us;
        let mut until = None;
        if delay_us > 0 {
            // A source that fires once has timed out instead.
            let is_over = fired.timed_out && watched.watch.trigger.once;
            if is_over {
                self.pause(token);
            }
            self.sources.clear_alarm(token);
            if watched.is_on && !is_over {
                until = Some(self.woke.after(delay_us));
                self.sources.set_alarm(token, self.woke.after(delay_us));
            }
        }
        self.call(state, token, fired);
        // The time of the call does not count as silence of the peer. A deadline that the call set
        // stays.
        if until.is_some() && self.deadline(token) == until {
            self.sources.set_alarm(token, self.next().after(delay_us));
        }
    }

    /// Calls the callback of a source.
    fn call(&mut self, state: &mut S, token: Token, fired: Fired) {
        let Some(called) = self.sources.get_mut(token).and_then(Source::called_mut) else { return };
        called.timed_out = false;
        let Some(mut callback) = called.callback.take() else { return };
        self.during(token, |cx| callback(state, cx, fired));
        if let Some(called) = self.sources.get_mut(token).and_then(Source::called_mut) {
            called.callback = Some(callback);
            self.sources.recount(token);
        }
    }

    /// Gives a buffered stream its turn.
    fn converse(&mut self, state: &mut S, token: Token) {
        let Some(Source::Stream(_, io)) = self.sources.get_mut(token) else { return };
        let Some(mut conversation) = io.take() else { return };
        let next = self.during(token, |cx| conversation.turn(state, cx, token));
        if let Some(Source::Stream(watched, io)) = self.sources.get_mut(token) {
            if watched.is_always_ready() {
                // A regular file is reported in every round in which it is watched.
                watched.is_on = conversation.io.wants_anything();
            }
            let deadline = conversation.io.deadline();
            *io = Some(conversation);
            if let Some(at) = deadline {
                self.sources.table.arm(token, at);
            }
            if let Step::Yield = next {
                self.sources.enqueue(token);
            }
            self.sources.recount(token);
        }
    }

    /// Makes a call for a source.
    fn during<R>(&mut self, token: Token, call: impl FnOnce(&mut Self) -> R) -> R {
        self.stats.calls += 1;
        self.current = Some(token);
        let result = self.guarded(token, call);
        self.current = None;
        result
    }

    /// Makes a call. If it panics, the source is removed.
    pub(super) fn guarded<R>(&mut self, token: Token, call: impl FnOnce(&mut Self) -> R) -> R {
        let calling = Calling { cx: self, token };
        let result = call(calling.cx);
        std::mem::forget(calling);
        result
    }
}

/// A source is being called. It is dropped only if the call panics, and then removes the source.
struct Calling<'a, S> {
    cx: &'a mut Context<S>,
    token: Token,
}

impl<S> Drop for Calling<'_, S> {
    fn drop(&mut self) {
        self.cx.current = None;
        self.cx.remove(self.token);
    }
}

impl<S> Drop for EventLoop<S> {
    fn drop(&mut self) {
        if let Some(inbox) = &self.context.inbox {
            inbox.close();
        }
    }
}

impl<S> Deref for EventLoop<S> {
    type Target = Context<S>;

    fn deref(&self) -> &Context<S> {
        &self.context
    }
}

impl<S> DerefMut for EventLoop<S> {
    fn deref_mut(&mut self) -> &mut Context<S> {
        &mut self.context
    }
}

#[cfg(test)]
mod tests;
