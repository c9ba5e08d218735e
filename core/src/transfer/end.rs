//! How a transfer ended, and the last word to the peer.

use crate::fault::{Fault, Peer, StorageFault};
use crate::file::Refusal;
use crate::want::Want;
use crate::wire::tftp::ErrorCode;

/// How a transfer ended.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct End {
    how: Result<(), Fault>,
    /// What the peer is told, until that has left.
    word: Option<Word>,
}

/// The last word to the peer: an ERROR of either protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Word {
    pub(super) code: ErrorCode,
    pub(super) text: &'static str,
}

impl End {
    pub(super) fn new(how: Result<(), Fault>) -> Self {
        Self { how, word: how.err().and_then(word) }
    }

    /// What was asked for is refused.
    pub(super) const fn refused(why: Refusal) -> Self {
        let code = match why {
            Refusal::BadName
            | Refusal::IsFolder
            | Refusal::NotAFile
            | Refusal::NotAllowed
            | Refusal::ReadOnly => ErrorCode::Access,
            Refusal::TooLong | Refusal::TooLarge | Refusal::Busy | Refusal::Failed => {
                ErrorCode::Undefined
            }
            Refusal::NotFound => ErrorCode::NotFound,
            Refusal::Exists => ErrorCode::Exists,
            Refusal::NoRoom => ErrorCode::Full,
        };
        Self { how: Err(Fault::Denied), word: Some(Word { code, text: why.text() }) }
    }

    /// It is over, and the peer hears nothing of it.
    pub(super) const fn silent(how: Fault) -> Self {
        Self { how: Err(how), word: None }
    }

    /// What the peer is to be told.
    pub(super) const fn word(&self) -> Option<Word> {
        self.word
    }

    /// It was told, if a datagram left.
    pub(super) const fn told(&mut self, count: usize) {
        if count > 0 {
            self.word = None;
        }
    }

    pub(super) const fn want(&self) -> Want {
        Want { write: self.word.is_some(), ..Want::done(self.how) }
    }
}

/// What a peer is told of a fault. What it said itself is not answered, and one that says nothing is left
/// alone.
const fn word(fault: Fault) -> Option<Word> {
    let (code, text) = match fault {
        Fault::TimedOut { .. }
        | Fault::Denied
        | Fault::Peer(Peer::Reset | Peer::Refused | Peer::Declined | Peer::Aborted) => return None,
        Fault::Peer(Peer::Options) => (ErrorCode::Options, "these options were not asked for"),
        Fault::Peer(Peer::TooLong { .. }) => {
            (ErrorCode::Options, "the block is larger than was agreed")
        }
        Fault::Peer(Peer::WrongSize) => {
            (ErrorCode::Undefined, "the file does not have the size that was said")
        }
        Fault::Peer(Peer::Malformed | Peer::Truncated) => {
            (ErrorCode::Illegal, "this is not a packet of the protocol")
        }
        Fault::Storage(StorageFault::Full) => (ErrorCode::Full, "there is no room left"),
        Fault::Storage(
            StorageFault::Failed | StorageFault::Stalled | StorageFault::Unsupported,
        ) => (ErrorCode::Undefined, "the file cannot be read or written"),
        Fault::Integrity => (ErrorCode::Undefined, "the digests differ"),
        Fault::Local(_) => (ErrorCode::Undefined, "out of memory"),
        Fault::Aborted => (ErrorCode::Undefined, "the transfer was ended"),
    };
    Some(Word { code, text })
}
