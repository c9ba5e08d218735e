//! The options of a request and of its answer: read once, cut to what is granted, written.

use super::super::outbound::WINDOW_MAX;
use super::config::Config;
use crate::bytes::{cut, fill, hex, place_of, unhex};
use crate::decimal;
use crate::fault::Peer;
use crate::file::{Digest, DigestKind};
use crate::wire::tftp::{self, BLOCK_DEFAULT, BLOCK_MAX, BLOCK_MIN, Writer};

/// An option with a number for a value, by its place in [`NAMES`].
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

/// The names of the options: behind the numbers those that carry a digest. One text of words takes less flash than their
/// places and lengths.
const NAMES: &[u8] = b"tsize\nblksize\nwindowsize\nutimeout\nseek\nrsize\nx-blake3\nx-crc32\n";

/// How many of them are numbers.
const NUMBERS: usize = 6;

/// The least and the largest number of those from [`Number::Block`] on that have bounds. Those of `utimeout` are of
/// tftp-hpa.
const BOUNDS: [(u32, u32); 3] =
    [(BLOCK_MIN as u32, BLOCK_MAX as u32), (1, u16::MAX as u32), (10_000, 255_000_000)];

/// The bits of the digests.
const BLAKE3: u8 = 1 << 6;
const CRC32: u8 = 1 << 7;
const DIGESTS: u8 = BLAKE3 | CRC32;

/// What is asked for, or agreed. In a request an option that is unknown or absurd is as if it were not there; of two
/// alike the first counts, and so it does of two digests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Options {
    /// 0 for each that is not there.
    numbers: [u64; NUMBERS],
    /// A bit for each option that is there.
    has: u8,
    /// The digest of the whole file is told, and not only asked for. It is at the front.
    is_told: bool,
    digest: [u8; 32],
}

impl Options {
    /// None.
    pub(super) const NONE: Self =
        Self { numbers: [0; NUMBERS], has: 0, is_told: false, digest: [0; 32] };

    /// Reads them, and says whether all were options that there are.
    pub(super) fn parse(options: tftp::Options<'_>) -> (Self, bool) {
        let mut parsed = Self::NONE;
        let is_clean = parsed.add(options);
        (parsed, is_clean)
    }

    fn add(&mut self, options: tftp::Options<'_>) -> bool {
        let mut is_clean = true;
        for (name, value) in options.pairs() {
            is_clean &= self.take(name, value);
        }
        is_clean
    }

    #[inline(never)]
    fn take(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(which) = place_of(name, NAMES) else { return false };
        let bit = 1 << which;
        let Some(slot) = self.numbers.get_mut(which) else {
            if self.has & DIGESTS == 0 {
                self.has |= bit;
                let len = self.digest_len();
                self.is_told = self.digest.get_mut(..len).is_some_and(|room| unhex(value, room));
            }
            return true;
        };
        let bounds = BOUNDS.get(which.wrapping_sub(Number::Block as usize));
        let number = decimal::parse(value).filter(|&number| {
            bounds.is_none_or(|&(least, most)| number >= least.into() && number <= most.into())
        });
        let Some(number) = number else { return false };
        if self.has & bit == 0 {
            (*slot, self.has) = (number, self.has | bit);
        }
        true
    }

