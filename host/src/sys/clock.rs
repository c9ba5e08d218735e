//! The two clocks. No other file reads the time.

use nix::time::{ClockId, clock_gettime};
use windlass_core::time::Instant;
use windlass_core::wire::Stamp;

/// The monotonic clock: microseconds since boot.
pub fn now() -> Instant {
    let now = read(ClockId::CLOCK_MONOTONIC);
    // Neither part is negative on this clock.
    Instant::from_micros(now.tv_sec() as u64 * 1_000_000 + now.tv_nsec() as u64 / 1_000)
}

/// The calendar clock, in seconds.
pub fn stamp() -> Stamp {
    Stamp(read(ClockId::CLOCK_REALTIME).tv_sec())
}

fn read(clock: ClockId) -> nix::sys::time::TimeSpec {
    // Linux has both clocks, and the address is ours: it cannot fail.
    clock_gettime(clock).unwrap_or(nix::sys::time::TimeSpec::new(0, 0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_monotonic_clock_moves_on() {
        let before = super::now();
        std::thread::yield_now();
        assert!(super::now() >= before);
        assert!(super::stamp().0 > 1_700_000_000);
    }
}
