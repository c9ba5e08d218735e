//! The sources of a loop, and what can be done with them: what a callback is given to act with.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

use super::deadlines::Deadlines;
use super::members::disown;
use super::remote::{Inbox, Remote};
use super::signal::Handlers;
use super::slots::{Callback, Handler, Kind, Slots};
use super::watch::{Event, Fired, Priority, Watch};
use super::{BELL, EDGE, Stats, Token};
use crate::drive::{Buffers, Jobs, Reports, Rules};
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::epoll::Epoll;
use crate::sys::event::Event as Bell;
use crate::sys::ready::{Interest, Ready};
use crate::sys::root::Root;

/// A call that waits for the end of the round.
pub(super) type Deferred<S> = Box<dyn FnOnce(&mut S, &mut Context<S>)>;

/// How a session ended, for whoever asked.
pub(super) type Ended<S> = Box<dyn FnOnce(&mut S, &mut Context<S>, std::result::Result<(), Fault>)>;

/// The sources of a loop: descriptors, timers, signals, children, listeners, streams.
///
/// A callback gets it beside the user's own state, and may add, change and remove anything with it,
/// itself too. What it removes is not called any more, not even in the same round; what it adds is
/// called in the next one at the earliest, unless it is asked to be called ([`activate`](Self::activate)).
pub struct Context<S> {
    pub(super) epoll: Epoll,
    pub(super) slots: Slots<S>,
    /// Which place in `slots` has the descriptor of this number in the kernel's set. A number that
    /// was closed and opened again belongs to the one who joined last.
    pub(super) owners: Vec<u32>,
    pub(super) deadlines: Deadlines,
    pub(super) connections: Jobs,
    /// Whoever wants to know how a session of `connections` ended.
    pub(super) ended: HashMap<Token, Ended<S>>,
    /// Whose turn it is, by priority.
    pub(super) queues: [VecDeque<Token>; 3],
    /// Regular files.
    pub(super) always: Vec<Token>,
    pub(super) deferred: VecDeque<Deferred<S>>,
    pub(super) signals: Option<Handlers>,
    /// Opened when the first handle is given out.
    pub(super) inbox: Option<Arc<Inbox<S>>>,
    /// Listeners that rest until something is closed.
    pub(super) resting: Vec<Token>,
    /// What buffered streams are read into.
    pub(super) input: Vec<u8>,
    /// Buffers that streams gave back.
    pub(super) spare: Vec<Vec<u8>>,
    pub(super) clock: Clock,
    /// When the last wait was over. What is due is judged by this time: the kernel was asked then, so
    /// nothing can have come that the loop does not know of.
    pub(super) woke: Instant,
    /// Who is being called.
    pub(super) current: Option<Token>,
    pub(super) leave: Leave,
    /// Sources that can fire.
    pub(super) live: usize,
    pub(super) buffered: usize,
    pub(super) stats: Stats,
}

/// The two readings of one clock that a loop needs: they differ by the microsecond that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The time.
    pub(super) now: fn() -> Instant,
    /// Where a delay begins to count.
    pub(super) next: fn() -> Instant,
}

/// Whether the loop is to end: the later of these outdoes the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leave {
    No,
    AfterRound,
    AtOnce,
}

/// Nobody has this descriptor.
pub(super) const NOBODY: u32 = u32::MAX;

impl<S> Context<S> {
    pub(super) fn new(epoll: Epoll, clock: Clock) -> Self {
        Self {
            epoll,
            slots: Slots::new(),
            owners: Vec::new(),
            deadlines: Deadlines::default(),
            connections: Jobs::new(Buffers::for_many(Rules::default(), Reports::OnChange)),
            ended: HashMap::new(),
            queues: [const { VecDeque::new() }; 3],
            always: Vec::new(),
            deferred: VecDeque::new(),
            signals: None,
            inbox: None,
            resting: Vec::new(),
            input: Vec::new(),
            spare: Vec::new(),
            clock,
            woke: (clock.now)(),
            current: None,
            leave: Leave::No,
            live: 0,
            buffered: 0,
            stats: Stats::default(),
        }
    }

