//! Everything that a loop waits for: one table, and the queues of those that have their turn next.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

use super::Token;
use super::buffered::Conversation;
use super::kernel_set::{KernelSet, Watched};
use super::watch::{Fired, Priority};
use crate::drive::{Buffers, Entry, Job, Table};
use crate::sys::ready::Ready;

/// What a loop calls when a source fires, with the program's state and the loop's context `C`.
pub(super) type Callback<S, C> = Box<dyn FnMut(&mut S, &mut C, Fired)>;

/// Called when a job is over: how it ended.
pub(super) type Ended<S, C> = Box<dyn FnOnce(&mut S, &mut C, Result<(), Fault>)>;

/// One thing that a loop waits for.
pub(super) enum Source<S, C> {
    /// Carried to its end, as by any other model.
    Job(Job),
    /// Called when its delay is over.
    Timer(Called<S, C>),
    /// A timer that goes on: its delay is its period.
    Periodic(Called<S, C>),
    /// Called with what it is ready for.
    Descriptor(Box<Descriptor<S, C>>),
    /// A stream with buffers, watched edge-triggered both ways. It is taken out for its turn.
    Stream(Watched, Option<Box<Conversation<S, C>>>),
    /// Called when a signal comes.
    Signal(Box<OnSignal<S, C>>),
}

/// A callback with the deadline at which it is also called.
pub(super) struct Called<S, C> {
    /// `None` during its call.
    pub(super) callback: Option<Callback<S, C>>,
    /// The delay of a timer, the timeout of a descriptor.
    pub(super) alarm: Alarm,
    /// Its deadline has come, and the call for that is still to be made.
    pub(super) timed_out: bool,
}

pub(super) struct Descriptor<S, C> {
    pub(super) called: Called<S, C>,
    pub(super) watched: Watched,
    /// The readiness that its next call reports.
    pub(super) ready: Ready,
}

pub(super) struct OnSignal<S, C> {
    pub(super) called: Called<S, C>,
    pub(super) is_armed: bool,
}

impl<S, C> Descriptor<S, C> {
    /// Stops watching it until it is armed.
    pub(super) fn pause(&mut self, token: Token, kernel: &KernelSet) {
        if std::mem::replace(&mut self.watched.is_on, false) {
            // If it was closed, nothing is watched: as wanted.
            let _ = kernel.update(token, &self.watched);
        }
    }
}

impl<S, C> Called<S, C> {
    pub(super) fn new(callback: Callback<S, C>) -> Self {
        Self { callback: Some(callback), alarm: Alarm::default(), timed_out: false }
    }
}

/// A deadline, and the delay after which it is set anew; in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alarm {
    at_us: Option<NonZeroU64>,
    /// 0: it has none.
    pub(super) delay_us: u64,
}

impl Alarm {
    pub(super) fn at(self) -> Option<Instant> {
        self.at_us.map(|at| Instant::from_micros(at.get()))
    }

    /// The first microsecond of all time stands for the second.
    fn set(&mut self, at: Instant) {
        self.at_us = Some(NonZeroU64::new(at.as_micros()).unwrap_or(NonZeroU64::MIN));
    }
}

