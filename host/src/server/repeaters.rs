//! The children that only repeat the last answer of a transfer: they say so, and the parent waits for none of them.
//!
//! ```text
//!   child:  the file is whole ──▶ its number goes into a slot of shared memory; the bell rings
//!   parent: counts the slots; when it reaps a child, it clears the slot
//! ```

use std::sync::atomic::{AtomicI32, Ordering};

use crate::drive::REPEATING_MAX;
use crate::error::{Error, Result};
use crate::sys::event::Event;
use crate::sys::process;
use crate::sys::shared::Shared;

/// The children of a process that only repeat.
#[derive(Debug)]
pub(super) struct Repeaters {
    /// The number of a child, or 0.
    slots: Shared<AtomicI32>,
    /// Rung when a slot was taken.
    pub(super) bell: Event,
}

/// The fewest slots: with few connections at a time there may be many in the seconds of a repetition.
const SLOTS_MIN: usize = 64;

impl Repeaters {
    /// For a server of so many connections.
    ///
    /// # Errors
    /// `ENOMEM`, `EMFILE`.
    pub(super) fn new(max_connections: usize) -> Result<Self> {
        Ok(Self {
            slots: Shared::new(max_connections.clamp(SLOTS_MIN, REPEATING_MAX))?,
            bell: Event::new().map_err(Error::of("open an eventfd", ""))?,
        })
    }

    /// In a child: from now on it only repeats. Without a free slot the parent goes on waiting for it.
    pub(super) fn enter(&self) {
        let pid = i32::try_from(process::id()).unwrap_or(0);
        let take = |slot: &AtomicI32| {
            slot.compare_exchange(0, pid, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if self.slots.iter().any(take) {
            self.bell.raise();
        }
    }

    /// In the parent: the child with this number was reaped.
    pub(super) fn leave(&self, pid: i32) {
        // Most children never take one, and a look costs a fraction of an exchange.
        let is_of = |slot: &&AtomicI32| slot.load(Ordering::Relaxed) == pid;
        if let Some(slot) = self.slots.iter().find(is_of) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.load(Ordering::Relaxed) != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::poll::wait_for_input;

    fn is_rung(repeaters: &Repeaters) -> bool {
        wait_for_input([Some(repeaters.bell.as_fd()), None, None], Some(0))[0]
    }

    #[test]
    fn a_child_is_counted_until_it_is_reaped() {
        let repeaters = Repeaters::new(1).unwrap();
        assert_eq!((repeaters.count(), is_rung(&repeaters)), (0, false));
        repeaters.enter();
        assert_eq!((repeaters.count(), is_rung(&repeaters)), (1, true));
        let own = i32::try_from(process::id()).unwrap();
        repeaters.leave(own + 1);
        assert_eq!(repeaters.count(), 1);
        repeaters.leave(own);
        assert_eq!(repeaters.count(), 0);
    }

    #[test]
    fn without_a_free_slot_nothing_is_said() {
        let repeaters = Repeaters::new(1).unwrap();
        (0..SLOTS_MIN).for_each(|_| repeaters.enter());
        assert_eq!((repeaters.count(), repeaters.bell.take()), (SLOTS_MIN, SLOTS_MIN as u64));
        repeaters.enter();
        assert_eq!((repeaters.count(), is_rung(&repeaters)), (SLOTS_MIN, false));
    }
}
