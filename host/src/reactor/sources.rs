//! Everything that a loop waits for: one table, and the queues of those whose turn it is.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

use super::conversation::Conversation;
use super::kernel_set::Watched;
use super::watch::{Fired, Priority};
use super::{Context, Token};
use crate::drive::{Buffers, Entry, Job, Table};
use crate::sys::ready::Ready;

/// What a loop calls when a source fires.
pub(super) type Callback<S> = Box<dyn FnMut(&mut S, &mut Context<S>, Fired)>;

/// Called when a job is over: how it ended.
pub(super) type Ended<S> = Box<dyn FnOnce(&mut S, &mut Context<S>, Result<(), Fault>)>;

/// One thing that a loop waits for. What is called is taken out for its call: `None` meanwhile.
pub(super) enum Source<S> {
    /// Carried to its end, as by any other model.
    Job(Job),
    /// Called when its delay is over.
    Timer(Timer<S>),
    /// Called with what it is ready for.
    Descriptor(Box<Descriptor<S>>),
    /// A stream with buffers, watched edge-triggered both ways.
    Stream(Watched, Option<Box<Conversation<S>>>),
    /// Called when a signal comes, while it listens.
    Signal { callback: Option<Callback<S>>, listens: bool },
}

pub(super) struct Timer<S> {
    pub(super) callback: Option<Callback<S>>,
    pub(super) alarm: Alarm,
    /// It goes on: the delay is its period.
    pub(super) repeats: bool,
    /// It is to be called because its time came.
    pub(super) timed_out: bool,
}

pub(super) struct Descriptor<S> {
    pub(super) callback: Option<Callback<S>>,
    /// Its timeout.
    pub(super) alarm: Alarm,
    pub(super) watched: Watched,
    /// What it will be called for.
    pub(super) fired: Fired,
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

    pub(super) fn clear(&mut self) {
        self.at_us = None;
    }
}

impl<S> Source<S> {
    /// When it wants a turn if nothing happens before.
    pub(super) fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        match self {
            Self::Job(job) => job.deadline(buffers),
            Self::Timer(timer) => timer.alarm.at(),
            Self::Descriptor(descriptor) => descriptor.alarm.at(),
            Self::Stream(_, conversation) => conversation.as_ref()?.io.deadline(),
            Self::Signal { .. } => None,
        }
    }

    /// Takes the callback out, for a call.
    pub(super) fn take(&mut self) -> Option<Callback<S>> {
        self.callback_mut()?.take()
    }

    /// Puts the callback back.
    pub(super) fn put_back(&mut self, callback: Callback<S>) {
        if let Some(place) = self.callback_mut() {
            *place = Some(callback);
        }
    }

    fn callback_mut(&mut self) -> Option<&mut Option<Callback<S>>> {
        match self {
            Self::Timer(timer) => Some(&mut timer.callback),
            Self::Descriptor(descriptor) => Some(&mut descriptor.callback),
            Self::Signal { callback, .. } => Some(callback),
            Self::Job(_) | Self::Stream(..) => None,
        }
    }

    fn alarm_mut(&mut self) -> Option<&mut Alarm> {
        match self {
            Self::Timer(timer) => Some(&mut timer.alarm),
            Self::Descriptor(descriptor) => Some(&mut descriptor.alarm),
            Self::Job(_) | Self::Stream(..) | Self::Signal { .. } => None,
        }
    }

    /// How its descriptor is watched, if the loop can change that.
    pub(super) fn watched(&self) -> Option<&Watched> {
        match self {
            Self::Descriptor(descriptor) => Some(&descriptor.watched),
            Self::Stream(watched, _) => Some(watched),
            Self::Job(_) | Self::Timer(_) | Self::Signal { .. } => None,
        }
    }

    pub(super) fn watched_mut(&mut self) -> Option<&mut Watched> {
        match self {
            Self::Descriptor(descriptor) => Some(&mut descriptor.watched),
            Self::Stream(watched, _) => Some(watched),
            Self::Job(_) | Self::Timer(_) | Self::Signal { .. } => None,
        }
    }

    /// Whether it is armed. A job is not, and is counted by itself.
    fn can_fire(&self) -> bool {
        match self {
            Self::Job(_) => false,
            Self::Timer(timer) => timer.alarm.at_us.is_some(),
            Self::Descriptor(it) => it.watched.is_on || it.alarm.at_us.is_some(),
            Self::Stream(watched, conversation) => {
                let deadline = || conversation.as_ref().and_then(|it| it.io.deadline());
                watched.is_on || deadline().is_some()
            }
            Self::Signal { listens, .. } => *listens,
        }
    }

    /// Takes note of what it is ready for.
    fn note(&mut self, ready: Ready) {
        match self {
            Self::Job(job) => job.note(ready),
            Self::Descriptor(descriptor) => descriptor.fired.ready |= ready,
            Self::Stream(_, Some(conversation)) => conversation.io.readiness.note(ready),
            Self::Timer(_) | Self::Stream(_, None) | Self::Signal { .. } => {}
        }
    }

    /// Whether it was to be called because its time came, and for nothing else. That is forgotten.
    fn forget_time_out(&mut self) -> bool {
        match self {
            Self::Timer(timer) => std::mem::take(&mut timer.timed_out),
            Self::Descriptor(descriptor) => {
                let fired = &mut descriptor.fired;
                std::mem::take(&mut fired.timed_out) && !fired.ready.any()
            }
            Self::Job(_) | Self::Stream(..) | Self::Signal { .. } => false,
        }
    }
}

