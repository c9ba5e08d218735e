//! Digests: they show whether the received bytes of a file are those that were sent.

use crate::bytes::{hex, unhex};

/// The kind of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DigestKind {
    /// BLAKE3, 256 bits: also tells two different files apart.
    Blake3,
    /// CRC-32/ISO-HDLC: detects errors of a line or a memory with few instructions. It does not
    /// protect against a file that was changed on purpose.
    Crc32,
    /// SHA-256: what HTTP calls `sha-256` (RFC 9530). The servers of the other protocols do not offer it.
    Sha256,
}

/// A digest of a whole file, or of part of it. Its bytes are its own, or lent as `&[u8; 32]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Digest<B = [u8; 32]> {
    /// BLAKE3.
    Blake3(B),
    /// CRC-32/ISO-HDLC.
    Crc32(u32),
    /// SHA-256.
    Sha256(B),
}

impl<B> Digest<B> {
    /// The kind of this digest.
    pub const fn kind(&self) -> DigestKind {
        match self {
            Self::Blake3(_) => DigestKind::Blake3,
            Self::Crc32(_) => DigestKind::Crc32,
            Self::Sha256(_) => DigestKind::Sha256,
        }
    }
}

impl Digest {
    /// The same, with its bytes lent.
    pub const fn lent(&self) -> Digest<&[u8; 32]> {
        match self {
            Self::Blake3(bytes) => Digest::Blake3(bytes),
            Self::Crc32(value) => Digest::Crc32(*value),
            Self::Sha256(bytes) => Digest::Sha256(bytes),
        }
    }

    /// The digest in these hexadecimal digits: their number tells the kind.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        let bytes = bytes.get_mut(..digits.len() / 2)?;
        let kind = if bytes.len() == 4 { DigestKind::Crc32 } else { DigestKind::Blake3 };
        let are_digits = unhex(digits, bytes);
        Digest::from_bytes(kind, bytes).filter(|_| are_digits).map(Digest::copied)
    }
}

impl<'m> Digest<&'m [u8; 32]> {
    /// The same, with bytes of its own.
    pub const fn copied(self) -> Digest {
        match self {
            Self::Blake3(bytes) => Digest::Blake3(*bytes),
            Self::Crc32(value) => Digest::Crc32(value),
            Self::Sha256(bytes) => Digest::Sha256(*bytes),
        }
    }

    /// A digest of `kind` in its bytes on the wire.
    pub(crate) fn from_bytes(kind: DigestKind, bytes: &'m [u8]) -> Option<Self> {
        Some(match kind {
            DigestKind::Blake3 => Self::Blake3(bytes.try_into().ok()?),
            DigestKind::Crc32 => Self::Crc32(u32::from_be_bytes(bytes.try_into().ok()?)),
            DigestKind::Sha256 => Self::Sha256(bytes.try_into().ok()?),
        })
    }
}

impl<B: AsRef<[u8]>> Digest<B> {
    /// Its bytes on the wire: 32, or 4 in network order.
    pub(crate) fn bytes<'a>(&'a self, crc: &'a mut [u8; 4]) -> &'a [u8] {
        match self {
            Self::Blake3(bytes) | Self::Sha256(bytes) => bytes.as_ref(),
            Self::Crc32(value) => {
                *crc = value.to_be_bytes();
                crc
            }
        }
    }
}

impl<B: AsRef<[u8]>> Digest<B> {
    /// Its bytes in hexadecimal, as options carry them, two digits at a time.
    pub(crate) fn hex(&self, mut put: impl FnMut(&[u8; 2])) {
        for byte in self.bytes(&mut [0; 4]) {
            put(&hex(*byte));
        }
    }
}

/// The kinds of digest that a shell can compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Digests {
    /// BLAKE3.
    pub blake3: bool,
    /// CRC-32.
    pub crc32: bool,
    /// SHA-256.
    pub sha256: bool,
}

impl Digests {
    /// Every kind.
    pub const ALL: Self = Self { blake3: true, crc32: true, sha256: true };

    /// CRC-32 only, for a device.
    pub const CRC32: Self = Self { blake3: false, crc32: true, sha256: false };

    /// No kind.
    pub const NONE: Self = Self { blake3: false, crc32: false, sha256: false };

    /// Whether `kind` is one of them.
    pub const fn contains(self, kind: DigestKind) -> bool {
        match kind {
            DigestKind::Blake3 => self.blake3,
            DigestKind::Crc32 => self.crc32,
            DigestKind::Sha256 => self.sha256,
        }
    }
}
