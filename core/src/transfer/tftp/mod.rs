//! TFTP: RFC 1350 with the options of RFC 2347, 2348, 2349 and 7440, both ends and both directions.
//!
//! Beside those options there are `utimeout` (microseconds, as in tftp-hpa), `seek` and `rsize` (the first byte
//! that is sent, and how many, as in tqftpserv), and `x-blake3` and `x-crc32`, a digest of the whole file in
//! hexadecimal: a reader asks with any value and is answered with the digest, a writer sends it along. Ends
//! that do not know them leave them out.

mod config;
mod get;
mod names;
mod offer;
mod options;
mod put;
mod server;

pub use config::Config;
pub use get::TftpGet;
pub use offer::Offer;
pub use put::TftpPut;
pub use server::{NAME_MAX, TftpServer};

use super::Heard;
use super::inbound::Inbound;
use super::timer::Timer;
use crate::bytes::append;
use crate::fault::{Fault, Peer};
use crate::wire::tftp::{DATA_AT, Opcode, Writer, numbered};

/// The last word, an ERROR.
fn render_error((code, text): (u8, &[u8]), head: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::behind(&numbered(Opcode::Error, code.into()), head);
    writer.word(text);
    writer.finish()
}

/// An ACK, or what stands before the bytes of a DATA.
fn render_numbered(opcode: Opcode, number: u32, head: &mut [u8]) -> Option<usize> {
    let [low, high, ..] = number.to_le_bytes();
    append(head, 0, &numbered(opcode, u16::from_le_bytes([low, high])))
}

/// A DATA of so many bytes came, where blocks have `block` bytes.
fn block<const PARTS: u8>(
    inbound: &mut Inbound<true, PARTS>,
    timer: &mut Timer<PARTS>,
    number: u16,
    len: usize,
    block: u16,
) -> Result<Heard, Fault> {
    if len > block.into() {
        let claimed = u32::try_from(len).unwrap_or(u32::MAX);
        return Err(Peer::TooLong { claimed, max: block.into() }.into());
    }
    inbound.block(timer, number.into(), (DATA_AT, len), len < block.into())
}

/// An ERROR that came: where its text is.
fn ended(datagram: &[u8], code: u16, text: &[u8]) -> Heard {
    // Behind the opcode and the code.
    debug_assert!(datagram.len() >= 4 + text.len(), "the text is part of the datagram");
    Heard::Ended { code: code.into(), at: 4, len: text.len() }
}

#[cfg(test)]
mod tests;
