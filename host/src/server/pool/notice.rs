//! What a human should read of what the supervisor decides.

use tracing::{error, info};
use windlass_core::pool::supervisor::Notice;

pub(super) fn log(notice: Notice) {
    match notice {
        Notice::CrashLoop => error!("workers keep dying young: one a second is tried from now on"),
        Notice::Recovered => info!("workers live again: the pool fills up"),
        Notice::SpawnsFail => {
            error!("workers cannot be started: trying again more and more slowly");
        }
        Notice::SpawnsWork => info!("workers can be started again"),
        Notice::Reloaded { generation } => info!(generation, "reloaded"),
    }
}
