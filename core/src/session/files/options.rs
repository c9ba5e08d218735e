//! What follows the NUL of a name: pairs of words, as TFTP has them (RFC 2347).

use super::Digest;

/// Extensions of a request or an answer: `name NUL value NUL`, in any order. One that is unknown, or
/// whose value is not understood, is as if it were not there; of two alike the first counts. What a
/// server does not repeat in its answer it does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Options {
    /// `frame`: bytes of payload in a frame at most. Without it, 4096.
    pub frame: Option<u32>,
    /// `offset`: the first byte of the file that is sent. Without it, 0.
    pub offset: Option<u64>,
    /// `prefix`, 64 hexadecimal digits, of a request: the digest of the bytes before `offset`, or of the
    /// last [`PREFIX_WINDOW`](super::PREFIX_WINDOW) of them. If the server's are others, it sends from
    /// the beginning.
    pub prefix: Option<Digest>,
    /// `digest`, whose value is `blake3`: a frame with the digest of the whole file, that before
    /// `offset` included, follows the last one. Not done where the `offset` that was asked for is beyond
    /// [`UNSENT_MAX`](super::UNSENT_MAX).
    pub digest: bool,
    /// `size`, of an answer: bytes of the whole file.
    pub size: Option<u64>,
}

/// Bytes of all options at most.
pub(super) const OPTIONS_MAX: usize = 192;

impl Options {
    /// Reads what follows the NUL of a name.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let mut words = bytes.split(|&byte| byte == 0);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                b"frame" => {
                    let frame = number(value).and_then(|n| u32::try_from(n).ok());
                    options.frame = options.frame.or(frame.filter(|&n| n > 0));
                }
                b"offset" => options.offset = options.offset.or(number(value)),
                b"prefix" => options.prefix = options.prefix.or(hex(value)),
                b"digest" => options.digest |= value == b"blake3",
                b"size" => options.size = options.size.or(number(value)),
                _ => {}
            }
        }
        options
    }

    /// Writes those of a request, and says how many bytes that took.
    pub(super) fn render(&self, to: &mut [u8; OPTIONS_MAX]) -> usize {
        self.render_around(0, self.offset.unwrap_or(0), to).len
    }

    /// Writes those of an answer. The text is as long for every `offset` up to `widest`, and only its last
    /// pair depends on `offset`. `steps` dots are before it, as the value of an option `wait` that no
    /// receiver knows.
    pub(super) fn render_around(
        &self,
        steps: u8,
        widest: u64,
        to: &mut [u8; OPTIONS_MAX],
    ) -> Rendered {
        let mut text = Text { to, len: 0 };
        if let Some(size) = self.size {
            text.pair(b"size", decimal(size, &mut [0; 20]));
        }
        if let Some(frame) = self.frame {
            text.pair(b"frame", decimal(frame.into(), &mut [0; 20]));
        }
        if let Some(prefix) = self.prefix {
            let mut digits = [0; 64];
            for (pair, byte) in digits.chunks_exact_mut(2).zip(prefix) {
                let digit = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte)]);
            }
            text.pair(b"prefix", &digits);
        }
        if self.digest {
            text.pair(b"digest", b"blake3");
        }
        let mut known = text.len;
        if steps > 0 {
            let dots = [b'.'; STEPS_MAX as usize];
            text.pair(b"wait", &dots[..usize::from(steps.min(STEPS_MAX))]);
            known += b"wait\0".len();
        }
        if let Some(offset) = self.offset {
            let width = decimal(widest.max(offset), &mut [0; 20]).len();
            let mut digits = [b'0'; 20];
            decimal(offset, &mut digits);
            text.pair(b"offset", digits.get(digits.len() - width..).unwrap_or_default());
        }
        Rendered { len: text.len, known }
    }
}

/// The text of options.
pub(super) struct Rendered {
    /// Its length in bytes.
    pub(super) len: usize,
    /// Where the dots begin, or the `offset` if there are none: what is before does not depend on it.
    pub(super) known: usize,
}

/// Dots in an answer at most.
pub(super) const STEPS_MAX: u8 = 65;

struct Text<'a> {
    to: &'a mut [u8; OPTIONS_MAX],
    len: usize,
}

impl Text<'_> {
    fn pair(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, &[0], value, &[0]] {
            self.to[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
    }
}

/// A number of decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn decimal(mut number: u64, to: &mut [u8; 20]) -> &[u8] {
    let mut from = to.len();
    loop {
        from -= 1;
        // Below 10, so it fits.
        to[from] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &to[from..];
        }
    }
}

fn hex(digits: &[u8]) -> Option<Digest> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let mut digest = [0; 32];
    if digits.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            frame in proptest::option::of(1..=u32::MAX),
            offset: Option<u64>,
            prefix: Option<Digest>,
            digest: bool,
            size: Option<u64>,
        ) {
            let options = Options { frame, offset, prefix, digest, size };
            let mut text = [0; OPTIONS_MAX];
            let len = options.render(&mut text);
            prop_assert_eq!(Options::parse(&text[..len]), options);
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
            prefix: Some([255; 32]),
            digest: true,
            size: Some(u64::MAX),
        };
        assert!(all.render(&mut [0; OPTIONS_MAX]) <= OPTIONS_MAX);
        // The prefix is a request's, and the dots are an answer's.
        let answer = Options { prefix: None, ..all };
        let rendered = answer.render_around(STEPS_MAX, u64::MAX, &mut [0; OPTIONS_MAX]);
        assert!(rendered.len <= OPTIONS_MAX);
    }

    #[test]
    fn an_answer_is_as_long_for_every_offset_and_its_beginning_is_the_same() {
        let text = |offset| {
            let options = Options { size: Some(7), offset, digest: true, ..Options::default() };
            let mut to = [0; OPTIONS_MAX];
            let Rendered { len, known } = options.render_around(3, 12_345, &mut to);
            (Options::parse(&to[..len]), len, to[..known].to_vec())
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
