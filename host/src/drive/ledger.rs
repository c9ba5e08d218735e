//! The counters of a listener, in memory that all its processes and threads share.
//!
//! ```text
//!   line 0   added to by every process, rarely: what is accepted, what happened to workers
//!   line 1   owner │ slot │ since │ counters │ histograms      written by its owner alone: a thread that serves
//!   line 2   …                                                 free: counters stay for the next owner
//!   …
//!   the last incidents                                         added by every process, rarely
//! ```
//!
//! A line outlives its owners: the next one goes on where the last one stopped, so the sum of all lines is
//! exact, also after a process was killed. What that process was doing then is settled by a process that
//! outlives it. Each event is one store, so a process can be killed between any two instructions: a client that
//! it had accepted, and had not begun with, is what the sums lack.

mod incidents;

use std::fmt;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use windlass_core::time::Instant;

pub use self::incidents::{Incident, Party};
use self::incidents::{decode, encode};
use crate::error::Result;
use crate::sys::shared::Shared;
use crate::sys::{clock, process};
use crate::totals::{BUCKETS, Count, ENDS, Histogram, Totals};

/// The counters of a listener.
pub struct Ledger {
    words: Shared<AtomicU64>,
    /// A line that this process has taken for its first writer, or 0.
    taken: AtomicU32,
}

/// One thread that serves, as its line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The process.
    pub pid: u32,
    /// Of a worker of a pool: its slot and its epoch. Of others: the number of the line.
    pub slot: u16,
    /// See `slot`.
    pub epoch: u32,
    /// Clients that it has now.
    pub clients: u64,
    /// Clients that it is done with.
    pub ended: u64,
    /// When it began or ended with a client last.
    pub since: Instant,
}

/// What becomes of the clients of a process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// They ended with it.
    Lost,
    /// They were closed: it stopped as it should.
    Stopped,
    /// Another process has them still, and counts what becomes of them.
    Returned,
}

/// Threads that serve at most with a line of their own; further ones add to line 0.
const LINES: usize = 1024;

// Words of a line before its counters.
/// The process id of the owner, and above it the slot of a worker. 0: the line is free.
const OWNER: usize = 0;
/// The process that settles for the owner, and above it the epoch of a worker.
const GROUP: usize = 1;
const SINCE: usize = 2;
/// Clients that former owners were done with.
const BEFORE: usize = 3;
/// Clients that former owners accepted, without those that they began with.
const OWED: usize = 4;
const HEAD: usize = 5;

const DURATION: usize = HEAD + Count::ALL.len();
const FIRST_BYTE: usize = DURATION + BUCKETS + 1;
/// Words of a line: whole cache lines, so that no two owners share one.
const STRIDE: usize = (FIRST_BYTE + BUCKETS + 1).next_multiple_of(8);

// Words of line 0 before its counters.
/// Lines that were ever taken, line 0 included.
const USED: usize = 0;
/// Where to look for a free line first.
const HINT: usize = 1;
/// No line was free: those of processes that have ended are to be looked for.
const CROWDED: usize = 2;
/// When it began, in microseconds since 1970.
const STARTED: usize = 3;

