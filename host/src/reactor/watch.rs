//! What a source is watched for, and what its callback is told.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::sys::epoll::Trigger;
use crate::sys::ready::{Interest, Ready};

/// What a descriptor is watched for, and how.
///
/// ```
/// use std::time::Duration;
/// use windlass::reactor::Watch;
/// let watch = Watch::READ.edge().timeout(Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    pub(super) interest: Interest,
    pub(super) trigger: Trigger,
    /// In microseconds.
    pub(super) timeout_us: Option<NonZeroU64>,
}

impl Watch {
    /// Input: `EV_READ | EV_PERSIST`.
    pub const READ: Self = Self::of(Interest::READ);
    /// Room for output: `EV_WRITE | EV_PERSIST`.
    pub const WRITE: Self = Self::of(Interest::WRITE);
    /// Both.
    pub const BOTH: Self = Self::of(Interest { read: true, write: true });

    pub(crate) const fn of(interest: Interest) -> Self {
        Self { interest, trigger: Trigger { edge: false, once: false }, timeout_us: None }
    }

    /// Edge-triggered: called when something changes, so the callback reads and writes until it would
    /// block. Otherwise it is called in every round, for as long as the descriptor is ready.
    #[must_use]
    pub const fn edge(mut self) -> Self {
        self.trigger.edge = true;
        self
    }

    /// Called once; then disarmed, until [`arm`](super::Context::arm).
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.trigger.once = true;
        self
    }

    /// Called with [`Event::TimedOut`] when nothing came for so long. Every event starts it anew.
    #[must_use]
    pub fn timeout(mut self, idle: Duration) -> Self {
        self.timeout_us = NonZeroU64::new(micros(idle));
        self
    }
}

/// Why the callback of a descriptor is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is ready for this. After [`activate`](super::Context::activate), for nothing in particular.
    Ready(Ready),
    /// Nothing came for the length of its timeout.
    TimedOut,
}

/// Which sources are called first in a round. Each priority has a share of each round, so none starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Before all others: signals and children of a supervisor.
    High,
    /// Up to 256 callbacks a round.
    #[default]
    Normal,
    /// Up to 32 callbacks a round, after all others.
    Low,
}

impl Priority {
    pub(super) const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Callbacks in one round.
    pub(super) const fn share(self) -> usize {
        match self {
            Self::High => usize::MAX,
            Self::Normal => 256,
            Self::Low => 32,
        }
    }
}

/// What a callback is called with, before it is put in the words of its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fired {
    pub(super) ready: Ready,
    pub(super) timed_out: bool,
}

impl Fired {
    pub(super) const NOTHING: Self = Self { ready: Ready::NONE, timed_out: false };
}

/// A duration in microseconds, as the loop counts, rounded up; at least one, at most half a million years.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
