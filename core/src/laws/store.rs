//! The storage of the lab: one file to send, and a hash of the bytes that were kept.

use crate::fault::StorageFault;
use crate::file::{Answer, Digest, DigestKind, Extent, Facts, Op, Refusal, Storage};
use crate::time::{Instant, Wake};

/// The stored bytes of a file: their number, and a hash of the bytes and their offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Kept {
    bytes: u64,
    hash: u32,
    is_committed: bool,
}

impl Kept {
    pub(super) const NONE: Self = Self { bytes: 0, hash: 0x811c_9dc5, is_committed: false };

    /// FNV-1a.
    fn add(&mut self, bytes: impl IntoIterator<Item = u8>) {
        for byte in bytes {
            self.hash = (self.hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
}

/// One file to send, which is found under any name, and a place for one file to receive.
pub(super) struct LabStorage {
    /// Its length in bytes. Its byte `n` is `n % 251`.
    file: Option<u64>,
    /// How many bytes of it were digested, and the offset behind the last of them.
    digested: u64,
    digested_to: u64,
    kept: Kept,
    /// Every second answer is busy, and bytes are taken one at a time.
    is_slow: bool,
    was_busy: bool,
}

impl LabStorage {
    pub(super) const fn new(file: Option<u64>, is_slow: bool) -> Self {
        let kept = Kept::NONE;
        Self { file, digested: 0, digested_to: 0, kept, is_slow, was_busy: false }
    }

    pub(super) const fn kept(&self) -> Kept {
        self.kept
    }

    /// Digests bytes: continues the digest, or begins a new one.
    fn digest(&mut self, offset: u64, bytes: u64) {
        let before = if offset == self.digested_to && offset > 0 { self.digested } else { 0 };
        (self.digested, self.digested_to) = (before + bytes, offset + bytes);
    }

    /// Whether the file has all of it.
    fn has(&self, extent: Extent) -> bool {
        extent.offset.checked_add(extent.len).is_some_and(|end| end <= self.file.unwrap_or(0))
    }

    fn most(&self, len: u64) -> u64 {
        if self.is_slow { len.min(1) } else { len }
    }

    /// The answer of a storage that is not busy.
    pub(super) fn at_once(&mut self, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => self.file.map_or(Answer::Refused(Refusal::NotFound), Answer::Opened),
            Op::Examine => Answer::Facts(Facts {
                version: Some([7, 251]),
                modified: Some(784_111_777),
                is_settled: true,
            }),
            Op::Close => Answer::Done,
            Op::Read { extent, .. } | Op::Digest { extent, .. } if !self.has(extent) => {
                Answer::Failed(StorageFault::Failed.into())
            }
            Op::Read { extent, digest } => {
                for (byte, offset) in memory.iter_mut().zip(extent.offset..) {
                    *byte = u8::try_from(offset % 251).unwrap_or_default();
                }
                if digest.is_some() {
                    self.digest(extent.offset, memory.len() as u64);
                }
                Answer::Read(memory.len())
            }
            Op::Digest { extent, .. } => {
                let bytes = self.most(extent.len);
                self.digest(extent.offset, bytes);
                Answer::Digested(bytes)
            }
            Op::FinishDigest(kind @ (DigestKind::Blake3 | DigestKind::Sha256)) => {
                let mut digest = [0; 32];
                crate::bytes::fill(&mut digest, &self.digested.to_le_bytes());
                Answer::Digest(match kind {
                    DigestKind::Sha256 => Digest::Sha256(digest),
                    _ => Digest::Blake3(digest),
                })
            }
            Op::FinishDigest(DigestKind::Crc32) => {
                Answer::Digest(Digest::Crc32(u32::try_from(self.digested).unwrap_or(u32::MAX)))
            }
            Op::Create(head) => {
                self.kept.add(head.name.iter().copied());
                Answer::Done
            }
            Op::Store(extent) => {
                let n = usize::try_from(self.most(memory.len() as u64)).unwrap_or(memory.len());
                for (&byte, at) in memory.iter().take(n).zip(extent.offset..) {
                    self.kept.add(at.to_le_bytes());
                    self.kept.add([byte]);
                }
                self.kept.bytes += n as u64;
                Answer::Kept(n)
            }
            Op::Commit(digest) => {
                let mut crc = [0; 4];
                if let Some(digest) = digest {
                    self.kept.add(digest.bytes(&mut crc).iter().copied());
                }
                self.kept.is_committed = true;
                Answer::Done
            }
        }
    }
}

impl Storage for LabStorage {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        self.was_busy = self.is_slow && !self.was_busy;
        if self.was_busy {
            return Answer::Busy(Wake::At(now.after(1)));
        }
        self.at_once(op, memory)
    }
}
