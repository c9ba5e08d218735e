//! The header of a frame, which may arrive in pieces.

use crate::bytes::{after, put};
use crate::wire::FrameHeader;

/// Gathers the bytes of one header.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct HeaderReader {
    bytes: [u8; FrameHeader::LEN],
    /// Bytes of it that arrived. Invariant: fewer than all.
    have: usize,
}

impl HeaderReader {
    /// No byte has arrived.
    pub(crate) const START: Self = Self { bytes: [0; FrameHeader::LEN], have: 0 };

    /// Whether no byte has arrived.
    pub(crate) const fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Takes the bytes that it needs from the front of `input`. Returns the header once it is
    /// complete, and the input behind it. The next call begins the next header.
    pub(crate) fn take<'i>(&mut self, input: &'i [u8]) -> (Option<FrameHeader>, &'i [u8]) {
        if self.have == 0
            && let Some((bytes, rest)) = input.split_first_chunk()
        {
            return (Some(FrameHeader::from(*bytes)), rest);
        }
        let have = put(&mut self.bytes, self.have, input);
        let rest = after(input, have - self.have);
        if have < FrameHeader::LEN {
            self.have = have;
            return (None, rest);
        }
        self.have = 0;
        (Some(FrameHeader::from(self.bytes)), rest)
    }
}