    /// Watches a descriptor, and calls back when it is ready or timed out. The loop owns `io`, and
    /// lends it to the callback; who needs it elsewhere too shares it (`Rc<UdpSocket>` is one).
    ///
    /// Anything that can be waited for will do: sockets, pipes, FIFOs, terminals, `timerfd`, `inotify`.
    /// A regular file is always ready; [`Stream`](crate::sys::stream::Stream) reads all of them without
    /// blocking.
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
        let token = self.open_source(Kind::Descriptor, watch, &io)?;
        let call = move |state: &mut S, cx: &mut Self, fired: Fired| {
            let event = if fired.timed_out && !fired.ready.any() {
                Event::TimedOut
            } else {
                Event::Ready(fired.ready)
            };
            callback(&mut io, state, cx, event);
        };
        self.install(token, Box::new(call));
        Ok(token)
    }

    /// Whom to call.
    pub(super) fn install(&mut self, token: Token, callback: Callback<S>) {
        if let Some(source) = self.slots.get_mut(token) {
            source.handler = Handler::Callback(callback);
        }
        self.start_timeout(token);
        self.settle(token);
    }

    /// Watches the descriptor of `token` for something else from now on; armed, if it was not.
    ///
    /// # Errors
    /// It was removed, it is no descriptor, or it was closed behind the loop's back.
    pub fn watch(&mut self, token: Token, watch: Watch) -> Result<()> {
        let fail = |errno| Error::new("watch source", token.place(), errno);
        let source = self.slots.get_mut(token).ok_or_else(|| fail(Errno::ENOENT))?;
        if source.kind != Kind::Descriptor {
            return Err(fail(Errno::EINVAL));
        }
        source.watch = watch;
        source.watched = true;
        let member = source.member;
        self.tell_kernel(token, member).map_err(fail)?;
        self.start_timeout(token);
        self.settle(token);
        Ok(())
    }

    /// Arms a source as it was last armed (`event_add`): one that fires once can fire again, a timer
    /// starts with its last delay, a listener accepts again.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub fn arm(&mut self, token: Token) -> Result<()> {
        let Some(source) = self.slots.get(token) else {
            return Err(Error::new("arm", "a source", "it was removed"));
        };
        match source.kind {
            Kind::Descriptor => {
                let watch = source.watch;
                self.resting.retain(|&resting| resting != token);
                self.watch(token, watch)
            }
            Kind::Timer | Kind::Periodic if source.delay_us == 0 => {
                Err(Error::new("arm", "a timer", "it was never given a delay"))
            }
            Kind::Timer | Kind::Periodic => {
                self.touch(token);
                Ok(())
            }
            Kind::Signal => {
                if let Some(source) = self.slots.get_mut(token) {
                    source.watched = true;
                }
                self.settle(token);
                Ok(())
            }
            Kind::Buffered => Ok(()),
        }
    }

    /// Disarms a source (`event_del`): it does not fire until it is armed again, and what it was to
    /// be called for in this round is forgotten. It stays where it is; see [`remove`](Self::remove).
    /// A buffered stream is disarmed by [`Buffered::set_reading`](super::Buffered::set_reading).
    pub fn disarm(&mut self, token: Token) {
        let Some(source) = self.slots.get_mut(token) else { return };
        if source.kind == Kind::Buffered {
            return;
        }
        source.fired = Fired::NOTHING;
        source.queued = false;
        self.resting.retain(|&resting| resting != token);
        self.deadlines.clear(token.place());
        if let Some(signals) = &mut self.signals {
            signals.take(token);
        }
        self.pause(token);
        self.settle(token);
    }

    /// Removes a source (`event_free`), also the one that is being called, or a connection. Its
    /// descriptor is closed, unless it is shared. True if it was there.
    pub fn remove(&mut self, token: Token) -> bool {
        if !token.is_source() {
            return self.hang_up(token);
        }
        let Some(source) = self.slots.remove(token) else { return false };
        if let Some(member) = source.member
            && self.owners[member.index()] == token.index
        {
            // Before it is closed: where a copy of it lives on, closing would not take it out.
            self.epoll.remove(member);
            self.owners[member.index()] = NOBODY;
        }
        if source.always {
            self.always.retain(|&file| file != token);
        }
        if source.kind == Kind::Signal
            && let Some(signals) = &mut self.signals
        {
            signals.remove(token);
        }
        self.resting.retain(|&resting| resting != token);
        self.deadlines.clear(token.place());
        self.live -= usize::from(source.counted);
        self.buffered -= usize::from(source.kind == Kind::Buffered);
        drop(source);
        self.freed();
        true
    }

    /// Something was closed: a listener that ran out of descriptors may try again.
    pub(super) fn freed(&mut self) {
        while let Some(listener) = self.resting.pop() {
            self.enqueue(
                listener,
                Fired { ready: Ready { read: true, ..Ready::NONE }, timed_out: false },
            );
        }
    }

    /// Whether `token` stands for a source or a connection that was not removed.
    pub fn contains(&self, token: Token) -> bool {
        if token.is_source() {
            self.slots.get(token).is_some()
        } else {
            self.connections.socket(token).is_some()
        }
    }

    /// Whether a source is armed (pending, as libevent says): it can fire.
    pub fn is_armed(&self, token: Token) -> bool {
        self.slots.get(token).is_some_and(|source| source.counted)
    }

    /// Calls a source in this round or the next, whether or not it fired (`event_active`). A signal that
    /// did not come and a child that did not end are nothing to tell, and nobody is called.
    pub fn activate(&mut self, token: Token) {
        self.enqueue(token, Fired::NOTHING);
    }

    /// Who goes first in a round. [`Priority::Normal`] unless said otherwise; sessions always are.
    pub fn set_priority(&mut self, token: Token, priority: Priority) {
        if let Some(source) = self.slots.get_mut(token) {
            source.priority = priority;
        }
    }

    /// Starts the timeout of a descriptor, or the delay of a timer, anew: as if something had come
    /// just now, also when its time came in this round. Costs a store and a look at the clock; an idle
    /// timeout is to be touched with every message. A descriptor that is disarmed has none.
    pub fn touch(&mut self, token: Token) {
        let from = self.next();
        if let Some(source) = self.slots.get_mut(token)
            && source.delay_us > 0
            && (source.watched || source.kind != Kind::Descriptor)
        {
            source.not_timed_out();
            self.deadlines.set(token.place(), from.after(source.delay_us));
            if !source.counted {
                self.settle(token);
            }
        }
    }

    /// Makes a call after the events of this round, before the loop waits again.
    pub fn defer(&mut self, call: impl FnOnce(&mut S, &mut Self) + 'static) {
        self.deferred.push_back(Box::new(call));
    }

    /// A handle for other threads.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: the first one takes a descriptor.
    pub fn remote(&mut self) -> Result<Remote<S>> {
        let inbox = match &mut self.inbox {
            Some(inbox) => inbox,
            none => {
                let mut open = || {
                    let inbox = Inbox::new(Bell::new()?);
                    self.epoll.join(&*inbox.bell, Interest::READ, EDGE, BELL)?;
                    disown(&mut self.owners, &*inbox.bell);
                    Ok(inbox)
                };
                let inbox =
                    open().map_err(|errno: Errno| Error::new("open", "an eventfd", errno))?;
                none.insert(inbox)
            }
        };
        Ok(Inbox::remote(inbox))
    }

    /// Ends [`run`](super::EventLoop::run) after this round (`event_base_loopexit`).
    pub fn exit(&mut self) {
        self.leave = self.leave.max(Leave::AfterRound);
    }

    /// Ends it after this callback (`event_base_loopbreak`). Whoever else was to be called keeps its
    /// turn for the next run.
    pub fn break_now(&mut self) {
        self.leave = Leave::AtOnce;
    }

    /// The time, by the monotonic clock. It is read for each call, which is no system call.
    pub fn now(&self) -> Instant {
        (self.clock.now)()
    }

    /// Where a delay that is asked for now begins to count.
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
        self.connections.len() + self.buffered
    }

    /// What the loop has done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Where the files are that sessions send. At first there are none.
    pub fn set_root(&mut self, root: Option<Arc<Root>>) {
        self.change_rules(|rules| rules.root = root);
    }

    /// Queues a source for its turn.
    pub(super) fn enqueue(&mut self, token: Token, fired: Fired) -> bool {
        let Some(source) = self.slots.get_mut(token) else { return false };
        source.fired.ready |= fired.ready;
        source.fired.timed_out |= fired.timed_out;
        source.queued = true;
        if !std::mem::replace(&mut source.entered, true) {
            self.queues[source.priority as usize].push_back(token);
        }
        true
    }

    /// Starts the timeout that the watch of a descriptor has.
    pub(super) fn start_timeout(&mut self, token: Token) {
        let from = self.next();
        let Some(source) = self.slots.get_mut(token) else { return };
        source.not_timed_out();
        // Without a timeout it is 0: the next event must not start one that it had before.
        source.delay_us = source.watch.timeout_us.map_or(0, NonZeroU64::get);
        match source.delay_us {
            0 => self.deadlines.clear(token.place()),
            delay_us => self.deadlines.set(token.place(), from.after(delay_us)),
        }
    }

    /// Counts a source among those that can fire, or not.
    pub(super) fn settle(&mut self, token: Token) {
        let Some(source) = self.slots.get_mut(token) else { return };
        let can_fire = source.watched || self.deadlines.is_set(token.place());
        if can_fire != std::mem::replace(&mut source.counted, can_fire) {
            self.live = if can_fire { self.live + 1 } else { self.live - 1 };
        }
    }

    /// Whether nothing can happen any more.
    pub(super) fn is_idle(&self) -> bool {
        self.live == 0
            && self.connections.is_empty()
            && self.deferred.is_empty()
            && self.queues.iter().all(VecDeque::is_empty)
            // In this order: the last words of a handle come before it is dropped.
            && self
                .inbox
                .as_ref()
                .is_none_or(|inbox| Arc::strong_count(inbox) == 1 && inbox.is_empty())
    }
}

#[cfg(test)]
mod tests;
