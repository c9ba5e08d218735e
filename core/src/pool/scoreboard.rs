//! The layout of the shared-memory scoreboard: one cache line for each slot, written by the worker
//! of that slot alone, read by any process.
//!
//! ```text
//!   0        4        8      9     12         16              24             32             40    64
//!   ├────────┼────────┼──────┼──────┼──────────┼───────────────┼──────────────┼──────────────┼─────┤
//!   │sequence│ epoch  │state │      │ (spare)  │ requests lo hi│ bytes lo  hi │ since lo  hi │spare│
//!   └────────┴────────┴──────┴──────┴──────────┴───────────────┴──────────────┴──────────────┴─────┘
//! ```
//!
//! A line is a seqlock. The writer makes the sequence odd, writes, and makes it even again; a reader
//! takes what it read only when the sequence was even before and the same after. There is one
//! writer, so no compare-and-swap is needed, and machines without 64-bit atomics (Cortex-M0) can
//! read and write it too: counters are pairs of words.
//!
//! The orderings, after Boehm, *Can seqlocks get along with programming language memory models?*
//! (MSPC 2012), with every word of the payload atomic, so that there is no data race:
//!
//! - The writer stores the odd sequence and then fences with `Release`: a reader that sees a word
//!   of the new payload and fences with `Acquire` also sees the odd sequence.
//! - It stores the even sequence with `Release`: a reader that loads that with `Acquire` sees the
//!   payload to which it belongs.
//! - The reader fences with `Acquire` before it loads the sequence again: if one of its words was of
//!   a newer payload, that load is not of the old sequence.

use core::sync::atomic::{AtomicU32, Ordering, fence};

use crate::time::Instant;

/// What a worker does, as it says itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Activity {
    /// There is no worker.
    #[default]
    Free,
    /// It waits for a connection.
    Idle,
    /// It serves one.
    Busy,
}

impl Activity {
    /// One character a worker (seeds §1 row 4): `.` idle, `X` busy, ` ` no worker.
    pub const fn glyph(self) -> char {
        match self {
            Activity::Free => ' ',
            Activity::Idle => '.',
            Activity::Busy => 'X',
        }
    }

    const fn word(self) -> u32 {
        match self {
            Activity::Free => 0,
            Activity::Idle => 1,
            Activity::Busy => 2,
        }
    }

    /// A worker may have written anything: a word that is no activity means no worker.
    const fn from_word(word: u32) -> Self {
        match word {
            1 => Activity::Idle,
            2 => Activity::Busy,
            _ => Activity::Free,
        }
    }
}

/// What a worker says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Report {
    /// Which worker of its slot wrote this; compare with
    /// [`WorkerId::epoch`](super::processes::WorkerId::epoch).
    pub epoch: u32,
    /// What it does.
    pub activity: Activity,
    /// Connections that it finished.
    pub requests: u64,
    /// Bytes that it sent.
    pub bytes: u64,
    /// Since when it does what it does.
    pub since: Instant,
}

/// A `u64` as two words, the low one first.
#[derive(Debug, Default)]
#[repr(C)]
struct Pair([AtomicU32; 2]);

impl Pair {
    const fn zero() -> Self {
        Self([AtomicU32::new(0), AtomicU32::new(0)])
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a u64")]
    fn store(&self, value: u64) {
        self.0[0].store(value as u32, Ordering::Relaxed);
        self.0[1].store((value >> 32) as u32, Ordering::Relaxed);
    }

    fn load(&self) -> u64 {
        let [low, high] = [&self.0[0], &self.0[1]].map(|word| word.load(Ordering::Relaxed));
        u64::from(high) << 32 | u64::from(low)
    }
}

/// A slot's line. Its default, all zeros, is a free one.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Line {
    /// Odd while the payload is being written.
    sequence: AtomicU32,
    epoch: AtomicU32,
    activity: AtomicU32,
    /// So that the pairs do not straddle eight bytes.
    spare: AtomicU32,
    requests: Pair,
    bytes: Pair,
    since: Pair,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Line {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Line {{ report: {} }}", self.read());
    }
}

const _: () = assert!(size_of::<Line>() == 64, "a line is a cache line");
const _: () = assert!(align_of::<Line>() == 64, "no two share one");
const _: () = assert!(core::mem::offset_of!(Line, requests) == 16);
const _: () = assert!(core::mem::offset_of!(Line, since) == 32);

/// How often a reader tries again before it gives up for now.
const TRIES: usize = 64;

impl Line {
    /// A free one.
    pub const fn free() -> Self {
        let [sequence, epoch, activity, spare] = [const { AtomicU32::new(0) }; 4];
        let [requests, bytes, since] = [const { Pair::zero() }; 3];
        Self { sequence, epoch, activity, spare, requests, bytes, since }
    }

