//! The options behind the NUL of a name: pairs of words, as in TFTP (RFC 2347).

use crate::bytes::{after, find, first};
use crate::decimal;
use crate::file::{Digest, DigestKind};
use crate::text::Text;

/// Extensions of a request or an answer: `name NUL value NUL`, in any order. An option that is
/// unknown, or with a value that is not understood, is ignored; of two alike the first counts. A
/// server grants the options that it repeats in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Options {
    /// `frame`: the largest payload of a frame in bytes. Without it, 4096.
    pub frame: Option<u32>,
    /// `offset`: the first byte of the file that is sent. Without it, 0.
    pub offset: Option<u64>,
    /// `prefix`, 64 or 8 hexadecimal digits, of a request: the BLAKE3 digest or the CRC-32 of the
    /// bytes before `offset`, or of the last [`PREFIX_WINDOW`](super::PREFIX_WINDOW) of them. If the
    /// digest of the server's bytes differs, it sends from byte 0.
    pub prefix: Option<Digest>,
    /// `digest`, with the value `blake3` or `crc32`: a frame with the digest of the whole file, that
    /// before `offset` included, follows the last one. Not granted if the requested `offset` is
    /// beyond [`UNSENT_MAX`](super::UNSENT_MAX).
    pub digest: Option<DigestKind>,
    /// `size`, of an answer: bytes of the whole file.
    pub size: Option<u64>,
}

/// The options of an answer. They have no prefix, and those of the request stay in the memory: a server is as small
/// as what it has to keep for an idle client.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Granted {
    pub(super) frame: Option<u32>,
    pub(super) offset: Option<u64>,
    pub(super) digest: Option<DigestKind>,
    /// The size of the file.
    pub(super) size: u64,
}

impl Granted {
    pub(super) const NONE: Self = Self { frame: None, offset: None, digest: None, size: 0 };

    pub(super) const fn options(&self) -> Options {
        let Self { frame, offset, digest, size } = *self;
        Options { frame, offset, prefix: None, digest, size: Some(size) }
    }
}

/// The largest length of all options in bytes.
pub(super) const OPTIONS_MAX: usize = 192;

impl Options {
    /// No options.
    pub const NONE: Self =
        Self { frame: None, offset: None, prefix: None, digest: None, size: None };

    /// Parses the options behind the NUL of a name.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self {
            frame: frame_in(bytes),
            offset: number_in(bytes, b"offset"),
            prefix: values(bytes, b"prefix").find_map(Digest::from_hex),
            digest: kind_in(bytes),
            size: number_in(bytes, b"size"),
        }
    }

    /// Renders the options of a request.
    pub(super) fn write(&self, text: &mut Text<'_>) {
        self.write_around(0, self.offset.unwrap_or(0), text);
    }

    /// Renders the options of an answer. The text has the same length for every `offset` up to
    /// `widest`, and only its last pair depends on `offset`. `steps` dots are before it, as the
    /// value of an option `wait` that no receiver knows. Returns where the dots begin in `text`, or
    /// the `offset` if there are none: the text before that does not depend on `offset`.
    pub(super) fn write_around(&self, steps: u8, widest: u64, text: &mut Text<'_>) -> usize {
        number(text, b"size", self.size);
        number(text, b"frame", self.frame.map(u64::from));
        if let Some(prefix) = self.prefix {
            word(text, b"prefix");
            prefix.hex(|digits| text.put(digits));
            word(text, b"");
        }
        if let Some(kind) = self.digest {
            word(text, b"digest");
            word(text, name_of(kind));
        }
        let mut known = text.len();
        if steps > 0 {
            word(text, b"wait");
            known = text.len();
            for _ in 0..steps.min(STEPS_MAX) {
                text.put(b".");
            }
            word(text, b"");
        }
        if let Some(offset) = self.offset {
            word(text, b"offset");
            text.number(offset, decimal::digits(widest.max(offset)));
            word(text, b"");
        }
        known
    }
}

/// The largest number of dots in an answer.
pub(super) const STEPS_MAX: u8 = 65;

#[inline(never)]
fn word(text: &mut Text<'_>, word: &[u8]) {
    text.put(word);
    text.put(&[0]);
}

#[inline(never)]
fn number(text: &mut Text<'_>, name: &[u8], number: Option<u64>) {
    if let Some(number) = number {
        word(text, name);
        text.number(number, 0);
        word(text, b"");
    }
}

/// The values of the options with this name.
fn values<'o>(mut options: &'o [u8], name: &'o [u8]) -> impl Iterator<Item = &'o [u8]> {
    core::iter::from_fn(move || next_value(&mut options, name))
}

/// Consumes `options` up to the end of the next one with this name, and returns its value.
#[inline(never)]
fn next_value<'o>(options: &mut &'o [u8], name: &[u8]) -> Option<&'o [u8]> {
    while !options.is_empty() {
        let (found, rest) = split_word(options);
        let (value, rest) = split_word(rest);
        *options = rest;
        if found == name {
            return Some(value);
        }
    }
    None
}

