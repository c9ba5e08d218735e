//! Both ends of TFTP against what peers do, datagram by datagram.

extern crate std;

mod clients;
mod server;
mod timer;
mod uploads;

use std::vec::Vec;

/// A DATA.
fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    [&[0, 3][..], &block.to_be_bytes(), bytes].concat()
}

/// An ACK.
fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

/// An ERROR with no text.
fn error(code: u8) -> [u8; 5] {
    [0, 5, 0, code, 0]
}

/// The code of an ERROR.
fn code_of(datagram: &[u8]) -> Option<u8> {
    datagram.strip_prefix(&[0, 5, 0]).and_then(|rest| rest.first().copied())
}
