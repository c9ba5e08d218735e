//! Where every accepted connection of a static pool is: exactly one place each.
//!
//! ```text
//!            ┌────────────── not sent, returned ──────────────┐
//!            ▼                                                │
//!   accept ─▶ Waiting ──Pass──▶ Passing ──sent──▶ With ──▶ Leaving ─▶ closed
//!            ▲  │                  └──worker died──┤  done     ▲
//!            │  └─too long, stop───────────────────│──────────▶│
//!            └──untouched── Inspecting ◀── Suspect ┘           │
//!                               └──touched, or too many deaths─┘
//! ```

use super::event::{Conn, End, Shed};
use crate::time::Instant;

/// Where a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    /// There is no connection here.
    Vacant,
    /// It waits for a worker, so long.
    Waiting { until: Instant },
    /// It is being passed to the worker of this slot.
    Passing { slot: u16 },
    /// The worker of this slot has it.
    With { slot: u16 },
    /// Its worker died: somebody has to look.
    Suspect,
    /// Somebody looks.
    Inspecting,
    /// It is to be closed.
    Leaving(End),
}

/// A connection that nobody serves any more leaves for this.
pub(super) const STOPPING: Place = Place::Leaving(End::Shed(Shed::Stopping));

/// A place for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Connections that were here.
    pub(super) generation: u32,
    /// Workers that died with it.
    pub(super) deaths: u8,
}

/// The table.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Conns<const N: usize>(pub(super) [Entry; N]);

impl<const N: usize> Conns<N> {
    pub(super) const EMPTY: Self =
        Self([Entry { place: Place::Vacant, generation: 0, deaths: 0 }; N]);

    /// Where the next connection goes.
    pub(super) fn vacant(&self) -> Option<Conn> {
        self.iter().find(|(_, entry)| entry.place == Place::Vacant).map(|(conn, _)| conn)
    }

    /// The entry of `conn`; none when it is not the one that is there.
    pub(super) fn entry(&mut self, conn: Conn) -> Option<&mut Entry> {
        let entry = self.0.get_mut(usize::from(conn.index))?;
        (entry.generation == conn.generation).then_some(entry)
    }

    /// Makes room in the place of `conn`.
    pub(super) fn vacate(&mut self, conn: Conn) {
        if let Some(entry) = self.entry(conn) {
            let generation = entry.generation.wrapping_add(1);
            *entry = Entry { place: Place::Vacant, generation, deaths: 0 };
        }
    }

    /// All places, with the names of the connections there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Conn, &Entry)> {
        let name = |(index, entry): (u16, &Entry)| Conn { index, generation: entry.generation };
        (0..).zip(&self.0).map(move |(index, entry)| (name((index, entry)), entry))
    }

    /// The one that has waited longest, and whether a worker died with it. Of equals the one that
    /// more died with: it has lost more time.
    pub(super) fn oldest_waiting(&self) -> Option<(Conn, bool)> {
        let waiting = self.iter().filter_map(|(conn, entry)| match entry.place {
            Place::Waiting { until } => Some((until, u8::MAX - entry.deaths, conn)),
            Place::Vacant
            | Place::Passing { .. }
            | Place::With { .. }
            | Place::Suspect
            | Place::Inspecting
            | Place::Leaving(_) => None,
        });
        waiting.min().map(|(_, left, conn)| (conn, left < u8::MAX))
    }

    /// Connections in the table.
    pub(super) fn len(&self) -> usize {
        self.0.iter().filter(|entry| entry.place != Place::Vacant).count()
    }
}
