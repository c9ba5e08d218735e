//! The header of a frame.

use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U32;

/// The header of a frame: the length of the payload behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct FrameHeader {
    len: U32,
}

impl FrameHeader {
    /// Its size on the wire, in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The header of a payload of `len` bytes.
    pub const fn new(len: u32) -> Self {
        Self { len: U32::new(len) }
    }

    /// Bytes of payload behind this header, as the peer claims.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length of what follows, not of the header"
    )]
    pub const fn len(self) -> u32 {
        self.len.get()
    }

    /// Its bytes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.len.as_bytes()
    }
}

impl From<[u8; FrameHeader::LEN]> for FrameHeader {
    fn from(bytes: [u8; FrameHeader::LEN]) -> Self {
        Self { len: U32::from_bytes(bytes) }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for FrameHeader {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "FrameHeader {{ len: {} }}", self.len());
    }
}

const _: () = assert!(FrameHeader::LEN == 4 && align_of::<FrameHeader>() == 1);
