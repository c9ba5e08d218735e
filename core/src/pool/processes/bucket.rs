//! A token bucket in one instant: so much at once, so much in the long run.

use crate::time::Instant;

/// How fast something may happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rate {
    /// Tokens in a full bucket. At least 1.
    pub burst: u16,
    /// Microseconds until one more. At least 1.
    pub every_us: u64,
}

impl Rate {
    /// How far ahead of the clock a bucket may be and still give.
    fn slack_us(self) -> u64 {
        u64::from(self.burst.saturating_sub(1)).saturating_mul(self.every_us)
    }
}

/// A bucket, as the instant at which it is full again (the "theoretical arrival time" of the
/// generic cell rate algorithm, ITU-T I.371). In any window of `t` it gives at most
/// `burst + t / every` tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Bucket {
    pub(super) full_at: Instant,
}

impl Bucket {
    pub(super) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next token is there.
    pub(super) fn ready_at(self, rate: Rate) -> Instant {
        Instant::from_micros(self.full_at.as_micros().saturating_sub(rate.slack_us()))
    }

    /// Takes a token; false when there is none.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        if self.ready_at(rate) > now {
            return false;
        }
        self.full_at = self.full_at.max(now).after(rate.every_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every_us: 10 };

    fn at(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    #[test]
    fn a_burst_then_one_an_interval() {
        let mut bucket = Bucket::full(at(5));
        for (now, given) in
            [(5, true), (5, true), (5, true), (5, false), (14, false), (15, true), (15, false)]
        {
            assert_eq!(bucket.take(RATE, at(now)), given, "at {now}");
        }
        assert_eq!(bucket.ready_at(RATE), at(25));
    }

    #[test]
    fn it_never_holds_more_than_the_burst() {
        let mut bucket = Bucket::full(at(0));
        let given = (0..9).filter(|_| bucket.take(RATE, at(1_000_000))).count();
        assert_eq!(given, 3);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_extra() {
        let mut bucket = Bucket::full(at(1000));
        for _ in 0..3 {
            assert!(bucket.take(RATE, at(1000)));
        }
        assert!(!bucket.take(RATE, at(0)));
    }
}
