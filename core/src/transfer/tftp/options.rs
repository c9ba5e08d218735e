//! The options of a request and of its answer: read once, cut to what is granted, written.

use super::super::outbound::WINDOW_MAX;
use super::super::parts::{EXTENSIONS, WINDOWS, has};
use super::config::Config;
use super::names::{
    BLAKE3, CRC32, DIGESTS, EVERY, NEGOTIATED, NUMBERS, Number, bounds, known, names,
};
use crate::bytes::{cut, fill, hex, place_of, unhex};
use crate::decimal;
use crate::fault::Peer;
use crate::file::{Digest, DigestKind};
use crate::wire::tftp::{self, BLOCK_DEFAULT, Writer};

/// What is asked for, or agreed. In a request an option that is unknown or absurd is as if it were not there; of two
/// alike the first counts, and so it does of two digests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Options<const PARTS: u8> {
    numbers: [u64; NUMBERS],
    /// A bit for each option that is there.
    has: u8,
    /// The digest of the whole file is told, and not only asked for. It is at the front.
    is_told: bool,
    digest: [u8; 32],
}

impl<const PARTS: u8> Options<PARTS> {
    /// None. As a constant it would be 88 zeros in the flash of a device, which are copied.
    pub(super) const fn none() -> Self {
        Self { numbers: [0; NUMBERS], has: 0, is_told: false, digest: [0; 32] }
    }

    /// Reads those of a request. There are none yet.
    pub(super) fn read(&mut self, options: tftp::Options<'_>) {
        if known(PARTS) == 0 {
            return;
        }
        for (name, value) in options.pairs() {
            self.take::<false>(EVERY, name, value);
        }
    }

    /// Takes an OACK to these options: from now on they are what is agreed.
    ///
    /// # Errors
    /// [`Peer::Options`] for an option that was not asked for, or one that the server may not change so.
    pub(super) fn accept(&mut self, oack: tftp::Options<'_>) -> Result<(), Peer> {
        if known(PARTS) == 0 {
            return Err(Peer::Options);
        }
        let asked = core::mem::take(&mut self.has);
        // It may be any.
        let [size, ..] = &mut self.numbers;
        *size = u64::MAX;
        let is_right = oack.pairs().all(|(name, value)| self.take::<true>(asked, name, value));
        if is_right { Ok(()) } else { Err(Peer::Options) }
    }

    /// Takes one of those that are `asked` for, and says whether it is as it may be: in an answer a number no larger
    /// than the one that stands in its place, and a digest that is told.
    #[inline(never)]
    fn take<const ANSWER: bool>(&mut self, asked: u8, name: &[u8], value: &[u8]) -> bool {
        let Some(which) = place_of(name, names(PARTS)) else { return false };
        let bit = 1 << which & asked;
        if let Some(slot) = self.numbers.get_mut(which) {
            let Some(number) = decimal::parse(value) else { return false };
            let is_fixed = has(PARTS, EXTENSIONS) && ANSWER && which >= NEGOTIATED;
            let (least, most) = bounds(which, PARTS);
            let least = if is_fixed { *slot } else { least };
            let most = if ANSWER { *slot } else { most };
            if number < least || number > most {
                return false;
            }
            if self.has & bit == 0 {
                *slot = number;
            }
        } else if !has(PARTS, EXTENSIONS) {
            return false;
        } else if self.has & DIGESTS == 0 {
            let mut digest = [0; 32];
            let len = if bit == CRC32 { 4 } else { 32 };
            let is_told = digest.get_mut(..len).is_some_and(|room| unhex(value, room));
            if ANSWER && (!is_told || self.is_told && digest != self.digest) {
                return false;
            }
            (self.is_told, self.digest) = (is_told, digest);
        } else {
            return true;
        }
        self.has |= bit;
        bit != 0
    }

