//! The state of a listener, told by the supervisor: on the control socket of every model but the pools:
//! their parents know more of their workers.

use windlass_core::pool::processes::State as SlotState;
use windlass_core::time::Instant;

use super::listener::{Key, Supervised};
use super::supervisor::{Cx, Supervisor};
use crate::error::Result;
use crate::server::told::{self, Known};
use crate::server::{Model, control, pool};
use crate::status::{Limits, State, Status, WorkerStatus};
use crate::sys::listener::Listener;

impl Supervisor {
    /// Answers on the control socket of a listener, or on another one than before, or no longer.
    pub(super) fn answer(&mut self, cx: &mut Cx, key: Key) -> Result<()> {
        let Some(it) = self.get_mut(key) else { return Ok(()) };
        if let Some(before) = it.answers.take() {
            cx.remove(before);
        }
        let own = it.control.as_ref().filter(|_| !it.spec.model.is_pool());
        let Some(socket) = own.map(Listener::share).transpose()? else { return Ok(()) };
        let status = move |this: &mut Self, now| {
            this.get_mut(key).map(|it| it.status(now)).unwrap_or_default()
        };
        it.answers = Some(control::listen(cx, socket, status)?);
        Ok(())
    }
}

impl Supervised {
    /// Its state, with what its processes use.
    pub(super) fn status(&mut self, now: Instant) -> Status {
        let mut status = self.counted(now);
        // Threads of one process share what it uses.
        if !matches!(self.spec.model, Model::Thread | Model::ThreadPool) {
            self.usage.fill(&mut status.workers, now);
        }
        status
    }

    /// Its state, as far as its processes have written it: that takes microseconds, however many they are.
    pub(super) fn counted(&self, now: Instant) -> Status {
        let model = self.spec.model;
        let workers = || if is_loop(model) { self.processes(now) } else { self.seats(now) };
        let known = Known {
            service: self.spec.service.name(),
            model,
            address: self.address.to_string(),
            started: self.started,
            generation: self.crew.pool.generation(),
            stopping: self.is_leaving,
            crash_loop: self.is_looping,
            limits: self.limits(),
            listener: self.listener.as_ref(),
            certificate_expires_us: self.certificate_expires_us,
        };
        told::status(known, Some(&self.ledger), workers, now)
    }

    fn limits(&self) -> Limits {
        let limits = &self.spec.limits;
        match self.spec.model {
            model @ (Model::PoolStatic | Model::Prefork) => pool::limits(model, limits.pool),
            Model::ThreadPool => Limits {
                max_workers: u16::try_from(limits.threads.max).unwrap_or(u16::MAX),
                ..Limits::default()
            },
            // A process or a thread for each client.
            Model::Fork | Model::Thread => Limits::default(),
            _ => Limits { max_workers: 1, ..Limits::default() },
        }
    }

    /// Its own processes: one, and for a while those that it replaces.
    fn processes(&self, now: Instant) -> Vec<WorkerStatus> {
        let worker = |process: &super::listener::Child| {
            let seats =
                self.ledger.seats().filter(|seat| seat.pid == process.child.pid().unsigned_abs());
            let (mut clients, mut ended, mut since) = (0, 0, None);
            for seat in seats {
                (clients, ended) = (clients + seat.clients, ended + seat.ended);
                since = since.max(Some(seat.since));
            }
            let state = match self.crew.pool.state(process.id) {
                Some(SlotState::Starting { .. }) => State::Starting,
                Some(SlotState::Quitting { .. }) => State::Draining,
                Some(SlotState::Killed { .. }) => State::Killed,
                _ if clients > 0 => State::Busy,
                _ => State::Idle,
            };
            WorkerStatus {
                slot: process.id.slot,
                epoch: process.id.epoch,
                pid: process.child.pid().unsigned_abs(),
                state,
                client: clients > 0,
                since_us: now.since(since.unwrap_or(self.started)),
                requests: ended,
                ..WorkerStatus::default()
            }
        };
        self.crew.iter().map(worker).collect()
    }

    /// The processes and threads that serve.
    fn seats(&self, now: Instant) -> Vec<WorkerStatus> {
        let worker = |seat: crate::drive::Seat| WorkerStatus {
            slot: seat.slot,
            epoch: seat.epoch,
            pid: seat.pid,
            state: if seat.clients > 0 { State::Busy } else { State::Idle },
            client: seat.clients > 0,
            since_us: now.since(seat.since),
            requests: seat.ended,
            ..WorkerStatus::default()
        };
        let mut workers: Vec<_> = self.ledger.seats().map(worker).collect();
        workers.sort_by_key(|worker| worker.slot);
        workers
    }
}

/// Whether one thread of one process serves all clients.
fn is_loop(model: Model) -> bool {
    match model {
        Model::Iterative
        | Model::Select
        | Model::Poll
        | Model::Epoll
        | Model::EpollEt
        | Model::Reactor => true,
        Model::Fork | Model::Thread | Model::ThreadPool | Model::PoolStatic | Model::Prefork => {
            false
        }
    }
}
