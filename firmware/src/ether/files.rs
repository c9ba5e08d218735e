//! Storages without memory: a file that is compared with what it has to be, or made of it, and a number.

use windlass_core::crc::Crc32;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer, Digest, DigestKind, Op, Storage};
use windlass_core::time::Instant;

/// The byte of the files at an offset. The test that writes them has the same rule.
fn byte_at(offset: usize) -> u8 {
    let [byte, ..] = offset.wrapping_mul(2_654_435_761).to_be_bytes();
    byte
}

/// Bytes that are digested at once: the other end is served between two such parts.
const DIGESTED: usize = 4096;

/// Compares a file with what it has to be, and keeps nothing of it; or has one to be sent.
#[derive(Debug)]
pub struct Compared {
    size: usize,
    /// The byte that comes next.
    pub next: usize,
    crc: Crc32,
}

impl Compared {
    /// For a file of `size` bytes.
    pub const fn new(size: usize) -> Self {
        Self { size, next: 0, crc: Crc32::new() }
    }
}

impl Storage for Compared {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Create(head) if head.size.is_some_and(|size| size != self.size as u64) => {
                Answer::Failed(StorageFault::Full.into())
            }
            Op::Create(_) | Op::Close => Answer::Done,
            // Of a server that told no size, and sends for ever.
            Op::Store(_) if self.next >= self.size => Answer::Failed(StorageFault::Full.into()),
            Op::Store(_) => {
                let is_same = (self.next..).zip(&*memory).all(|(at, byte)| byte_at(at) == *byte);
                self.crc.update(memory);
                self.next += memory.len();
                if is_same { Answer::Kept(memory.len()) } else { Answer::Failed(Fault::Integrity) }
            }
            Op::Commit(digest) => {
                let is_same = match digest {
                    Some(Digest::Crc32(crc)) => crc == self.crc.finish(),
                    Some(Digest::Blake3(_) | Digest::Sha256(_)) => false,
                    // A TFTP server of others has none.
                    None => true,
                };
                let is_whole = is_same && self.next == self.size;
                if is_whole { Answer::Done } else { Answer::Failed(Fault::Integrity) }
            }
            Op::Open(_) => Answer::Opened(self.size as u64),
            Op::Read { extent, digest: None } => {
                let from = usize::try_from(extent.offset).unwrap_or(self.size);
                for (at, byte) in (from..self.size).zip(&mut *memory) {
                    *byte = byte_at(at);
                }
                Answer::Read(memory.len())
            }
            Op::Digest { kind: DigestKind::Crc32, extent } => {
                let from = usize::try_from(extent.offset).unwrap_or(self.size);
                let to = self.size.min(from + DIGESTED);
                for at in from..to {
                    self.crc.update(&[byte_at(at)]);
                }
                Answer::Digested((to - from) as u64)
            }
            Op::FinishDigest(DigestKind::Crc32) => Answer::Digest(Digest::Crc32(self.crc.finish())),
            Op::Examine | Op::Read { .. } | Op::Digest { .. } | Op::FinishDigest(_) => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
        }
    }
}

/// A number in decimal digits, in a file.
#[derive(Debug, Default)]
pub struct Number(pub u16);

impl Storage for Number {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Store(_) => {
                for digit in memory.iter().filter(|byte| byte.is_ascii_digit()) {
                    self.0 = self.0.wrapping_mul(10).wrapping_add(u16::from(digit - b'0'));
                }
                Answer::Kept(memory.len())
            }
            Op::Create(_) | Op::Commit(_) => Answer::Done,
            Op::Open(_)
            | Op::Examine
            | Op::Read { .. }
            | Op::Digest { .. }
            | Op::FinishDigest(_)
            | Op::Close => Answer::Failed(StorageFault::Unsupported.into()),
        }
    }
}
