//! A thread pool with a bounded queue: minimum, maximum, grow and shrink steps, a periodic check.
//!
//! The classic manager looks at the pool every ten seconds and grows it when ten tasks wait. Until
//! it looks, or while only nine wait, tasks behind busy threads starve. Here growth is driven by
//! the thing that hurts: the head of the queue has waited [`Policy::grow_after_us`] and no thread took
//! it. The periodic check remains for what is not urgent, shrinking.

use crate::time::{Instant, Wake};

/// When the pool grows and shrinks. Plain data; `Policy::default()` has the classic numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// Threads kept even when idle. At least 1.
    pub min: u32,
    /// Threads at most. At least `min`.
    pub max: u32,
    /// Tasks that may wait. At least 1.
    pub queue: u32,
    /// Threads started when the queue stalls. At least 1.
    pub grow_step: u32,
    /// The queue stalls if no thread took its head for this time, in microseconds.
    pub grow_after_us: u64,
    /// Threads retired by one check. At least 1.
    pub shrink_step: u32,
    /// Microseconds between checks for shrinking. At least 1.
    pub check_every_us: u64,
}

impl Default for Policy {
    /// 3 to 100 threads, 100 waiting tasks, steps of 10, a check every 10 s (seeds §1 row 24), and
    /// growth after 5 ms.
    fn default() -> Self {
        Self {
            min: 3,
            max: 100,
            queue: 100,
            grow_step: 10,
            grow_after_us: 5_000,
            shrink_step: 10,
            check_every_us: 10_000_000,
        }
    }
}

/// Numbers that no pool can follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PolicyError {
    /// `min`, `queue`, a step or the check interval is 0.
    Zero,
    /// `min` is above `max`.
    MinAboveMax {
        /// Threads at least.
        min: u32,
        /// Threads at most.
        max: u32,
    },
}

impl core::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PolicyError::Zero => {
                f.write_str("threads, queue, steps and interval must be 1 or more")
            }
            PolicyError::MinAboveMax { min, max } => {
                write!(f, "a minimum of {min} threads is above the maximum of {max}")
            }
        }
    }
}

impl core::error::Error for PolicyError {}

/// The queue is full: keep the task and stop taking new ones until [`Threads::has_room`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// A thread took the head of the queue and is busy.
    Taken,
    /// A busy thread finished its task and is idle.
    Finished,
    /// A thread asked with [`Action::Retire`] ended.
    Retired,
    /// A thread ended on its own (a panic) while it was busy.
    Lost,
    /// A thread asked for with [`Action::Spawn`] could not be started.
    SpawnFailed,
    /// Time passed. Any call to [`Threads::handle`] looks at the time; this one only does that.
    Tick,
}

/// What the host is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Action {
    /// Start one thread.
    Spawn,
    /// Let one idle thread end.
    Retire,
}

/// How long a failed start keeps the pool from trying again, in microseconds.
const SPAWN_RETRY_US: u64 = 100_000;

/// The state of a pool.
///
/// ```
/// use windlass_core::{pool::{Action, Policy, Threads}, time::Instant};
/// let mut pool = Threads::new(Policy { min: 1, ..Policy::default() }, Instant::ZERO).unwrap();
/// assert_eq!(pool.poll_action(Instant::ZERO), Some(Action::Spawn));
/// assert_eq!(pool.poll_action(Instant::ZERO), None);
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Threads {
    policy: Policy,
    /// Threads that were started and have not ended, those retiring included.
    live: u32,
    /// Threads with a task. Invariant: `busy + retiring <= live <= max`.
    busy: u32,
    /// Threads asked to end that have not ended yet.
    retiring: u32,
    /// Tasks that wait. Invariant: `queued <= queue`.
    queued: u32,
    /// Threads still to be started by the growth that is under way.
    owed: u32,
    /// Threads still to be retired by the check that is under way.
    surplus: u32,
    /// When the head of the queue became the head.
    head_since: Instant,
    next_check: Instant,
    /// No start is tried before this: the last one failed.
    spawn_after: Instant,
}

impl Threads {
    /// A pool without threads yet; the first actions start `policy.min` of them.
    ///
    /// # Errors
    /// [`PolicyError`] when the numbers contradict each other.
    pub const fn new(policy: Policy, now: Instant) -> Result<Self, PolicyError> {
        let Policy { min, max, queue, grow_step, shrink_step, check_every_us, .. } = policy;
        if min == 0 || queue == 0 || grow_step == 0 || shrink_step == 0 || check_every_us == 0 {
            return Err(PolicyError::Zero);
        }
        if min > max {
            return Err(PolicyError::MinAboveMax { min, max });
        }
        Ok(Self {
            policy,
            live: 0,
            busy: 0,
            retiring: 0,
            queued: 0,
            owed: min,
            surplus: 0,
            head_since: now,
            next_check: now.after(check_every_us),
            spawn_after: now,
        })
    }

