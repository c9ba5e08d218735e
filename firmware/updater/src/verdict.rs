//! How an update ended.

use core::fmt;

use windlass_core::fault::{Fault, Peer, StorageFault};

/// How an update ended. Except after [`Updated`](Self::Updated), the device boots what it booted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// The new image is whole, and is booted next.
    Updated,
    /// The bytes that arrived are not those that the server sent: its digest differs. The next update begins from
    /// byte 0.
    WrongDigest,
    /// The server does not answer any more, or has ended the connection.
    ServerGone,
    /// The flash could not be read, erased or programmed.
    FlashFailed,
    /// The image is larger than a slot. Nothing was erased.
    TooLarge,
    /// The server has no such image, or does not give it.
    Refused,
    /// The server offers no CRC-32, or does not tell the size. Nothing was erased.
    Unsupported,
    /// Any other fault: the peer does not follow the protocol, or the lent memory was too small.
    Broken(Fault),
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Integrity => Self::WrongDigest,
            Fault::TimedOut { .. } | Fault::Peer(Peer::Reset | Peer::Truncated) => Self::ServerGone,
            Fault::Storage(StorageFault::Full) => Self::TooLarge,
            Fault::Storage(StorageFault::Unsupported) => Self::Unsupported,
            Fault::Storage(StorageFault::Failed | StorageFault::Stalled) => Self::FlashFailed,
            Fault::Peer(Peer::Refused) => Self::Refused,
            Fault::Peer(
                Peer::Malformed
                | Peer::TooLong { .. }
                | Peer::Declined
                | Peer::Aborted
                | Peer::Options
                | Peer::WrongSize,
            )
            | Fault::Storage(StorageFault::Changed)
            | Fault::Local(_)
            | Fault::Aborted
            | Fault::Denied => Self::Broken(fault),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updated => f.write_str("updated"),
            Self::WrongDigest => f.write_str("wrong digest"),
            Self::ServerGone => f.write_str("server gone"),
            Self::FlashFailed => f.write_str("flash failed"),
            Self::TooLarge => f.write_str("too large"),
            Self::Refused => f.write_str("refused"),
            Self::Unsupported => f.write_str("unsupported"),
            Self::Broken(fault) => write!(f, "broken: {fault}"),
        }
    }
}
