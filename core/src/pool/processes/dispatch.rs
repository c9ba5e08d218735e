//! Connections of a static pool: which worker gets which, and what becomes of them.

use super::conns::{STOPPING, Stage};
use super::{
    Action, Conn, ConnSlot, End, Instant, Kind, Listen, Memory, Pass, Processes, Shed, Slot, State,
    Trace, WorkerId,
};

/// How long a worker with a full channel gets no connection, in microseconds: long enough not to
/// spin, short enough that no client notices.
const REST_US: u64 = 10_000;

impl<S: Memory<Slot>, C: Memory<ConnSlot>> Processes<S, C> {
    pub(super) fn handle_accepted(&mut self, conn: Conn, now: Instant) {
        let waiting = Stage::Waiting { until: now.after(self.policy.wait_us) };
        let stage = if self.is_stopping() { STOPPING } else { waiting };
        let Kind::Static { .. } = self.policy.kind else { return };
        if let Some(entry) = self.conns.entry(conn)
            && entry.stage == Stage::Vacant
        {
            entry.stage = stage;
        }
    }

    pub(super) fn handle_passed(&mut self, worker: WorkerId, conn: Conn, pass: Pass, now: Instant) {
        let passing = Stage::Passing { slot: worker.slot };
        if self.living(worker).is_none_or(|slot| slot.state.conn() != Some(conn)) {
            return;
        }
        if self.conns.entry(conn).is_none_or(|entry| entry.stage != passing) {
            return;
        }
        match pass {
            Pass::Sent => {
                if let Some(entry) = self.conns.entry(conn) {
                    entry.stage = Stage::With { slot: worker.slot };
                }
            }
            Pass::WouldBlock => self.take_back(worker, conn, false, now),
            Pass::Broken => self.take_back(worker, conn, true, now),
        }
    }

    pub(super) fn handle_returned(&mut self, worker: WorkerId, conn: Conn, now: Instant) {
        if self.living(worker).is_some_and(|slot| slot.state.conn() == Some(conn)) {
            self.take_back(worker, conn, false, now);
        }
    }

    /// `conn` never was with `worker`, which is left alone for a while, or cannot be used any more.
    fn take_back(&mut self, worker: WorkerId, conn: Conn, broken: bool, now: Instant) {
        self.rewait(conn, now);
        let Some(slot) = self.living(worker) else { return };
        let rest = Some(now.after(REST_US));
        slot.state = match slot.state {
            // Killed in the next action: it cannot hear that it should quit.
            State::Busy { .. } if broken => State::Busy { conn: None, kill_at: Some(now) },
            State::Busy { .. } => State::Idle { since: now, rest },
            State::Quitting { .. } if broken => State::Quitting { conn: None, kill_at: now },
            State::Quitting { kill_at, .. } => State::Quitting { conn: None, kill_at },
            State::Killed { asked, .. } => State::Killed { conn: None, asked },
            same @ (State::Free
            | State::BackOff { .. }
            | State::Starting { .. }
            | State::Idle { .. }) => same,
        };
    }

    pub(super) fn handle_done(&mut self, worker: WorkerId, conn: Conn, now: Instant) {
        let Some(slot) = self.living(worker) else { return };
        if slot.state.conn() != Some(conn) {
            return;
        }
        slot.finished(now);
        if let Some(entry) = self.conns.entry(conn) {
            entry.stage = Stage::Leaving(End::Served);
        }
    }

    pub(super) fn handle_inspected(&mut self, conn: Conn, trace: Trace, now: Instant) {
        let deaths_max = self.policy.deaths;
        let Some(entry) = self.conns.entry(conn) else { return };
        if entry.stage != Stage::Inspecting {
            return;
        }
        match trace {
            Trace::Touched => entry.stage = Stage::Leaving(End::Lost),
            Trace::Untouched if entry.deaths >= deaths_max => {
                entry.stage = Stage::Leaving(End::Shed(Shed::Quarantined));
            }
            Trace::Untouched => self.rewait(conn, now),
        }
    }

