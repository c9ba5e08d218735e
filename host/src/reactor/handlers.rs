//! Which sources are called for which signal.

use std::os::fd::{AsFd, BorrowedFd};

use super::Token;
use crate::sys::signals::{Caught, SignalQueue};
use crate::sys::{Errno, Signal};

/// The sources of each signal.
pub(super) struct Handlers {
    pub(super) queue: SignalQueue,
    pub(super) by: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) signal: Signal,
    pub(super) token: Token,
    /// The signal that its next call reports.
    pub(super) caught: Option<Caught>,
}

impl Handlers {
    /// Removes the entry of a source that was removed.
    pub(super) fn remove(&mut self, token: Token) {
        let Some(at) = self.by.iter().position(|entry| entry.token == token) else { return };
        let Entry { signal, .. } = self.by.swap_remove(at);
        if self.by.iter().all(|entry| entry.signal != signal) {
            self.queue.remove(signal);
        }
    }

    /// In a forked child.
    pub(super) fn renew(&mut self) -> Result<(), Errno> {
        self.queue.renew()
    }

    /// Takes the signal that the next call of a source reports.
    pub(super) fn take(&mut self, token: Token) -> Option<Caught> {
        self.by.iter_mut().find(|entry| entry.token == token)?.caught.take()
    }
}

impl AsFd for Handlers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
