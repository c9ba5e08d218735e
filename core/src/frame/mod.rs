//! The `{u32 len, bytes}` codec: it marks boundaries in a byte stream.
//!
//! ```text
//!   0               4                  4 + len
//!   +---------------+--------- ... ---------+
//!   |  len (u32 BE) |  payload, len bytes   |
//!   +---------------+--------- ... ---------+
//! ```
//!
//! On a line that loses bytes a receiver has to find the next boundary again: see [`link`].

mod cut;
mod decode;
mod encode;
mod header;
pub mod link;

pub use cut::{Cut, Part};
pub use decode::{Decoder, FrameStep};
pub use encode::Encoder;
pub(crate) use header::HeaderReader;

/// A frame is longer than this side allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooLong {
    /// The length in the header, or of the payload to send.
    pub claimed: u32,
    /// The largest allowed.
    pub max: u32,
}

impl core::fmt::Display for TooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a frame of {} bytes where {} are allowed", self.claimed, self.max)
    }
}

impl core::error::Error for TooLong {}

impl From<TooLong> for crate::fault::Fault {
    fn from(TooLong { claimed, max }: TooLong) -> Self {
        crate::fault::Peer::TooLong { claimed, max }.into()
    }
}
