//! The deadlines of all things in a table: one heap, put right only where it is met.
//!
//! A thing knows its deadline, and most deadlines move before they come: an idle timeout with every
//! message. So moving one later costs nothing here: its entry in the heap now comes too early, and is put
//! back at the right time when it is met. A deadline that was called off leaves its entry behind. Entries
//! that no longer count are thrown out when they are the greater part: that is constant time for each, and
//! the heap is at most twice as long as the table, whatever came and went.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU64;

use windlass_core::time::{Instant, Wake};

use super::{Slot, Table};
use crate::sys::ready::Token;

/// `(deadline, place)`. Invariant: for each thing with a deadline there is an entry at its `armed`, which
/// is not later.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(NonZeroU64, u32)>>);

/// So few entries are not worth asking which of them count.
const ENTRIES_MIN: usize = 64;

/// In microseconds; the first of all time stands for the second.
fn micros(at: Instant) -> NonZeroU64 {
    NonZeroU64::new(at.as_micros()).unwrap_or(NonZeroU64::MIN)
}

impl<T, M> Table<T, M> {
    /// The deadline of a thing is `at`, or later. To be said whenever it may have become earlier.
    pub fn arm(&mut self, token: Token, at: Instant) {
        let at = micros(at);
        let Some(slot) = self.slot_mut(token) else { return };
        if slot.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        slot.armed = Some(at);
        if self.deadlines.0.len() >= ENTRIES_MIN + 2 * self.len() {
            self.tidy();
        }
        self.deadlines.0.push(Reverse((at, token.index)));
    }

    /// A thing whose deadline has come, the earliest first, and that deadline. Ask until `None`. It has no
    /// entry any more: [`arm`](Self::arm) it, or it has no deadline from now on.
    pub fn expired(
        &mut self,
        now: Instant,
        deadline: impl Fn(&T) -> Option<Instant>,
    ) -> Option<(Token, Instant)> {
        loop {
            let mut top = self.deadlines.0.peek_mut()?;
            let Reverse((at, index)) = *top;
            if at > micros(now) {
                return None;
            }
            let slot = &mut self.slots[index as usize];
            let Some(thing) = slot.thing.as_ref().filter(|_| slot.armed == Some(at)) else {
                PeekMut::pop(top);
                continue;
            };
            match deadline(thing) {
                // Also when it is due by now: another may be due before it.
                Some(later) if micros(later) > at => {
                    slot.armed = Some(micros(later));
                    *top = Reverse((micros(later), index));
                }
                due => {
                    slot.armed = None;
                    let token = Token { index, generation: slot.generation };
                    PeekMut::pop(top);
                    if due.is_some() {
                        return Some((token, Instant::from_micros(at.get())));
                    }
                }
            }
        }
    }

    /// When to ask for [`expired`](Self::expired) next. It may be too early, never too late.
    pub fn wake(&mut self, deadline: impl Fn(&T) -> Option<Instant>) -> Wake {
        loop {
            let Some(top) = self.deadlines.0.peek_mut() else { return Wake::Never };
            let Reverse((at, index)) = *top;
            let slot = &mut self.slots[index as usize];
            if slot.armed == Some(at) {
                if slot.thing.as_ref().and_then(&deadline).is_some() {
                    return Wake::At(Instant::from_micros(at.get()));
                }
                slot.armed = None;
            }
            PeekMut::pop(top);
        }
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.deadlines.0.len()
    }

    /// Throws out the entries that another one overtook, and those of things that are gone.
    fn tidy(&mut self) {
        let mut entries = std::mem::take(&mut self.deadlines.0).into_vec();
        let is_armed = |slot: &Slot<T, M>, at| slot.armed == Some(at);
        entries.retain(|&Reverse((at, index))| is_armed(&self.slots[index as usize], at));
        // A thing may have been armed twice for one time.
        entries.sort_unstable();
        entries.dedup();
        self.deadlines.0 = entries.into();
    }
}

#[cfg(test)]
mod tests;