/// What stands beside a source in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    priority: Priority,
    /// It is counted among those that can fire.
    is_counted: bool,
}

/// All sources of a loop.
pub(super) struct Sources<S> {
    pub(super) table: Table<Source<S>, Mark>,
    /// Whose turn it is, by priority.
    pub(super) queues: [VecDeque<Token>; 3],
    /// Those that can fire.
    pub(super) live: usize,
    pub(super) jobs: usize,
    pub(super) streams: usize,
    /// Called for jobs that are over.
    pub(super) ended: HashMap<Token, Ended<S>>,
}

impl<S> Sources<S> {
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

    pub(super) fn insert(&mut self, source: Source<S>) -> Token {
        self.jobs += usize::from(matches!(source, Source::Job(_)));
        self.streams += usize::from(matches!(source, Source::Stream(..)));
        let mark = Mark { priority: Priority::Normal, is_counted: false };
        let token = self.table.insert(source, mark);
        self.recount(token);
        token
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Source<S>> {
        let was_counted = self.is_counted(token);
        let source = self.table.remove(token)?;
        self.live -= usize::from(was_counted);
        self.jobs -= usize::from(matches!(source, Source::Job(_)));
        self.streams -= usize::from(matches!(source, Source::Stream(..)));
        Some(source)
    }

    pub(super) fn get(&self, token: Token) -> Option<&Source<S>> {
        self.table.get(token)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Source<S>> {
        self.table.get_mut(token)
    }

    /// Counts a source among those that can fire, or not.
    pub(super) fn recount(&mut self, token: Token) {
        if let Some(mut entry) = self.table.entry(token) {
            recount(&mut self.live, &mut entry);
        }
    }

    /// It cannot fire until it is armed, and a turn that it was to have is forgotten. False for what is
    /// never disarmed.
    pub(super) fn disarm(&mut self, token: Token) -> bool {
        let Some(mut entry) = self.table.entry(token) else { return false };
        match entry.thing {
            Source::Stream(..) | Source::Job(_) => return false,
            Source::Descriptor(descriptor) => {
                descriptor.fired = Fired::NOTHING;
                descriptor.alarm.clear();
            }
            Source::Timer(timer) => {
                timer.timed_out = false;
                timer.alarm.clear();
            }
            Source::Signal { listens, .. } => *listens = false,
        }
        entry.call_off();
        recount(&mut self.live, &mut entry);
        true
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
        let Some(alarm) = entry.thing.alarm_mut() else { return };
        alarm.set(at);
        recount(&mut self.live, &mut entry);
        self.table.arm(token, at);
    }

    /// A timer or a descriptor has no deadline.
    pub(super) fn clear_alarm(&mut self, token: Token) {
        if let Some(alarm) = self.table.get_mut(token).and_then(Source::alarm_mut) {
            alarm.clear();
        }
    }

    /// What it was to be called for because its time came is forgotten.
    pub(super) fn forget_time_out(&mut self, token: Token) {
        if self.table.get_mut(token).is_some_and(Source::forget_time_out) {
            self.table.call_off(token);
        }
    }

    /// Those whose time has come take their turn.
    pub(super) fn expire(&mut self, now: Instant, buffers: &Buffers) {
        while let Some((token, at)) = self.table.expired(now, |source| source.deadline(buffers)) {
            let Some(source) = self.table.get_mut(token) else { continue };
            let next = match source {
                Source::Timer(timer) => {
                    timer.timed_out = true;
                    timer.alarm.clear();
                    let missed = now.since(at) / timer.alarm.delay_us.max(1);
                    let next = at.after(timer.alarm.delay_us.saturating_mul(missed + 1));
                    // At the end of time there is no next one.
                    (timer.repeats && next > now).then_some(next)
                }
                Source::Descriptor(descriptor) => {
                    descriptor.fired.timed_out = true;
                    descriptor.alarm.clear();
                    None
                }
                Source::Job(_) | Source::Stream(..) | Source::Signal { .. } => None,
            };
            if let (Some(next), Some(alarm)) = (next, source.alarm_mut()) {
                alarm.set(next);
                self.table.arm(token, next);
            }
            self.enqueue(token);
        }
    }
}

fn recount<S>(live: &mut usize, entry: &mut Entry<'_, Source<S>, Mark>) {
    let can_fire = entry.thing.can_fire();
    if can_fire != std::mem::replace(&mut entry.mark.is_counted, can_fire) {
        *live = if can_fire { *live + 1 } else { *live - 1 };
    }
}

// As much as for the event-loop models (`drive::Jobs`): what is larger is boxed.
const _: () = assert!(Table::<Source<()>, Mark>::SLOT_SIZE <= 64);
