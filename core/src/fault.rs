//! Why a session ended early, sorted by whose fault it was.

use core::fmt;

/// Why a session ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The peer broke the protocol or went away: answer it or drop it.
    Peer(Peer),
    /// A limit of ours was too small: lend more memory.
    Local(Limit),
    /// Nothing moved for this long, in microseconds.
    TimedOut {
        /// How long the shell waited.
        waited_us: u64,
    },
    /// Our own storage could not do what the conversation needs.
    Storage(Storage),
    /// All bytes came, and they are not those that were sent: the digests differ.
    Integrity,
    /// The shell ended it, for a reason of its own (a draining server, a closed port).
    Aborted,
}

/// What the peer did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Peer {
    /// The bytes are not of the protocol.
    Malformed,
    /// A line, name or frame over the limit.
    TooLong {
        /// What the peer announced, or what had come when the limit was passed.
        claimed: u32,
        /// The limit.
        max: u32,
    },
    /// The stream ended inside a message.
    Truncated,
    /// The connection was reset.
    Reset,
    /// It does not do what was asked.
    Refused,
}

/// A resource of ours that did not suffice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limit {
    /// Bytes that were needed.
    pub need: usize,
    /// Bytes that were lent.
    pub have: usize,
}

/// What a storage could not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Storage {
    /// It has no room left.
    Full,
    /// It could not be read or written.
    Failed,
    /// It was busy for longer than the shell waits.
    Stalled,
    /// It knows no such operation.
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
                    "nothing moved for {}.{:03} s",
                    waited_us / 1_000_000,
                    waited_us / 1000 % 1000
                )
            }
            Fault::Storage(storage) => storage.fmt(f),
            Fault::Integrity => f.write_str("the digests differ: what came is not what was sent"),
            Fault::Aborted => f.write_str("ended by this side"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Malformed => f.write_str("the peer sent bytes that are not of the protocol"),
            Peer::TooLong { claimed, max } => {
                write!(f, "the peer sent {claimed} bytes where {max} are allowed")
            }
            Peer::Truncated => f.write_str("the stream ended inside a message"),
            Peer::Reset => f.write_str("the peer reset the connection"),
            Peer::Refused => f.write_str("the peer refused"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are needed and {} were lent", self.need, self.have)
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Storage::Full => "the storage has no room left",
            Storage::Failed => "the storage could not be read or written",
            Storage::Stalled => "the storage was busy for too long",
            Storage::Unsupported => "the storage knows no such operation",
        })
    }
}

impl core::error::Error for Fault {}
impl core::error::Error for Peer {}
impl core::error::Error for Limit {}
impl core::error::Error for Storage {}

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

impl From<Storage> for Fault {
    fn from(storage: Storage) -> Self {
        Fault::Storage(storage)
    }
}
