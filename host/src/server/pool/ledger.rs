//! What the parent of a pool writes down for whoever asks: what happened so far, and the document that
//! the control socket answers with.

use windlass_core::pool::scoreboard::Activity;
use windlass_core::pool::supervisor::{Action, End, Notice, State as Slot, Worker as Id};
use windlass_core::time::Instant;

use super::member::Member;
use super::parent::Parent;
use super::{Board, Pool};
use crate::error::Result;
use crate::server::{Model, Service};
use crate::status::{Counters, Limits, Queue, State, Status, Worker, scoreboard};
use crate::sys::listener::{Gauge, Listener};
use crate::sys::{account, clock};

/// What a pool is, and what has happened to it.
pub(in crate::server) struct Ledger {
    about: About,
    started: Instant,
    /// What the workers of a `prefork` pool finished is on the scoreboard; here is what the dead did.
    pub(super) counters: Counters,
    crash_loop: bool,
    usage: Usage,
}

/// What a pool is.
pub(in crate::server) struct About {
    pub(in crate::server) service: Service,
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
        service: Service,
        limits: Pool,
        listener: &Listener,
        control: Option<Listener>,
    ) -> Result<Self> {
        let gauge = control.is_some().then(|| listener.gauge()).transpose()?;
        let address = listener.address().to_string();
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
        Self { about, started: clock::now(), counters, crash_loop: false, usage }
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
            service: about.service.name().to_owned(),
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

/// What workers have used, as read not long ago: to read it takes the kernel's time and the worker's.
#[derive(Default)]
struct Usage {
    read_at: Option<Instant>,
    /// By process: processor time in microseconds, and memory.
    of: Vec<(u32, Option<u64>, Option<u64>)>,
}

/// How long a reading is good for, in microseconds: who asks all the time costs no more than that.
const GOOD_FOR_US: u64 = 250_000;

impl Usage {
    fn fill(&mut self, workers: &mut [Worker], now: Instant) {
        if self.read_at.is_none_or(|at| now.since(at) >= GOOD_FOR_US) {
            self.of.clear();
            self.read_at = Some(now);
        }
        for worker in workers {
            let known = self.of.iter().find(|(pid, ..)| *pid == worker.pid).copied();
            let (_, cpu_us, private_bytes) = known.unwrap_or_else(|| {
                let pid = worker.pid.cast_signed();
                let cpu = account::cpu_ns(pid).ok().map(|ns| ns / 1_000);
                let read = (worker.pid, cpu, account::unshared_bytes(pid).ok());
                self.of.push(read);
                read
            });
            (worker.cpu_us, worker.private_bytes) = (cpu_us, private_bytes);
        }
    }
}
