//! Points in time, which the shell passes to machines, and the times at which machines want to be
//! called.

mod ticks;

pub use ticks::Ticks;

/// A point in time: microseconds since an epoch that the shell chooses.
///
/// 64 bits of microseconds last 584,000 years, so an instant never wraps. If the clock steps backwards,
/// [`since`](Self::since) returns 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The shell's epoch.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The instant `micros` microseconds later, or the last instant if that would overflow.
    #[must_use]
    pub const fn after(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this instant; 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(feature = "embassy-time")]
impl From<embassy_time::Instant> for Instant {
    fn from(at: embassy_time::Instant) -> Self {
        Self(at.as_micros())
    }
}

/// A time before smoltcp's epoch is the epoch.
#[cfg(feature = "smoltcp")]
impl From<smoltcp::time::Instant> for Instant {
    fn from(at: smoltcp::time::Instant) -> Self {
        Self(u64::try_from(at.total_micros()).unwrap_or(0))
    }
}

/// An instant beyond the range of smoltcp becomes the last instant of smoltcp.
#[cfg(feature = "smoltcp")]
impl From<Instant> for smoltcp::time::Instant {
    fn from(at: Instant) -> Self {
        Self::from_micros(i64::try_from(at.0).unwrap_or(i64::MAX))
    }
}

/// When a machine wants a call of `tick`. The smaller of two values is the earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wake {
    /// At once.
    Now,
    /// At this instant or later.
    At(Instant),
    /// No time: only when something else happens.
    #[default]
    Never,
}

impl Wake {
    /// Whether a tick is due at `now`.
    pub fn is_due(self, now: Instant) -> bool {
        match self {
            Wake::Now => true,
            Wake::At(at) => at <= now,
            Wake::Never => false,
        }
    }

    /// Microseconds to wait from `now`: 0 if it is due, `None` for [`Never`](Self::Never).
    pub fn wait_us(self, now: Instant) -> Option<u64> {
        match self {
            Wake::Now => Some(0),
            Wake::At(at) => Some(at.since(now)),
            Wake::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Instant = Instant::from_micros(1_000);

    #[test]
    fn a_clock_that_steps_back_is_clamped() {
        assert_eq!(T.since(T.after(1)), 0);
        assert_eq!(T.after(7).since(T), 7);
        assert_eq!(Instant::from_micros(u64::MAX).after(1).as_micros(), u64::MAX);
    }

    #[test]
    fn the_earlier_wake_wins() {
        for (a, b, min) in [
            (Wake::Now, Wake::At(T), Wake::Now),
            (Wake::At(T), Wake::Never, Wake::At(T)),
            (Wake::At(T.after(1)), Wake::At(T), Wake::At(T)),
            (Wake::Never, Wake::Never, Wake::Never),
            (Wake::Never, Wake::Now, Wake::Now),
        ] {
            assert_eq!(a.min(b), min);
            assert_eq!(b.min(a), min);
        }
    }

    #[test]
    fn due_and_waiting_agree() {
        for (wake, due, wait) in [
            (Wake::Now, true, Some(0)),
            (Wake::At(T), true, Some(0)),
            (Wake::At(T.after(1)), false, Some(1)),
            (Wake::At(Instant::ZERO), true, Some(0)),
            (Wake::Never, false, None),
        ] {
            assert_eq!(wake.is_due(T), due, "{wake:?}");
            assert_eq!(wake.wait_us(T), wait, "{wake:?}");
        }
    }
}
