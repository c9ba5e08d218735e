//! Which workers are started, asked to end, and killed, and when.

use super::{
    Action, Breaker, Census, ConnSlot, Instant, Kind, Memory, Notice, Phase, Processes, Slot,
    State, WorkerId,
};

impl<S: Memory<Slot>, C: Memory<ConnSlot>> Processes<S, C> {
    /// A new generation: every worker is outdated, and goes when its replacement is ready.
    pub(super) fn handle_reload(&mut self) {
        let Phase::Running = self.phase else { return };
        let ready = self.census().ready().min(self.policy.kind.max());
        self.base = self.base.max(ready);
        self.generation = self.generation.wrapping_add(1);
    }

    fn is_reloading(&self) -> bool {
        self.told.generation != self.generation
    }

    /// When an open breaker closes, if nothing else happens: when a probe proves itself, or when
    /// no worker is missing and all have.
    pub(super) fn closes_at(&self) -> Option<Instant> {
        if !self.breaker.is_open() {
            return None;
        }
        let census = self.census();
        let full = census.starting == 0 && self.missing(&census) == 0;
        let ready = || self.slots.as_ref().iter().filter(|slot| slot.state.is_ready());
        let probe = ready().filter(|slot| slot.probe).filter_map(|slot| slot.proof_at).min();
        let all = ready().filter_map(|slot| slot.proof_at).max().filter(|_| full);
        match (probe, all) {
            (Some(probe), Some(all)) => Some(probe.min(all)),
            (one, None) | (None, one) => one,
        }
    }

    /// The breaker closes when it is time, and then no slot has to wait any more.
    pub(super) fn look_at_breaker(&mut self, now: Instant) {
        if self.closes_at().is_none_or(|at| at > now) {
            return;
        }
        self.breaker = Breaker::closed(now);
        for slot in self.slots.as_mut() {
            slot.probe = false;
            slot.crashes = 0;
            if let State::BackOff { .. } = slot.state {
                slot.state = State::Free;
            }
        }
    }

    /// Whether too many are idle: the first goes only when they have been for a while.
    pub(super) fn look_at_spares(&mut self, now: Instant) {
        if self.is_idle_above_spare() {
            self.shrink_at = self.shrink_at.or(Some(now.after(self.policy.shrink_us)));
        } else {
            self.shrink_at = None;
        }
    }

    fn is_idle_above_spare(&self) -> bool {
        match self.policy.kind {
            Kind::Static { .. } => false,
            Kind::Dynamic { max_spare, .. } => self.census().idle > max_spare,
        }
    }

    pub(super) fn poll_notice(&mut self) -> Option<Action> {
        if self.told.looping != self.breaker.is_open() {
            self.told.looping = self.breaker.is_open();
            let notice = if self.told.looping { Notice::CrashLoop } else { Notice::Recovered };
            return Some(Action::Notice(notice));
        }
        if self.told.scarce != (self.scarcity.count > 0) {
            self.told.scarce = self.scarcity.count > 0;
            let notice = if self.told.scarce { Notice::SpawnsFail } else { Notice::SpawnsWork };
            return Some(Action::Notice(notice));
        }
        if !self.is_reloading() {
            return None;
        }
        let census = self.census();
        if census.old == 0 && census.ready() >= census.keep(self.policy.kind, self.base) {
            self.told.generation = self.generation;
            self.base = 0;
            return Some(Action::Notice(Notice::Reloaded { generation: self.generation }));
        }
        None
    }

    /// The next worker that is out of time.
    pub(super) fn poll_kill(&mut self, now: Instant) -> Option<Action> {
        let stopped = match self.phase {
            Phase::Stopping { kill_at } => kill_at <= now,
            Phase::Running | Phase::Over => false,
        };
        for (index, slot) in (0..).zip(self.slots.as_mut()) {
            let late = slot.state.kill_at().is_some_and(|at| at <= now);
            let killed = matches!(slot.state, State::Killed { .. });
            if slot.state.is_alive() && !killed && (late || stopped) {
                slot.kill();
                return Some(Action::Kill(WorkerId { slot: index, epoch: slot.epoch }));
            }
        }
        None
    }

    /// The next worker that may go: every one when the pool stops, the replaced ones, the
    /// superfluous ones.
    pub(super) fn poll_quit(&mut self, census: &Census, now: Instant) -> Option<Action> {
        let (index, kill_at) = match self.phase {
            Phase::Running => (self.next_quit(census, now)?, now.after(self.policy.drain_us)),
            Phase::Stopping { kill_at } => {
                (self.slots.as_ref().iter().position(|slot| slot.state.is_serving())?, kill_at)
            }
            Phase::Over => return None,
        };
        let slot = self.slots.as_mut().get_mut(index)?;
        slot.quit(kill_at);
        let worker = WorkerId { slot: u16::try_from(index).ok()?, epoch: slot.epoch };
        self.look_at_spares(now);
        Some(Action::Quit(worker))
    }

