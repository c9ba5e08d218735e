//! How long a transfer may take: for each silence, at a rate, and in all.

use std::time::Duration;

use windlass_core::time::Instant;

use crate::sys::clock;

/// How long a transfer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The server has so long to take each connection, and may be silent for as long each time.
    pub timeout: Duration,
    /// Bytes a second of a body that come at least, on the average of each `timeout`. 0: any number. The
    /// time in which the output takes nothing does not count.
    pub min_rate: u32,
    /// For all of it: every connection, every redirect, and the output.
    pub max: Option<Duration>,
}

/// The same for a transfer that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) times: Times,
    /// When it is to be over.
    pub(super) end: Option<Instant>,
}

impl Limits {
    /// From now on.
    pub(super) fn begin(times: Times) -> Self {
        Self { times, end: times.max.map(|max| clock::now().after(micros(max))) }
    }

    /// Until when the server may take a connection.
    pub(super) fn connect_until(&self) -> Instant {
        let until = clock::now().after(micros(self.times.timeout));
        self.end.map_or(until, |end| end.min(until))
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
