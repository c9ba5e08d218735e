//! The supervisor of a process pool as pure logic: which workers are started, asked to end, killed;
//! which worker gets which connection; what happens to it when its worker dies.
//!
//! ```text
//!   reports, exits, signals, time ──▶ handle(event, now)
//!                                      └▶ facts: slots, connections, breaker, buckets
//!   fork, kill, sendmsg, epoll_ctl ◀── poll_action(now), until None
//!   timerfd                        ◀── wake()
//! ```
//!
//! `handle` writes down what happened; every action is derived from what is written down when it
//! is asked for, and asking for it writes down that it was done. So there is no queue of actions
//! that could overflow, and polling again is harmless. Every call is linear in slots and
//! connections. Equal inputs give equal actions: a recorded log of events replays.
//!
//! Two pools live by the same rules ([`Kind`]). In a static one the parent accepts and passes
//! connections, keeps a copy of each until its worker reports, and so can dispatch it again when
//! the worker dies without having touched it. In a dynamic one the workers accept, and the
//! supervisor is only told which workers are busy.
//!
//! What always holds is stated, by name, in `tests/invariants.rs`, and checked in every state that
//! three slots and three connections can reach.

mod backoff;
mod breaker;
mod bucket;
mod census;
mod conns;
mod dispatch;
mod event;
mod memory;
mod policy;
mod reports;
mod slot;
mod staff;

pub use backoff::Backoff;
pub use breaker::Trip;
pub use bucket::Rate;
pub use census::Census;
pub use conns::ConnSlot;
pub use event::{
    Action, Conn, End, Event, Exit, Listen, Notice, Pass, Shed, Signal, Trace, WorkerId,
};
pub use memory::Memory;
pub use policy::{Kind, Policy, PolicyError};
pub use slot::{Slot, State};

use crate::time::{Instant, Wake};
use backoff::Scarcity;
use breaker::Breaker;
use bucket::Bucket;
use conns::{Conns, Stage};

/// How far the pool has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Phase {
    Running,
    /// Every worker has until then to finish.
    Stopping {
        kill_at: Instant,
    },
    /// [`Action::Exit`] was returned.
    Over,
}

/// What the host was told, where being told once is enough. What differs from the facts is due.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Told {
    listening: bool,
    looping: bool,
    scarce: bool,
    generation: u32,
}

/// A process pool: its workers, and the next actions. It lives in memory that the host lends: a slot
/// for each worker, the surge included ([`Policy::slots`]), and in a static pool a place for each
/// connection ([`Policy::conns`]).
///
/// ```
/// use windlass_core::pool::processes::{Action, ConnSlot, Event, Policy, Processes, Slot, WorkerId};
/// use windlass_core::time::Instant;
/// type Pool = Processes<[Slot; 2], [ConnSlot; 1]>;
/// let mut pool = Pool::in_arrays(Policy::fixed(1), Instant::ZERO).unwrap();
/// let worker = WorkerId { slot: 0, epoch: 1 };
/// let spawn = Action::Spawn { worker, generation: 0 };
/// assert_eq!(pool.poll_action(Instant::ZERO), Some(spawn));
/// pool.handle(Event::Ready(worker), Instant::ZERO);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Processes<S, C> {
    policy: Policy,
    slots: S,
    conns: Conns<C>,
    phase: Phase,
    /// Reloads so far.
    generation: u32,
    /// Ready workers that the reload under way must not go below.
    base: u16,
    /// Connections in the accept queue, when the host last looked.
    queue: u16,
    spawns: Bucket,
    scarcity: Scarcity,
    breaker: Breaker,
    /// When the next idle worker may go. None: not too many are idle.
    shrink_at: Option<Instant>,
    told: Told,
}

impl<S, C> Processes<S, C> {
    /// `slots` and `conns` are free.
    const fn in_memory(policy: Policy, slots: S, conns: C, now: Instant) -> Self {
        Self {
            policy,
            slots,
            conns: Conns(conns),
            phase: Phase::Running,
            generation: 0,
            base: 0,
            queue: 0,
            spawns: Bucket::full(now),
            scarcity: Scarcity { count: 0, until: now },
            breaker: Breaker::closed(now),
            shrink_at: None,
            told: Told { listening: false, looping: false, scarce: false, generation: 0 },
        }
    }
}

