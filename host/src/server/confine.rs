//! Processes that can do less than their parent: what is in force, told once for each server.

use std::os::fd::AsFd;
use std::sync::Arc;

use tracing::{info, warn};

use super::common::Server;
use crate::error::Result;
use crate::sys::confine::{self, Confinement};
use crate::sys::process::SingleThreaded;
use crate::sys::root::Root;

/// What each worker of a pool enters when it begins.
#[derive(Debug)]
pub(super) enum Sandbox {
    /// Nothing: that is not wanted.
    Off,
    /// It is to be made, for workers that serve this folder if there is one.
    Wanted(Option<Arc<Root>>),
    /// It was made and tried.
    Made(Confinement),
}

impl Sandbox {
    /// Makes it before the first worker. For that it needs descriptors and a process, which may be lacking
    /// at the moment: then that worker cannot be started, and with the next one it is tried again.
    pub(super) fn prepare(&mut self, alone: &SingleThreaded) -> Result<()> {
        let Self::Wanted(root) = self else { return Ok(()) };
        let confinement = Confinement::prepare(root.as_ref().map(|root| root.as_fd()), alone)?;
        let in_force = confinement.in_force();
        if !in_force.is_nothing() {
            info!("workers are confined: {in_force}");
        }
        for lacking in in_force.lacking() {
            warn!("workers are not confined by what this kernel lacks: {lacking}");
        }
        *self = Self::Made(confinement);
        Ok(())
    }

    /// In a worker: from here on it can only serve.
    pub(super) fn enter(&self) -> Result<()> {
        match self {
            Self::Made(confinement) => confinement.enter(),
            Self::Off | Self::Wanted(_) => Ok(()),
        }
    }
}

impl Server {
    /// What the workers of a pool are to enter.
    pub(super) fn sandbox(&self) -> Sandbox {
        if !self.limits.sandbox {
            warn!("workers are not confined (--no-sandbox)");
            return Sandbox::Off;
        }
        Sandbox::Wanted(self.offer.root().cloned())
    }

    /// For `fork`, where a process for each client leaves no time for more: what the parent gives up its
    /// children never had.
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
