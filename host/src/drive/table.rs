//! The table of all things in a loop: its connections, and in the reactor every other source too.
//!
//! ```text
//!   Token ──▶ slot: generation │ in the run queue? │ aside? │ mark │ entry in the heap │ the thing
//! ```
//!
//! A slot that was vacated gets another generation, so a token that is late for its thing finds
//! nothing.

use windlass_core::time::{Instant, Wake};

use super::deadlines::{At, Deadlines, Entry as Heaped, at};
use crate::sys::ready::Token;

/// A wait of less than this, in microseconds, may be shorter than the tick of the kernel.
const SOON_US: u64 = 8_000;

/// Things that are set aside at most: each may have a descriptor.
const ASIDE_MAX: usize = super::turns::REPEATING_MAX;

/// The things of one loop by token. `M` is a note of the loop for each thing, in bytes that a slot has
/// to spare.
pub struct Table<T, M = ()> {
    slots: Vec<Slot<T, M>>,
    /// Vacant slots.
    vacant: Vec<u32>,
    /// Things that were set aside.
    aside: usize,
    deadlines: Deadlines,
}

/// One thing, in a cache line of its own.
#[repr(align(64))]
struct Slot<T, M> {
    generation: u32,
    turn: Turn,
    is_aside: bool,
    mark: M,
    /// The earliest entry in the heap, if there is one.
    armed: Option<At>,
    thing: Option<T>,
}

/// Whether a thing is in the loop's run queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is not in the queue.
    None,
    /// It is in the queue, and has a turn when the queue comes to it.
    Due,
    /// It is in the queue, and the queue skips it.
    Dropped,
}

/// A thing in its table.
pub struct Entry<'a, T, M> {
    /// The thing.
    pub thing: &'a mut T,
    /// The note of the loop.
    pub mark: &'a mut M,
    turn: &'a mut Turn,
}

impl<T, M> Entry<'_, T, M> {
    /// Cancels the turn that was promised.
    pub fn call_off(&mut self) {
        if *self.turn == Turn::Due {
            *self.turn = Turn::Dropped;
        }
    }
}

impl<T, M> Default for Table<T, M> {
    fn default() -> Self {
        let (slots, vacant, deadlines) = (Vec::new(), Vec::new(), Deadlines::default());
        Self { slots, vacant, aside: 0, deadlines }
    }
}

impl<T, M> Table<T, M> {
    /// The size of a slot in bytes.
    pub(crate) const SLOT_SIZE: usize = size_of::<Slot<T, M>>();

    /// The number of things.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// The number of things that were set aside.
    pub fn aside(&self) -> usize {
        self.aside
    }

    /// Whether there is no thing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token of the thing that is inserted next.
    pub fn next(&self) -> Token {
        let index = self.vacant.last().copied();
        // A process has far fewer descriptors, and far less memory for timers, than 2^32.
        let index = index.unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        Token { index, generation }
    }

    /// Inserts a thing, and returns its token.
    pub fn insert(&mut self, thing: T, mark: M) -> Token {
        let token @ Token { index, generation } = self.next();
        let (turn, thing) = (Turn::None, Some(thing));
        let slot = Slot { generation, turn, is_aside: false, mark, armed: None, thing };
        match self.vacant.pop() {
            Some(_) => self.slots[index as usize] = slot,
            None => self.slots.push(slot),
        }
        token
    }

