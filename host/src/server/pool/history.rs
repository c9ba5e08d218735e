//! The events of a pool: counted, and logged.

use std::sync::Arc;

use tracing::{error, info};
use windlass_core::pool::processes::{Action, End, Notice};

use crate::drive::{Incident, Ledger, Left};
use crate::error::Error;
use crate::totals::Count;

/// The events of a pool so far.
pub(super) struct History {
    /// Where they are counted.
    ledger: Option<Arc<Ledger>>,
    /// Why the last start of a worker failed.
    pub(super) spawn_error: Option<Error>,
    /// Workers keep ending soon after their start.
    pub(super) crash_loop: bool,
}

impl History {
    pub(super) fn new(ledger: Option<Arc<Ledger>>) -> Self {
        Self { ledger, spawn_error: None, crash_loop: false }
    }

    pub(super) fn count(&self, count: Count) {
        if let Some(ledger) = &self.ledger {
            ledger.add(count, 1);
        }
    }

    /// Notes what an operator wants to see.
    pub(super) fn remember(&self, incident: &Incident) {
        if let Some(ledger) = &self.ledger {
            ledger.remember(incident);
        }
    }

    /// A worker has ended, and so have the clients that it had; `returned`: the parent has them still.
    pub(super) fn settle(&self, pid: i32, returned: bool) {
        if let Some(ledger) = &self.ledger {
            ledger.settle(pid, if returned { Left::Returned } else { Left::Lost });
        }
    }

    /// Counts what the core decides.
    pub(super) fn note(&mut self, action: &Action) {
        let count = match action {
            Action::Kill(_) => Count::Killed,
            Action::Pass { again: true, .. } => Count::Redispatched,
            Action::Close { end: End::Lost, .. } => {
                // Its worker has ended, and did not count it.
                self.count(Count::Begun);
                Count::Lost
            }
            Action::Close { end: End::Shed(_), .. } => Count::Shed,
            Action::Notice(Notice::Reloaded { .. }) => Count::Reloads,
            Action::Notice(Notice::CrashLoop) => return self.crash_loop = true,
            Action::Notice(Notice::Recovered) => return self.crash_loop = false,
            // Whether a start succeeds is known later.
            Action::Spawn { .. }
            | Action::Pass { again: false, .. }
            | Action::Close { end: End::Served, .. }
            | Action::Quit(_)
            | Action::Inspect(_)
            | Action::Listen(_)
            | Action::Notice(Notice::SpawnsFail | Notice::SpawnsWork)
            | Action::Exit => return,
        };
        self.count(count);
    }

    /// Logs what the core reports.
    pub(super) fn log(&self, notice: Notice) {
        match notice {
            Notice::CrashLoop => error!(
                "crash loop: workers keep ending soon after their start; one is started each second"
            ),
            Notice::Recovered => info!("the crash loop is over: the pool is filled up"),
            Notice::SpawnsFail => {
                let why = self
                    .spawn_error
                    .as_ref()
                    .map(|error| format!(" ({error})"))
                    .unwrap_or_default();
                error!("workers cannot be started{why}: trying again, at growing intervals");
            }
            Notice::SpawnsWork => info!("workers can be started again"),
            Notice::Reloaded { generation } => info!(generation, "reloaded"),
        }
    }
}
