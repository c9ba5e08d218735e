//! The wire formats: structs of fixed layout (network byte order, alignment 1, no padding) and
//! parsers of text. docs/PROTOCOL.md shows each byte.

mod frame;
pub mod http;
pub mod proxy;
mod score;
mod stamp;
#[cfg(feature = "transfer")]
pub mod tftp;
#[cfg(feature = "transfer")]
pub mod xfer;

pub use frame::FrameHeader;
pub use score::Score;
pub use stamp::{Stamp, StampParser};