    /// Removes a thing.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let slot = self.slot_mut(token)?;
        let thing = slot.thing.take()?;
        slot.armed = None;
        slot.generation = slot.generation.wrapping_add(1);
        let was_aside = std::mem::take(&mut slot.is_aside);
        self.aside -= usize::from(was_aside);
        self.vacant.push(token.index);
        Some(thing)
    }

    /// Sets a thing aside: it stays, and has its turns, but nothing waits for it. False: it was, or too many are.
    pub fn set_aside(&mut self, token: Token) -> bool {
        if self.aside == ASIDE_MAX {
            return false;
        }
        let Some(slot) = self.slot_mut(token) else { return false };
        let is_new = !std::mem::replace(&mut slot.is_aside, true);
        self.aside += usize::from(is_new);
        is_new
    }

    /// A thing.
    pub fn get(&self, token: Token) -> Option<&T> {
        self.slot(token)?.thing.as_ref()
    }

    /// A thing, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.slot_mut(token)?.thing.as_mut()
    }

    /// The note of the loop for a thing.
    pub fn mark(&self, token: Token) -> Option<&M> {
        self.slot(token).map(|slot| &slot.mark)
    }

    /// A thing and its slot, to change them.
    pub fn entry(&mut self, token: Token) -> Option<Entry<'_, T, M>> {
        let Slot { turn, mark, thing, .. } = self.slot_mut(token)?;
        Some(Entry { thing: thing.as_mut()?, mark, turn })
    }

    /// All things.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &T, &M)> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| {
            let token = Token { index, generation: slot.generation };
            Some((token, slot.thing.as_ref()?, &slot.mark))
        })
    }

    /// All things, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut T)> {
        self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| {
            let token = Token { index, generation: slot.generation };
            Some((token, slot.thing.as_mut()?))
        })
    }

    /// Promises a turn to a thing. Returns true if it was not in the run queue: then add it.
    pub fn promise(&mut self, token: Token) -> bool {
        let Some(slot) = self.slot_mut(token) else { return false };
        std::mem::replace(&mut slot.turn, Turn::Due) == Turn::None
    }

    /// Cancels the turn that was promised to a thing.
    pub fn call_off(&mut self, token: Token) {
        if let Some(mut entry) = self.entry(token) {
            entry.call_off();
        }
    }

    /// Removes a thing from the run queue. Returns whether it has a turn now.
    pub fn take_turn(&mut self, token: Token) -> bool {
        let Some(slot) = self.slot_mut(token) else { return false };
        std::mem::replace(&mut slot.turn, Turn::None) == Turn::Due
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// Notes that the deadline of a thing is `deadline` or later. Call it whenever the deadline may
    /// have become earlier.
    pub fn arm(&mut self, token: Token, deadline: Instant) {
        let (things, at) = (self.len(), at(deadline));
        let Some(slot) = self.slot_mut(token) else { return };
        if slot.armed.is_none_or(|armed| at < armed) {
            slot.armed = Some(at);
            let counts = |at, index| self.slots[index as usize].armed == Some(at);
            self.deadlines.push((at, token.index), things, counts);
        }
    }

    /// A thing with a deadline that has come, the earliest first, and that deadline. Ask until
    /// `None`. It has no entry any more: call [`arm`](Self::arm), or it has no deadline from now
    /// on.
    pub fn expired(
        &mut self,
        now: Instant,
        deadline: impl Fn(&T) -> Option<Instant>,
    ) -> Option<(Token, Instant)> {
        let look = |entry, index: u32| {
            let slot = &mut self.slots[index as usize];
            if slot.armed != Some(entry) {
                return Heaped::Stale;
            }
            match slot.thing.as_ref().and_then(&deadline).map(at) {
                Some(later) if later > entry => {
                    slot.armed = Some(later);
                    Heaped::Early(later)
                }
                due => {
                    slot.armed = None;
                    if due.is_some() { Heaped::Due } else { Heaped::Stale }
                }
            }
        };
        let (at, index) = self.deadlines.pop(at(now), look)?;
        let generation = self.slots[index as usize].generation;
        Some((Token { index, generation }, Instant::from_micros(at.get())))
    }

    /// When to ask for [`expired`](Self::expired) next. It is never too late, and too early only where that is not
    /// soon after `now`.
    pub fn wake(&mut self, now: Instant, deadline: impl Fn(&T) -> Option<Instant>) -> Wake {
        let soon = at(now.after(SOON_US));
        let look = |entry, index: u32| {
            let slot = &mut self.slots[index as usize];
            if slot.armed != Some(entry) {
                return Heaped::Stale;
            }
            match slot.thing.as_ref().and_then(&deadline).map(at) {
                Some(later) if later > entry && entry < soon => {
                    slot.armed = Some(later);
                    Heaped::Early(later)
                }
                Some(_) => Heaped::Due,
                None => {
                    slot.armed = None;
                    Heaped::Stale
                }
            }
        };
        let first = self.deadlines.first(look);
        first.map_or(Wake::Never, |at| Wake::At(Instant::from_micros(at.get())))
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.deadlines.len()
    }

    fn slot(&self, token: Token) -> Option<&Slot<T, M>> {
        let slot = self.slots.get(token.index as usize)?;
        (slot.generation == token.generation && slot.thing.is_some()).then_some(slot)
    }

    fn slot_mut(&mut self, token: Token) -> Option<&mut Slot<T, M>> {
        let slot = self.slots.get_mut(token.index as usize)?;
        (slot.generation == token.generation && slot.thing.is_some()).then_some(slot)
    }
}

#[cfg(test)]
mod deadline_tests;
#[cfg(test)]
mod tests;
