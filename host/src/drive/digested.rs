//! Digests of files: one that is being computed, and those of whole files that were computed lately.
//!
//! An entry belongs to a version, not to a name, and a version is what an entity tag names: a client that is
//! told both may take them for one statement. So only a version that is settled has an entry.

use std::collections::VecDeque;

use windlass_core::file::{Digest, DigestKind, Extent};

use crate::digest::Hasher;
use crate::sys::stamp::Stamp;

/// The largest number of entries: the images that devices of a site fetch at the same time.
const ENTRIES_MAX: usize = 16;

/// The digests of a loop, the latest behind.
#[derive(Debug, Default)]
pub(super) struct Digested(VecDeque<(Stamp, Digest)>);

impl Digested {
    /// The digest of this version.
    pub(super) fn find(&self, stamp: Stamp, kind: DigestKind) -> Option<Digest> {
        let mut all = self.0.iter();
        let found = all.find(|(of, digest)| *of == stamp && digest.kind() == kind);
        found.map(|&(_, digest)| digest)
    }

    /// Notes one that was computed, in the place of the oldest.
    pub(super) fn note(&mut self, stamp: Stamp, digest: Digest) {
        if self.find(stamp, digest.kind()).is_some() {
            return;
        }
        if self.0.len() >= ENTRIES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((stamp, digest));
    }
}

/// The digest of a part of a file, which grows piece by piece.
#[derive(Debug, Default)]
pub(super) struct Running {
    hasher: Option<Hasher>,
    begin: u64,
    end: u64,
    /// The digest of all bytes, known from before.
    known: Option<Digest>,
}

impl Running {
    /// Takes bytes of the file from `offset` on: behind those before, or a new digest begins with them.
    pub(super) fn update(&mut self, kind: DigestKind, offset: u64, bytes: &[u8]) {
        let goes_on = offset > 0 && offset == self.end;
        match &mut self.hasher {
            Some(hasher) if goes_on && hasher.kind() == kind => hasher.update(bytes),
            hasher => {
                hasher.insert(Hasher::new(kind)).update(bytes);
                self.begin = offset;
            }
        }
        self.end = offset + bytes.len() as u64;
    }

    /// Takes the digest of all bytes of this version, if it is known.
    pub(super) fn recall(&mut self, kind: DigestKind, stamp: Stamp, all: &Digested) -> bool {
        self.known = all.find(stamp, kind);
        self.known.is_some()
    }

    /// The digest of the bytes so far, and of no bytes at the beginning. `None`: it cannot be computed.
    pub(super) fn so_far(&self, kind: DigestKind) -> Option<Digest> {
        match &self.hasher {
            _ if self.known.is_some_and(|known| known.kind() == kind) => self.known,
            Some(hasher) if hasher.kind() == kind => hasher.finish(),
            Some(_) | None => Hasher::new(kind).finish(),
        }
    }

    /// The part of which a digest of this kind was computed.
    pub(super) fn part(&self, kind: DigestKind) -> Option<Extent> {
        let part = Extent { offset: self.begin, len: self.end - self.begin };
        self.hasher.as_ref().filter(|hasher| hasher.kind() == kind).map(|_| part)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_few_versions_are_known() {
        let mut file = tempfile::tempfile().unwrap();
        let mut digested = Digested::default();
        let stamps: Vec<_> = (0..=ENTRIES_MAX as u32)
            .map(|number| {
                file.write_all(b"x").unwrap();
                let stamp = Stamp::look(&file).unwrap();
                digested.note(stamp, Digest::Crc32(number));
                // The first one counts.
                digested.note(stamp, Digest::Crc32(number + 1));
                stamp
            })
            .collect();
        let find = |at: usize, kind| digested.find(stamps[at], kind);
        assert_eq!(find(0, DigestKind::Crc32), None, "the oldest made room");
        assert_eq!(find(1, DigestKind::Crc32), Some(Digest::Crc32(1)));
        assert_eq!(find(1, DigestKind::Sha256), None);
    }
}
