//! The options of a request, as a server takes them.

use crate::decimal;
use crate::file::{Digest, DigestKind};
use crate::wire::tftp::{BLOCK_MAX, BLOCK_MIN, Options};

/// What a request asks for. An option that is unknown or absurd is as if it were not there; of two alike the
/// first counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Asked {
    /// Bytes of a block: 8 to 65464.
    pub(super) block: Option<u16>,
    /// Blocks of a window: 1 to 65535.
    pub(super) window: Option<u16>,
    /// Bytes of the file: what a writer says; a reader asks with any number.
    pub(super) size: Option<u64>,
    /// The first timeout, in microseconds: 10 ms to 255 s.
    pub(super) timeout_us: Option<u32>,
    /// The first byte that is sent.
    pub(super) seek: Option<u64>,
    /// How many bytes are sent.
    pub(super) length: Option<u64>,
    /// The digest of the whole file is asked for, or told.
    pub(super) digest: Option<(DigestKind, Option<Digest>)>,
}

/// The names of the options that carry digests.
pub(super) const fn name_of(kind: DigestKind) -> &'static [u8] {
    match kind {
        DigestKind::Blake3 => b"x-blake3",
        DigestKind::Crc32 => b"x-crc32",
    }
}

/// The bounds of `utimeout` in tftp-hpa.
const TIMEOUT_US: core::ops::RangeInclusive<u32> = 10_000..=255_000_000;

impl Asked {
    pub(super) fn parse(options: Options<'_>) -> Self {
        let mut asked = Self::default();
        for (name, value) in options.pairs() {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            let number = decimal::parse(value);
            if is(b"blksize") {
                let block = number.and_then(|n| u16::try_from(n).ok());
                let block = block.filter(|n| (BLOCK_MIN..=BLOCK_MAX).contains(n));
                asked.block = asked.block.or(block);
            } else if is(b"windowsize") {
                let window = number.and_then(|n| u16::try_from(n).ok()).filter(|&n| n > 0);
                asked.window = asked.window.or(window);
            } else if is(b"tsize") {
                asked.size = asked.size.or(number);
            } else if is(b"utimeout") {
                let us = number.and_then(|n| u32::try_from(n).ok());
                asked.timeout_us = asked.timeout_us.or(us.filter(|us| TIMEOUT_US.contains(us)));
            } else if is(b"seek") {
                asked.seek = asked.seek.or(number);
            } else if is(b"rsize") {
                asked.length = asked.length.or(number);
            } else {
                let kinds = [DigestKind::Blake3, DigestKind::Crc32];
                let kind = kinds.into_iter().find(|&kind| is(name_of(kind)));
                let told = Digest::from_hex(value);
                let digest = kind.map(|kind| (kind, told.filter(|digest| digest.kind() == kind)));
                asked.digest = asked.digest.or(digest);
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tftp::Packet;

    fn asked(options: &[u8]) -> Asked {
        let mut oack = [0; 256];
        oack[1] = 6;
        oack[2..2 + options.len()].copy_from_slice(options);
        match Packet::parse(&oack[..2 + options.len()]) {
            Ok(Packet::OptionAck(options)) => Asked::parse(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_absurd_is_left_out() {
        for options in [
            &b"blksize\x000\0"[..],
            b"blksize\x007\0",
            b"blksize\x0065465\0",
            b"blksize\x00-1\0",
            b"blksize\x00+512\0",
            b"blksize\x00 512\0",
            b"blksize\x000x200\0",
            b"blksize\x00\0",
            b"blksize2\x00512\0",
            b"windowsize\x000\0",
            b"windowsize\x0065536\0",
            b"tsize\0-1\0",
            b"tsize\x0018446744073709551616\0",
            b"utimeout\x009999\0",
            b"utimeout\x00255000001\0",
            b"timeout\x006\0",
            b"multicast\0\0",
            b"seek\0-5\0",
            b"x-md5\x000\0",
        ] {
            assert_eq!(asked(options), Asked::default(), "{options:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts_in_any_case() {
        let is = asked(b"BlkSize\x008\0blksize\x0016\0WINDOWSIZE\x0065535\0TSIZE\x000\0");
        assert_eq!((is.block, is.window, is.size), (Some(8), Some(65535), Some(0)));
        let is =
            asked(b"blksize\x007\0blksize\x0065464\0utimeout\x0010000\0seek\x007\0rsize\x009\0");
        assert_eq!((is.block, is.timeout_us), (Some(65464), Some(10_000)));
        assert_eq!((is.seek, is.length), (Some(7), Some(9)));
        assert_eq!(asked(b"X-Crc32\x000\0").digest, Some((DigestKind::Crc32, None)));
        let told = Some((DigestKind::Crc32, Some(Digest::Crc32(0xcbf4_3926))));
        assert_eq!(asked(b"x-crc32\0cbf43926\0").digest, told);
    }
}
