//! Signals as input: caught, and read from a descriptor; and the default actions of the others.

mod default;
mod inbox;
mod queue;

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

pub use default::{FATAL, die_of, is_ignored, prepare_process, stop_process};
pub use queue::{Caught, SignalQueue};

/// What a signal asks of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// SIGTERM or SIGINT.
    Stop {
        /// The process that sent it; 0 for the kernel.
        sender: u32,
    },
    /// SIGQUIT: end when the connections have.
    Retire,
    /// SIGCHLD: one child or more have ended.
    Child,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: open the log files again.
    Reopen,
    /// SIGUSR2: start the program again.
    Upgrade,
}

/// The signals of a server, as a queue. While this value lives none of them has its default action, so a signal
/// that the server does not act on does not end it.
#[derive(Debug)]
pub struct Signals {
    queue: SignalQueue,
    /// SIGQUIT was ignored when this process began: that of a terminal is not for it.
    ignores_terminal: bool,
}

impl Signals {
    /// Catches SIGTERM, SIGINT, SIGQUIT, SIGCHLD, SIGHUP, SIGUSR1 and SIGUSR2 in this process.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: it needs a descriptor.
    pub fn catch() -> Result<Self, Errno> {
        use Signal::{SIGCHLD, SIGHUP, SIGTERM, SIGUSR1, SIGUSR2};
        let mut queue = SignalQueue::new()?;
        // A shell without job control ignores SIGINT and SIGQUIT for what runs in the background, so that the
        // keys of the terminal do not end it. An ignored SIGINT stays. By SIGQUIT a supervisor asks a process
        // to drain, so it is caught, and the terminal's is passed over.
        if !is_ignored(Signal::SIGINT) {
            queue.add(Signal::SIGINT)?;
        }
        let ignores_terminal = is_ignored(Signal::SIGQUIT);
        queue.add(Signal::SIGQUIT)?;
        // The others mean this server, whatever its parent ignores: children that are not waited
        // for would leave no status.
        for signal in [SIGTERM, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2] {
            queue.add(signal)?;
        }
        Ok(Self { queue, ignores_terminal })
    }

    /// The next signal that came, if any.
    pub fn next(&self) -> Option<Came> {
        let mut caught = self.queue.take()?;
        // The kernel sends the signals of a terminal.
        while self.ignores_terminal && caught.signal == Signal::SIGQUIT && caught.sender == 0 {
            caught = self.queue.take()?;
        }
        Some(match caught.signal {
            Signal::SIGCHLD => Came::Child,
            Signal::SIGQUIT => Came::Retire,
            Signal::SIGHUP => Came::Reload,
            Signal::SIGUSR1 => Came::Reopen,
            Signal::SIGUSR2 => Came::Upgrade,
            // The other signals in the queue, SIGTERM and SIGINT, ask for a stop.
            _ => Came::Stop { sender: caught.sender },
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// Blocks what any queue of this process has, until that is undone: for a fork.
pub(super) struct Hold(SigSet);

impl Hold {
    pub(super) fn new() -> Result<Self, Errno> {
        let before = SigSet::thread_get_mask()?;
        inbox::wanted().thread_block()?;
        Ok(Self(before))
    }

    pub(super) fn undo(self) {
        let _ = self.0.thread_set_mask();
    }
}

#[cfg(test)]
mod tests;
