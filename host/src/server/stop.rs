//! How a server is told to stop, and how long it may take.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tracing::info;
use windlass_core::time::{Instant, Wake};

use crate::drive::Woken;
use crate::sys::Errno;
use crate::sys::event::Event;
use crate::sys::poll;
use crate::sys::ready::Interest;
use crate::sys::signals::{Came, Signals};

/// Told once, a server takes no more clients and serves those it has for the length of its grace.
/// Told twice, it stops at once.
#[derive(Debug)]
pub struct Stop {
    source: Arc<Source>,
    grace_us: u64,
    state: State,
}

/// Where the request comes from.
#[derive(Debug)]
pub(super) enum Source {
    Signals(Signals),
    Handle(Arc<Event>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Draining { until: Instant },
    Now,
}

/// Stops a server of this process, from any thread.
#[derive(Debug, Clone)]
pub struct StopHandle(Arc<Event>);

impl StopHandle {
    /// The first call drains the server, the second one stops it at once.
    pub fn stop(&self) {
        self.0.raise();
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Signals(signals) => signals.as_fd(),
            Self::Handle(event) => event.as_fd(),
        }
    }
}

impl Stop {
    /// Stops on SIGTERM and SIGINT. SIGCHLD wakes the server too.
    pub fn on_signals(signals: Signals, grace_us: u64) -> Self {
        Self { source: Arc::new(Source::Signals(signals)), grace_us, state: State::Running }
    }

    /// Stops when the handle says so.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn by_handle(grace_us: u64) -> Result<(Self, StopHandle), Errno> {
        let event = Arc::new(Event::new()?);
        let handle = StopHandle(Arc::clone(&event));
        let source = Arc::new(Source::Handle(event));
        Ok((Self { source, grace_us, state: State::Running }, handle))
    }

    /// How long the connections have after the first request, in microseconds.
    pub(super) fn grace_us(&self) -> u64 {
        self.grace_us
    }

    /// The descriptor to watch: when it is readable, [`notice`](Self::notice).
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// A share in that descriptor, for a loop that owns what it watches.
    pub(super) fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// Takes note of what came.
    pub(super) fn notice(&mut self, now: Instant) {
        let requests = match &*self.source {
            Source::Signals(signals) => {
                std::iter::from_fn(|| signals.next()).filter(|&came| came == Came::Stop).count()
            }
            Source::Handle(event) => usize::try_from(event.take()).unwrap_or(usize::MAX),
        };
        for _ in 0..requests.min(2) {
            self.state = match self.state {
                State::Running => {
                    info!(grace_ms = self.grace_us / 1000, "stopping: no new connections");
                    State::Draining { until: now.after(self.grace_us) }
                }
                State::Draining { .. } | State::Now => State::Now,
            };
        }
    }

    /// Whether it was told to stop.
    pub(super) fn is_requested(&self) -> bool {
        self.state != State::Running
    }

    /// Whether everything ends now, with `live` connections open.
    pub(super) fn is_over(&self, now: Instant, live: usize) -> bool {
        match self.state {
            State::Running => false,
            State::Draining { until } => live == 0 || until <= now,
            State::Now => true,
        }
    }

    /// When to look again.
    pub(super) fn wake(&self) -> Wake {
        match self.state {
            State::Running => Wake::Never,
            State::Draining { until } => Wake::At(until),
            State::Now => Wake::Now,
        }
    }

    /// How a model with one connection at a time waits for it and for the stop at once.
    pub(super) fn wait(
        &mut self,
        socket: BorrowedFd<'_>,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Woken {
        use crate::sys::clock::now;
        let end = match self.state {
            State::Draining { until } => Some(until),
            State::Running | State::Now => None,
        };
        let earlier = [deadline, end].into_iter().flatten().min();
        let woken = match poll::wait(socket, interest, Some(self.socket()), earlier) {
            poll::Woken::Ready(ready) => Woken::Ready(ready),
            poll::Woken::Other => {
                self.notice(now());
                Woken::Look
            }
            poll::Woken::TimedOut | poll::Woken::Interrupted => Woken::Look,
        };
        if self.is_over(now(), 1) { Woken::Cut } else { woken }
    }
}

#[cfg(test)]
mod tests;
