//! The sources of a loop, and the operations on them: the context of a callback.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use tracing::debug;
use windlass_core::time::Instant;

use super::handlers::Handlers;
use super::inbox::Inbox;
use super::kernel_set::{KernelSet, Watched};
use super::sources::{Callback, Called, Descriptor, Source, Sources};
use super::watch::{Event, Fired, Priority, Watch};
use super::{BELL, SIGNALS, Stats, Token};
use crate::drive::{Buffers, Reports, Rules};
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::ready::Ready;

/// A call that waits for the end of the round.
pub(super) type Deferred<S> = Box<dyn FnOnce(&mut S, &mut Context<S>)>;

/// A call that another thread left.
pub(super) type Call<S> = Box<dyn FnOnce(&mut S, &mut Context<S>) + Send>;

/// The sources of a loop: descriptors, timers, signals, children, listeners, streams, sessions.
///
/// A callback gets it beside the program's state, and may add, change and remove any source with
/// it, its own too. A removed source is not called any more, not even in the same round. An added
/// source is called in the next round at the earliest, unless a callback asks for a call
/// ([`activate`](Self::activate)).
pub struct Context<S> {
    pub(super) kernel: KernelSet,
    pub(super) sources: Sources<S, Self>,
    pub(super) signals: Option<Handlers>,
    /// Opened when the first handle is given out.
    pub(super) inbox: Option<Arc<Inbox<Call<S>>>>,
    pub(super) deferred: VecDeque<Deferred<S>>,
    /// Listeners that pause until a descriptor is closed.
    pub(super) resting: Vec<Token>,
    /// The buffers for turns of connections, and for reading into buffered streams.
    pub(super) buffers: Buffers,
    /// Buffers that streams gave back.
    pub(super) spare: Vec<Vec<u8>>,
    pub(super) clock: Clock,
    /// When the last wait was over. Deadlines are compared with this time: the kernel was asked
    /// then, so the loop knows of every event until then.
    pub(super) woke: Instant,
    /// The source that is being called.
    pub(super) current: Option<Token>,
    pub(super) leave: Leave,
    pub(super) stats: Stats,
}

/// The two readings of one clock that a loop needs: they differ by the microsecond that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The time.
    pub(super) now: fn() -> Instant,
    /// The start of a delay.
    pub(super) next: fn() -> Instant,
}

/// Whether the loop ends; a later variant overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leave {
    No,
    AfterRound,
    AtOnce,
}

impl<S> Context<S> {
    pub(super) fn new(kernel: KernelSet, clock: Clock) -> Self {
        Self {
            kernel,
            sources: Sources::new(),
            signals: None,
            inbox: None,
            deferred: VecDeque::new(),
            resting: Vec::new(),
            buffers: Buffers::for_many(Rules::default(), Reports::OnChange),
            spare: Vec::new(),
            clock,
            woke: (clock.now)(),
            current: None,
            leave: Leave::No,
            stats: Stats::default(),
        }
    }

