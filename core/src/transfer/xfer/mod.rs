//! `xfer`: stop-and-wait, a block of 1024 bytes at a time, both ends.
//!
//! ```text
//!   client  PATH ───────────▶         ACK 1 ───▶        ACK 2 ───▶
//!   server         ◀── DATA 1                ◀── EOT 2
//! ```

mod client;
mod server;

pub use client::XferClient;
pub use server::XferServer;

use zerocopy::byteorder::network_endian::U32;

use super::Heard;
use crate::wire::xfer::{ERROR, put_text};

/// The last word, an ERROR.
fn render_error((code, text): (u8, &[u8]), head: &mut [u8]) -> Option<usize> {
    put_text(head, &[U32::new(ERROR), U32::new(code.into())], text)
}

/// An ERROR that came: where its text is.
fn ended(datagram: &[u8], code: u32, text: &[u8]) -> Heard {
    // Behind the kind and the code.
    debug_assert!(datagram.len() >= 8 + text.len(), "the text is part of the datagram");
    Heard::Ended { code, at: 8, len: text.len() }
}
