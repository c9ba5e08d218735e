//! A client's transfer with a storage that lasts as long as it does: a job like any other.

use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::Fault;
use windlass_core::file::Storage;
use windlass_core::time::Instant;
use windlass_core::transfer::Transfer;

use super::super::buffers::Buffers;
use super::super::files::Answer;
use super::super::rules::RulesId;
use super::super::turns::{Next, Turns, forward};
use super::Exchange;
use crate::sys::ready::{Interest, Ready};

/// A client's transfer and its storage.
pub struct WithStorage<'s, M: Transfer + ?Sized = dyn Transfer + Send> {
    /// The transfer.
    pub job: Exchange<M>,
    /// What it asks for its operations.
    pub storage: &'s mut dyn Storage,
}

impl<M: Transfer + ?Sized> Turns for WithStorage<'_, M> {
    forward!();

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.job.turn_with(self.storage, ready, now, buffers)
    }

    fn wait_for_input(&mut self, until: Instant, buffers: &mut Buffers) -> bool {
        self.job.wait_for_input(until, buffers)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        self.job.deadline(buffers)
    }
}

impl<M: Transfer + ?Sized> AsFd for WithStorage<'_, M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.job.as_fd()
    }
}
