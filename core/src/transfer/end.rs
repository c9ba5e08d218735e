//! How a transfer ended, and the last word to the peer.

use crate::bytes::{find, first};
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::Refusal;
use crate::wire::tftp::ErrorCode;

/// How a transfer ended.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct End {
    pub(super) how: Result<(), Fault>,
    /// What the peer is told, until that has left: an ERROR of either protocol. No text is no ERROR.
    pub(super) text: &'static [u8],
    pub(super) code: u8,
}

impl End {
    /// The file is whole.
    pub(super) const WELL: Self = Self { how: Ok(()), text: b"", code: 0 };

    /// It failed, and the peer is told.
    pub(super) fn failed(fault: Fault) -> Self {
        let word = WORDS.get(place(fault)).and_then(|word| word.split_first());
        let (code, text) = word
            .map_or((0, &[][..]), |(&code, text)| (code, first(text, find(0, text).unwrap_or(15))));
        Self { how: Err(fault), text, code }
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
        Self { how: Err(Fault::Denied), text: why.text().as_bytes(), code: code as u8 }
    }

    /// It is over, and the peer hears nothing of it.
    pub(super) const fn silent(how: Fault) -> Self {
        Self { how: Err(how), ..Self::WELL }
    }
}

/// What a peer is told of faults: an [`ErrorCode`] and a text, with NULs behind it. They are of one length, so that a
/// device has no table of places and lengths.
const WORDS: [[u8; 16]; 9] = [
    *b"\x08unasked options",
    *b"\x08block too large",
    *b"\0wrong size\0\0\0\0\0",
    *b"\x04malformed\0\0\0\0\0\0",
    *b"\x03no room left\0\0\0",
    *b"\0storage failed\0",
    *b"\0digests differ\0",
    *b"\0out of memory\0\0",
    *b"\0transfer ended\0",
];

/// Which of the words a peer is told. What it said itself is not answered, and one that says nothing is left alone: for
/// those there is none.
const fn place(fault: Fault) -> usize {
    if let Fault::Storage(StorageFault::Full) = fault {
        return 4;
    }
    match fault {
        Fault::Peer(Peer::Options) => 0,
        Fault::Peer(Peer::TooLong { .. }) => 1,
        Fault::Peer(Peer::WrongSize) => 2,
        Fault::Peer(Peer::Malformed | Peer::Truncated) => 3,
        Fault::Storage(_) => 5,
        Fault::Integrity => 6,
        Fault::Local(_) => 7,
        Fault::Aborted => 8,
        Fault::TimedOut { .. }
        | Fault::Denied
        | Fault::Peer(Peer::Reset | Peer::Refused | Peer::Declined | Peer::Aborted) => WORDS.len(),
    }
}