impl<S, C> Source<S, C> {
    /// When it wants a turn if nothing happens before.
    pub(super) fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        match self {
            Self::Job(job) => job.deadline(buffers),
            Self::Timer(called) | Self::Periodic(called) => called.alarm.at(),
            Self::Descriptor(descriptor) => descriptor.called.alarm.at(),
            Self::Stream(_, conversation) => conversation.as_ref()?.io.deadline(),
            Self::Signal(_) => None,
        }
    }

    pub(super) fn called_mut(&mut self) -> Option<&mut Called<S, C>> {
        match self {
            Self::Timer(called) | Self::Periodic(called) => Some(called),
            Self::Signal(it) => Some(&mut it.called),
            Self::Descriptor(descriptor) => Some(&mut descriptor.called),
            Self::Job(_) | Self::Stream(..) => None,
        }
    }

    /// How its descriptor is watched, if the loop can change that.
    pub(super) fn watched(&self) -> Option<&Watched> {
        match self {
            Self::Descriptor(descriptor) => Some(&descriptor.watched),
            Self::Stream(watched, _) => Some(watched),
            Self::Job(_) | Self::Timer(_) | Self::Periodic(_) | Self::Signal(_) => None,
        }
    }

    pub(super) fn watched_mut(&mut self) -> Option<&mut Watched> {
        match self {
            Self::Descriptor(descriptor) => Some(&mut descriptor.watched),
            Self::Stream(watched, _) => Some(watched),
            Self::Job(_) | Self::Timer(_) | Self::Periodic(_) | Self::Signal(_) => None,
        }
    }

    /// Whether it is armed. A job is not, and is counted by itself.
    fn can_fire(&self) -> bool {
        match self {
            Self::Job(_) => false,
            Self::Timer(called) | Self::Periodic(called) => called.alarm.at_us.is_some(),
            Self::Descriptor(it) => it.watched.is_on || it.called.alarm.at_us.is_some(),
            Self::Stream(watched, conversation) => {
                let deadline = || conversation.as_ref().and_then(|it| it.io.deadline());
                watched.is_on || deadline().is_some()
            }
            Self::Signal(it) => it.is_armed,
        }
    }

    /// Takes note of what it is ready for.
    fn note(&mut self, ready: Ready) {
        match self {
            Self::Job(job) => job.note(ready),
            Self::Descriptor(descriptor) => descriptor.ready |= ready,
            Self::Stream(_, Some(conversation)) => conversation.io.readiness.note(ready),
            Self::Timer(_) | Self::Periodic(_) | Self::Stream(_, None) | Self::Signal(_) => {}
        }
    }

    /// Whether it was to be called because its time came, and for nothing else. That is forgotten.
    fn forget_time_out(&mut self) -> bool {
        let timed_out = self.called_mut().is_some_and(|it| std::mem::take(&mut it.timed_out));
        let is_ready = matches!(self, Self::Descriptor(descriptor) if descriptor.ready.any());
        timed_out && !is_ready
    }

    /// It cannot fire until it is armed. False for what is never disarmed.
    pub(super) fn disarm(&mut self, token: Token, kernel: &KernelSet) -> bool {
        // Timers first: a branch costs less than a table of jumps, and they are cancelled most often.
        let called = match self {
            Self::Timer(called) | Self::Periodic(called) => called,
            Self::Descriptor(descriptor) => {
                descriptor.pause(token, kernel);
                descriptor.ready = Ready::NONE;
                &mut descriptor.called
            }
            Self::Signal(it) => {
                it.is_armed = false;
                &mut it.called
            }
            Self::Job(_) | Self::Stream(..) => return false,
        };
        (called.timed_out, called.alarm.at_us) = (false, None);
        true
    }
}

/// The note of the loop for each source in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    priority: Priority,
    /// Whether it is counted among the sources that can fire.
    pub(super) is_counted: bool,
}

/// All sources of a loop.
pub(super) struct Sources<S, C> {
    pub(super) table: Table<Source<S, C>, Mark>,
    /// The sources that have their turn next, by priority.
    pub(super) queues: [VecDeque<Token>; 3],
    /// The number of sources that can fire.
    pub(super) live: usize,
    pub(super) jobs: usize,
    pub(super) streams: usize,
    /// The callbacks for the ends of jobs.
    pub(super) ended: HashMap<Token, Ended<S, C>>,
}

impl<S, C> Sources<S, C> {
    pub(super) fn new() -> Self {
        Self {
            table: Table::default(),
            queues: [const { VecDeque::new() }; 3],
            live: 0,
            jobs: 0,
            streams: 0,
            ended: HashMap::new(),
        }
    }

