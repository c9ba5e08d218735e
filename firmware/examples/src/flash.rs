//! A NOR flash, simulated: bits go to 0 when they are written, and to 1 when a sector is erased, which
//! takes 20 ms.

use windlass_core::crc::Crc32;
use windlass_core::fault::{self, Fault};
use windlass_core::file::{Answer, Digest, Op, Storage};
use windlass_core::time::{Instant, Wake};

const SECTOR: usize = 1024;
const ERASE_US: u64 = 20_000;

/// Room for one file of `N` bytes at most.
#[derive(Debug)]
pub struct Nor<const N: usize> {
    bytes: [u8; N],
    /// The number of bytes at the front that are erased or written.
    erased: usize,
    /// When the next sector will be erased.
    erasing: Option<Instant>,
    written: usize,
    /// Whether the file is complete.
    valid: bool,
}

impl<const N: usize> Nor<N> {
    /// An empty flash.
    pub const fn new() -> Self {
        Self { bytes: [0; N], erased: 0, erasing: None, written: 0, valid: false }
    }

    /// The file, if it is complete.
    pub fn file(&self) -> Option<&[u8]> {
        self.bytes.get(..self.written).filter(|_| self.valid)
    }

    fn is_full_for(size: u64) -> bool {
        usize::try_from(size).map_or(true, |size| size > N)
    }

    fn crc32(&self) -> u32 {
        let mut crc = Crc32::new();
        crc.update(self.bytes.get(..self.written).unwrap_or_default());
        crc.finish()
    }

    fn store(&mut self, now: Instant, bytes: &[u8]) -> Answer {
        if let Some(until) = self.erasing {
            if now < until {
                return Answer::Busy(Wake::At(until));
            }
            let end = self.erased.saturating_add(SECTOR).min(N);
            self.bytes.get_mut(self.erased..end).unwrap_or_default().fill(0xff);
            (self.erased, self.erasing) = (end, None);
        }
        let room = self.bytes.get_mut(self.written..self.erased).unwrap_or_default();
        if room.is_empty() && self.written == N {
            return Answer::Failed(fault::StorageFault::Full.into());
        }
        if room.is_empty() {
            let until = now.after(ERASE_US);
            self.erasing = Some(until);
            return Answer::Busy(Wake::At(until));
        }
        let mut n = 0;
        for (cell, byte) in room.iter_mut().zip(bytes) {
            *cell &= byte;
            n += 1;
        }
        self.written += n;
        Answer::Kept(n)
    }
}

impl<const N: usize> Default for Nor<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Storage for Nor<N> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Create(head) if head.size.is_some_and(Self::is_full_for) => {
                Answer::Failed(fault::StorageFault::Full.into())
            }
            Op::Create(_) => {
                (self.erased, self.erasing) = (0, None);
                (self.written, self.valid) = (0, false);
                Answer::Done
            }
            Op::Store(_) => self.store(now, memory),
            Op::Commit(Some(Digest::Crc32(crc))) if crc == self.crc32() => {
                self.valid = true;
                Answer::Done
            }
            // Without a digest, nothing tells whether these are the bytes that were sent.
            Op::Commit(_) => Answer::Failed(Fault::Integrity),
            Op::Open(_)
            | Op::Examine
            | Op::Read { .. }
            | Op::Digest { .. }
            | Op::FinishDigest(_)
            | Op::Close => {
                Answer::Failed(fault::StorageFault::Unsupported.into())
            }
        }
    }
}
