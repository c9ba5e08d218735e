//! What the parent of a pool writes down for whoever asks: what happened so far, and the document that
//! the control socket answers with.

use windlass_core::pool::scoreboard::Activity;
use windlass_core::pool::supervisor::{Action, End, Notice, State as Slot, Worker as Id};
use windlass_core::time::Instant;

use super::member::Member;
use super::parent::Parent;
use super::{Board, Pool};
use crate::error::{Error, Result};
use crate::server::Model;
use crate::status::{Counters, Limits, Queue, State, Status, Worker, scoreboard};
use crate::sys::listener::{Gauge, Listener};
use crate::sys::{account, clock};

/// What a pool is, and what has happened to it.
pub(in crate::server) struct Ledger {
    about: About,
    started: Instant,
    /// What the workers of a `prefork` pool finished is on the scoreboard; here is what the dead did.
    pub(super) counters: Counters,
    /// Why the last start failed.
    pub(super) spawn_error: Option<Error>,
    crash_loop: bool,
    usage: Usage,
}

/// What a pool is.
pub(in crate::server) struct About {
    pub(in crate::server) service: String,
    pub(in crate::server) model: Model,
    pub(in crate::server) address: String,
    pub(in crate::server) limits: Pool,
    /// The socket to answer on.
    pub(in crate::server) control: Option<Listener>,
    /// The accept queue, while there is one.
    pub(in crate::server) gauge: Option<Gauge>,
}

impl About {
    /// A pool at `listener`.
    pub(in crate::server) fn of(
        model: Model,
        service: &str,
        limits: Pool,
        listener: &Listener,
        control: Option<Listener>,
    ) -> Result<Self> {
        let gauge = control.is_some().then(|| listener.gauge()).transpose()?;
        let address = listener.address().to_string();
        let service = service.to_owned();
        Ok(Self { service, model, address, limits, control, gauge })
    }

    fn limits(&self) -> Limits {
        let Pool { workers, min_spare, max_spare, max_workers, requests, .. } = self.limits;
        let fixed = self.model == Model::PoolStatic;
        Limits {
            max_workers: if fixed { workers } else { max_workers },
            min_spare: (!fixed).then_some(min_spare),
            max_spare: (!fixed).then_some(max_spare),
            requests_per_worker: requests,
        }
    }
}

impl Ledger {
    pub(super) fn new(about: About) -> Self {
        let (counters, usage) = (Counters::default(), Usage::default());
        Self { about, started: clock::now(), counters, spawn_error: None, crash_loop: false, usage }
    }

    pub(super) fn take_control(&mut self) -> Option<Listener> {
        self.about.control.take()
    }

    /// The listener is to be closed, and our copy of it with it.
    pub(super) fn close_gauge(&mut self) {
        self.about.gauge = None;
    }

    /// Writes down what the supervisor says.
    pub(super) fn note(&mut self, action: &Action) {
        let counters = &mut self.counters;
        let counter = match action {
            Action::Kill(_) => &mut counters.killed,
            Action::Pass { again: true, .. } => &mut counters.redispatched,
            Action::Close { end: End::Served, .. } => &mut counters.connections,
            Action::Close { end: End::Lost, .. } => &mut counters.lost,
            Action::Close { end: End::Shed(_), .. } => &mut counters.shed,
            Action::Notice(Notice::Reloaded { .. }) => &mut counters.reloads,
            Action::Notice(Notice::CrashLoop) => return self.crash_loop = true,
            Action::Notice(Notice::Recovered) => return self.crash_loop = false,
            // Whether a start succeeds is known later.
            Action::Spawn { .. }
            | Action::Pass { again: false, .. }
            | Action::Quit(_)
            | Action::Inspect(_)
            | Action::Listen(_)
            | Action::Notice(Notice::SpawnsFail | Notice::SpawnsWork)
            | Action::Exit => return,
        };
        *counter += 1;
    }
}

impl<const N: usize> Parent<N> {
    /// Takes what a dead worker wrote off the scoreboard. Whether it had a client, for all that shows.
    pub(super) fn settle(&mut self, member: &Member) -> bool {
        let Some(shared) = &self.shared else { return false };
        let line = shared.board.report(member.id);
        let requests = line.map_or(member.requests, |line| line.requests);
        self.ledger.counters.connections += requests;
        shared.board.wipe(member.id);
        line.is_some_and(|line| line.activity == Activity::Busy)
    }

    /// A worker does something else from now on, and has finished so many connections more.
    pub(super) fn mark(&mut self, worker: Id, finished: u64, now: Instant) {
        let member = self.members.get_mut(usize::from(worker.slot)).and_then(Option::as_mut);
        if let Some(member) = member.filter(|member| member.id == worker) {
            member.requests += finished;
            member.since = now;
        }
    }

