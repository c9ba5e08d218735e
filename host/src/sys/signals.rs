//! Signals as input: blocked, and read from a descriptor (`signalfd(2)`).

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals a server minds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGCHLD: one child or more have ended.
    Child,
}

/// SIGTERM, SIGINT and SIGCHLD, blocked in this thread and every thread it starts from now on, and
/// delivered through a descriptor. Nothing is interrupted, no handler runs, `errno` is safe.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them and opens the descriptor. Call it before the first thread is started.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn block() -> Result<Self, Errno> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().collect();
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }

    /// The next signal that came, if any.
    pub fn next(&self) -> Option<Came> {
        loop {
            return match self.0.read_signal() {
                // Of the three, all but SIGCHLD ask us to stop.
                Ok(Some(info)) if info.ssi_signo == Signal::SIGCHLD as u32 => Some(Came::Child),
                Ok(Some(_)) => Some(Came::Stop),
                Err(Errno::EINTR) => continue,
                Ok(None) | Err(_) => None,
            };
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
