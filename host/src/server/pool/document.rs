//! The state of a pool as the document that the control socket answers with.

use windlass_core::pool::processes::State as SlotState;
use windlass_core::pool::scoreboard::Activity;
use windlass_core::time::Instant;

use super::Pool;
use super::board::Board;
use super::notes::Notes;
use crate::error::Result;
use crate::server::children::{Crew, Process};
use crate::server::usage::Usage;
use crate::server::{Model, Offer};
use crate::status::{Counters, Limits, Queue, State, Status, WorkerStatus, scoreboard};
use crate::sys::clock;
use crate::sys::listener::Listener;
use crate::totals::Totals;

/// The fixed facts about a pool, and the sockets from which its state is read.
pub(super) struct About {
    pub(super) offer: Offer,
    pub(super) model: Model,
    pub(super) address: String,
    pub(super) pool: Pool,
    pub(super) started: Instant,
    /// The socket on which to answer.
    pub(super) control: Option<Listener>,
    /// A copy of the listener, to examine its accept queue while the pool listens.
    pub(super) listener: Option<Listener>,
    usage: Usage,
}

impl About {
    /// A pool at `listener`. Without a control socket its accept queue is never asked for.
    pub(super) fn of(
        model: Model,
        offer: &Offer,
        pool: Pool,
        listener: &Listener,
        control: Option<Listener>,
    ) -> Result<Self> {
        let copy = control.is_some().then(|| listener.share()).transpose()?;
        let (offer, address) = (offer.clone(), listener.address().to_string());
        Ok(Self {
            offer,
            model,
            address,
            pool,
            started: clock::now(),
            control,
            listener: copy,
            usage: Usage::default(),
        })
    }
}

/// The limits of a pool, for its document.
pub(in crate::server) fn limits(model: Model, pool: Pool) -> Limits {
    let Pool { workers, min_spare, max_spare, max_workers, requests, .. } = pool;
    let fixed = model == Model::PoolStatic;
    Limits {
        max_workers: if fixed { workers } else { max_workers },
        min_spare: (!fixed).then_some(min_spare),
        max_spare: (!fixed).then_some(max_spare),
        requests_per_worker: requests,
    }
}

/// The state of a pool. Where workers accept by themselves, `board` is their scoreboard.
pub(super) fn status(
    about: &mut About,
    (totals, started_us, crash_loop): (Totals, u64, bool),
    crew: &mut Crew<Notes>,
    board: Option<&Board>,
    now: Instant,
) -> Status {
    let mut workers = Vec::new();
    for process in crew.processes.iter_mut().flatten() {
        let Some(slot) = crew.pool.state(process.id) else { continue };
        workers.push(worker(slot, process, board, now));
    }
    about.usage.fill(&mut workers, now);
    let limits = limits(about.model, about.pool);
    let queue = about.listener.as_ref().and_then(Listener::accept_queue);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        service: about.offer.name().to_owned(),
        model: about.model.name().to_owned(),
        address: about.address.clone(),
        uptime_us: now.since(about.started),
        started_us,
        generation: crew.pool.generation(),
        stopping: crew.pool.is_stopping(),
        crash_loop,
        scoreboard: scoreboard(&workers, usize::from(limits.max_workers)),
        limits,
        counters: Counters::of(&totals),
        totals,
        queue: queue.map(|queue| Queue { waiting: queue.waiting, limit: queue.limit }),
        certificate_expires_us: about.offer.certificate_expires_us(),
        workers,
        last_faults: Vec::new(),
    }
}

/// One worker. Its line on the board is newer than what the core has been told.
fn worker(
    slot: SlotState,
    process: &mut Process<Notes>,
    board: Option<&Board>,
    now: Instant,
) -> WorkerStatus {
    let line = board.and_then(|board| board.report(process.id));
    let client = line.map_or(slot.conn().is_some(), |line| line.activity == Activity::Busy);
    if let Some(line) = line {
        process.notes.requests = line.requests;
    }
    let state = match slot {
        SlotState::Starting { .. } => State::Starting,
        SlotState::Idle { .. } | SlotState::Busy { .. } => {
            process.notes.since = line.map_or(process.notes.since, |line| line.since);
            if client { State::Busy } else { State::Idle }
        }
        SlotState::Quitting { .. } => State::Draining,
        SlotState::Killed { .. } => State::Killed,
        // There is a process, so the slot is neither.
        SlotState::Free | SlotState::BackOff { .. } => State::Unknown,
    };
    WorkerStatus {
        slot: process.id.slot,
        epoch: process.id.epoch,
        pid: process.child.pid().unsigned_abs(),
        state,
        client,
        since_us: now.since(process.notes.since),
        requests: process.notes.requests,
        cpu_us: None,
        private_bytes: None,
    }
}