    /// What there is to tell.
    pub(super) fn status(&mut self, now: Instant) -> Status {
        let board = self.shared.as_ref().map(|shared| &*shared.board);
        let mut counters = self.ledger.counters;
        let mut workers = Vec::new();
        for member in self.members.iter_mut().flatten() {
            let Some(slot) = self.supervisor.state(member.id) else { continue };
            let (state, client) = tell(slot, board, member);
            counters.connections += if board.is_some() { member.requests } else { 0 };
            workers.push(Worker {
                slot: member.id.slot,
                epoch: member.id.epoch,
                pid: member.child.pid().unsigned_abs(),
                state,
                client,
                since_us: now.since(member.since),
                requests: member.requests,
                cpu_us: None,
                private_bytes: None,
            });
        }
        let Ledger { about, usage, .. } = &mut self.ledger;
        usage.fill(&mut workers, now);
        let limits = about.limits();
        let queue = about.gauge.as_ref().and_then(Gauge::read);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: self.pid,
            service: about.service.clone(),
            model: about.model.name().to_owned(),
            address: about.address.clone(),
            uptime_us: now.since(self.ledger.started),
            generation: self.supervisor.generation(),
            stopping: self.supervisor.is_stopping(),
            crash_loop: self.ledger.crash_loop,
            scoreboard: scoreboard(&workers, usize::from(limits.max_workers)),
            limits,
            counters,
            queue: queue.map(|queue| Queue { waiting: queue.waiting, limit: queue.limit }),
            workers,
        }
    }
}

/// What a worker does, and whether it has a client. Where there is a board, the worker itself has said so
/// last; the supervisor may not have heard of it yet.
fn tell(slot: Slot, board: Option<&Board>, member: &mut Member) -> (State, bool) {
    let line = board.and_then(|board| board.report(member.id));
    let client = match line {
        Some(line) => line.activity == Activity::Busy,
        None => slot.conn().is_some(),
    };
    if let Some(line) = line {
        member.requests = line.requests;
    }
    let state = match slot {
        Slot::Starting { .. } => State::Starting,
        Slot::Idle { .. } | Slot::Busy { .. } => {
            member.since = line.map_or(member.since, |line| line.since);
            if client { State::Busy } else { State::Idle }
        }
        Slot::Quitting { .. } => State::Draining,
        Slot::Killed { .. } => State::Killed,
        // Nobody is there, and nobody asks for these.
        Slot::Free | Slot::BackOff { .. } => State::Unknown,
    };
    (state, client)
}

/// What workers have used, as read not long ago: to read it takes the kernel's time and the worker's, some
/// tens of microseconds for each. One answer reads whoever is new, and some of the others in turn.
#[derive(Default)]
struct Usage {
    /// By slot.
    readings: Vec<Reading>,
    /// Whose turn it is.
    turn: usize,
}

#[derive(Default, Clone, Copy)]
struct Reading {
    /// The process; 0 where nobody was read.
    pid: u32,
    at: Instant,
    cpu_us: Option<u64>,
    private_bytes: Option<u64>,
}

/// How long a reading is good for, in microseconds.
const GOOD_FOR_US: u64 = 250_000;

/// Readings made anew for one answer: a large pool's parent has clients to mind.
const ANEW_MAX: usize = 32;

impl Usage {
    fn fill(&mut self, workers: &mut [Worker], now: Instant) {
        let slots = workers.iter().map(|worker| usize::from(worker.slot) + 1).max().unwrap_or(0);
        if self.readings.len() < slots {
            self.readings.resize(slots, Reading::default());
        }
        let (first, mut left) = (self.turn % workers.len().max(1), ANEW_MAX);
        let (before, after) = workers.split_at_mut(first);
        for (place, worker) in (first..).zip(after.iter_mut().chain(before)) {
            let reading = &mut self.readings[usize::from(worker.slot)];
            let is_new = reading.pid != worker.pid;
            let is_old = now.since(reading.at) >= GOOD_FOR_US;
            if is_new || (is_old && left > 0) {
                *reading = Reading::of(worker.pid, now);
                left = left.saturating_sub(usize::from(!is_new));
                self.turn = place + 1;
            }
            (worker.cpu_us, worker.private_bytes) = (reading.cpu_us, reading.private_bytes);
        }
    }
}

impl Reading {
    fn of(pid: u32, at: Instant) -> Self {
        let cpu_us = account::own_cpu_ns(pid.cast_signed()).ok().map(|ns| ns / 1_000);
        let private_bytes = account::unshared_bytes(pid.cast_signed()).ok();
        Self { pid, at, cpu_us, private_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_made_anew_some_at_a_time_and_in_turn() {
        let me = std::process::id();
        let crowd = |pid| (0..100).map(move |slot| Worker { slot, pid, ..Worker::default() });
        let mut workers: Vec<Worker> = crowd(me).collect();
        let mut usage = Usage::default();
        let at = |n: u64| Instant::from_micros(n * GOOD_FOR_US);
        usage.fill(&mut workers, at(1));
        assert!(workers.iter().all(|worker| worker.cpu_us > Some(0)), "who is new is read at once");
        let fresh = |usage: &Usage, now| usage.readings.iter().filter(|it| it.at == now).count();
        for (round, count) in [(2, 32), (3, 32), (4, 32), (5, 32)] {
            usage.fill(&mut workers, at(round));
            assert_eq!(fresh(&usage, at(round)), count);
        }
        assert_eq!(fresh(&usage, at(1)), 0, "everyone has had a turn");
        usage.fill(&mut workers, at(5));
        assert_eq!(
            fresh(&usage, at(5)),
            100 - 2 * 32 - 4 + 32,
            "good ones are kept, old ones read"
        );
        // Above the largest process id: nobody is there.
        let mut gone: Vec<Worker> = crowd(1 << 23).take(1).collect();
        usage.fill(&mut gone, at(6));
        assert_eq!((gone[0].cpu_us, gone[0].private_bytes), (None, None));
        usage.fill(&mut [], at(7));
    }
}