    /// The worker that held `conn` died.
    pub(super) fn orphan(&mut self, conn: Conn) {
        let stopping = self.is_stopping();
        if let Some(entry) = self.conns.entry(conn) {
            entry.deaths = entry.deaths.saturating_add(1);
            // No worker could take it any more, so it does not matter whether it was touched.
            entry.stage = if stopping { Stage::Leaving(End::Lost) } else { Stage::Suspect };
        }
    }

    /// `conn` waits for a worker (again).
    fn rewait(&mut self, conn: Conn, now: Instant) {
        let waiting = Stage::Waiting { until: now.after(self.policy.wait_us) };
        let stage = if self.is_stopping() { STOPPING } else { waiting };
        if let Some(entry) = self.conns.entry(conn) {
            entry.stage = stage;
        }
    }

    /// The pool stops: connections without a worker get none.
    pub(super) fn give_up_waiting(&mut self) {
        for entry in self.conns.0.as_mut() {
            match entry.stage {
                Stage::Waiting { .. } => entry.stage = STOPPING,
                Stage::Suspect | Stage::Inspecting => entry.stage = Stage::Leaving(End::Lost),
                Stage::Vacant | Stage::Passing { .. } | Stage::With { .. } | Stage::Leaving(_) => {}
            }
        }
    }

    /// Sheds connections that have waited too long, and ends pauses of workers.
    pub(super) fn look_at_conns(&mut self, now: Instant) {
        for entry in self.conns.0.as_mut() {
            if let Stage::Waiting { until } = entry.stage
                && until <= now
            {
                entry.stage = Stage::Leaving(End::Shed(Shed::Waited));
            }
        }
        for slot in self.slots.as_mut() {
            if let State::Idle { since, rest: Some(at) } = slot.state
                && at <= now
            {
                slot.state = State::Idle { since, rest: None };
            }
        }
    }

    /// Whatever is to be closed, and whatever is to be looked at.
    pub(super) fn poll_conn(&mut self) -> Option<Action> {
        let mut found = None;
        for (conn, entry) in self.conns.iter() {
            match entry.stage {
                Stage::Leaving(end) => found = Some((conn, Some(end))),
                Stage::Suspect => found = Some((conn, None)),
                Stage::Vacant
                | Stage::Waiting { .. }
                | Stage::Passing { .. }
                | Stage::With { .. }
                | Stage::Inspecting => continue,
            }
            break;
        }
        let (conn, end) = found?;
        if let Some(end) = end {
            self.conns.vacate(conn);
            return Some(Action::Close { conn, end });
        }
        self.conns.entry(conn)?.stage = Stage::Inspecting;
        Some(Action::Inspect(conn))
    }

    /// The connection that has waited longest, to the worker that has been idle longest. While the
    /// pool stops no connection waits.
    pub(super) fn poll_pass(&mut self, now: Instant) -> Option<Action> {
        let (conn, again) = self.conns.oldest_waiting()?;
        let index = self.next_idle()?;
        let kill_at = self.policy.hold_us.map(|us| now.after(us));
        let slot = self.slots.as_mut().get_mut(index)?;
        let worker = WorkerId { slot: u16::try_from(index).ok()?, epoch: slot.epoch };
        slot.state = State::Busy { conn: Some(conn), kill_at };
        self.conns.entry(conn)?.stage = Stage::Passing { slot: worker.slot };
        Some(Action::Pass { worker, conn, again })
    }

    /// The parent listens while a worker could take a connection at once. A dynamic pool's workers
    /// listen themselves, and its supervisor has nothing to say about it.
    pub(super) fn poll_listen(&mut self) -> Option<Action> {
        let open = !self.is_stopping()
            && self.vacant().is_some()
            && self.next_idle().is_some()
            && self.conns.oldest_waiting().is_none();
        if open == self.told.listening {
            return None;
        }
        self.told.listening = open;
        Some(Action::Listen(if open { Listen::On } else { Listen::Off }))
    }
}
