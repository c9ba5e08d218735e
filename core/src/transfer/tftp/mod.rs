//! TFTP: RFC 1350 with the options of RFC 2347, 2348, 2349 and 7440, both ends and both directions.
//!
//! Beside those options there are `utimeout` (microseconds, as in tftp-hpa), `seek` and `rsize` (the first byte
//! that is sent, and how many, as in tqftpserv), and `x-blake3` and `x-crc32`, a digest of the whole file in
//! hexadecimal: a reader asks with any value and is answered with the digest, a writer sends it along. Ends
//! that do not know them leave them out.

mod config;
mod get;
mod offer;
mod options;
mod put;
mod server;

pub use config::Config;
pub use get::TftpGet;
pub use offer::Offer;
pub use put::TftpPut;
pub use server::{NAME_MAX, TftpServer};

/// The bits of a block number.
const NUMBERS: u32 = 0xffff;

use super::end::End;
use super::inbound::Inbound;
use super::{Heard, Tx};
use crate::bytes::fill;
use crate::fault::{Fault, Peer};
use crate::file::Extent;
use crate::time::Instant;
use crate::wire::tftp::{DATA_AT, Opcode, error, numbered};

/// The last word, an ERROR.
fn render_word(end: &End, nth: usize, head: &mut [u8]) -> Option<Tx> {
    let word = end.word().filter(|_| nth == 0)?;
    Some(Tx::head(error(word.code, word.text, head)))
}

/// An ACK.
fn render_ack(number: u32, head: &mut [u8]) -> Option<Tx> {
    render_numbered(Opcode::Ack, number, head).map(Tx::head)
}

/// A DATA with this part of the file.
fn render_block(number: u32, body: Extent, head: &mut [u8]) -> Option<Tx> {
    render_numbered(Opcode::Data, number, head).map(|head| Tx { head, body })
}

/// A DATA of so many bytes came, where blocks have `block` bytes.
fn block(
    inbound: &mut Inbound,
    now: Instant,
    number: u16,
    len: usize,
    block: u16,
) -> Result<Heard, Fault> {
    if len > block.into() {
        let claimed = u32::try_from(len).unwrap_or(u32::MAX);
        return Err(Peer::TooLong { claimed, max: block.into() }.into());
    }
    inbound.block(now, number.into(), (DATA_AT, len), len < block.into())
}

fn render_numbered(opcode: Opcode, number: u32, head: &mut [u8]) -> Option<usize> {
    let [low, high, ..] = number.to_le_bytes();
    let bytes = numbered(opcode, u16::from_le_bytes([low, high]));
    Some(fill(head, &bytes)).filter(|&len| len == bytes.len())
}

/// An ERROR that came: where its text is.
fn ended(datagram: &[u8], code: u16, text: &[u8]) -> Heard {
    // Behind the opcode and the code.
    debug_assert!(datagram.len() >= 4 + text.len(), "the text is part of the datagram");
    Heard::Ended { code: code.into(), at: 4, len: text.len() }
}

#[cfg(test)]
mod tests;
