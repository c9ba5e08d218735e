//! Why a session ended early, by the side that caused it: the peer, this side, or its storage.

use core::fmt;

/// Why a session ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The peer broke the protocol or went away: answer it or drop it.
    Peer(Peer),
    /// The memory that this side lent was too small.
    Local(Limit),
    /// No byte moved for the idle timeout.
    TimedOut {
        /// How long no byte moved, in microseconds.
        waited_us: u64,
    },
    /// The storage of this side could not do an operation.
    Storage(StorageFault),
    /// The file is complete, but its digest differs from that of the sender.
    Integrity,
    /// The shell ended the session, for example because the server drains or the port was closed.
    Aborted,
    /// This side refused the request of the peer, and told it so.
    Denied,
}

/// The fault of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Peer {
    /// The bytes do not follow the protocol.
    Malformed,
    /// A line, name or frame is longer than the limit.
    TooLong {
        /// The length in bytes that the peer announced, or that had arrived when the limit was
        /// exceeded.
        claimed: u32,
        /// The limit in bytes.
        max: u32,
    },
    /// The stream ended inside a message.
    Truncated,
    /// The connection was reset.
    Reset,
    /// The peer refused the request.
    Refused,
    /// The peer asked for a file and did not take the answer. Firmware looks up the size of a file in this way:
    /// it is no failure.
    Declined,
    /// The peer gave up the transfer, or asked for something else instead.
    Aborted,
    /// The peer answered with options that were not asked for, or with larger values.
    Options,
    /// The peer sent fewer or more bytes than it had announced.
    WrongSize,
}

/// Memory of this side that was too small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limit {
    /// Bytes that were needed.
    pub need: usize,
    /// Bytes that were lent.
    pub have: usize,
}

/// Why a storage could not do an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StorageFault {
    /// The storage is full.
    Full,
    /// Reading or writing failed.
    Failed,
    /// The file is not the one that was opened: its content or its attributes were changed meanwhile.
    Changed,
    /// The storage was busy for longer than the shell waits.
    Stalled,
    /// The storage does not support the operation.
    Unsupported,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Peer(peer) => peer.fmt(f),
            Fault::Local(limit) => limit.fmt(f),
            Fault::TimedOut { waited_us } => {
                write!(
                    f,
                    "no byte moved for {}.{:03} s",
                    waited_us / 1_000_000,
                    waited_us / 1000 % 1000
                )
            }
            Fault::Storage(storage) => storage.fmt(f),
            Fault::Integrity => {
                f.write_str("the digest differs: the received bytes are not those that were sent")
            }
            Fault::Aborted => f.write_str("ended by this side"),
            Fault::Denied => f.write_str("the request was refused"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Malformed => f.write_str("the peer sent bytes that do not follow the protocol"),
            Peer::TooLong { claimed, max } => {
                write!(f, "the peer sent {claimed} bytes where {max} are allowed")
            }
            Peer::Truncated => f.write_str("the stream ended inside a message"),
            Peer::Reset => f.write_str("the peer reset the connection"),
            Peer::Refused => f.write_str("the peer refused"),
            Peer::Declined => f.write_str("the peer did not take the answer"),
            Peer::Aborted => f.write_str("the peer gave up the transfer"),
            Peer::Options => f.write_str("the peer answered with options that were not asked for"),
            Peer::WrongSize => {
                f.write_str("the peer sent fewer or more bytes than it had announced")
            }
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of memory are needed, and {} were lent", self.need, self.have)
    }
}

impl fmt::Display for StorageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageFault::Full => "the storage is full",
            StorageFault::Failed => "the storage could not be read or written",
            StorageFault::Changed => "the file was changed while it was sent",
            StorageFault::Stalled => "the storage was busy for too long",
            StorageFault::Unsupported => "the storage does not support the operation",
        })
    }
}

impl core::error::Error for Fault {}
impl core::error::Error for Peer {}
impl core::error::Error for Limit {}
impl core::error::Error for StorageFault {}

impl From<Peer> for Fault {
    fn from(peer: Peer) -> Self {
        Fault::Peer(peer)
    }
}

impl From<Limit> for Fault {
    fn from(limit: Limit) -> Self {
        Fault::Local(limit)
    }
}

impl From<StorageFault> for Fault {
    fn from(storage: StorageFault) -> Self {
        Fault::Storage(storage)
    }
}
