//! What became of a transfer.

use std::net::SocketAddr;

use windlass_core::wire::{tftp, xfer};

use crate::sys::Errno;

/// The last words of a peer. They are not to be shown as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The number of the reason.
    pub code: u32,
    /// Its words, as bytes of the peer.
    pub text: Box<[u8]>,
}

/// What a stranger is told: ERROR 5, in the protocol that it speaks. Nothing for noise; nor for an ERROR, or two
/// ends would tell each other for ever.
pub(super) fn to_stranger(datagram: &[u8]) -> Option<&'static [u8]> {
    match (tftp::Opcode::of(datagram), xfer::Packet::parse(datagram)) {
        (Some(tftp::Opcode::Error), _) | (None, Ok(xfer::Packet::Error { .. }) | Err(_)) => None,
        (Some(_), _) => Some(b"\0\x05\0\x05unknown transfer\0"),
        (None, Ok(_)) => Some(b"\0\0\0\x05\0\0\0\x05unknown transfer\0"),
    }
}

/// What was told of a transfer, beside its blocks.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The last words of the peer, if it ended the transfer.
    pub said: Option<Said>,
    /// An address of another host, which sent something.
    pub stranger: Option<SocketAddr>,
    /// The error of the network that ended the transfer.
    pub errno: Option<Errno>,
    /// Datagrams of the peer that are not of the protocol.
    pub malformed: u64,
}

/// Counts of one transfer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Datagrams that left, and that came.
    pub(super) sent: u64,
    pub(super) heard: u64,
    /// Of those that came: of no use.
    pub(super) ignored: u64,
    /// That the network did not take.
    pub(super) lost: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// The end of the data that was sent: what is sent before that is sent again.
    pub(super) sent_to: u64,
    /// The peer asked for something else.
    pub(super) replaced: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_in_its_protocol_and_no_error_is_answered() {
        let at_xfer = xfer::Packet::Ack { seq: 7 };
        let mut buf = [0; 20];
        let len = at_xfer.render(&mut buf).unwrap();
        let word = to_stranger(&buf[..len]).unwrap();
        assert!(matches!(xfer::Packet::parse(word), Ok(xfer::Packet::Error { code: 5, .. })));
        assert_eq!(to_stranger(word), None);
        let word = to_stranger(b"\0\x04\0\x07").unwrap();
        assert!(matches!(tftp::Packet::parse(word), Ok(tftp::Packet::Error { code: 5, .. })));
        assert_eq!(to_stranger(word), None);
        for noise in [&b""[..], b"\0", b"\0\0\0\x09", &[9; 600]] {
            assert_eq!(to_stranger(noise), None);
        }
    }
}
