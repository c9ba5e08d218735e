//! The accepted connections of a static pool: each is in exactly one stage.
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
use super::memory::Memory;
use crate::time::Instant;

/// What a place for a connection holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Stage {
    /// No connection.
    Vacant,
    /// One that waits for a worker, at most until then.
    Waiting { until: Instant },
    /// One that is being passed to the worker of this slot.
    Passing { slot: u16 },
    /// One that the worker of this slot has.
    With { slot: u16 },
    /// A connection with a worker that died: the host has to inspect it.
    Suspect,
    /// One that the host inspects.
    Inspecting,
    /// One that is to be closed.
    Leaving(End),
}

/// The stage of a connection that no worker can serve any more, because the pool stops.
pub(super) const STOPPING: Stage = Stage::Leaving(End::Shed(Shed::Stopping));

/// A place for a connection of a static pool: memory that the host lends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnSlot {
    pub(super) stage: Stage,
    /// Connections that were here before.
    pub(super) generation: u32,
    /// Workers that died with the connection that is here.
    pub(super) deaths: u8,
}

impl ConnSlot {
    /// A place without a connection.
    pub const FREE: Self = Self { stage: Stage::Vacant, generation: 0, deaths: 0 };
}

/// The table of all places.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Conns<C>(pub(super) C);

impl<C: Memory<ConnSlot>> Conns<C> {
    /// The name of the next connection.
    pub(super) fn vacant(&self) -> Option<Conn> {
        self.iter().find(|(_, entry)| entry.stage == Stage::Vacant).map(|(conn, _)| conn)
    }

    /// The place of `conn`; none when another connection is there.
    pub(super) fn entry(&mut self, conn: Conn) -> Option<&mut ConnSlot> {
        let entry = self.0.as_mut().get_mut(usize::from(conn.index))?;
        (entry.generation == conn.generation).then_some(entry)
    }

    /// Frees the place of `conn`.
    pub(super) fn vacate(&mut self, conn: Conn) {
        if let Some(entry) = self.entry(conn) {
            let generation = entry.generation.wrapping_add(1);
            *entry = ConnSlot { generation, ..ConnSlot::FREE };
        }
    }

    /// All places, with the names of the connections there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Conn, &ConnSlot)> {
        let name = |(index, entry): (u16, &ConnSlot)| Conn { index, generation: entry.generation };
        (0..).zip(self.0.as_ref()).map(move |(index, entry)| (name((index, entry)), entry))
    }

    /// The connection that has waited longest, and whether a worker died with it. Of two that waited as
    /// long, the one with which more workers died: it has lost more time.
    pub(super) fn oldest_waiting(&self) -> Option<(Conn, bool)> {
        let waiting = self.iter().filter_map(|(conn, entry)| match entry.stage {
            Stage::Waiting { until } => Some((until, u8::MAX - entry.deaths, conn)),
            Stage::Vacant
            | Stage::Passing { .. }
            | Stage::With { .. }
            | Stage::Suspect
            | Stage::Inspecting
            | Stage::Leaving(_) => None,
        });
        waiting.min().map(|(_, left, conn)| (conn, left < u8::MAX))
    }

    /// Connections in the table.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().iter().filter(|entry| entry.stage != Stage::Vacant).count()
    }
}
