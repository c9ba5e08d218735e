//! The state of a pool as the document that the control socket answers with.

use windlass_core::pool::processes::State as SlotState;
use windlass_core::pool::scoreboard::Activity;
use windlass_core::time::Instant;

use super::Pool;
use super::board::Board;
use super::notes::Notes;
use crate::drive::Ledger;
use crate::error::Result;
use crate::server::children::{Crew, Process};
use crate::server::told::{self, Known};
use crate::server::usage::Usage;
use crate::server::{Model, Offer};
use crate::status::{Limits, State, Status, WorkerStatus};
use crate::sys::clock;
use crate::sys::listener::Listener;

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
    ledger: Option<&Ledger>,
    crash_loop: bool,
    crew: &mut Crew<Notes>,
    board: Option<&Board>,
    now: Instant,
) -> Status {
    let known = Known {
        service: about.offer.name(),
        model: about.model,
        address: about.address.clone(),
        started: about.started,
        generation: crew.pool.generation(),
        stopping: crew.pool.is_stopping(),
        crash_loop,
        limits: limits(about.model, about.pool),
        listener: about.listener.as_ref(),
        certificate_expires_us: about.offer.certificate_expires_us(),
    };
    let workers = || {
        let Crew { pool, processes, .. } = crew;
        let one = |process: &mut Process<Notes>| {
            Some(worker(pool.state(process.id)?, process, board, now))
        };
        let mut workers: Vec<_> = processes.iter_mut().flatten().filter_map(one).collect();
        about.usage.fill(&mut workers, now);
        workers
    };
    told::status(known, ledger, workers, now)
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