    /// Writes a report. Only the worker of the slot may; after its death the parent, to say that
    /// there is no worker.
    ///
    /// A worker that died in here left the sequence odd. That is no lock: the next writer goes on
    /// from it, and until then readers are told that there is nothing to read.
    pub fn write(&self, report: &Report) {
        let odd = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        self.epoch.store(report.epoch, Ordering::Relaxed);
        self.activity.store(report.activity.word(), Ordering::Relaxed);
        self.requests.store(report.requests);
        self.bytes.store(report.bytes);
        self.since.store(report.since.as_micros());
        self.sequence.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// Reads the last report, whole. None: it was being written each time, or its writer died while
    /// writing.
    pub fn read(&self) -> Option<Report> {
        (0..TRIES).find_map(|_| self.try_read())
    }

    fn try_read(&self) -> Option<Report> {
        let before = self.sequence.load(Ordering::Acquire);
        let report = Report {
            epoch: self.epoch.load(Ordering::Relaxed),
            activity: Activity::from_word(self.activity.load(Ordering::Relaxed)),
            requests: self.requests.load(),
            bytes: self.bytes.load(),
            since: Instant::from_micros(self.since.load()),
        };
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(report)
    }
}

/// The scoreboard as a string, one character a slot. A slot that cannot be read shows `?`.
///
/// ```
/// use windlass_core::pool::scoreboard::{Activity, Line, Report, Scoreboard};
/// let lines = [Line::free(), Line::free()];
/// lines[0].write(&Report { activity: Activity::Busy, ..Report::default() });
/// assert_eq!(format!("{}", Scoreboard(&lines)), "X ");
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scoreboard<'a>(pub &'a [Line]);

impl core::fmt::Display for Scoreboard<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use core::fmt::Write;
        self.0
            .iter()
            .map(|line| line.read().map_or('?', |report| report.activity.glyph()))
            .try_for_each(|glyph| f.write_char(glyph))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    /// A report with fields that all follow from one number: a torn one does not fit together.
    fn report(n: u32) -> Report {
        let wide = u64::from(n) << 32 | u64::from(n);
        Report {
            epoch: n,
            activity: [Activity::Free, Activity::Idle, Activity::Busy][n as usize % 3],
            requests: wide,
            bytes: !wide,
            since: Instant::from_micros(wide.rotate_left(7)),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let line = Line::free();
        assert_eq!(line.read(), Some(Report::default()), "zeros are a free slot");
        for n in [0, 1, 2, 77, u32::MAX] {
            line.write(&report(n));
            assert_eq!(line.read(), Some(report(n)));
        }
    }

    #[test]
    fn the_string_has_a_character_a_slot() {
        let lines: [Line; 5] = core::array::from_fn(|_| Line::free());
        for (line, activity) in lines.iter().zip([Activity::Idle, Activity::Busy, Activity::Free]) {
            line.write(&Report { activity, ..Report::default() });
        }
        lines[3].sequence.store(1, Ordering::Relaxed);
        assert_eq!(Scoreboard(&lines).to_string(), ".X ? ");
    }

    #[test]
    fn a_line_with_a_dead_writer_is_not_read_until_it_is_written_again() {
        let line = Line::free();
        line.sequence.store(7, Ordering::Relaxed);
        assert_eq!(line.read(), None);
        line.write(&report(3));
        assert_eq!(line.read(), Some(report(3)));
        assert_eq!(line.sequence.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn the_sequence_wraps() {
        let line = Line::free();
        line.sequence.store(u32::MAX - 1, Ordering::Relaxed);
        line.write(&report(5));
        assert_eq!(line.sequence.load(Ordering::Relaxed), 0);
        assert_eq!(line.read(), Some(report(5)));
    }

    #[test]
    fn a_word_that_is_no_activity_means_no_worker() {
        let line = Line::free();
        line.activity.store(99, Ordering::Relaxed);
        assert_eq!(line.read().map(|report| report.activity), Some(Activity::Free));
    }

    #[test]
    fn a_reader_never_sees_a_torn_line() {
        let writes = if cfg!(miri) { 60 } else { 100_000 };
        let line = Line::free();
        line.write(&report(0));
        let reads = std::thread::scope(|scope| {
            scope.spawn(|| (1..=writes).for_each(|n| line.write(&report(n))));
            let reader = || {
                let (mut reads, mut last) = (0_u32, 0);
                while last < writes {
                    std::thread::yield_now();
                    let Some(read) = line.read() else { continue };
                    assert_eq!(read, report(read.epoch), "torn");
                    assert!(read.epoch >= last, "it went backwards");
                    last = read.epoch;
                    reads += 1;
                }
                reads
            };
            let others = [scope.spawn(reader), scope.spawn(reader)];
            others.map(|other| other.join().unwrap_or(0))
        });
        assert!(reads.iter().all(|reads| *reads > 0), "{reads:?}");
    }
}
