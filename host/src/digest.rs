//! Digests of files, of each kind that the core knows and this program is built with.

use windlass_core::file::{Digest, DigestKind, Digests};

/// The kinds that this program can compute. BLAKE3, SHA-256, and a CRC-32 that is computed with the
/// processor's instructions, take the feature `digest`.
pub(crate) const OFFERED: Digests =
    if cfg!(feature = "digest") { Digests::ALL } else { Digests::CRC32 };

#[cfg(feature = "digest")]
use crc32fast::Hasher as Crc32;
#[cfg(feature = "digest")]
use sha2::{Digest as _, Sha256};
#[cfg(not(feature = "digest"))]
use windlass_core::crc::Crc32;

/// A digest that is computed piece by piece.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    /// BLAKE3; its state has about two thousand bytes.
    #[cfg(feature = "digest")]
    Blake3(Box<blake3::Hasher>),
    /// A kind that this program cannot compute.
    #[cfg(not(feature = "digest"))]
    Blake3,
    /// CRC-32/ISO-HDLC.
    Crc32(Crc32),
    /// SHA-256.
    #[cfg(feature = "digest")]
    Sha256(Sha256),
    /// A kind that this program cannot compute.
    #[cfg(not(feature = "digest"))]
    Sha256,
}

impl Hasher {
    /// A digest of no bytes.
    pub(crate) fn new(kind: DigestKind) -> Self {
        match kind {
            #[cfg(feature = "digest")]
            DigestKind::Blake3 => Self::Blake3(Box::default()),
            #[cfg(not(feature = "digest"))]
            DigestKind::Blake3 => Self::Blake3,
            DigestKind::Crc32 => Self::Crc32(Crc32::new()),
            #[cfg(feature = "digest")]
            DigestKind::Sha256 => Self::Sha256(Sha256::new()),
            #[cfg(not(feature = "digest"))]
            DigestKind::Sha256 => Self::Sha256,
        }
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> DigestKind {
        match self {
            Self::Blake3 { .. } => DigestKind::Blake3,
            Self::Crc32(_) => DigestKind::Crc32,
            Self::Sha256 { .. } => DigestKind::Sha256,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            #[cfg(feature = "digest")]
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Crc32(hasher) => hasher.update(bytes),
            #[cfg(feature = "digest")]
            Self::Sha256(hasher) => hasher.update(bytes),
            #[cfg(not(feature = "digest"))]
            Self::Blake3 | Self::Sha256 => {}
        }
    }

    /// The digest of the bytes so far, if its kind can be computed. More may follow.
    #[cfg_attr(feature = "digest", expect(clippy::unnecessary_wraps, reason = "not so without it"))]
    pub(crate) fn finish(&self) -> Option<Digest> {
        match self {
            #[cfg(feature = "digest")]
            Self::Blake3(hasher) => Some(Digest::Blake3(hasher.finalize().into())),
            #[cfg(feature = "digest")]
            Self::Sha256(hasher) => Some(Digest::Sha256(hasher.clone().finalize().into())),
            #[cfg(not(feature = "digest"))]
            Self::Blake3 | Self::Sha256 => None,
            #[cfg(feature = "digest")]
            Self::Crc32(hasher) => Some(Digest::Crc32(hasher.clone().finalize())),
            #[cfg(not(feature = "digest"))]
            Self::Crc32(hasher) => Some(Digest::Crc32(hasher.finish())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_kinds_that_are_offered() {
        let of = |kind| {
            let mut hasher = Hasher::new(kind);
            hasher.update(b"1234");
            hasher.update(b"56789");
            hasher.finish()
        };
        assert_eq!(of(DigestKind::Crc32), Some(Digest::Crc32(0xcbf4_3926)));
        #[cfg(feature = "digest")]
        assert_eq!(of(DigestKind::Blake3), Some(Digest::Blake3(blake3::hash(b"123456789").into())));
        #[cfg(feature = "digest")]
        assert!(matches!(
            of(DigestKind::Sha256),
            Some(Digest::Sha256([0x15, 0xe2, 0xb0, 0xd3, .., 0x25]))
        ));
        #[cfg(not(feature = "digest"))]
        assert_eq!([DigestKind::Blake3, DigestKind::Sha256].map(of), [None; 2]);
    }
}