impl Ledger {
    /// Counters at 0, which all processes share that are forked from now on.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        let words = Shared::zeroed(LINES * STRIDE + incidents::WORDS)?;
        let this = Self { words, taken: AtomicU32::new(0) };
        this.words[USED].store(1, Relaxed);
        this.words[HINT].store(1, Relaxed);
        this.words[STARTED].store(clock::calendar().as_nanos() / 1000, Relaxed);
        Ok(this)
    }

    /// When it began, in microseconds since 1970.
    pub fn started_us(&self) -> u64 {
        self.words[STARTED].load(Relaxed)
    }

    /// Counts an event of a process without a line.
    pub fn add(&self, count: Count, n: u64) {
        self.line(0)[HEAD + count as usize].fetch_add(n, Release);
    }

    /// Takes a line for the worker in `slot`, before it serves: so it is seen from then on. `group` settles for
    /// it when it has ended.
    pub fn enter(&self, slot: u16, epoch: u32, group: u32) {
        let owner = u64::from(std::process::id()) | (u64::from(slot) + 1) << 32;
        let line = self.take(owner, u64::from(group) | u64::from(epoch) << 32);
        self.taken.store(line, Relaxed);
    }

    /// A line for a thread of this process that begins to count: 0 if no other is free.
    pub(super) fn join(&self) -> u32 {
        match self.taken.swap(0, Relaxed) {
            0 => {
                let pid = u64::from(std::process::id());
                self.take(pid, pid)
            }
            taken => taken,
        }
    }

    fn take(&self, owner: u64, group: u64) -> u32 {
        let first = self.words[HINT].load(Relaxed) as usize;
        for at in (first.max(1)..LINES).chain(1..first.min(LINES)) {
            let line = self.line(at);
            if line[OWNER].load(Relaxed) != 0
                || line[OWNER].compare_exchange(0, owner, AcqRel, Relaxed).is_err()
            {
                continue;
            }
            line[GROUP].store(group, Relaxed);
            line[SINCE].store(clock::now().as_micros(), Relaxed);
            line[BEFORE].store(ended(line), Relaxed);
            line[OWED].store(owed(line), Relaxed);
            self.words[USED].fetch_max(at as u64 + 1, Relaxed);
            self.words[HINT].store(at as u64 + 1, Relaxed);
            return u32::try_from(at).unwrap_or(0);
        }
        self.words[CROWDED].store(1, Relaxed);
        0
    }

    /// The owner of a line gives it back. Clients that it still has are closed now.
    pub(super) fn leave(&self, at: u32) {
        if at > 0 {
            self.close(at as usize, Count::Aborted);
        }
    }

    /// How many clients that concerns.
    fn close(&self, at: usize, how: Count) -> u64 {
        let line = self.line(at);
        let (begun, rest) = (&line[HEAD + Count::Begun as usize], &line[HEAD + how as usize]);
        // An owner that does not accept owes less than nothing.
        let owed = owed(line).wrapping_sub(line[OWED].load(Relaxed)).cast_signed().max(0);
        begun.store(begun.load(Relaxed) + owed.unsigned_abs(), Release);
        let left = clients(line);
        rest.store(rest.load(Relaxed) + left, Release);
        self.vacate(at);
        left
    }

    fn vacate(&self, at: usize) {
        self.line(at)[OWNER].store(0, Release);
        self.words[HINT].store(at as u64, Relaxed);
    }

    /// Settles for the process `pid`, which has ended.
    pub fn settle(&self, pid: i32, left: Left) {
        let pid = u64::from(pid.unsigned_abs());
        self.settle_if(left, |owner, _| owner == pid);
    }

    /// No process serves any more, so no client waits: those that were accepted and that no process has begun
    /// with are settled too.
    pub fn settle_rest(&self, left: Left) {
        self.settle_all();
        let waiting = self.totals().waiting();
        if waiting > 0 {
            self.add(Count::Begun, waiting);
            self.add(if left == Left::Stopped { Count::Aborted } else { Count::Lost }, waiting);
        }
    }

    /// Settles for all processes that have ended, but for workers of a parent that lives: it settles for them.
    pub fn settle_all(&self) {
        let is_gone = |pid: u64| !process::exists(i32::try_from(pid).unwrap_or(0));
        self.settle_if(Left::Lost, |owner, group| {
            is_gone(owner) && (group == owner || is_gone(group))
        });
    }

    /// As [`settle_all`](Self::settle_all), if lines have run out.
    pub(super) fn make_room(&self) {
        if self.words[CROWDED].load(Relaxed) != 0 {
            self.words[CROWDED].store(0, Relaxed);
            self.settle_all();
        }
    }

    fn settle_if(&self, left: Left, is_gone: impl Fn(u64, u64) -> bool) {
        let low = |word: u64| word & u64::from(u32::MAX);
        for at in self.used() {
            let line = self.line(at);
            let owner = line[OWNER].load(Acquire);
            if owner == 0 || !is_gone(low(owner), low(line[GROUP].load(Relaxed))) {
                continue;
            }
            // If this process ends meanwhile, another one settles for it.
            let me = u64::from(std::process::id());
            if line[OWNER].compare_exchange(owner, me, AcqRel, Relaxed).is_err() {
                continue;
            }
            line[GROUP].store(me, Relaxed);
            match left {
                Left::Lost => {
                    let left = self.close(at, Count::Lost);
                    if left > 0 {
                        self.remember(&Incident::lost(clock::now(), low(owner), left));
                    }
                }
                Left::Stopped => {
                    self.close(at, Count::Aborted);
                }
                Left::Returned => {
                    let begun = &line[HEAD + Count::Begun as usize];
                    begun.store(begun.load(Relaxed) - clients(line), Relaxed);
                    self.vacate(at);
                }
            }
        }
    }

    /// The sums of all lines. Clients come and go meanwhile: of these, none has ended that was not begun with, and
    /// none was begun with that was not accepted.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let lines = || self.used().chain([0]).map(|at| self.line(at));
        // In the order of `Count::ALL` a client is accepted, begun with, and ended. Sums that are made in the other
        // order lack no earlier event of a client than they have.
        for &count in Count::ALL.iter().rev() {
            let word = HEAD + count as usize;
            *totals.get_mut(count) = lines().map(|line| line[word].load(Acquire)).sum();
        }
        for line in lines() {
            add_histogram(&mut totals.duration, &line[DURATION..]);
            add_histogram(&mut totals.first_byte, &line[FIRST_BYTE..]);
        }
        totals
    }

    /// Notes an incident among the last ones.
    pub fn remember(&self, incident: &Incident) {
        encode(incident, self.incidents());
    }

    /// The last incidents, the newest first.
    pub fn last_incidents(&self) -> Vec<Incident> {
        decode(self.incidents())
    }

    fn incidents(&self) -> &[AtomicU64] {
        &self.words[LINES * STRIDE..]
    }

    /// The threads that serve now, each with a line.
    pub fn seats(&self) -> impl Iterator<Item = Seat> {
        self.used().filter_map(|at| {
            let line = self.line(at);
            let (owner, group) = (line[OWNER].load(Acquire), line[GROUP].load(Relaxed));
            let high = |word: u64| u32::try_from(word >> 32).unwrap_or(0);
            let is_of_pool = high(owner) > 0;
            let slot = if is_of_pool { high(owner) as usize - 1 } else { at - 1 };
            (owner != 0).then(|| Seat {
                pid: u32::try_from(owner & u64::from(u32::MAX)).unwrap_or(0),
                slot: u16::try_from(slot).unwrap_or(u16::MAX),
                epoch: high(group),
                clients: clients(line),
                ended: ended(line).saturating_sub(line[BEFORE].load(Relaxed)),
                since: Instant::from_micros(line[SINCE].load(Relaxed)),
            })
        })
    }

    fn used(&self) -> std::ops::Range<usize> {
        let used = usize::try_from(self.words[USED].load(Relaxed)).unwrap_or(LINES);
        1..used.min(LINES)
    }

    fn line(&self, at: usize) -> &[AtomicU64] {
        &self.words[at * STRIDE..][..STRIDE]
    }

    /// The counters of a line, and whether others add to them too.
    pub(super) fn writer(&self, at: u32) -> Writer<'_> {
        Writer { line: self.line(at as usize), is_shared: at == 0 }
    }
}

