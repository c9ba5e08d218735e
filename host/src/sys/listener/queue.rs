//! Several processes that wait at one listener: each connection wakes one of them.
//!
//! ```text
//! worker 1: epoll set ─┐
//! worker 2: epoll set ─┼─ EPOLLEXCLUSIVE ─▶ the listening socket ─▶ one of those that wait is woken
//! worker 3: epoll set ─┘
//! ```
//!
//! A blocking `accept(2)` does this too, but how long it blocks is decided by `O_NONBLOCK` and
//! `SO_RCVTIMEO`. Both belong to the open file description, so each process that holds the socket can
//! change them for all. The epoll set and the timeout of a wait belong to the process that waits.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Accepted, Error, Listener, Result};

/// One process of those that wait at a listener.
#[derive(Debug)]
pub struct Queue<'l> {
    listener: &'l Listener,
    epoll: Epoll,
}

impl Listener {
    /// Makes the calling process wait at this listener. A process that is forked later makes its
    /// own: an epoll set is shared with the children that inherit it.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`; `ENOSPC` (`max_user_watches`).
    pub fn queue(&self) -> Result<Queue<'_>> {
        let failed = |errno| Error::new("wait at", &self.address, errno);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        epoll.add(self.as_fd(), EpollEvent::new(flags, 0)).map_err(failed)?;
        Ok(Queue { listener: self, epoll })
    }
}

impl Queue<'_> {
    /// Waits for a client, for at most `limit`. [`Accepted::Empty`] after a signal, when the limit is over,
    /// and when another process was faster.
    ///
    /// A process that is killed between the wait and the accept loses the wake-up for its client. So
    /// a wait that was not interrupted ends in an accept, also one that timed out: some process finds that
    /// client within `limit`.
    pub fn next(&self, limit: Duration) -> Accepted {
        let limit = EpollTimeout::try_from(limit).unwrap_or(EpollTimeout::MAX);
        match self.epoll.wait(&mut [EpollEvent::empty()], limit) {
            // The kernel reports a client before a signal (ep_poll() in fs/eventpoll.c): no wake-up is lost.
            Err(Errno::EINTR) => Accepted::Empty,
            // No other error comes of a set of our own.
            Ok(_) | Err(_) => self.listener.try_accept().unwrap_or(Accepted::Empty),
        }
    }
}

#[cfg(test)]
mod tests;