    /// Writes them.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let (mut names, mut has) = (NAMES, self.has);
        let mut numbers = self.numbers.iter();
        while let Some((name, behind)) = cut(b'\n', names) {
            let number = numbers.next();
            if has & 1 == 0 {
            } else if let Some(&number) = number {
                writer.number(name, number);
            } else {
                writer.word(name);
                let len = if self.is_told { self.digest_len() } else { 0 };
                for &byte in self.digest.iter().take(len) {
                    writer.put(&hex(byte));
                }
                writer.word(if self.is_told { b"" } else { b"0" });
            }
            (names, has) = (behind, has >> 1);
        }
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.has == 0
    }

    pub(super) fn get(&self, which: Number) -> Option<u64> {
        let at = which as usize;
        let number = self.numbers.get(at).copied();
        number.filter(|_| self.has & (1 << at) != 0)
    }

    pub(super) fn set(&mut self, which: Number, number: Option<u64>) {
        let at = which as usize;
        if let Some(slot) = self.numbers.get_mut(at) {
            *slot = number.unwrap_or(0);
        }
        self.has &= !(1 << at);
        self.has |= u8::from(number.is_some()) << at;
    }

    /// A number that is there is no larger from now on.
    fn lower(&mut self, which: Number, most: u64) {
        if let Some(slot) = self.numbers.get_mut(which as usize) {
            *slot = most.min(*slot);
        }
    }

    /// Bytes of a block, and blocks of a window.
    #[inline(never)]
    pub(super) fn cut(&self) -> (u16, u16) {
        let small = |which, default| match self.get(which) {
            Some(number) => u16::try_from(number).unwrap_or(default),
            None => default,
        };
        (small(Number::Block, BLOCK_DEFAULT), small(Number::Window, 1).min(WINDOW_MAX))
    }

    /// The first byte that is sent.
    pub(super) fn seek(&self) -> u64 {
        self.get(Number::Seek).unwrap_or(0)
    }

    /// The kind of the digest that is asked for or told.
    pub(super) const fn digest_kind(&self) -> Option<DigestKind> {
        match self.has & DIGESTS {
            0 => None,
            BLAKE3 => Some(DigestKind::Blake3),
            _ => Some(DigestKind::Crc32),
        }
    }

    /// Bytes of the digest.
    const fn digest_len(&self) -> usize {
        if self.has & CRC32 != 0 { 4 } else { 32 }
    }

    /// Asks for a digest, or for none. There is no option for SHA-256.
    pub(super) fn ask_digest(&mut self, kind: Option<DigestKind>) {
        self.is_told = false;
        self.has &= !DIGESTS;
        self.has |= match kind {
            None | Some(DigestKind::Sha256) => 0,
            Some(DigestKind::Blake3) => BLAKE3,
            Some(DigestKind::Crc32) => CRC32,
        };
    }

    /// Tells the digest.
    pub(super) fn tell_digest(&mut self, digest: &Digest) {
        self.ask_digest(Some(digest.kind()));
        self.is_told = true;
        self.digest = [0; 32];
        fill(&mut self.digest, digest.bytes(&mut [0; 4]));
    }

    /// The digest that was told.
    pub(super) fn told(&self) -> Option<Digest<&[u8; 32]>> {
        Some(match self.digest_kind().filter(|_| self.is_told)? {
            DigestKind::Blake3 => Digest::Blake3(&self.digest),
            DigestKind::Crc32 => {
                Digest::Crc32(u32::from_be_bytes(*self.digest.first_chunk().unwrap_or(&[0; 4])))
            }
            DigestKind::Sha256 => return None,
        })
    }

    /// What a server grants to any peer.
    fn cap(&mut self, config: &Config) {
        self.lower(Number::Block, config.block_max.into());
        let (block, _) = self.cut();
        let fits = config.window_bytes / u32::from(block.max(1));
        let most = fits.max(1).min(config.window_max.clamp(1, WINDOW_MAX).into());
        self.lower(Number::Window, most.into());
    }

    /// What a server grants to a peer that reads a file of so many bytes. The digest is another matter.
    pub(super) fn grant_reader(&mut self, config: &Config, size: u64) {
        self.cap(config);
        // curl takes no 0 for a size.
        let told = self.get(Number::Size).map(|_| size).filter(|&size| size > 0);
        self.set(Number::Size, told);
        // A copy that is longer than the file is of another one: it begins anew.
        if self.seek() > size {
            self.set(Number::Seek, None);
        }
        self.lower(Number::Length, size.saturating_sub(self.seek()));
    }

    /// What a server grants to a peer that writes a file. A size of 0 is one that it does not know.
    pub(super) fn grant_writer(&mut self, config: &Config) {
        self.cap(config);
        self.set(Number::Size, self.get(Number::Size).filter(|&size| size > 0));
        self.set(Number::Seek, None);
        self.set(Number::Length, None);
        let is_compared = |told: Digest<_>| config.digests.contains(told.kind());
        if !self.told().is_some_and(is_compared) {
            self.ask_digest(None);
        }
    }

    /// Takes an OACK to these options: from now on they are what is agreed.
    ///
    /// # Errors
    /// [`Peer::Options`] for an option that was not asked for, or one that the server may not change so.
    pub(super) fn accept(&mut self, oack: tftp::Options<'_>) -> Result<(), Peer> {
        let asked = core::mem::replace(self, Self::NONE);
        let mut is_right = self.add(oack) && self.has & !asked.has == 0;
        let mut given = self.has;
        // The size may be any; blocks and windows may be smaller.
        let mut may_be_more = 1_u8 << Number::Size as u8;
        let mut may_be_less = may_be_more | 1 << Number::Block as u8 | 1 << Number::Window as u8;
        for (number, asked) in self.numbers.iter().zip(&asked.numbers) {
            let may_differ = if number < asked { may_be_less } else { may_be_more };
            is_right &= number == asked || may_differ & 1 != 0 || given & 1 == 0;
            given >>= 1;
            may_be_more >>= 1;
            may_be_less >>= 1;
        }
        if self.has & DIGESTS != 0 {
            is_right &= self.is_told && (!asked.is_told || asked.digest == self.digest);
        }
        if is_right { Ok(()) } else { Err(Peer::Options) }
    }
}

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
        let (asked, _) = parsed(b"X-Crc32\x000\0");
        assert_eq!((asked.digest_kind(), asked.told()), (Some(DigestKind::Crc32), None));
        let (told, _) = parsed(b"x-crc32\0cbf43926\0x-blake3\x000\0");
        assert_eq!(told.told(), Some(Digest::Crc32(0xcbf4_3926)));
    }
}
