//! What workers say, and how their deaths are taken.

use super::slot::Death;
use super::{ConnSlot, Exit, Instant, Kind, Memory, Processes, Slot, State, WorkerId};

impl<S: Memory<Slot>, C: Memory<ConnSlot>> Processes<S, C> {
    /// It has booted. So starting workers works (again).
    pub(super) fn handle_ready(&mut self, worker: WorkerId, now: Instant) {
        let proof_us = self.policy.proof_us;
        if let Some(slot) = self.living(worker)
            && let State::Starting { .. } = slot.state
        {
            slot.ready(proof_us, now);
            self.scarcity.count = 0;
        }
    }

    /// The reports of dynamic workers are read from a scoreboard, where one may cover another: a
    /// starting worker that is busy has been ready in between.
    pub(super) fn handle_busy(&mut self, worker: WorkerId, now: Instant) {
        if matches!(self.policy.kind, Kind::Static { .. }) {
            return;
        }
        self.handle_ready(worker, now);
        let kill_at = self.policy.hold_us.map(|us| now.after(us));
        if let Some(slot) = self.living(worker)
            && let State::Idle { .. } = slot.state
        {
            slot.state = State::Busy { conn: None, kill_at };
        }
    }

    pub(super) fn handle_idle(&mut self, worker: WorkerId, now: Instant) {
        if matches!(self.policy.kind, Kind::Static { .. }) {
            return;
        }
        self.handle_ready(worker, now);
        if let Some(slot) = self.living(worker)
            && let State::Busy { .. } = slot.state
        {
            slot.finished(now);
        }
    }

    /// A worker could not be started. That is not a crash of a worker: the whole pool waits a
    /// while. It may have been asked to end already; only a worker that was ready was certainly
    /// started.
    pub(super) fn handle_spawn_failed(&mut self, worker: WorkerId, now: Instant) {
        if let Some(slot) = self.living(worker)
            && slot.proof_at.is_none()
        {
            slot.bury(State::Free);
            self.scarcity.fail(&self.policy.backoff, now);
        }
    }

    /// A worker ended. Its slot may have to wait, the breaker may open, and what it held has to be
    /// looked at.
    pub(super) fn handle_exit(&mut self, worker: WorkerId, exit: Exit, now: Instant) {
        let Self { policy, breaker, scarcity, .. } = self;
        let index = usize::from(worker.slot);
        let Some(slot) = self.slots.as_mut().get_mut(index) else { return };
        if slot.epoch != worker.epoch || !slot.state.is_alive() {
            return;
        }
        let conn = slot.state.conn();
        let death = slot.judge(exit, now);
        let booted = slot.proof_at.is_some();
        if slot.is_proved(now) {
            slot.crashes = 0;
        }
        let mut state = State::Free;
        match death {
            Death::Expected => {}
            Death::Scarce => scarcity.fail(&policy.backoff, now),
            Death::Accident => slot.crashes = policy.backoff.count(slot.crashes),
            Death::Young => {
                slot.crashes = policy.backoff.count(slot.crashes);
                breaker.fail(policy.trip, now);
                // The first crash of a slot may be an accident, and is forgiven. Not to have
                // booted is not.
                let wait = slot.crashes - u8::from(booted);
                if wait > 0 && !breaker.is_open() {
                    let salt = u64::from(slot.epoch) << 16 | u64::from(worker.slot);
                    let until = now.after(policy.backoff.wait_us(wait, salt));
                    state = State::BackOff { until };
                }
            }
        }
        slot.bury(state);
        if let Some(conn) = conn {
            self.orphan(conn);
        }
    }
}
