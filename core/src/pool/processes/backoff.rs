//! How long to wait after a failure: doubling, with a cap, spread by a deterministic jitter.

use crate::time::Instant;

/// Waiting after failures: `first · 2ⁿ`, at most `max`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    /// The first wait, in microseconds. At least 1.
    pub first_us: u64,
    /// The longest, in microseconds, jitter included. At least `first_us`.
    pub max_us: u64,
    /// How much longer a wait may get by chance, in percent, so that not all come back at once.
    pub jitter_percent: u8,
    /// What the chance is made of. The core has no randomness: equal seeds give equal waits.
    pub seed: u64,
}

impl Backoff {
    /// The `n`th wait in a row, `n` from 1, for the worker or pool that `salt` stands for.
    pub(super) fn wait_us(&self, n: u8, salt: u64) -> u64 {
        let doubled = self.first_us.saturating_mul(1 << n.saturating_sub(1).min(62));
        let base = doubled.min(self.max_us);
        let chance = mix(self.seed ^ mix(salt)) % (u64::from(self.jitter_percent) + 1);
        base.saturating_add(base / 100 * chance).min(self.max_us)
    }

    /// The count after one more failure. It stops growing where the waits do, so that no number of
    /// failures overflows it.
    pub(super) fn count(&self, n: u8) -> u8 {
        let doubled = self.first_us.saturating_mul(1 << n.saturating_sub(1).min(62));
        if n > 0 && doubled >= self.max_us { n } else { n.saturating_add(1) }
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Starts that failed for want of something that all share: the whole pool waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Scarcity {
    /// Failures in a row.
    pub(super) count: u8,
    /// No start before this.
    pub(super) until: Instant,
}

impl Scarcity {
    pub(super) fn fail(&mut self, backoff: &Backoff, now: Instant) {
        self.count = backoff.count(self.count);
        self.until = now.after(backoff.wait_us(self.count, u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Backoff = Backoff { first_us: 100, max_us: 30_000, jitter_percent: 0, seed: 0 };

    #[test]
    fn waits_double_up_to_the_cap() {
        for (n, wait) in [(1, 100), (2, 200), (3, 400), (9, 25_600), (10, 30_000), (255, 30_000)] {
            assert_eq!(PLAIN.wait_us(n, 0), wait, "{n}");
        }
    }

    #[test]
    fn the_count_stops_where_the_waits_do() {
        let mut n = 0;
        for _ in 0..1000 {
            n = PLAIN.count(n);
        }
        assert_eq!(n, 10);
        assert_eq!(PLAIN.wait_us(n, 0), PLAIN.max_us);
    }

    #[test]
    fn jitter_only_lengthens_and_depends_on_seed_and_salt_alone() {
        let spread = Backoff { jitter_percent: 25, seed: 7, ..PLAIN };
        let waits: [u64; 8] = core::array::from_fn(|salt| spread.wait_us(1, salt as u64));
        assert!(waits.iter().all(|wait| (100..=125).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
        assert_eq!(waits, core::array::from_fn(|salt| spread.wait_us(1, salt as u64)));
        let other = Backoff { seed: 8, ..spread };
        assert_ne!(waits, core::array::from_fn(|salt| other.wait_us(1, salt as u64)));
        assert_eq!(spread.wait_us(200, 3), 30_000, "the cap holds with jitter");
    }
}
