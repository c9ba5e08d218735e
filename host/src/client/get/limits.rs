//! The time limits of a transfer: for silence, for the rate, and in all.

use std::time::Duration;

use windlass_core::time::Instant;

use crate::sys::clock;

/// The time limits of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The limit for connecting, and for each silence of the server.
    pub timeout: Duration,
    /// The smallest rate of a body in bytes per second, averaged over each `timeout`; 0: no limit. The
    /// time in which the output takes nothing does not count.
    pub min_rate: u32,
    /// The limit for the whole transfer: every connection, every redirect, and the output.
    pub max: Option<Duration>,
}

/// The limits of a transfer that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) times: Times,
    /// The deadline of the whole transfer.
    pub(super) end: Option<Instant>,
}

impl Limits {
    /// Starts the limits now.
    pub(super) fn begin(times: Times) -> Self {
        Self { times, end: times.max.map(|max| clock::now().after(micros(max))) }
    }

    /// The deadline for connecting.
    pub(super) fn connect_until(&self) -> Instant {
        let until = clock::now().after(micros(self.times.timeout));
        self.end.map_or(until, |end| end.min(until))
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