/// The right to count on a line.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    line: &'a [AtomicU64],
    is_shared: bool,
}

impl Writer<'_> {
    pub(super) fn add(self, count: Count, n: u64) {
        self.add_at(HEAD + count as usize, n);
    }

    pub(super) fn duration(self, us: u64) {
        self.observe(DURATION, us);
    }

    pub(super) fn first_byte(self, us: u64) {
        self.observe(FIRST_BYTE, us);
    }

    pub(super) fn changed(self, now: Instant) {
        self.line[SINCE].store(now.as_micros(), Relaxed);
    }

    fn observe(self, histogram: usize, us: u64) {
        self.add_at(histogram + Histogram::bucket(us), 1);
        self.add_at(histogram + BUCKETS, us);
    }

    fn add_at(self, word: usize, n: u64) {
        // A reader that sees this event sees those before it.
        let word = &self.line[word];
        if self.is_shared {
            word.fetch_add(n, Release);
        } else {
            word.store(word.load(Relaxed).wrapping_add(n), Release);
        }
    }
}

fn ended(line: &[AtomicU64]) -> u64 {
    ENDS.iter().map(|&end| line[HEAD + end as usize].load(Relaxed)).sum()
}

/// Clients that all owners of a line accepted, without those that they began with.
fn owed(line: &[AtomicU64]) -> u64 {
    let [accepted, begun] =
        [Count::Accepted, Count::Begun].map(|it| line[HEAD + it as usize].load(Relaxed));
    accepted.wrapping_sub(begun)
}

/// Clients that the owner of a line has now.
fn clients(line: &[AtomicU64]) -> u64 {
    line[HEAD + Count::Begun as usize].load(Relaxed).saturating_sub(ended(line))
}

fn add_histogram(sum: &mut Histogram, words: &[AtomicU64]) {
    for (sum, word) in sum.counts.iter_mut().chain([&mut sum.sum_us]).zip(words) {
        *sum += word.load(Relaxed);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("used", &self.used().end).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
