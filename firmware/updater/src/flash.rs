//! What the updater asks of a flash.

use windlass_core::fault::{Fault, StorageFault};
use windlass_core::time::{Instant, Wake};

/// Bytes that are erased together.
pub const SECTOR: u32 = 4096;

/// Bytes that are programmed together, at most.
pub const PAGE: u32 = 256;

/// A NOR flash. An erased sector has ones; programming turns ones into zeros.
///
/// [`erase`](Self::erase) and [`program`](Self::program) only begin, because they take milliseconds. The traits of
/// `embedded-storage` block until they are done, and those of `embedded-storage-async` return futures that borrow
/// the flash. A storage that answers [`Busy`](windlass_core::file::Answer::Busy) in a plain loop can keep neither.
pub trait Flash {
    /// Reads from the address `at` on.
    ///
    /// # Errors
    /// The flash does not answer, or has no such address.
    fn read(&mut self, at: u32, to: &mut [u8]) -> Result<(), Failed>;

    /// Begins to erase the sector at the address `at`.
    ///
    /// # Errors
    /// The flash does not answer, or has no such address.
    fn erase(&mut self, now: Instant, at: u32) -> Result<(), Failed>;

    /// Begins to program `bytes`, which lie in one page.
    ///
    /// # Errors
    /// The flash does not answer, or has no such address.
    fn program(&mut self, now: Instant, at: u32, bytes: &[u8]) -> Result<(), Failed>;

    /// When to ask again whether the operation that was begun is done. `None` if it is; only then the
    /// other functions are called.
    ///
    /// # Errors
    /// The flash does not answer, or the operation failed.
    fn busy(&mut self, now: Instant) -> Result<Option<Wake>, Failed>;
}

/// The flash failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed;

impl From<Failed> for Fault {
    fn from(_: Failed) -> Self {
        Self::Storage(StorageFault::Failed)
    }
}
