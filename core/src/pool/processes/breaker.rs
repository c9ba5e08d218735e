//! The breaker against crash loops: workers that keep dying young are probed, not replaced.
//!
//! nginx and php-fpm start a child that crashes at once 900 to 3,000 times a second, for ever
//! (measured). Here the breaker opens, and from then on one worker a second is tried.

use super::bucket::{Bucket, Rate};
use crate::time::Instant;

/// When the breaker opens, and how it probes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Trip {
    /// So many workers died young … At least 2.
    pub failures: u16,
    /// … at once, or more than that for each such time, in microseconds. At least `failures`.
    pub within_us: u64,
    /// Microseconds between probes while it is open. At least 1.
    pub probe_us: u64,
}

impl Trip {
    /// What is tolerated: the last of `failures` finds the bucket empty.
    fn tolerated(self) -> Rate {
        Rate {
            burst: self.failures.saturating_sub(1),
            every_us: self.within_us / u64::from(self.failures.max(1)),
        }
    }
}

/// Closed while the pool lives normally.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Breaker {
    Closed { tolerance: Bucket },
    Open { probe_at: Instant },
}

impl Breaker {
    pub(super) const fn closed(now: Instant) -> Self {
        Breaker::Closed { tolerance: Bucket::full(now) }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Breaker::Open { .. })
    }

    /// A worker died young.
    pub(super) fn fail(&mut self, trip: Trip, now: Instant) {
        match self {
            Breaker::Closed { tolerance } => {
                if !tolerance.take(trip.tolerated(), now) {
                    *self = Breaker::Open { probe_at: now.after(trip.probe_us) };
                }
            }
            Breaker::Open { .. } => {}
        }
    }

    /// A worker is started.
    pub(super) fn spawned(&mut self, trip: Trip, now: Instant) {
        match self {
            Breaker::Closed { .. } => {}
            Breaker::Open { probe_at } => *probe_at = now.after(trip.probe_us),
        }
    }

    /// No start before this.
    pub(super) const fn not_before(&self) -> Instant {
        match self {
            Breaker::Closed { .. } => Instant::ZERO,
            Breaker::Open { probe_at } => *probe_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Trip = Trip { failures: 3, within_us: 30, probe_us: 100 };

    fn at(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    fn opens_after(failures: &[u64]) -> Option<usize> {
        let mut breaker = Breaker::closed(at(0));
        failures.iter().position(|us| {
            breaker.fail(TRIP, at(*us));
            breaker.is_open()
        })
    }

    #[test]
    fn it_opens_at_the_failure_that_is_too_many() {
        for (failures, opens) in [
            (&[0, 0, 0][..], Some(2)),
            (&[0, 1, 2], Some(2)),
            (&[0, 5, 9], Some(2)),
            (&[0, 5, 10], None),
            (&[0, 10, 20, 30, 40, 50], None),
            (&[0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99], Some(11)),
        ] {
            assert_eq!(opens_after(failures), opens, "{failures:?}");
        }
    }

    #[test]
    fn open_it_lets_one_through_an_interval() {
        let mut breaker = Breaker::Open { probe_at: at(100) };
        breaker.fail(TRIP, at(50));
        assert_eq!(breaker.not_before(), at(100), "failures do not put the probe off");
        breaker.spawned(TRIP, at(100));
        assert_eq!(breaker.not_before(), at(200));
    }
}
