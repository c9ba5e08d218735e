//! A hardware timer of 32 bits as time that does not wrap.

use super::Instant;

/// Extends a free-running counter of 32 bits to an [`Instant`], without division.
///
/// Call [`now`](Self::now) at least once in each period of the counter: a counter of 1 MHz wraps
/// after 71 minutes, one of 32,768 Hz after 36 hours.
///
/// ```
/// use windlass_core::time::{Instant, Ticks};
/// const RATE_HZ: u32 = 32_768;
/// let mut clock = const { Ticks::new(RATE_HZ) };
/// assert_eq!(clock.now(32_768), Instant::from_micros(1_000_000));
/// assert_eq!(clock.now(u32::MAX), Instant::from_micros(131_071_999_969));
/// assert_eq!(clock.now(0), Instant::from_micros(131_072_000_000)); // it wrapped
/// ```
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticks {
    /// Microseconds in a tick, and the rest in 2^-32 of one.
    whole_us: u32,
    part: u32,
    /// The counter at the last call.
    last: u32,
    /// The time then, and the rest in 2^-32 microseconds.
    at: Instant,
    rest: u32,
}

impl Ticks {
    /// For a counter of `rate_hz`, at least 1, that is 0 at the shell's epoch. If the rate does
    /// not divide 2^32 MHz, the time is late by less than a second in a century.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the quotient of two 32-bit numbers, in two halves"
    )]
    pub const fn new(rate_hz: u32) -> Self {
        let rate = if rate_hz == 0 { 1 } else { rate_hz as u64 };
        let us_2_32 = (1_000_000 << 32) / rate;
        Self {
            whole_us: (us_2_32 >> 32) as u32,
            part: us_2_32 as u32,
            last: 0,
            at: Instant::ZERO,
            rest: 0,
        }
    }

    /// The time at which the counter is `ticks`.
    pub fn now(&mut self, ticks: u32) -> Instant {
        let passed = u64::from(ticks.wrapping_sub(self.last));
        self.last = ticks;
        // At most 2^32 - 1 times 2^32 - 1, and 2^32 - 1: it fits.
        let parts = passed.wrapping_mul(self.part.into()).wrapping_add(self.rest.into());
        let [b0, b1, b2, b3, ..] = parts.to_le_bytes();
        self.rest = u32::from_le_bytes([b0, b1, b2, b3]);
        let whole = passed.wrapping_mul(self.whole_us.into());
        self.at = self.at.after(whole.saturating_add(parts >> 32));
        self.at
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_counter_wraps_and_time_does_not() {
        let mut clock = Ticks::new(1_000_000);
        for round in 0..3_u64 {
            for ticks in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                let now = clock.now(ticks);
                assert_eq!(now.as_micros(), (round << 32) + u64::from(ticks), "round {round}");
            }
        }
    }

    #[test]
    fn a_counter_that_stands_still_is_no_round() {
        let mut clock = Ticks::new(1000);
        assert_eq!(clock.now(7), clock.now(7));
    }

    proptest! {
        #[test]
        fn it_is_exact_however_often_it_is_told(
            rate in 1_u32..200_000_000,
            steps in proptest::collection::vec(0_u32..=u32::MAX, 1..50),
        ) {
            let mut clock = Ticks::new(rate);
            let (mut ticks, mut all) = (0_u32, 0_u128);
            for step in steps {
                ticks = ticks.wrapping_add(step);
                all += u128::from(step);
                let exact = all * 1_000_000 / u128::from(rate);
                let now = u128::from(clock.now(ticks).as_micros());
                // A tick is known to 2^-32 microseconds.
                let late = all >> 32;
                prop_assert!(now <= exact && exact - now <= late + 1, "{now} is not {exact}");
            }
        }
    }
}
