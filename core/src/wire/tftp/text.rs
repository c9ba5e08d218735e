//! The words of requests and OACKs: texts that end with NUL.

use crate::bytes::{put, until_nul};
use crate::decimal;

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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Writer<'b> {
    to: &'b mut [u8],
    len: usize,
    /// Something did not fit.
    is_cut: bool,
}

impl<'b> Writer<'b> {
    /// Begins with the opcode.
    pub fn new(opcode: u16, to: &'b mut [u8]) -> Self {
        let mut writer = Self { to, len: 0, is_cut: false };
        writer.put(&opcode.to_be_bytes());
        writer
    }

    fn put(&mut self, bytes: &[u8]) {
        let len = put(self.to, self.len, bytes);
        self.is_cut |= len < self.len.saturating_add(bytes.len());
        self.len = len;
    }

    /// A word and its NUL.
    pub fn word(&mut self, word: &[u8]) {
        self.put(word);
        self.put(&[0]);
    }

    /// An option whose value is a number, if there is one.
    pub fn number(&mut self, name: &[u8], number: Option<u64>) {
        if let Some(number) = number {
            self.word(name);
            self.word(decimal::render(number, &mut [0; decimal::DIGITS_MAX]));
        }
    }

    /// How many bytes were written, if all fitted.
    pub fn finish(self) -> Option<usize> {
        (!self.is_cut).then_some(self.len)
    }
}
