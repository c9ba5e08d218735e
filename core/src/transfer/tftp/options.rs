//! The options of a request and of its answer: read once, cut to what is granted, written.

use super::super::outbound::WINDOW_MAX;
use super::config::Config;
use crate::decimal;
use crate::fault::Peer;
use crate::file::{Digest, DigestKind};
use crate::wire::tftp::{self, BLOCK_DEFAULT, BLOCK_MAX, BLOCK_MIN, Writer};

/// An option with a number for a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    /// Bytes of the file. A reader asks with any number.
    Size,
    /// Bytes of a block.
    Block,
    /// Blocks of a window.
    Window,
    /// The first timeout, in microseconds.
    TimeoutUs,
    /// The first byte that is sent.
    Seek,
    /// How many bytes are sent.
    Length,
}

/// The name of each, the least number and the largest one, if there is a largest. The bounds of `utimeout` are those of
/// tftp-hpa.
const NUMBERS: [(&[u8], u32, u32); 6] = [
    (b"tsize", 0, UNLIMITED),
    (b"blksize", BLOCK_MIN as u32, BLOCK_MAX as u32),
    (b"windowsize", 1, u16::MAX as u32),
    (b"utimeout", 10_000, 255_000_000),
    (b"seek", 0, UNLIMITED),
    (b"rsize", 0, UNLIMITED),
];

const UNLIMITED: u32 = u32::MAX;

/// What is asked for, or agreed. In a request an option that is unknown or absurd is as if it were not there; of two
/// alike the first counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Options {
    numbers: [u64; NUMBERS.len()],
    /// A bit for each number that is there.
    has: u8,
    /// A digest of the whole file is asked for, or told.
    pub(super) digest: Option<(DigestKind, Option<Digest>)>,
}

/// The name of the option that carries a digest of this kind.
const fn name_of(kind: DigestKind) -> &'static [u8] {
    match kind {
        DigestKind::Blake3 => b"x-blake3",
        DigestKind::Crc32 => b"x-crc32",
    }
}

impl Options {
    /// None.
    pub(super) const NONE: Self = Self { numbers: [0; NUMBERS.len()], has: 0, digest: None };

    /// Reads them, and says whether all were options that there are.
    pub(super) fn parse(options: tftp::Options<'_>) -> (Self, bool) {
        let (mut parsed, mut is_clean) = (Self::NONE, true);
        for (name, value) in options.pairs() {
            is_clean &= parsed.take(name, value);
        }
        (parsed, is_clean)
    }

    #[inline(never)]
    fn take(&mut self, name: &[u8], value: &[u8]) -> bool {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let mut bit = 1;
        for ((known, least, most), slot) in NUMBERS.into_iter().zip(&mut self.numbers) {
            if is(known) {
                let is_free = self.has & bit == 0;
                let number = decimal::parse(value).filter(|&number| {
                    number >= least.into() && (most == UNLIMITED || number <= most.into())
                });
                let Some(number) = number else { return false };
                if is_free {
                    (*slot, self.has) = (number, self.has | bit);
                }
                return true;
            }
            bit <<= 1;
        }
        for kind in [DigestKind::Blake3, DigestKind::Crc32] {
            if is(name_of(kind)) {
                let told = Digest::from_hex(value).filter(|digest| digest.kind() == kind);
                self.digest = self.digest.or(Some((kind, told)));
                return true;
            }
        }
        false
    }