/// The value of the option `name`, a number.
#[inline(never)]
pub(super) fn number_in(options: &[u8], name: &[u8]) -> Option<u64> {
    values(options, name).find_map(decimal::parse)
}

/// The value of `frame`.
pub(super) fn frame_in(options: &[u8]) -> Option<u32> {
    let frame = |value| decimal::parse(value).and_then(|frame| u32::try_from(frame).ok());
    values(options, b"frame").filter_map(frame).find(|&frame| frame > 0)
}

/// The value of `digest`.
pub(super) fn kind_in(options: &[u8]) -> Option<DigestKind> {
    values(options, b"digest").find_map(|value| {
        [DigestKind::Blake3, DigestKind::Crc32].into_iter().find(|&kind| name_of(kind) == value)
    })
}

const fn name_of(kind: DigestKind) -> &'static [u8] {
    match kind {
        DigestKind::Blake3 => b"blake3",
        DigestKind::Crc32 => b"crc32",
        DigestKind::Sha256 => b"sha256",
    }
}

/// The word before the first NUL, and the bytes behind it: a name and its options, or the name of an
/// option and the rest.
#[inline(never)]
pub(super) fn split_word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let nul = find(0, bytes).unwrap_or(bytes.len());
    (first(bytes, nul), after(bytes, nul + 1))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn kinds() -> impl Strategy<Value = Option<DigestKind>> {
        proptest::option::of(prop_oneof![Just(DigestKind::Blake3), Just(DigestKind::Crc32)])
    }

    fn digests() -> impl Strategy<Value = Option<Digest>> {
        proptest::option::of(prop_oneof![
            any::<[u8; 32]>().prop_map(Digest::Blake3),
            any::<u32>().prop_map(Digest::Crc32),
        ])
    }

    fn text_of(write: impl FnOnce(&mut Text<'_>)) -> Vec<u8> {
        let mut room = [0; 2 * OPTIONS_MAX];
        let mut text = Text::new(&mut room, 0);
        write(&mut text);
        let len = text.len();
        room[..len].to_vec()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            frame in proptest::option::of(1..=u32::MAX),
            offset: Option<u64>,
            prefix in digests(),
            digest in kinds(),
            size: Option<u64>,
        ) {
            let options = Options { frame, offset, prefix, digest, size };
            prop_assert_eq!(Options::parse(&text_of(|text| options.write(text))), options);
        }

        #[test]
        fn nothing_that_is_read_is_too_much(bytes: Vec<u8>) {
            let _ = Options::parse(&bytes);
        }
    }

    #[test]
    fn the_longest_fit() {
        let all = Options {
            frame: Some(u32::MAX),
            offset: Some(u64::MAX),
            prefix: Some(Digest::Blake3([255; 32])),
            digest: Some(DigestKind::Blake3),
            size: Some(u64::MAX),
        };
        assert!(text_of(|text| all.write(text)).len() < OPTIONS_MAX);
        // Only requests have a prefix, and only answers have dots.
        let answer = Options { prefix: None, ..all };
        let text = text_of(|text| _ = answer.write_around(STEPS_MAX, u64::MAX, text));
        assert!(text.len() < OPTIONS_MAX);
    }

    #[test]
    fn an_answer_is_as_long_for_every_offset_and_its_beginning_is_the_same() {
        let text = |offset| {
            let digest = Some(DigestKind::Blake3);
            let options = Options { size: Some(7), offset, digest, ..Options::default() };
            let mut known = 0;
            let text = text_of(|text| known = options.write_around(3, 12_345, text));
            (Options::parse(&text), text.len(), text[..known].to_vec())
        };
        let (far, near) = (text(Some(12_345)), text(Some(0)));
        assert_eq!((far.0.offset, near.0.offset), (Some(12_345), Some(0)));
        assert_eq!((far.1, &far.2), (near.1, &near.2));
        assert_eq!(far.2, b"size\x007\0digest\0blake3\0wait\0");
    }

    #[test]
    fn what_is_not_understood_is_not_there() {
        let none = Options::default();
        for text in [
            &b"frame\x000\0"[..],
            b"frame\x004294967296\0",
            b"offset\0-1\0",
            b"offset\0 1\0",
            b"offset\0\0",
            b"offset\x0018446744073709551616\0",
            b"prefix\0abc\0",
            b"prefix\0abcdefgh\0",
            b"prefix\x00001122334455\0",
            b"digest\0md5\0",
            b"FRAME\08\0",
            b"colour\0blue\0",
            b"frame",
            b"\0\0\0",
        ] {
            assert_eq!(Options::parse(text), none, "{text:?}");
        }
        let first = Options { offset: Some(1), ..none };
        assert_eq!(Options::parse(b"x\0y\0offset\x001\0offset\x002\0"), first);
    }
}
