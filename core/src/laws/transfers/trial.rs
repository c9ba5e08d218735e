//! What is difficult in a run.

use crate::fault::{Fault, StorageFault};

/// What is difficult in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trial {
    /// Nothing.
    Plain,
    /// The network loses, doubles and reorders, by this seed.
    Network(u64),
    /// Storage is busy every other time, and takes and gives one byte at a time.
    SlowStorage,
    /// The storage of this end fails at this operation.
    StorageFails {
        /// The end.
        end: usize,
        /// How many operations go well before.
        after: u32,
    },
    /// The clock of both ends steps back to 0 every other time.
    ClockStepsBack,
    /// This end is aborted at this call.
    Aborted {
        /// The end.
        end: usize,
        /// How many calls come before.
        after: u32,
    },
    /// The network is cut after so many datagrams of the client.
    Cut(u32),
    /// Before each datagram come some that are not of the protocol.
    Noise,
}

/// What a storage that fails says.
pub(super) const FAILS: Fault = Fault::Storage(StorageFault::Failed);
