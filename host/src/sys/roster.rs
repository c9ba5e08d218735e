//! The sockets that the threads of a process are serving, so that another thread can end them.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::socket::{Shutdown, shutdown};

/// The sockets in service. Invariant: every descriptor listed is open, because it is struck off
/// before it is closed, both under the lock.
#[derive(Debug, Default)]
pub struct Roster(Mutex<HashSet<RawFd>>);

/// A place on the roster. It is to be dropped before the socket is closed: declare it after.
#[derive(Debug)]
pub struct Place<'a> {
    roster: &'a Roster,
    fd: RawFd,
}

impl Roster {
    /// Nobody is served.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists a socket until the place is dropped.
    pub fn enter(&self, socket: &impl AsFd) -> Place<'_> {
        let fd = socket.as_fd().as_raw_fd();
        self.lock().insert(fd);
        Place { roster: self, fd }
    }

    /// `shutdown(SHUT_RDWR)` on every socket listed: whoever waits for one finds it at its end.
    pub fn shutdown_all(&self) {
        for &fd in self.lock().iter() {
            let _ = shutdown(fd, Shutdown::Both);
        }
    }

    /// The lock. A thread that panicked while it held it left a set that is still true.
    fn lock(&self) -> MutexGuard<'_, HashSet<RawFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.fd);
    }
}
