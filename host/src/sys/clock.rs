//! The two clocks. No other file reads the time.

use std::fmt;

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

/// A moment of the calendar clock.
#[derive(Debug, Clone, Copy)]
pub struct Calendar {
    seconds: i64,
    micros: u32,
}

/// The moment.
pub fn calendar() -> Calendar {
    let now = read(ClockId::CLOCK_REALTIME);
    // Below a million.
    Calendar::of(now.tv_sec(), (now.tv_nsec() / 1_000) as u32)
}

/// Reads the time zone, once: a process that is confined cannot.
pub fn prepare_calendar() {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: it sets variables of the C library, which has a lock for them.
    unsafe { tzset() };
}

impl Calendar {
    /// That moment of 1970 and after.
    pub fn of(seconds: i64, micros: u32) -> Self {
        Self { seconds, micros }
    }

    /// That moment by the clock of [`now`], as both clocks are at this time.
    pub fn monotonic(&self) -> Instant {
        let (now, today) = (now(), calendar());
        let ago_us = today.as_nanos().saturating_sub(self.as_nanos()) / 1_000;
        Instant::from_micros(now.as_micros().saturating_sub(ago_us))
    }

    /// Whole seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Microseconds of the second that has begun.
    pub fn micros(&self) -> u32 {
        self.micros
    }

    /// Nanoseconds since 1970.
    pub fn as_nanos(&self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(self.micros) * 1_000)
    }

    /// In the time zone of this process: `17:04:12.123`.
    pub fn time_of_day(&self) -> String {
        let tm = self.parts(libc::localtime_r);
        format!("{:02}:{:02}:{:02}.{:03}", tm.tm_hour, tm.tm_min, tm.tm_sec, self.micros / 1_000)
    }

    /// In UTC, as web servers write it: `29/Nov/2026:17:04:12 +0000`.
    pub fn common(&self) -> impl fmt::Display {
        Common(*self)
    }

    /// In UTC, without parts of a second: `2026-11-29T17:04:12`.
    pub fn date_time(&self) -> impl fmt::Display {
        DateTime(*self)
    }

    fn parts(
        &self,
        split: unsafe extern "C" fn(*const i64, *mut libc::tm) -> *mut libc::tm,
    ) -> libc::tm {
        // SAFETY: a `tm` of zeros is one; both pointers are good for the call, which keeps neither.
        unsafe {
            let mut tm = std::mem::zeroed();
            split(&raw const self.seconds, &raw mut tm);
            tm
        }
    }
}

/// In UTC, as RFC 3339 has it: `2026-11-29T17:04:12.123456Z`.
impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}Z", self.date_time(), self.micros)
    }
}

struct DateTime(Calendar);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tm = self.0.parts(libc::gmtime_r);
        let (year, month, day) = (tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
        let (hour, min, sec) = (tm.tm_hour, tm.tm_min, tm.tm_sec);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{min:02}:{sec:02}")
    }
}

struct Common(Calendar);

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let tm = self.0.parts(libc::gmtime_r);
        let month = usize::try_from(tm.tm_mon).ok().and_then(|month| MONTHS.get(month));
        let (day, month, year) = (tm.tm_mday, month.unwrap_or(&"-"), tm.tm_year + 1900);
        write!(
            f,
            "{day:02}/{month}/{year:04}:{:02}:{:02}:{:02} +0000",
            tm.tm_hour, tm.tm_min, tm.tm_sec
        )
    }
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
