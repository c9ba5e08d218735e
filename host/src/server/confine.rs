//! Confines the processes of a server, and logs once what is in force.

use std::os::fd::AsFd;
use std::sync::Arc;

use tracing::{info, warn};

use super::Model;
use super::common::Server;
use crate::error::Result;
use crate::sys::confine::{self, Confinement, Needs};
use crate::sys::process::SingleThreaded;
use crate::sys::root::Root;

/// The confinement of the workers of a pool.
#[derive(Debug)]
pub(super) enum Sandbox {
    /// Workers are not confined (`--no-sandbox`).
    Off,
    /// Not prepared yet, for workers that need this.
    Wanted(Wanted),
    /// Prepared and tried.
    Made(Confinement),
}

/// What workers need.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The folder that they serve, if there is one.
    root: Option<Arc<Root>>,
    /// Clients may send files.
    writes: bool,
    /// They open the sockets of their clients.
    sockets: bool,
}

impl Sandbox {
    /// Prepares it before the first worker. This takes descriptors and a process, which may be missing
    /// at the moment: then that worker is not started, and the next one tries again.
    pub(super) fn prepare(&mut self, alone: &SingleThreaded) -> Result<()> {
        let Self::Wanted(Wanted { root, writes, sockets }) = self else { return Ok(()) };
        let lists = root.as_ref().is_some_and(|root| root.lists());
        let root = root.as_ref().map(|root| root.as_fd());
        let needs = Needs { root, lists, writes: *writes, sockets: *sockets };
        let confinement = Confinement::prepare(needs, alone)?;
        let in_force = confinement.in_force();
        if !in_force.is_nothing() {
            info!("workers are confined: {in_force}");
        }
        for lacking in in_force.lacking() {
            warn!("workers are not fully confined: this kernel lacks: {lacking}");
        }
        *self = Self::Made(confinement);
        Ok(())
    }

    /// In a worker: enters it. From here on the worker can only serve.
    pub(super) fn enter(&self) -> Result<()> {
        match self {
            Self::Made(confinement) => confinement.enter(),
            Self::Off | Self::Wanted(_) => Ok(()),
        }
    }
}

impl Server {
    /// The confinement for the workers of a pool.
    pub(super) fn sandbox(&self, model: Model) -> Sandbox {
        if !self.limits.sandbox {
            warn!("workers are not confined (--no-sandbox)");
            return Sandbox::Off;
        }
        #[cfg(feature = "transfer")]
        let (writes, opens) = self.offer.writes_and_opens();
        #[cfg(not(feature = "transfer"))]
        let (writes, opens) = (false, false);
        let sockets = opens && model == Model::Prefork;
        Sandbox::Wanted(Wanted { root: self.offer.root().cloned(), writes, sockets })
    }

    /// For `fork`, which has no time for more in each child: the parent gives up new privileges,
    /// and its children inherit that.
    pub(super) fn keep_children_from_privileges(&self) {
        if !self.limits.sandbox {
            return warn!("children are not confined (--no-sandbox)");
        }
        match confine::give_up_new_privileges() {
            Ok(()) => info!("children are confined: no new privileges"),
            Err(errno) => warn!("children are not confined: {}", errno.desc()),
        }
    }
}
