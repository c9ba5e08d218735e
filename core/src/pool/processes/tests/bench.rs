//! A host that does what it is told, at the instant it is told, and keeps what that was.

use super::*;
use std::vec::Vec;

pub(super) const MS: u64 = 1_000;

pub(super) fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * MS)
}

pub(super) fn plain() -> Backoff {
    Backoff { jitter_percent: 0, ..Policy::fixed(1).backoff }
}

pub(super) fn fixed(workers: u16) -> Policy {
    Policy { backoff: plain(), ..Policy::fixed(workers) }
}

pub(super) fn spare(min_spare: u16, max_spare: u16, max: u16) -> Policy {
    Policy { backoff: plain(), ..Policy::spare(min_spare, max_spare, max) }
}

/// A pool, and a host that does what it is told, at the instant it is told.
pub(super) struct Bench<const S: usize, const C: usize> {
    pub(super) pool: Arrays<S, C>,
    pub(super) now: Instant,
}

impl<const S: usize, const C: usize> Bench<S, C> {
    pub(super) fn new(policy: Policy) -> Self {
        Self { pool: Arrays::in_arrays(policy, at(0)).expect("a good policy"), now: at(0) }
    }

    /// One with all its workers ready, and proved.
    pub(super) fn ready(policy: Policy) -> Self {
        let mut bench = Self::new(policy);
        bench.drain();
        bench.boot();
        bench.tell_at(2_000, Event::Tick);
        bench
    }

    pub(super) fn drain(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.pool.poll_action(self.now) {
            actions.push(action);
            assert!(actions.len() < 1_000, "actions without end: {action:?}");
            match action {
                Action::Pass { worker, conn, .. } => {
                    self.pool.handle(Event::Passed { worker, conn, pass: Pass::Sent }, self.now);
                }
                Action::Spawn { .. }
                | Action::Quit(_)
                | Action::Kill(_)
                | Action::Inspect(_)
                | Action::Close { .. }
                | Action::Listen(_)
                | Action::Notice(_)
                | Action::Exit => {}
            }
        }
        actions
    }

    pub(super) fn tell(&mut self, event: Event) -> Vec<Action> {
        self.pool.handle(event, self.now);
        self.drain()
    }

    pub(super) fn tell_at(&mut self, ms: u64, event: Event) -> Vec<Action> {
        self.now = at(ms);
        self.tell(event)
    }

    /// Every starting worker is ready.
    pub(super) fn boot(&mut self) -> Vec<Action> {
        let starting = |(worker, state)| matches!(state, State::Starting { .. }).then_some(worker);
        let starting: Vec<WorkerId> = self.pool.workers().filter_map(starting).collect();
        starting.into_iter().flat_map(|worker| self.tell(Event::Ready(worker))).collect()
    }

    pub(super) fn accept(&mut self) -> (Conn, Vec<Action>) {
        let conn = self.pool.vacant().expect("room");
        (conn, self.tell(Event::Accepted(conn)))
    }

    pub(super) fn worker(&self, slot: usize) -> WorkerId {
        self.pool.workers().nth(slot).expect("a slot").0
    }

    pub(super) fn crash(&mut self, slot: usize) -> Vec<Action> {
        self.tell(Event::Exited { worker: self.worker(slot), exit: Exit::Crash })
    }

    pub(super) fn wake(&self) -> Instant {
        match self.pool.wake() {
            Wake::At(at) => at,
            Wake::Now => self.now,
            Wake::Never => Instant::from_micros(u64::MAX),
        }
    }
}

pub(super) fn spawns(actions: &[Action]) -> Vec<(u16, u32)> {
    let spawned = |action: &Action| match action {
        Action::Spawn { worker, .. } => Some((worker.slot, worker.epoch)),
        Action::Quit(_)
        | Action::Kill(_)
        | Action::Pass { .. }
        | Action::Inspect(_)
        | Action::Close { .. }
        | Action::Listen(_)
        | Action::Notice(_)
        | Action::Exit => None,
    };
    actions.iter().filter_map(spawned).collect()
}

pub(super) fn worker(slot: u16, epoch: u32) -> WorkerId {
    WorkerId { slot, epoch }
}

pub(super) const ON: Action = Action::Listen(Listen::On);
pub(super) const OFF: Action = Action::Listen(Listen::Off);
