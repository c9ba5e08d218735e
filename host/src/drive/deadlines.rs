//! The deadlines of all things in a table: one heap, corrected only where an entry comes up.
//!
//! A thing has its deadline, and most deadlines are extended before they come: an idle timeout with
//! every message. So extending one costs nothing here: its entry in the heap then comes up too
//! early, and is put back at the right time when it comes up, or a little before: the kernel sets a
//! timer for each wait, and one that is nearer than its next tick it sets in the hardware, which costs
//! a virtual machine as much as a whole datagram. A deadline that was cancelled leaves
//! its entry behind. Entries that no longer count are removed when they are the greater part: that
//! is constant time for each, and the heap is at most twice as long as the table, whatever was
//! added and removed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU64;

use windlass_core::time::Instant;

/// A deadline in microseconds: half the size of an `Option<Instant>`, for ten thousand of them. The first
/// microsecond of all time stands for the second.
pub(super) type At = NonZeroU64;

/// `(deadline, index)`. Each thing has its earliest entry, which is not later than its deadline; other
/// entries of it do not count.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(At, u32)>>);

/// What to do with an entry that comes up.
pub(super) enum Entry {
    /// Drop it: another one replaced it, or its thing is gone or has no deadline.
    Stale,
    /// Move it: the deadline is later by now.
    Early(At),
    /// Report it: the deadline has come.
    Due,
}

/// A heap with fewer entries than this is never cleaned.
const ENTRIES_MIN: usize = 64;

pub(super) fn at(instant: Instant) -> At {
    At::new(instant.as_micros()).unwrap_or(At::MIN)
}

impl Deadlines {
    /// Adds an entry; `counts` tells which of the other entries count, of `things` things.
    pub(super) fn push(
        &mut self,
        entry: (At, u32),
        things: usize,
        counts: impl Fn(At, u32) -> bool,
    ) {
        if self.0.len() >= ENTRIES_MIN + 2 * things {
            let mut entries = std::mem::take(&mut self.0).into_vec();
            entries.retain(|&Reverse((at, index))| counts(at, index));
            // A thing may have been armed twice for one time.
            entries.sort_unstable();
            entries.dedup();
            self.0 = entries.into();
        }
        self.0.push(Reverse(entry));
    }

    /// Takes the first entry that is due by `now`, `look` tells what to do with it.
    pub(super) fn pop(
        &mut self,
        now: At,
        mut look: impl FnMut(At, u32) -> Entry,
    ) -> Option<(At, u32)> {
        loop {
            let mut top = self.0.peek_mut()?;
            let Reverse((at, index)) = *top;
            if at > now {
                return None;
            }
            match look(at, index) {
                // Also if it is due by now: another one may be due before it.
                Entry::Early(later) => *top = Reverse((later, index)),
                Entry::Stale => drop(PeekMut::pop(top)),
                Entry::Due => return Some(PeekMut::pop(top).0),
            }
        }
    }

    /// The first entry that counts, as `look` tells; one that it calls due may be too early, never too late.
    pub(super) fn first(&mut self, mut look: impl FnMut(At, u32) -> Entry) -> Option<At> {
        let mut stale = 0;
        while stale < ENTRIES_MIN {
            let mut top = self.0.peek_mut()?;
            let Reverse((at, index)) = *top;
            match look(at, index) {
                Entry::Due => return Some(at),
                Entry::Early(later) => *top = Reverse((later, index)),
                Entry::Stale => {
                    PeekMut::pop(top);
                    stale += 1;
                }
            }
        }
        // Very many were cancelled: to look at all entries costs less than to take them one by one.
        let entries = std::mem::take(&mut self.0).into_vec().into_iter();
        let counting = entries.filter_map(|Reverse((at, index))| match look(at, index) {
            Entry::Due => Some(Reverse((at, index))),
            Entry::Early(later) => Some(Reverse((later, index))),
            Entry::Stale => None,
        });
        self.0 = counting.collect();
        self.0.peek().map(|&Reverse((at, _))| at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
