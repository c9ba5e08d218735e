//! The words of requests and OACKs: texts that end with NUL.

use crate::bytes::{append, until_nul};
use crate::decimal::{self, DIGITS_MAX};

/// The options of a request or an OACK: pairs of words, read one by one.
///
/// ```
/// use windlass_core::wire::tftp::Packet;
/// let Ok(Packet::OptionAck(options)) = Packet::parse(b"\0\x06blksize\x001428\0tsize\0") else { panic!() };
/// assert_eq!(options.pairs().collect::<Vec<_>>(), [(&b"blksize"[..], &b"1428"[..])]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Options<'d>(pub(super) &'d [u8]);

impl<'d> Options<'d> {
    /// The name and the value of each. NULs that fill the packet up, and an option without its NULs, are the
    /// end.
    pub fn pairs(self) -> impl Iterator<Item = (&'d [u8], &'d [u8])> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (name, behind) = until_nul(rest).filter(|(name, _)| !name.is_empty())?;
            let (value, behind) = until_nul(behind)?;
            rest = behind;
            Some((name, value))
        })
    }
}

/// Writes words into lent bytes.
#[derive(Debug)]
pub struct Writer<'b> {
    to: &'b mut [u8],
    /// How many bytes are written, if all of them fit.
    len: Option<usize>,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Writer<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Writer {{ room: {=usize}, len: {} }}", self.to.len(), self.len);
    }
}

impl<'b> Writer<'b> {
    /// Begins with the opcode.
    pub fn new(opcode: u16, to: &'b mut [u8]) -> Self {
        Self::behind(&opcode.to_be_bytes(), to)
    }

    /// Begins with these bytes.
    pub(crate) fn behind(front: &[u8], to: &'b mut [u8]) -> Self {
        let len = append(to, 0, front);
        Self { to, len }
    }

    /// A part of a word.
    #[inline(never)]
    pub fn put(&mut self, part: &[u8]) {
        self.len = self.len.and_then(|len| append(self.to, len, part));
    }

    /// A word, or the rest of it, and its NUL.
    #[inline(never)]
    pub fn word(&mut self, word: &[u8]) {
        self.put(word);
        self.put(b"\0");
    }

    /// An option with a number for a value.
    pub fn number(&mut self, name: &[u8], number: u64) {
        self.word(name);
        self.word(decimal::render(number, &mut [0; DIGITS_MAX]));
    }

    /// How many bytes were written, if all of them fit.
    pub const fn finish(self) -> Option<usize> {
        self.len
    }
}
