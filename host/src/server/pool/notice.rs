//! What a human should read of what the supervisor decides.

use tracing::{error, info};
use windlass_core::pool::supervisor::Notice;

use crate::error::Error;

/// `failed` is why the last start failed, if one has.
pub(super) fn log(notice: Notice, failed: Option<&Error>) {
    match notice {
        Notice::CrashLoop => error!("workers keep dying young: one a second is tried from now on"),
        Notice::Recovered => info!("workers live again: the pool fills up"),
        Notice::SpawnsFail => {
            let why = failed.map(|error| format!(" ({error})")).unwrap_or_default();
            error!("workers cannot be started{why}: trying again more and more slowly");
        }
        Notice::SpawnsWork => info!("workers can be started again"),
        Notice::Reloaded { generation } => info!(generation, "reloaded"),
    }
}
