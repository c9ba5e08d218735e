//! The state of a listener as a document, whichever process tells it.

use windlass_core::time::Instant;

use super::faults::last_faults;
use super::model::Model;
use crate::drive::Ledger;
use crate::status::{Counters, Limits, Queue, Status, WorkerStatus, scoreboard};
use crate::sys::listener::Listener;

/// What a process knows of a listener beside its counters.
pub(super) struct Known<'a> {
    pub(super) service: &'a str,
    pub(super) model: Model,
    pub(super) address: String,
    pub(super) started: Instant,
    pub(super) generation: u32,
    pub(super) stopping: bool,
    pub(super) crash_loop: bool,
    pub(super) limits: Limits,
    /// The socket, to examine its accept queue.
    pub(super) listener: Option<&'a Listener>,
    pub(super) certificate_expires_us: Option<u64>,
}

/// The document. `workers` are those that serve once what has ended is settled for.
pub(super) fn status(
    known: Known<'_>,
    ledger: Option<&Ledger>,
    workers: impl FnOnce() -> Vec<WorkerStatus>,
    now: Instant,
) -> Status {
    // A process, or a parent with its workers, may have been killed a moment ago.
    ledger.inspect(|ledger| ledger.settle_all());
    let workers = workers();
    let totals = ledger.map(Ledger::totals).unwrap_or_default();
    let queue = known.listener.and_then(Listener::accept_queue);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        service: known.service.to_owned(),
        model: known.model.name().to_owned(),
        address: known.address,
        uptime_us: now.since(known.started),
        started_us: ledger.map_or(0, Ledger::started_us),
        generation: known.generation,
        stopping: known.stopping,
        crash_loop: known.crash_loop,
        scoreboard: scoreboard(&workers, usize::from(known.limits.max_workers)),
        limits: known.limits,
        counters: Counters::of(&totals),
        totals,
        queue: queue.map(|queue| Queue { waiting: queue.waiting, limit: queue.limit }),
        certificate_expires_us: known.certificate_expires_us,
        workers,
        last_faults: ledger.map_or_else(Vec::new, |ledger| last_faults(ledger, now)),
    }
}
