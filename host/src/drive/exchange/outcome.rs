//! What became of a transfer.

use crate::sys::Errno;
use crate::sys::datagram::Peer;

/// The last words of a peer. They are not to be shown as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The number of the reason.
    pub code: u32,
    /// Its words, as bytes of the peer.
    pub text: Box<[u8]>,
}

/// ERROR 5 of TFTP, for a stranger.
pub(super) const UNKNOWN_TID: &[u8] = b"\0\x05\0\x05unknown transfer\0";

/// What was told of a transfer, beside its blocks.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The last words of the peer, if it ended the transfer.
    pub said: Option<Said>,
    /// An address that is not the peer's and sent something.
    pub stranger: Option<Peer>,
    /// The error of the network that ended the transfer.
    pub errno: Option<Errno>,
}

/// Counts of one transfer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Datagrams that left, and that came.
    pub(super) sent: u64,
    pub(super) heard: u64,
    /// Of those that came: of no use, or not of the protocol.
    pub(super) ignored: u64,
    pub(super) malformed: u64,
    /// That the network did not take.
    pub(super) lost: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// The peer asked for something else.
    pub(super) replaced: bool,
}