impl<const SLOTS: usize, const CONNS: usize> Processes<[Slot; SLOTS], [ConnSlot; CONNS]> {
    /// As [`new`](Self::new), in arrays: also for a constant.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub const fn in_arrays(policy: Policy, now: Instant) -> Result<Self, PolicyError> {
        if let Err(error) = policy.check(SLOTS, CONNS) {
            return Err(error);
        }
        Ok(Self::in_memory(policy, [Slot::FREE; SLOTS], [ConnSlot::FREE; CONNS], now))
    }
}

impl<S: Memory<Slot>, C: Memory<ConnSlot>> Processes<S, C> {
    /// A pool without workers yet; the first actions start them. Whatever the memory held is forgotten.
    ///
    /// # Errors
    /// [`PolicyError`] when the numbers contradict each other or do not fit.
    pub fn new(
        policy: Policy,
        mut slots: S,
        mut conns: C,
        now: Instant,
    ) -> Result<Self, PolicyError> {
        policy.check(slots.as_ref().len(), conns.as_ref().len())?;
        slots.as_mut().fill(Slot::FREE);
        conns.as_mut().fill(ConnSlot::FREE);
        Ok(Self::in_memory(policy, slots, conns, now))
    }

    /// Takes note of what happened. Then poll for actions until there are none.
    pub fn handle(&mut self, event: Event, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            Event::Tick => {}
            Event::Ready(worker) => self.handle_ready(worker, now),
            Event::Busy(worker) => self.handle_busy(worker, now),
            Event::Idle(worker) => self.handle_idle(worker, now),
            Event::Done { worker, conn } => self.handle_done(worker, conn, now),
            Event::Returned { worker, conn } => self.handle_returned(worker, conn, now),
            Event::Retiring(worker) => {
                if let Some(slot) = self.living(worker) {
                    slot.retiring = true;
                }
            }
            Event::Exited { worker, exit } => self.handle_exit(worker, exit, now),
            Event::SpawnFailed(worker) => self.handle_spawn_failed(worker, now),
            Event::Accepted(conn) => self.handle_accepted(conn, now),
            Event::Passed { worker, conn, pass } => self.handle_passed(worker, conn, pass, now),
            Event::Inspected { conn, trace } => self.handle_inspected(conn, trace, now),
            Event::Queue(waiting) => self.queue = u16::try_from(waiting).unwrap_or(u16::MAX),
            Event::Signal(Signal::Reload) => self.handle_reload(),
            Event::Signal(Signal::Stop) => match self.phase {
                Phase::Running => self.stop(now.after(self.policy.grace_us)),
                Phase::Stopping { .. } => self.stop(now),
                Phase::Over => {}
            },
            Event::Signal(Signal::StopNow) => self.stop(now),
        }
        self.look(now);
        self.assert_consistent();
    }

    /// The next thing to do, if any. Ask until `None`.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.phase == Phase::Over {
            return None;
        }
        self.look(now);
        let mut action = self
            .poll_notice()
            .or_else(|| self.poll_kill(now))
            .or_else(|| self.poll_conn())
            .or_else(|| self.poll_pass(now));
        if action.is_none() {
            // Nothing above changed anything, so one count serves both.
            let census = self.census();
            action = self
                .poll_quit(&census, now)
                .or_else(|| self.poll_spawn(&census, now))
                .or_else(|| self.poll_listen())
                .or_else(|| self.poll_exit());
        }
        self.assert_consistent();
        action
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] at the latest, once there are no
    /// actions.
    pub fn wake(&self) -> Wake {
        let stopping = match self.phase {
            Phase::Running => false,
            Phase::Stopping { .. } => true,
            Phase::Over => return Wake::Never,
        };
        let mut wake = Wake::Never;
        let mut at = |at: Option<Instant>| wake = wake.min(at.map_or(Wake::Never, Wake::At));
        for slot in self.slots.as_ref() {
            at(slot.state.kill_at());
            if let State::Idle { rest, .. } = slot.state {
                at(rest);
            }
        }
        for entry in self.conns.0.as_ref() {
            if let Stage::Waiting { until } = entry.stage {
                at(Some(until));
            }
        }
        if !stopping {
            at(self.closes_at());
            at(self.shrink_at);
            at(self.next_spawn(&self.census()).map(|(_, at)| at));
        }
        wake
    }

    /// From now on a worker that is replaced, and every worker when the pool stops, has this time to
    /// finish. A worker that was asked to end before keeps the time that it had then.
    pub fn set_grace(&mut self, drain_us: u64, grace_us: u64) {
        (self.policy.drain_us, self.policy.grace_us) = (drain_us, grace_us);
    }

    /// The name of the next connection: accept into that place and say [`Event::Accepted`]. None:
    /// there is no room, and the parent does not listen.
    pub fn vacant(&self) -> Option<Conn> {
        match self.policy.kind {
            Kind::Static { .. } => self.conns.vacant(),
            Kind::Dynamic { .. } => None,
        }
    }

    /// Whether the parent listens, as the last [`Action::Listen`] said.
    pub const fn is_listening(&self) -> bool {
        self.told.listening
    }

    /// Reloads so far: the generation of workers that are started now.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether it was told to stop.
    pub const fn is_stopping(&self) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::Stopping { .. } | Phase::Over => true,
        }
    }

    /// The counts of the workers.
    pub fn census(&self) -> Census {
        Census::of(self.slots.as_ref(), self.generation)
    }

    /// Every slot with the last worker there.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, State)> {
        (0..)
            .zip(self.slots.as_ref())
            .map(|(index, slot)| (WorkerId { slot: index, epoch: slot.epoch }, slot.state))
    }

    /// Connections that the parent has a copy of.
    pub fn conns(&self) -> usize {
        self.conns.len()
    }

    /// What `worker` does; none if its slot is empty or has another worker.
    pub fn state(&self, worker: WorkerId) -> Option<State> {
        let slot = self.slots.as_ref().get(usize::from(worker.slot))?;
        (slot.epoch == worker.epoch && slot.state.is_alive()).then_some(slot.state)
    }

    /// The slot of `worker`; none if the slot is empty or has another worker.
    fn living(&mut self, worker: WorkerId) -> Option<&mut Slot> {
        let slot = self.slots.as_mut().get_mut(usize::from(worker.slot))?;
        (slot.epoch == worker.epoch && slot.state.is_alive()).then_some(slot)
    }

    /// Updates by the time: workers that have proved themselves, waits, and whether too many are idle.
    fn look(&mut self, now: Instant) {
        self.look_at_breaker(now);
        self.look_at_conns(now);
        self.look_at_spares(now);
    }

    /// Every worker has to be gone by `kill_at`; none is started any more.
    fn stop(&mut self, kill_at: Instant) {
        self.phase = Phase::Stopping { kill_at };
        for slot in self.slots.as_mut() {
            if let State::Quitting { conn, kill_at: earlier } = slot.state {
                slot.state = State::Quitting { conn, kill_at: earlier.min(kill_at) };
            }
        }
        self.give_up_waiting();
    }

    fn poll_exit(&mut self) -> Option<Action> {
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        if stopping && self.census().alive() == 0 {
            debug_assert_eq!(self.conns.len(), 0, "a connection without worker was closed before");
            self.phase = Phase::Over;
            return Some(Action::Exit);
        }
        None
    }

    /// What a slot holds and where a connection is are two sides of one fact.
    fn assert_consistent(&self) {
        debug_assert!(
            self.census().alive() <= self.policy.kind.max() + self.policy.surge,
            "more alive than maximum and surge"
        );
        debug_assert!(
            self.conns.iter().all(|(conn, entry)| match entry.stage {
                Stage::Passing { slot } | Stage::With { slot } => {
                    self.slots
                        .as_ref()
                        .get(usize::from(slot))
                        .is_some_and(|s| s.state.conn() == Some(conn))
                }
                Stage::Vacant
                | Stage::Waiting { .. }
                | Stage::Suspect
                | Stage::Inspecting
                | Stage::Leaving(_) => {
                    self.slots.as_ref().iter().all(|slot| slot.state.conn() != Some(conn))
                }
            }),
            "a slot and a connection disagree"
        );
    }
}

#[cfg(test)]
mod tests;