    /// Watches a descriptor, and calls `callback` when it is ready or has timed out. The loop owns
    /// `io`, and lends it to the callback; a program that needs it elsewhere too shares it
    /// (`Rc<UdpSocket>` is one).
    ///
    /// Every descriptor that epoll can watch is possible: sockets, pipes, FIFOs, terminals,
    /// `timerfd`, `inotify`. A regular file is always ready; [`Stream`](crate::sys::stream::Stream)
    /// reads all of them without blocking.
    ///
    /// # Errors
    /// The descriptor is watched already (`EEXIST`; [`watch`](Self::watch) changes what for), is not
    /// open, or the kernel has no room (`ENOSPC`, `ENOMEM`).
    pub fn add<T: AsFd + 'static>(
        &mut self,
        mut io: T,
        watch: Watch,
        mut callback: impl FnMut(&mut T, &mut S, &mut Self, Event) + 'static,
    ) -> Result<Token> {
        let watched = self.join(&io, watch)?;
        let call = move |state: &mut S, cx: &mut Self, fired: Fired| {
            let event = if fired.timed_out && !fired.ready.any() {
                Event::TimedOut
            } else {
                Event::Ready(fired.ready)
            };
            callback(&mut io, state, cx, event);
        };
        Ok(self.add_descriptor(watched, Box::new(call)))
    }

    /// Watches a descriptor for the source that is added next.
    pub(super) fn join(&mut self, io: &impl AsFd, watch: Watch) -> Result<Watched> {
        let joined = self.kernel.join(self.sources.table.next(), io, watch);
        joined.map_err(Error::of("watch descriptor", io.as_fd().as_raw_fd()))
    }

    pub(super) fn add_descriptor(
        &mut self,
        watched: Watched,
        callback: Callback<S, Self>,
    ) -> Token {
        let source = Descriptor { called: Called::new(callback), watched, ready: Ready::NONE };
        let token = self.sources.insert(Source::Descriptor(Box::new(source)));
        self.start_timeout(token, watched.watch);
        token
    }

    /// Changes the watch of a descriptor, and arms it if it was not armed.
    ///
    /// # Errors
    /// The source was removed, has no descriptor, or its descriptor was closed by other code.
    pub fn watch(&mut self, token: Token, watch: Watch) -> Result<()> {
        let fail = |errno| Error::new("watch source", token.index, errno);
        match self.sources.get_mut(token).ok_or_else(|| fail(Errno::ENOENT))? {
            Source::Descriptor(descriptor) => {
                (descriptor.watched.watch, descriptor.watched.is_on) = (watch, true);
                self.kernel.update(token, &descriptor.watched).map_err(fail)?;
            }
            Source::Job(_)
            | Source::Timer(_)
            | Source::Periodic(_)
            | Source::Stream(..)
            | Source::Signal(_) => {
                return Err(fail(Errno::EINVAL));
            }
        }
        self.start_timeout(token, watch);
        Ok(())
    }

    /// Arms a source as it was last armed (`event_add`): one that fires once can fire again, a timer
    /// starts with its last delay, a listener accepts again.
    ///
    /// # Errors
    /// As [`watch`](Self::watch); a session cannot be armed, because it decides what it waits for.
    pub fn arm(&mut self, token: Token) -> Result<()> {
        match self.sources.get_mut(token) {
            None => Err(Error::new("arm", "a source", "it was removed")),
            Some(Source::Job(_)) => Err(Error::new("arm", "a session", "it is never disarmed")),
            Some(Source::Descriptor(descriptor)) => {
                let watch = descriptor.watched.watch;
                self.resting.retain(|&resting| resting != token);
                self.watch(token, watch)
            }
            Some(Source::Timer(called) | Source::Periodic(called))
                if called.alarm.delay_us == 0 =>
            {
                Err(Error::new("arm", "a timer", "it was never given a delay"))
            }
            Some(Source::Timer(_) | Source::Periodic(_)) => {
                self.touch(token);
                Ok(())
            }
            Some(Source::Signal(it)) => {
                it.is_armed = true;
                self.sources.recount(token);
                Ok(())
            }
            Some(Source::Stream(..)) => Ok(()),
        }
    }

    /// Disarms a source (`event_del`): it does not fire until it is armed again, and a call that
    /// was due in this round is dropped. It stays in the table; see [`remove`](Self::remove). A
    /// buffered stream is disarmed by [`Buffered::set_reading`](super::Buffered::set_reading), and
    /// a session goes on.
    pub fn disarm(&mut self, token: Token) {
        let Some(mut entry) = self.sources.table.entry(token) else { return };
        if !entry.thing.disarm(token, &self.kernel) {
            return;
        }
        entry.call_off();
        self.sources.live -= usize::from(std::mem::take(&mut entry.mark.is_counted));
        self.resting.retain(|&resting| resting != token);
        if let Some(signals) = &mut self.signals {
            signals.take(token);
        }
    }

    /// Removes a source (`event_free`), also the one that is being called, or a connection. Its
    /// descriptor is closed, unless it is shared. Returns whether it existed.
    pub fn remove(&mut self, token: Token) -> bool {
        let Some(source) = self.sources.remove(token) else { return false };
        if let Some(watched) = source.watched() {
            self.kernel.leave(token, watched);
        }
        match &source {
            Source::Job(_) => drop(self.sources.ended.remove(&token)),
            Source::Signal(_) => {
                if let Some(signals) = &mut self.signals {
                    signals.remove(token);
                }
            }
            Source::Timer(_) | Source::Periodic(_) | Source::Descriptor(_) | Source::Stream(..) => {
            }
        }
        self.resting.retain(|&resting| resting != token);
        drop(source);
        self.wake_resting();
        true
    }

    /// A descriptor was closed: a listener that ran out of descriptors may try again.
    pub(super) fn wake_resting(&mut self) {
        while let Some(listener) = self.resting.pop() {
            self.sources.fire(listener, Ready { read: true, ..Ready::NONE });
        }
    }

    /// Whether `token` stands for a source or a connection that was not removed.
    pub fn contains(&self, token: Token) -> bool {
        self.sources.get(token).is_some()
    }

    /// Whether a source is armed (pending, as libevent says): it can fire.
    pub fn is_armed(&self, token: Token) -> bool {
        self.sources.is_counted(token)
    }

    /// Makes the loop call a source in this round or the next, whether or not it fired
    /// (`event_active`). A signal that did not come and a child that did not end are not
    /// reported, and the callback is not called.
    pub fn activate(&mut self, token: Token) {
        self.sources.enqueue(token);
    }

    /// Which turns of a source come first in a round. [`Priority::Normal`] unless said otherwise.
    pub fn set_priority(&mut self, token: Token, priority: Priority) {
        self.sources.set_priority(token, priority);
    }

    /// Starts the timeout of a descriptor, or the delay of a timer, again, as if an event had come
    /// just now, also if it came due in this round. The cost is one field and reading the clock;
    /// extend an idle timeout with every message. A disarmed descriptor has no timeout.
    pub fn touch(&mut self, token: Token) {
        let delay_us = match self.sources.get(token) {
            Some(Source::Timer(called) | Source::Periodic(called)) => called.alarm.delay_us,
            Some(Source::Descriptor(it)) if it.watched.is_on => it.called.alarm.delay_us,
            _ => 0,
        };
        if delay_us > 0 {
            self.sources.set_alarm(token, self.next().after(delay_us));
        }
    }

    /// Makes a call after the events of this round, before the loop waits again.
    pub fn defer(&mut self, call: impl FnOnce(&mut S, &mut Self) + 'static) {
        self.deferred.push_back(Box::new(call));
    }

    /// Ends [`run`](super::EventLoop::run) after this round (`event_base_loopexit`).
    pub fn exit(&mut self) {
        self.leave = self.leave.max(Leave::AfterRound);
    }

    /// Ends [`run`](super::EventLoop::run) after this callback (`event_base_loopbreak`). A source
    /// that was to be called keeps its turn for the next run.
    pub fn break_now(&mut self) {
        self.leave = Leave::AtOnce;
    }

    /// The time, by the monotonic clock. The clock is read for each call, without a system call.
    pub fn now(&self) -> Instant {
        (self.clock.now)()
    }

    /// The start of a delay that is requested now.
    pub(super) fn next(&self) -> Instant {
        (self.clock.next)()
    }

    /// The source that is being called.
    ///
    /// # Panics
    /// Outside a callback of a source.
    pub fn current(&self) -> Token {
        match self.current {
            Some(token) => token,
            None => panic!("no source is being called"),
        }
    }

    /// Connections with a session, and buffered streams.
    pub fn streams(&self) -> usize {
        self.connections() + self.sources.streams
    }

    /// The counts of the loop so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Starts the timeout that the watch of a descriptor has.
    fn start_timeout(&mut self, token: Token, watch: Watch) {
        // Without a timeout the delay is 0: the next event must not start an earlier timeout again.
        let delay_us = watch.timeout_us.map_or(0, NonZeroU64::get);
        if let Some(Source::Descriptor(descriptor)) = self.sources.get_mut(token) {
            descriptor.called.alarm.delay_us = delay_us;
        }
        if delay_us > 0 {
            self.sources.set_alarm(token, self.next().after(delay_us));
        } else {
            self.sources.forget_time_out(token);
            self.sources.clear_alarm(token);
        }
        self.sources.recount(token);
    }

    /// Whether a descriptor is armed.
    pub(super) fn is_watched(&self, token: Token) -> bool {
        self.sources.get(token).and_then(Source::watched).is_some_and(|watched| watched.is_on)
    }

    /// Stops watching a descriptor for now.
    pub(super) fn pause(&mut self, token: Token) {
        if let Some(Source::Descriptor(descriptor)) = self.sources.get_mut(token) {
            descriptor.pause(token, &self.kernel);
        }
    }

    /// Makes a new set in the kernel and adds every source to it: after a fork, and when a
    /// descriptor was closed that the old set cannot forget, because a copy of it lives on.
    pub(super) fn rebuild(&mut self) -> std::result::Result<(), Errno> {
        debug!("a new epoll set");
        self.stats.rebuilt += 1;
        self.kernel.renew()?;
        if let Some(inbox) = &self.inbox {
            self.kernel.join_own(BELL, &*inbox.bell, true)?;
        }
        if let Some(bell) = self.buffers.bell() {
            self.kernel.join_own(Token::HELPERS, &bell, true)?;
        }
        if let Some(signals) = &self.signals {
            self.kernel.join_own(SIGNALS, signals, false)?;
        }
        let mut lost = Vec::new();
        for (token, source, _) in self.sources.table.iter() {
            match source {
                Source::Job(job) if self.kernel.join_until_closed(token, job).is_err() => {
                    // Other code has closed it and reused its number.
                    lost.push(token);
                }
                Source::Descriptor(descriptor) => self.kernel.rejoin(token, &descriptor.watched),
                Source::Stream(watched, _) => self.kernel.rejoin(token, watched),
                Source::Job(_) | Source::Timer(_) | Source::Periodic(_) | Source::Signal(_) => {}
            }
        }
        for token in lost {
            self.remove(token);
        }
        Ok(())
    }

    /// Whether no event can happen any more.
    pub(super) fn is_idle(&self) -> bool {
        self.sources.live == 0
            && self.sources.jobs == 0
            && self.deferred.is_empty()
            && self.sources.queues.iter().all(VecDeque::is_empty)
            // In this order: the last calls of a handle come before it is dropped.
            && self
                .inbox
                .as_ref()
                .is_none_or(|inbox| Arc::strong_count(inbox) == 1 && inbox.is_empty())
    }
}

#[cfg(test)]
mod tests;