    pub(super) fn insert(&mut self, source: Source<S, C>) -> Token {
        self.jobs += usize::from(matches!(source, Source::Job(_)));
        self.streams += usize::from(matches!(source, Source::Stream(..)));
        let mark = Mark { priority: Priority::Normal, is_counted: false };
        let token = self.table.insert(source, mark);
        self.recount(token);
        token
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Source<S, C>> {
        let was_counted = self.is_counted(token);
        let source = self.table.remove(token)?;
        self.live -= usize::from(was_counted);
        self.jobs -= usize::from(matches!(source, Source::Job(_)));
        self.streams -= usize::from(matches!(source, Source::Stream(..)));
        Some(source)
    }

    pub(super) fn get(&self, token: Token) -> Option<&Source<S, C>> {
        self.table.get(token)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Source<S, C>> {
        self.table.get_mut(token)
    }

    /// Counts a source among those that can fire, or not.
    pub(super) fn recount(&mut self, token: Token) {
        if let Some(mut entry) = self.table.entry(token) {
            recount(&mut self.live, &mut entry);
        }
    }

    /// Whether something can happen to it, as was last counted.
    pub(super) fn is_counted(&self, token: Token) -> bool {
        self.table.mark(token).is_some_and(|mark| mark.is_counted)
    }

    pub(super) fn set_priority(&mut self, token: Token, priority: Priority) {
        if let Some(entry) = self.table.entry(token) {
            entry.mark.priority = priority;
        }
    }

    /// Gives a source a turn, in this round or the next.
    pub(super) fn enqueue(&mut self, token: Token) {
        if self.table.promise(token)
            && let Some(mark) = self.table.mark(token)
        {
            self.queues[mark.priority as usize].push_back(token);
        }
    }

    /// Gives a source a turn for what it is ready for. False when it is gone.
    pub(super) fn fire(&mut self, token: Token, ready: Ready) -> bool {
        let Some(source) = self.table.get_mut(token) else { return false };
        source.note(ready);
        self.enqueue(token);
        true
    }

    /// Sets the deadline of a timer or a descriptor: it has time again, also if its time came in this
    /// round.
    pub(super) fn set_alarm(&mut self, token: Token, at: Instant) {
        let Some(mut entry) = self.table.entry(token) else { return };
        if entry.thing.forget_time_out() {
            entry.call_off();
        }
        let Some(called) = entry.thing.called_mut() else { return };
        called.alarm.set(at);
        recount(&mut self.live, &mut entry);
        self.table.arm(token, at);
    }

    /// A timer or a descriptor has no deadline.
    pub(super) fn clear_alarm(&mut self, token: Token) {
        if let Some(called) = self.table.get_mut(token).and_then(Source::called_mut) {
            called.alarm.at_us = None;
        }
    }

    /// What it was to be called for because its time came is forgotten.
    pub(super) fn forget_time_out(&mut self, token: Token) {
        if self.table.get_mut(token).is_some_and(Source::forget_time_out) {
            self.table.call_off(token);
        }
    }

    /// Sources with a deadline that has come join the run queue.
    pub(super) fn expire(&mut self, now: Instant, buffers: &Buffers) {
        while let Some((token, at)) = self.table.expired(now, |source| source.deadline(buffers)) {
            let Some(source) = self.table.get_mut(token) else { continue };
            let repeats = matches!(source, Source::Periodic(_));
            if let Some(called) = source.called_mut() {
                called.timed_out = true;
                called.alarm.at_us = None;
                if repeats {
                    let missed = now.since(at) / called.alarm.delay_us;
                    let next = at.after(called.alarm.delay_us.saturating_mul(missed + 1));
                    // At the end of time there is no next one.
                    if next > now {
                        called.alarm.set(next);
                        self.table.arm(token, next);
                    }
                }
            }
            self.enqueue(token);
        }
    }
}

/// Counts a source among those that can fire, or not.
fn recount<S, C>(live: &mut usize, entry: &mut Entry<'_, Source<S, C>, Mark>) {
    let can_fire = entry.thing.can_fire();
    if can_fire != std::mem::replace(&mut entry.mark.is_counted, can_fire) {
        *live = if can_fire { *live + 1 } else { *live - 1 };
    }
}

// As much as for the event-loop models (`drive::Jobs`): what is larger is boxed.
const _: () = assert!(Table::<Source<(), ()>, Mark>::SLOT_SIZE <= 64);
