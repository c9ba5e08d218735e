//! The tests of the process pool: rows for each rule, random histories, and every state there is.

extern crate std;

use super::*;

/// A pool in arrays.
type Arrays<const S: usize, const C: usize> = Processes<[Slot; S], [ConnSlot; C]>;

mod bench;
mod canon;
mod conns;
mod crashes;
mod explore;
mod invariants;
mod random;
mod scale;
mod world;
