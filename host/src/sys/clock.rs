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

/// The first microsecond that has not begun: a delay that starts now counts from there. From [`now`],
/// which has begun already, it would end up to a microsecond early.
pub fn next() -> Instant {
    now().after(1)
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
        assert!(super::next() > before, "a microsecond that has not begun");
        assert!(super::stamp().0 > 1_700_000_000);
    }
}
