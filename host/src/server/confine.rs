//! Processes that can do less than their parent: what is in force, told once for each server.

use std::os::fd::AsFd;

use tracing::{info, warn};

use super::Server;
use crate::error::Result;
use crate::sys::confine::{self, Confinement};
use crate::sys::process::SingleThreaded;

impl Server {
    /// What each worker of a pool is to [`enter`](Confinement::enter) when it begins. None if that is not
    /// wanted.
    pub(super) fn confinement(&self) -> Result<Option<Confinement>> {
        if !self.limits.sandbox {
            warn!("workers are not confined (--no-sandbox)");
            return Ok(None);
        }
        let confinement = Confinement::prepare(
            self.offer.root().map(|root| root.as_fd()),
            &SingleThreaded::check()?,
        )?;
        let in_force = confinement.in_force();
        if !in_force.is_nothing() {
            info!("workers are confined: {in_force}");
        }
        for lacking in in_force.lacking() {
            warn!("workers are not confined by what this kernel lacks: {lacking}");
        }
        Ok(Some(confinement))
    }

    /// For `fork`, where a process for each client leaves no time for more: what the parent gives up its
    /// children never had.
    pub(super) fn keep_children_from_privileges(&self) {
        if !self.limits.sandbox {
            return warn!("children are not confined (--no-sandbox)");
        }
        match confine::give_up_new_privileges() {
            Ok(()) => info!("children are confined: no new privileges"),
            Err(errno) => warn!("children are not confined: {errno}"),
        }
    }
}
