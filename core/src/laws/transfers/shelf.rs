//! The storage of one end of a run: a file of known bytes, or a place for it.

use super::trial::{FAILS, Trial};
use crate::bytes::first_mut;
use crate::file::{Answer, Extent, Op, Storage};
use crate::sim::Disk;
use crate::time::{Instant, Wake};

/// A disk that is slow, or fails, as the trial has it.
pub(super) struct Shelf<const N: usize> {
    disk: Disk<[u8; N]>,
    end: usize,
    trial: Trial,
    ops: u32,
    was_busy: bool,
}

/// The file: its byte `n` is `n % 251`.
fn image<const N: usize>() -> [u8; N] {
    let mut image = [0; N];
    for (byte, n) in image.iter_mut().zip((0..251_u8).cycle()) {
        *byte = n;
    }
    image
}

impl<const N: usize> Shelf<N> {
    pub(super) fn new(has_file: bool, end: usize, trial: Trial) -> Self {
        let disk = Disk::new(if has_file { image() } else { [0; N] });
        Self { disk, end, trial, ops: 0, was_busy: false }
    }

    /// Operations so far.
    pub(super) const fn ops(&self) -> u32 {
        self.ops
    }

    /// Whether all of the file is kept, and valid.
    pub(super) fn is_whole(&self) -> bool {
        self.disk.whole() == Some(&image::<N>()[..])
    }
}

impl<const N: usize> Storage for Shelf<N> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        if self.trial == Trial::SlowStorage {
            // A read that is told to wait begins anew.
            self.was_busy = !self.was_busy && !matches!(op, Op::Read { .. });
            if self.was_busy {
                return Answer::Busy(Wake::At(now.after(1)));
            }
            let one = |extent: Extent| Extent { len: extent.len.min(1), ..extent };
            let memory = first_mut(memory, 1);
            return match op {
                Op::Store(extent) => self.disk.perform(now, Op::Store(one(extent)), memory),
                Op::Digest { kind, extent } => {
                    self.disk.perform(now, Op::Digest { kind, extent: one(extent) }, memory)
                }
                op => self.disk.perform(now, op, memory),
            };
        }
        let fails = self.trial == Trial::StorageFails { end: self.end, after: self.ops };
        self.ops = self.ops.saturating_add(1);
        if fails { Answer::Failed(FAILS) } else { self.disk.perform(now, op, memory) }
    }
}