    /// Writes them.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let mut has = self.has;
        for ((name, ..), number) in NUMBERS.into_iter().zip(self.numbers) {
            if has & 1 != 0 {
                writer.number(name, Some(number));
            }
            has >>= 1;
        }
        if let Some((kind, told)) = &self.digest {
            writer.word(name_of(*kind));
            match told {
                Some(digest) => digest.hex(|digits| writer.put(digits)),
                None => writer.put(b"0"),
            }
            writer.word(b"");
        }
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.has == 0 && self.digest.is_none()
    }

    pub(super) fn get(&self, which: Number) -> Option<u64> {
        let at = which as usize;
        let number = self.numbers.get(at).copied();
        number.filter(|_| self.has & (1 << at) != 0)
    }

    pub(super) fn set(&mut self, which: Number, number: Option<u64>) {
        let at = which as usize;
        if let (Some(number), Some(slot)) = (number, self.numbers.get_mut(at)) {
            *slot = number;
            self.has |= 1 << at;
        } else {
            self.has &= !(1 << at);
        }
    }

    /// Bytes of a block, and blocks of a window.
    pub(super) fn cut(&self) -> (u16, u16) {
        let small = |which, default| {
            self.get(which).map_or(default, |number| u16::try_from(number).unwrap_or(default))
        };
        let window: u16 = small(Number::Window, 1);
        (small(Number::Block, BLOCK_DEFAULT), window.min(WINDOW_MAX))
    }

    /// The first byte that is sent.
    pub(super) fn seek(&self) -> u64 {
        self.get(Number::Seek).unwrap_or(0)
    }

    /// The digest that was told.
    pub(super) fn told(&self) -> Option<&Digest> {
        self.digest.as_ref()?.1.as_ref()
    }

    /// What a server grants to any peer.
    fn cap(&mut self, config: &Config) {
        let block = self.get(Number::Block).map(|block| block.min(config.block_max.into()));
        self.set(Number::Block, block);
        let block = block.unwrap_or(BLOCK_DEFAULT.into()).max(1);
        let fits = u64::from(config.window_bytes).checked_div(block).unwrap_or(1).max(1);
        let window_max = fits.min(config.window_max.clamp(1, WINDOW_MAX).into());
        let window = self.get(Number::Window).map(|window| window.min(window_max));
        self.set(Number::Window, window);
    }

    /// What a server grants to a peer that reads a file of so many bytes. The digest is another matter.
    pub(super) fn grant_reader(&mut self, config: &Config, size: u64) {
        self.cap(config);
        // curl takes no 0 for a size.
        let told = self.get(Number::Size).map(|_| size).filter(|&size| size > 0);
        self.set(Number::Size, told);
        // A copy that is longer than the file is of another one: it begins anew.
        self.set(Number::Seek, self.get(Number::Seek).filter(|&seek| seek <= size));
        let rest = size.saturating_sub(self.seek());
        self.set(Number::Length, self.get(Number::Length).map(|length| length.min(rest)));
    }

    /// What a server grants to a peer that writes a file. A size of 0 is one that it does not know.
    pub(super) fn grant_writer(&mut self, config: &Config) {
        self.cap(config);
        self.set(Number::Size, self.get(Number::Size).filter(|&size| size > 0));
        self.set(Number::Seek, None);
        self.set(Number::Length, None);
        self.digest =
            self.digest.filter(|(kind, told)| told.is_some() && config.digests.contains(*kind));
    }

    /// Reads an OACK to these options.
    ///
    /// # Errors
    /// [`Peer::Options`] for an option that was not asked for, or one that the server may not change so.
    pub(super) fn accept(&self, oack: tftp::Options<'_>) -> Result<Self, Peer> {
        let (given, mut is_right) = Self::parse(oack);
        let mut bit = 1;
        for (number, asked) in given.numbers.into_iter().zip(self.numbers) {
            let is_granted = match bit {
                _ if given.has & bit == 0 => true,
                _ if self.has & bit == 0 => false,
                SIZE => true,
                BLOCK | WINDOW => number <= asked,
                _ => number == asked,
            };
            is_right &= is_granted;
            bit <<= 1;
        }
        is_right &= match (&given.digest, &self.digest) {
            (None, _) => true,
            (Some((kind, Some(digest))), Some((asked, told))) => {
                kind == asked && told.as_ref().is_none_or(|told| told == digest)
            }
            _ => false,
        };
        if is_right { Ok(given) } else { Err(Peer::Options) }
    }
}

const SIZE: u8 = 1 << Number::Size as u8;
const BLOCK: u8 = 1 << Number::Block as u8;
const WINDOW: u8 = 1 << Number::Window as u8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tftp::Packet;

    fn parsed(options: &[u8]) -> (Options, bool) {
        let mut oack = [0; 256];
        oack[1] = 6;
        oack[2..2 + options.len()].copy_from_slice(options);
        match Packet::parse(&oack[..2 + options.len()]) {
            Ok(Packet::OptionAck(options)) => Options::parse(options),
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
            assert_eq!(parsed(options), (Options::NONE, false), "{options:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts_in_any_case() {
        use Number::{Block, Length, Seek, Size, TimeoutUs, Window};
        let (is, _) = parsed(b"BlkSize\x008\0blksize\x0016\0WINDOWSIZE\x0065535\0TSIZE\x000\0");
        assert_eq!([Block, Window, Size].map(|n| is.get(n)), [Some(8), Some(65535), Some(0)]);
        let (is, is_clean) =
            parsed(b"blksize\x007\0blksize\x0065464\0utimeout\x0010000\0seek\x007\0rsize\x009\0");
        assert!(!is_clean);
        assert_eq!([Block, TimeoutUs].map(|n| is.get(n)), [Some(65464), Some(10_000)]);
        assert_eq!([Seek, Length].map(|n| is.get(n)), [Some(7), Some(9)]);
        assert_eq!(parsed(b"X-Crc32\x000\0").0.digest, Some((DigestKind::Crc32, None)));
        let told = Some((DigestKind::Crc32, Some(Digest::Crc32(0xcbf4_3926))));
        assert_eq!(parsed(b"x-crc32\0cbf43926\0").0.digest, told);
    }
}