    /// An outdated worker once more than have to stay are ready; a superfluous one when it is time.
    fn next_quit(&mut self, census: &Census, now: Instant) -> Option<usize> {
        if census.outdated > 0
            && census.ready() > census.keep(self.policy.kind, self.base)
            && let Some(index) = self.first_to_go(true)
        {
            return Some(index);
        }
        self.shrink_at.filter(|at| *at <= now)?;
        let index = self.first_to_go(false)?;
        self.shrink_at = None;
        // What goes for want of work is no loss of the reload.
        self.base = self.base.min(census.ready().saturating_sub(1));
        Some(index)
    }

    /// The next to go: the idle before the busy, the outdated before the others, and of equals the
    /// one that is idle longest. Only the outdated when replacing, only the idle when shrinking.
    fn first_to_go(&self, replacing: bool) -> Option<usize> {
        let candidates = self.slots.as_ref().iter().enumerate().filter_map(|(index, slot)| {
            let outdated = self.is_outdated(slot);
            let (busy, since) = match slot.state {
                State::Idle { since, .. } => (false, since),
                State::Busy { .. } => (true, Instant::ZERO),
                State::Free
                | State::BackOff { .. }
                | State::Starting { .. }
                | State::Quitting { .. }
                | State::Killed { .. } => return None,
            };
            let may = if replacing { outdated } else { !busy };
            may.then_some((busy, !outdated, since, index))
        });
        candidates.min().map(|(.., index)| index)
    }

    pub(super) fn is_outdated(&self, slot: &Slot) -> bool {
        slot.retiring || slot.generation != self.generation
    }

    pub(super) fn poll_spawn(&mut self, census: &Census, now: Instant) -> Option<Action> {
        let Phase::Running = self.phase else { return None };
        let (index, at) = self.next_spawn(census)?;
        if at > now || !self.spawns.take(self.policy.spawn, now) {
            return None;
        }
        self.breaker.spawned(self.policy.trip, now);
        let (generation, probe) = (self.generation, self.breaker.is_open());
        let slot = self.slots.as_mut().get_mut(index)?;
        *slot = Slot {
            state: State::Starting { kill_at: now.after(self.policy.boot_us) },
            epoch: slot.epoch.wrapping_add(1),
            generation,
            crashes: slot.crashes,
            retiring: false,
            probe,
            proof_at: None,
        };
        let worker = WorkerId { slot: u16::try_from(index).ok()?, epoch: slot.epoch };
        Some(Action::Spawn { worker, generation })
    }

    /// Workers that should be there and are not.
    fn missing(&self, census: &Census) -> u16 {
        census.goal(self.policy.kind, self.base, self.queue).saturating_sub(census.serving())
    }

    /// Where the next worker is started, and when that is allowed. None: there are enough, or
    /// there is no room.
    ///
    /// A slot that waits after a crash is a worker that was promised: as long as promises cover
    /// what is missing, no other slot is used, or a crash loop would wander through the free slots
    /// and never wait.
    pub(super) fn next_spawn(&self, census: &Census) -> Option<(usize, Instant)> {
        let Self { policy, .. } = self;
        let missing = self.missing(census);
        if missing == 0 || census.alive() >= policy.kind.max() + policy.surge {
            return None;
        }
        let free = self.slots.as_ref().iter().position(|slot| slot.state == State::Free);
        let promised =
            self.slots.as_ref().iter().enumerate().filter_map(|(index, slot)| match slot.state {
                State::BackOff { until } => Some((until, index)),
                State::Free
                | State::Starting { .. }
                | State::Idle { .. }
                | State::Busy { .. }
                | State::Quitting { .. }
                | State::Killed { .. } => None,
            });
        let (until, index) = match free {
            Some(index) if missing > census.promised => (Instant::ZERO, index),
            Some(_) | None => promised.min()?,
        };
        let at = until
            .max(self.spawns.ready_at(policy.spawn))
            .max(self.scarcity.until)
            .max(self.breaker.not_before());
        Some((index, at))
    }

    /// A worker that can take a connection: not resting; fresh before outdated, then the one that
    /// is idle longest, so that all get their share.
    pub(super) fn next_idle(&self) -> Option<usize> {
        let idle =
            self.slots.as_ref().iter().enumerate().filter_map(|(index, slot)| match slot.state {
                State::Idle { since, rest: None } => Some((self.is_outdated(slot), since, index)),
                State::Idle { rest: Some(_), .. }
                | State::Free
                | State::BackOff { .. }
                | State::Starting { .. }
                | State::Busy { .. }
                | State::Quitting { .. }
                | State::Killed { .. } => None,
            });
        idle.min().map(|(.., index)| index)
    }
}