    /// A task joins the queue.
    ///
    /// # Errors
    /// [`Full`], and the task is not counted.
    pub fn submit(&mut self, now: Instant) -> Result<(), Full> {
        let admitted = self.has_room();
        if admitted {
            if self.queued == 0 {
                self.head_since = now;
            }
            self.queued += 1;
        }
        self.look(now);
        if admitted { Ok(()) } else { Err(Full) }
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Taken => {
                debug_assert!(
                    self.queued > 0 && self.idle() > 0,
                    "taken from an empty queue, or by no thread"
                );
                self.queued = self.queued.saturating_sub(1);
                self.busy = (self.busy + 1).min(self.live - self.retiring);
                self.head_since = now;
            }
            Event::Finished => {
                debug_assert!(self.busy > 0, "no thread was busy");
                self.busy = self.busy.saturating_sub(1);
            }
            Event::Retired => {
                debug_assert!(self.retiring > 0, "no thread was retiring");
                self.retiring = self.retiring.saturating_sub(1);
                self.live = self.live.saturating_sub(1);
            }
            Event::Lost => {
                debug_assert!(self.busy > 0, "only a busy thread can be lost");
                self.busy = self.busy.saturating_sub(1);
                self.live = self.live.saturating_sub(1);
            }
            Event::SpawnFailed => {
                debug_assert!(self.idle() > 0, "no start was under way");
                self.live = self.live.saturating_sub(1);
                self.owed = 0;
                self.spawn_after = now.after(SPAWN_RETRY_US);
            }
            Event::Tick => {}
        }
        self.look(now);
    }

    /// The next thing to do, if any. Ask until `None`.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        let below_min = self.staying() < self.policy.min;
        if (below_min || self.owed > 0) && self.live < self.policy.max && self.spawn_after <= now {
            self.owed = self.owed.saturating_sub(1);
            self.live += 1;
            return Some(Action::Spawn);
        }
        if self.surplus > 0 && self.idle() > 0 && self.staying() > self.policy.min {
            self.surplus -= 1;
            self.retiring += 1;
            return Some(Action::Retire);
        }
        None
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] at the latest.
    pub fn wake(&self) -> Wake {
        let check = Wake::At(self.next_check);
        if self.live == self.policy.max {
            return check;
        }
        if self.staying() < self.policy.min {
            return check.min(Wake::At(self.spawn_after));
        }
        if self.queued == 0 {
            return check;
        }
        let stall = self.head_since.after(self.policy.grow_after_us);
        check.min(Wake::At(stall.max(self.spawn_after)))
    }

    /// Whether [`submit`](Self::submit) would take a task.
    pub const fn has_room(&self) -> bool {
        self.queued < self.policy.queue
    }

    /// Threads started and not ended.
    pub const fn live(&self) -> u32 {
        self.live
    }

    /// Threads with a task.
    pub const fn busy(&self) -> u32 {
        self.busy
    }

    /// Tasks that wait.
    pub const fn queued(&self) -> u32 {
        self.queued
    }

    /// Threads that could take a task: neither busy nor asked to end.
    const fn idle(&self) -> u32 {
        self.live - self.busy - self.retiring
    }

    /// Threads not asked to end.
    const fn staying(&self) -> u32 {
        self.live - self.retiring
    }

    /// Decides by the time: a stalled queue grows the pool, a check may shrink it.
    fn look(&mut self, now: Instant) {
        let Policy { max, grow_step, grow_after_us, shrink_step, check_every_us, .. } = self.policy;
        if self.queued == 0 {
            self.owed = 0;
        } else if self.owed == 0
            && self.live < max
            && self.spawn_after <= now
            && now.since(self.head_since) >= grow_after_us
        {
            self.owed = grow_step.min(max - self.live);
            self.surplus = 0;
            // The threads on their way get as long to help as the first ones had.
            self.head_since = now;
        }
        if now >= self.next_check {
            self.next_check = now.after(check_every_us);
            let mostly_idle = 2 * u64::from(self.busy) < u64::from(self.live);
            if mostly_idle && self.queued == 0 {
                self.surplus = shrink_step.min(self.staying().saturating_sub(self.policy.min));
            }
        }
    }
}

#[cfg(test)]
mod tests;
