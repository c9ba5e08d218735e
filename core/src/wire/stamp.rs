//! The stamp of the time service: decimal epoch seconds and LF, `"%lld\n"`.

use crate::bytes::first;
use crate::decimal;
use crate::fault::Peer;
use crate::text::Text;

/// Seconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stamp(pub i64);

impl Stamp {
    /// The longest stamp: `-9223372036854775808\n`.
    pub const MAX_LEN: usize = 21;

    /// Renders its text, LF included, into `buf`.
    pub fn render(self, buf: &mut [u8; Self::MAX_LEN]) -> &[u8] {
        let mut text = Text::new(buf, 0);
        self.write(&mut text);
        let len = text.written();
        first(buf, len)
    }

    /// Its text, LF included.
    pub(crate) fn write(self, text: &mut Text<'_>) {
        if self.0 < 0 {
            text.put(b"-");
        }
        text.number(self.0.unsigned_abs(), 0);
        text.put(b"\n");
    }

    /// Reads a whole stamp, LF included.
    ///
    /// # Errors
    /// [`Peer::Malformed`] for anything else, [`Peer::Truncated`] for less.
    pub fn parse(bytes: &[u8]) -> Result<Self, Peer> {
        let mut parser = StampParser::default();
        let mut bytes = bytes.iter();
        while let Some(&byte) = bytes.next() {
            if let Some(stamp) = parser.push(byte)? {
                return if bytes.len() == 0 { Ok(stamp) } else { Err(Peer::Malformed) };
            }
        }
        Err(Peer::Truncated)
    }
}

/// Reads a stamp byte by byte, in no more memory than the number itself.
///
/// The format is an optional `-`, 1 to 19 digits, an optional `\r`, and LF. A number that does not
/// fit in an `i64` is malformed.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StampParser {
    negative: bool,
    /// The number so far, without its sign.
    number: u64,
    digits: u8,
    cr: bool,
}

impl StampParser {
    /// A parser that has read no byte yet.
    pub const fn new() -> Self {
        Self { negative: false, number: 0, digits: 0, cr: false }
    }

    /// Takes one byte. Returns the stamp if it was the last byte.
    ///
    /// # Errors
    /// [`Peer::Malformed`] if no stamp begins with the bytes so far.
    pub fn push(&mut self, byte: u8) -> Result<Option<Stamp>, Peer> {
        match byte {
            b'-' if self.digits == 0 && !self.negative => self.negative = true,
            b'\r' if self.digits > 0 && !self.cr => self.cr = true,
            b'\n' if self.digits > 0 => return self.stamp().map(Some).ok_or(Peer::Malformed),
            _ if !self.cr && self.digits < 19 => {
                self.number = decimal::append(self.number, byte).ok_or(Peer::Malformed)?;
                self.digits += 1;
            }
            _ => return Err(Peer::Malformed),
        }
        Ok(None)
    }

    /// The stamp of all digits; `-i64::MIN` does not fit in an `i64`.
    fn stamp(&self) -> Option<Stamp> {
        let seconds = if self.negative {
            0_i64.checked_sub_unsigned(self.number)
        } else {
            0_i64.checked_add_unsigned(self.number)
        };
        seconds.map(Stamp)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        for (text, expected) in [
            (&b"0\n"[..], Ok(0)),
            (b"1700000000\n", Ok(1_700_000_000)),
            (b"1700000000\r\n", Ok(1_700_000_000)),
            (b"-1\n", Ok(-1)),
            (b"9223372036854775807\n", Ok(i64::MAX)),
            (b"-9223372036854775808\n", Ok(i64::MIN)),
            (b"9223372036854775808\n", Err(Peer::Malformed)),
            (b"00000000000000000000\n", Err(Peer::Malformed)),
            (b"12\n3", Err(Peer::Malformed)),
            (b"12", Err(Peer::Truncated)),
            (b"12\r", Err(Peer::Truncated)),
            (b"12\r3\n", Err(Peer::Malformed)),
            (b"", Err(Peer::Truncated)),
            (b"-", Err(Peer::Truncated)),
            (b"\n", Err(Peer::Malformed)),
            (b"-\n", Err(Peer::Malformed)),
            (b"--1\n", Err(Peer::Malformed)),
            (b" 1\n", Err(Peer::Malformed)),
            (b"1x\n", Err(Peer::Malformed)),
        ] {
            assert_eq!(Stamp::parse(text), expected.map(Stamp), "{:?}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed(seconds: i64) {
            let mut buf = [0; Stamp::MAX_LEN];
            let text = Stamp(seconds).render(&mut buf);
            prop_assert_eq!(std::str::from_utf8(text).unwrap(), std::format!("{seconds}\n"));
            prop_assert_eq!(Stamp::parse(text), Ok(Stamp(seconds)));
        }
    }
}
