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

use super::end::End;
use super::{Heard, Tx};
use crate::wire::xfer::{ERROR, render};

/// The last word, an ERROR.
fn render_word(end: &End, nth: usize, head: &mut [u8]) -> Option<Tx> {
    let word = end.word().filter(|_| nth == 0)?;
    render(head, &[ERROR, word.code as u32], Some(word.text.as_bytes())).map(Tx::head)
}

/// An ERROR that came: where its text is.
fn ended(datagram: &[u8], code: u32, text: &[u8]) -> Heard {
    // Behind the kind and the code.
    debug_assert!(datagram.len() >= 8 + text.len(), "the text is part of the datagram");
    Heard::Ended { code, at: 8, len: text.len() }
}
