//! When whom: the deadlines of all sources.
//!
//! A heap of entries, and for each source the deadline that counts. Most deadlines move before they
//! come: an idle timeout with every message. So moving one later writes eight bytes, and the entry in
//! the heap, which now comes too early, is put right when it is met. Cancelling leaves the entry
//! behind. Entries that no longer count are thrown out when they are the greater part, so each costs
//! a constant in the end, and the heap is at most twice as long as there are deadlines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU64;

use windlass_core::time::{Instant, Wake};

/// Deadlines, by the index of the source.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// `(deadline, index)`. Invariant: for each source with a deadline there is an entry at its
    /// `armed`, which is not later.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    timings: Vec<Timing>,
    /// Sources with a deadline.
    live: usize,
}

/// In microseconds; the first of all time stands for the second.
#[derive(Debug, Clone, Copy, Default)]
struct Timing {
    deadline: Option<NonZeroU64>,
    /// Where its earliest entry is.
    armed: Option<NonZeroU64>,
}

/// So few entries are not worth asking which of them count.
const ENTRIES_MIN: usize = 64;

impl Deadlines {
    /// Sets the deadline of source `index`, for one that had an earlier one, a later one or none.
    pub(super) fn set(&mut self, index: u32, at: Instant) {
        let at = nonzero(at);
        let place = index as usize;
        if place >= self.timings.len() {
            self.timings.resize(place + 1, Timing::default());
        }
        let timing = &mut self.timings[place];
        self.live += usize::from(timing.deadline.replace(at).is_none());
        if timing.armed.is_none_or(|armed| at < armed) {
            timing.armed = Some(at);
            self.push(at, index);
        }
    }

    /// Source `index` has no deadline any more.
    pub(super) fn clear(&mut self, index: u32) {
        if let Some(timing) = self.timings.get_mut(index as usize)
            && timing.deadline.take().is_some()
        {
            self.live -= 1;
        }
    }

    /// Whether source `index` has a deadline.
    pub(super) fn is_set(&self, index: u32) -> bool {
        self.timings.get(index as usize).is_some_and(|timing| timing.deadline.is_some())
    }

    /// The deadline of source `index`.
    pub(super) fn get(&self, index: u32) -> Option<Instant> {
        let timing = self.timings.get(index as usize)?;
        timing.deadline.map(|at| Instant::from_micros(at.get()))
    }

    /// Takes a source whose deadline has come, earliest first, and that deadline. Ask until `None`.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(u32, Instant)> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let Reverse((at, index)) = *top;
            if at > nonzero(now).get() {
                return None;
            }
            let timing = &mut self.timings[index as usize];
            if timing.armed != NonZeroU64::new(at) {
                PeekMut::pop(top);
                continue;
            }
            match timing.deadline {
                // Also when it is due by now: another may be due before it.
                Some(later) if later.get() > at => {
                    timing.armed = Some(later);
                    *top = Reverse((later.get(), index));
                }
                deadline => {
                    *timing = Timing::default();
                    PeekMut::pop(top);
                    if let Some(at) = deadline {
                        self.live -= 1;
                        return Some((index, Instant::from_micros(at.get())));
                    }
                }
            }
        }
    }

    /// When to ask for [`expired`](Self::expired) next. It may be too early, never too late.
    pub(super) fn wake(&self) -> Wake {
        if self.live == 0 {
            return Wake::Never;
        }
        self.heap.peek().map_or(Wake::Never, |Reverse((at, _))| Wake::At(Instant::from_micros(*at)))
    }

    fn push(&mut self, at: NonZeroU64, index: u32) {
        if self.heap.len() >= ENTRIES_MIN + 2 * self.live {
            let timings = &mut self.timings;
            self.heap.retain(|&Reverse((at, index))| {
                let timing = &mut timings[index as usize];
                let counts = timing.armed == NonZeroU64::new(at);
                if counts && timing.deadline.is_none() {
                    timing.armed = None;
                }
                counts && timing.deadline.is_some()
            });
        }
        self.heap.push(Reverse((at.get(), index)));
    }
}

fn nonzero(at: Instant) -> NonZeroU64 {
    NonZeroU64::new(at.as_micros()).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests;
