//! The dissectors of `contrib/wireshark`, by `tshark` on captures of real traffic.
//!
//! - Their tables have the numbers of the core.
//! - They take a datagram or a packet for malformed when the core does, and read the same values.
//! - A stream is read whatever way it is cut into segments, or into reads from a serial line.
//! - Between two hosts: reports and downloads of the program itself, as `dumpcap` captures them.

mod messages;
mod streams;
mod tables;

use windlass_core::frame::link::Link;
use windlass_core::time::Instant;
use windlass_core::wire::xfer;

/// The ports of the dissectors.
pub(crate) const SCORE: u16 = 2333;
pub(crate) const XFER: u16 = 2334;
pub(crate) const FILES: u16 = 2334;

pub(crate) fn rendered(packet: &xfer::Packet<'_>) -> Vec<u8> {
    let mut to = [0; xfer::DATAGRAM_MAX];
    let len = packet.render(&mut to).expect("a packet");
    to[..len].to_vec()
}

pub(crate) fn number_of(datagram: &[u8]) -> u32 {
    u32::from_be_bytes(*datagram.first_chunk().expect("a number"))
}

/// What an end writes.
pub(crate) fn written(link: &mut Link<'_>, now: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let output = link.output(now);
        let n = output.len();
        bytes.extend(output);
        if n == 0 {
            return bytes;
        }
        link.wrote(n);
    }
}

pub(crate) fn one(number: &impl ToString) -> Vec<String> {
    vec![number.to_string()]
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
