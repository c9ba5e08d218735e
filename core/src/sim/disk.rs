//! Storage for one file, in memory.

use crate::bytes::{after, fill, first};
use crate::crc::Crc32;
use crate::fault::{Fault, StorageFault};
use crate::file::{Answer, Digest, DigestKind, Op, Refusal, Storage};
use crate::time::Instant;

/// One file, which is found under any name and which a new one takes the place of. `B` is its memory.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Disk<B> {
    memory: B,
    /// Bytes of the memory that are the file.
    len: usize,
    /// All of it came, and its digest is right.
    is_whole: bool,
    crc: Crc32,
    /// Where the digest is in the file.
    digested: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Disk<B> {
    /// All of `memory` is the file, until another one comes.
    pub fn new(memory: B) -> Self {
        let len = memory.as_ref().len();
        Self { memory, len, is_whole: false, crc: Crc32::new(), digested: 0 }
    }

    /// The file that came, if it is whole.
    pub fn whole(&self) -> Option<&[u8]> {
        self.is_whole.then_some(self.kept())
    }

    /// What was kept, whole or not.
    pub fn kept(&self) -> &[u8] {
        first(self.memory.as_ref(), self.len)
    }

    /// Digests so many bytes, or as many as there are, and says how many.
    fn digest(&mut self, at: usize, len: usize) -> usize {
        if at != self.digested || at == 0 {
            self.crc = Crc32::new();
        }
        let part = first(after(first(self.memory.as_ref(), self.len), at), len);
        self.crc.update(part);
        self.digested = at.saturating_add(part.len());
        part.len()
    }

    fn commit(&mut self, digest: Option<Digest<&[u8; 32]>>) -> Answer {
        let mut crc = Crc32::new();
        crc.update(self.kept());
        match digest {
            Some(Digest::Crc32(told)) if told != crc.finish() => Answer::Failed(Fault::Integrity),
            Some(Digest::Blake3(_) | Digest::Sha256(_)) => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
            None | Some(Digest::Crc32(_)) => {
                self.is_whole = true;
                Answer::Done
            }
        }
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Storage for Disk<B> {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        match op {
            Op::Open(_) => Answer::Opened(self.len as u64),
            Op::Read { digest: Some(DigestKind::Blake3), .. } => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
            Op::Read { extent, digest } => {
                match fill(memory, after(self.kept(), at(extent.offset))) {
                    0 => Answer::Failed(StorageFault::Failed.into()),
                    n => {
                        if digest.is_some() {
                            self.digest(at(extent.offset), n);
                        }
                        Answer::Read(n)
                    }
                }
            }
            Op::Digest { kind: DigestKind::Crc32, extent } => {
                Answer::Digested(self.digest(at(extent.offset), at(extent.len)) as u64)
            }
            Op::FinishDigest(DigestKind::Crc32) => Answer::Digest(Digest::Crc32(self.crc.finish())),
            Op::Digest { .. } | Op::FinishDigest(_) => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
            Op::Create(head) => {
                if head.size.is_some_and(|size| size > self.memory.as_ref().len() as u64) {
                    return Answer::Refused(Refusal::NoRoom);
                }
                (self.len, self.is_whole) = (at(head.offset), false);
                Answer::Done
            }
            Op::Store(extent) => {
                let room = self.memory.as_mut().get_mut(at(extent.offset)..).unwrap_or_default();
                match fill(room, memory) {
                    0 => Answer::Failed(StorageFault::Full.into()),
                    n => {
                        self.len = at(extent.offset).saturating_add(n);
                        Answer::Kept(n)
                    }
                }
            }
            Op::Commit(digest) => self.commit(digest),
            Op::Examine => Answer::Failed(StorageFault::Unsupported.into()),
            Op::Close => Answer::Done,
        }
    }
}
