//! How fast a peer takes its pending output.
//!
//! ```text
//!   time that it has   ┤▔▔╲          ▁▁▔▔▔▔ never more than the limit
//!                      │    ╲    ▁▁╱         each byte that it takes is worth 1 s / rate
//!                      └──────╲╱───────▶     each second in which the socket is full costs a second
//! ```
//!
//! The bytes that count are those that the peer has acknowledged (`SIOCOUTQ`), not those that a
//! write moved: a write moves megabytes into the kernel at once, and then none until a slow reader
//! has taken them.

use std::num::NonZeroU32;

use windlass_core::time::Instant;

use super::rules::TimeLimits;

/// The time that a peer has left while its socket is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// When the other fields were computed. `None` while the peer is not waited for.
    since: Option<Instant>,
    /// Bytes that the kernel had for the peer at that moment, and bytes that were sent after it.
    left: u32,
    /// The time that it has left, in microseconds.
    calm_us: u64,
    /// The time that it has left while other clients wait.
    busy_us: u64,
}

impl Pace {
    /// A peer with its full time.
    pub(super) fn new(limits: &TimeLimits) -> Self {
        let [calm_us, busy_us] = at_most(limits);
        Self { since: None, left: 0, calm_us, busy_us }
    }

    /// The socket took `n` bytes.
    pub(super) fn sent(&mut self, n: usize) {
        self.left = self.left.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// Notes that the peer is waited for, with `unsent` bytes in the kernel.
    pub(super) fn wait(&mut self, now: Instant, unsent: u32, limits: &TimeLimits) {
        self.charge(now, unsent, limits);
        (self.since, self.left) = (Some(now), unsent);
    }

    /// Notes that the socket took all output, with `unsent` bytes in the kernel: time does not
    /// count from now on.
    pub(super) fn rest(&mut self, now: Instant, unsent: u32, limits: &TimeLimits) {
        self.charge(now, unsent, limits);
        self.since = None;
    }

    /// When it will have no time left, while other clients wait or not.
    pub(super) fn end(&self, busy: bool) -> Option<Instant> {
        let left_us = if busy { self.busy_us.min(self.calm_us) } else { self.calm_us };
        self.since.map(|since| since.after(left_us))
    }

    fn charge(&mut self, now: Instant, unsent: u32, limits: &TimeLimits) {
        let Some(since) = self.since else { return };
        let (spent_us, taken) = (now.since(since), self.left.saturating_sub(unsent));
        let worth = |limit_us: u64| match (taken, limits.min_rate.map(NonZeroU32::get)) {
            (0, _) => 0,
            (_, None) => limit_us.saturating_add(spent_us),
            (taken, Some(rate)) => u64::from(taken) * 1_000_000 / u64::from(rate),
        };
        let [calm, busy] = at_most(limits);
        let after = |left_us: u64, limit_us: u64| {
            left_us.saturating_add(worth(limit_us)).saturating_sub(spent_us).min(limit_us)
        };
        self.calm_us = after(self.calm_us, calm);
        self.busy_us = after(self.busy_us, busy);
    }
}

/// The full time of a peer: at other times, and while other clients wait.
fn at_most(limits: &TimeLimits) -> [u64; 2] {
    let calm = limits.idle_us.unwrap_or(u64::MAX);
    let busy = limits.min_rate.and(limits.busy_us).unwrap_or(calm);
    [calm, busy.min(calm)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_micros(1_000_000);
    const SECOND: u64 = 1_000_000;

    fn limits(rate: u32) -> TimeLimits {
        TimeLimits {
            idle_us: Some(10 * SECOND),
            min_rate: NonZeroU32::new(rate),
            busy_us: Some(SECOND),
            ..TimeLimits::default()
        }
    }

    /// A peer that takes `taken` bytes each second, and is checked in the eleventh second.
    fn after_ten_seconds(rate: u32, taken: u32) -> [Option<Instant>; 2] {
        let limits = limits(rate);
        let mut pace = Pace::new(&limits);
        pace.wait(T0, 1_000_000, &limits);
        for second in 1..=10 {
            pace.wait(T0.after(second * SECOND), 1_000_000 - second as u32 * taken, &limits);
        }
        [pace.end(false), pace.end(true)]
    }

    #[test]
    fn a_client_that_takes_nothing_has_the_limit_and_no_more() {
        let limits = limits(100);
        let mut pace = Pace::new(&limits);
        assert_eq!(pace.end(false), None);
        pace.wait(T0, 1_000, &limits);
        assert_eq!(
            [false, true].map(|busy| pace.end(busy)),
            [Some(T0.after(10 * SECOND)), Some(T0.after(SECOND))]
        );
        let late = Some(T0.after(10 * SECOND));
        assert_eq!(after_ten_seconds(100, 0), [late; 2]);
    }

    #[test]
    fn a_client_that_keeps_up_loses_nothing_and_one_at_half_speed_loses_half() {
        let now = T0.after(10 * SECOND);
        assert_eq!(after_ten_seconds(100, 100), [20, 11].map(|s| Some(T0.after(s * SECOND))));
        assert_eq!(after_ten_seconds(100, 5_000), [20, 11].map(|s| Some(T0.after(s * SECOND))));
        assert_eq!(after_ten_seconds(100, 50), [Some(now.after(5 * SECOND)), Some(now)]);
        // Without a rate one byte is enough, and waiting clients change nothing.
        assert_eq!(after_ten_seconds(0, 1), [Some(now.after(10 * SECOND)); 2]);
    }

    #[test]
    fn what_is_not_waited_for_is_not_charged() {
        let limits = limits(100);
        let mut pace = Pace::new(&limits);
        pace.wait(T0, 1_000, &limits);
        let later = T0.after(4 * SECOND);
        pace.sent(500);
        pace.rest(later, 1_500, &limits);
        assert_eq!(pace.end(false), None);
        pace.wait(T0.after(100 * SECOND), 1_000, &limits);
        assert_eq!(pace.end(false), Some(T0.after(106 * SECOND)));
    }
}
