//! Digests of files, of each kind that the core knows.

use windlass_core::file::{Digest, DigestKind};

/// A digest that is computed as the bytes come.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    /// BLAKE3, whose state is some two thousand bytes.
    Blake3(Box<blake3::Hasher>),
    /// CRC-32/ISO-HDLC.
    Crc32(crc32fast::Hasher),
}

impl Hasher {
    /// Of no bytes yet.
    pub(crate) fn new(kind: DigestKind) -> Self {
        match kind {
            DigestKind::Blake3 => Self::Blake3(Box::default()),
            DigestKind::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
        }
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> DigestKind {
        match self {
            Self::Blake3(_) => DigestKind::Blake3,
            Self::Crc32(_) => DigestKind::Crc32,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Crc32(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of the bytes so far. More may follow.
    pub(crate) fn finish(&self) -> Digest {
        match self {
            Self::Blake3(hasher) => Digest::Blake3(hasher.finalize().into()),
            Self::Crc32(hasher) => Digest::Crc32(hasher.clone().finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_both_kinds() {
        let of = |kind| {
            let mut hasher = Hasher::new(kind);
            hasher.update(b"1234");
            hasher.update(b"56789");
            hasher.finish()
        };
        assert_eq!(of(DigestKind::Crc32), Digest::Crc32(0xcbf4_3926));
        assert_eq!(of(DigestKind::Blake3), Digest::Blake3(blake3::hash(b"123456789").into()));
    }
}