    /// Writes them: the digest as it was told, if this end tells it, or else the question for it.
    pub(super) fn write(&self, writer: &mut Writer<'_>, tells: bool) {
        if known(PARTS) == 0 {
            return;
        }
        let mut names = names(PARTS);
        for which in 0..u8::BITS as usize {
            let Some((name, behind)) = cut(b'\n', names) else { break };
            names = behind;
            if self.has & 1 << which == 0 {
                continue;
            }
            if let Some(&number) = self.numbers.get(which) {
                writer.number(name, number);
            } else if has(PARTS, EXTENSIONS) {
                writer.word(name);
                let is_told = tells && self.is_told;
                let len = if is_told { self.digest_len() } else { 0 };
                for &byte in self.digest.iter().take(len) {
                    writer.put(&hex(byte));
                }
                writer.word(if is_told { b"" } else { b"0" });
            }
        }
    }

    /// None of them is agreed.
    pub(super) const fn clear(&mut self) {
        self.has = 0;
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.has & known(PARTS) == 0
    }

    pub(super) fn get(&self, which: Number) -> Option<u64> {
        let at = which as usize;
        let number = self.numbers.get(at).copied();
        number.filter(|_| self.has & known(PARTS) & (1 << at) != 0)
    }

    pub(super) fn set(&mut self, which: Number, number: Option<u64>) {
        let at = which as usize;
        if known(PARTS) & (1 << at) == 0 {
            return;
        }
        if let Some(slot) = self.numbers.get_mut(at) {
            *slot = number.unwrap_or(0);
        }
        self.has &= !(1 << at);
        self.has |= u8::from(number.is_some()) << at;
    }

    /// A number that is there is no larger from now on.
    fn lower(&mut self, which: Number, most: u64) {
        if known(PARTS) & 1 << which as u8 != 0
            && let Some(slot) = self.numbers.get_mut(which as usize)
        {
            *slot = most.min(*slot);
        }
    }

    /// Bytes of a block.
    pub(super) fn block(&self) -> u16 {
        self.small(Number::Block, BLOCK_DEFAULT)
    }

    /// Blocks of a window.
    pub(super) fn window(&self) -> u16 {
        self.small(Number::Window, 1).min(WINDOW_MAX)
    }

    /// A number that has at most 16 bits, as `bounds` and an offer have it.
    fn small(&self, which: Number, default: u16) -> u16 {
        self.get(which).map_or(default, |number| {
            let [low, high, ..] = number.to_le_bytes();
            u16::from_le_bytes([low, high])
        })
    }

    /// The first byte that is sent.
    pub(super) fn seek(&self) -> u64 {
        self.get(Number::Seek).unwrap_or(0)
    }

