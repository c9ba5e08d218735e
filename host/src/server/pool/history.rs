//! The events of a pool: counted, and logged.

use tracing::{error, info};
use windlass_core::pool::processes::{Action, End, Notice};

use crate::error::Error;
use crate::status::Counters;

/// The events of a pool so far.
#[derive(Default)]
pub(super) struct History {
    /// In a `prefork` pool the connections of living workers are on the scoreboard; here are those of the
    /// workers that have ended.
    pub(super) counters: Counters,
    /// Why the last start of a worker failed.
    pub(super) spawn_error: Option<Error>,
    /// Workers keep ending soon after their start.
    pub(super) crash_loop: bool,
}

impl History {
    /// Counts what the core decides.
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
