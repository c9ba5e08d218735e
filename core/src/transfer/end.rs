//! The last word to the peer: what it is told of how a transfer ended.

use crate::fault::{Fault, Peer, StorageFault};
use crate::file::Refusal;
use crate::wire::tftp::ErrorCode;

/// What the peer is told, until that has left: an ERROR of either protocol. No text is no ERROR.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Word {
    pub(super) text: &'static [u8],
    pub(super) code: u8,
}

impl Word {
    /// The peer hears nothing.
    pub(super) const NONE: Self = Self { text: b"", code: 0 };

    /// The transfer failed.
    pub(super) fn of(fault: Fault) -> Self {
        let word = WORDS.get(place(fault)).and_then(|word| word.split_first());
        word.map_or(Self::NONE, |(&code, text)| Self { text, code })
    }

    /// What was asked for is refused.
    pub(super) const fn refusal(why: Refusal) -> Self {
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
        Self { text: why.text().as_bytes(), code: code as u8 }
    }
}

/// What a peer is told of faults: an [`ErrorCode`] and a text. They are of one length, so that a device has no table of
/// places and lengths, and searches for no end.
const WORDS: [[u8; 16]; 9] = [
    *b"\x08unasked options",
    *b"\x08block too large",
    *b"\0wrong file size",
    *b"\x04malformed bytes",
    *b"\x03no room is left",
    *b"\0storage failure",
    *b"\0digest mismatch",
    *b"\0memory shortage",
    *b"\0transfer halted",
];

/// Which of the words a peer is told. What it said itself is not answered, and one that says nothing is left alone: for
/// those there is none.
const fn place(fault: Fault) -> usize {
    match fault {
        Fault::Peer(Peer::Options) => 0,
        Fault::Peer(Peer::TooLong { .. }) => 1,
        Fault::Peer(Peer::WrongSize) => 2,
        Fault::Peer(Peer::Malformed | Peer::Truncated) => 3,
        Fault::Storage(StorageFault::Full) => 4,
        Fault::Storage(_) => 5,
        Fault::Integrity => 6,
        Fault::Local(_) => 7,
        Fault::Aborted => 8,
        Fault::TimedOut { .. }
        | Fault::Denied
        | Fault::Peer(Peer::Reset | Peer::Refused | Peer::Declined | Peer::Aborted) => WORDS.len(),
    }
}