    /// The kind of the digest that is asked for or told.
    pub(super) const fn digest_kind(&self) -> Option<DigestKind> {
        match self.has & known(PARTS) & DIGESTS {
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
        self.has |= known(PARTS)
            & match kind {
                None | Some(DigestKind::Sha256) => 0,
                Some(DigestKind::Blake3) => BLAKE3,
                Some(DigestKind::Crc32) => CRC32,
            };
    }

    /// Tells the digest.
    pub(super) fn tell_digest(&mut self, digest: &Digest) {
        if !has(PARTS, EXTENSIONS) {
            return;
        }
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
        if known(PARTS) == 0 {
            return;
        }
        self.lower(Number::Block, config.block_max.into());
        if has(PARTS, WINDOWS) {
            let fits = config.window_bytes / u32::from(self.block().max(1));
            let most = fits.max(1).min(config.window_max.clamp(1, WINDOW_MAX).into());
            self.lower(Number::Window, most.into());
        }
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
}

#[cfg(test)]
mod tests {
    use super::super::super::parts::ALL;
    use super::*;
    use crate::wire::tftp::Packet;

    /// Calls `take` with these options as they are parsed.
    fn with<T>(options: &[u8], take: impl FnOnce(tftp::Options<'_>) -> T) -> T {
        let mut oack = [0; 256];
        oack[1] = 6;
        oack[2..2 + options.len()].copy_from_slice(options);
        match Packet::parse(&oack[..2 + options.len()]) {
            Ok(Packet::OptionAck(options)) => take(options),
            other => panic!("{other:?}"),
        }
    }

    fn read(options: &[u8]) -> Options<ALL> {
        let mut read = Options::none();
        with(options, |options| read.read(options));
        read
    }

    /// A request with every number, and no digest.
    fn asked() -> Options<ALL> {
        use Number::{Block, Length, Seek, Size, TimeoutUs, Window};
        let mut asked = Options::none();
        for (number, value) in
            [(Size, 0), (Block, 1428), (Window, 32), (TimeoutUs, 20_000), (Seek, 7), (Length, 9)]
        {
            asked.set(number, Some(value));
        }
        asked
    }

    #[test]
    fn an_answer_may_have_less_than_was_asked_for() {
        let all = b"tsize\x005000000000\0blksize\x001428\0windowsize\x0032\0utimeout\x0020000\0\
            seek\x007\0rsize\x009\0";
        for (answer, cut) in [
            (&b""[..], (512, 1)),
            (b"tsize\x007\0", (512, 1)),
            (b"blksize\x008\0windowsize\x001\0", (8, 1)),
            (b"windowsize\x0032\0", (512, 32)),
            (all, (1428, 32)),
        ] {
            let mut asked = asked();
            assert_eq!(with(answer, |oack| asked.accept(oack)), Ok(()), "{answer:?}");
            assert_eq!((asked.block(), asked.window()), cut, "{answer:?}");
            assert_eq!(asked.seek(), if answer == all { 7 } else { 0 });
        }
        for answer in [
            &b"blksize\x001429\0"[..],
            b"windowsize\x0033\0",
            b"utimeout\x0019999\0",
            b"utimeout\x0020001\0",
            b"seek\x006\0",
            b"seek\x008\0",
            b"rsize\x008\0",
            b"x-crc32\0cbf43926\0",
        ] {
            let mut asked = asked();
            let is = with(answer, |oack| asked.accept(oack));
            assert_eq!(is, Err(Peer::Options), "{answer:?}");
        }
    }

    #[test]
    fn an_answer_tells_the_digest_that_was_asked_for() {
        let (mut asks, mut tells) = (Options::<ALL>::none(), Options::none());
        asks.ask_digest(Some(DigestKind::Crc32));
        tells.tell_digest(&Digest::Crc32(0xcbf4_3926));
        let (right, other) = (&b"x-crc32\0cbf43926\0"[..], &b"x-crc32\0cbf43927\0"[..]);
        for (options, answer, is) in [
            (asks, right, Ok(())),
            (asks, other, Ok(())),
            (asks, b"x-crc32\x000\0", Err(Peer::Options)),
            (asks, b"x-blake3\x000\0", Err(Peer::Options)),
            (tells, right, Ok(())),
            (tells, other, Err(Peer::Options)),
            (tells, b"x-crc32\x000\0", Err(Peer::Options)),
            (tells, b"", Ok(())),
        ] {
            let mut options = options;
            assert_eq!(with(answer, |oack| options.accept(oack)), is, "{answer:?}");
            if is == Ok(()) {
                assert_eq!(options.told().is_some(), !answer.is_empty());
            }
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
            assert!(read(options).is_empty(), "{options:?}");
            let is = with(options, |oack| asked().accept(oack));
            assert_eq!(is, Err(Peer::Options), "{options:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts_in_any_case() {
        use Number::{Block, Length, Seek, Size, TimeoutUs, Window};
        let is = read(b"BlkSize\x008\0blksize\x0016\0WINDOWSIZE\x0065535\0TSIZE\x000\0");
        assert_eq!([Block, Window, Size].map(|n| is.get(n)), [Some(8), Some(65535), Some(0)]);
        let is =
            read(b"blksize\x007\0blksize\x0065464\0utimeout\x0010000\0seek\x007\0rsize\x009\0");
        assert_eq!([Block, TimeoutUs].map(|n| is.get(n)), [Some(65464), Some(10_000)]);
        assert_eq!([Seek, Length].map(|n| is.get(n)), [Some(7), Some(9)]);
        let asked = read(b"X-Crc32\x000\0");
        assert_eq!((asked.digest_kind(), asked.told()), (Some(DigestKind::Crc32), None));
        let told = read(b"x-crc32\0cbf43926\0x-blake3\x000\0");
        assert_eq!(told.told(), Some(Digest::Crc32(0xcbf4_3926)));
    }
}
