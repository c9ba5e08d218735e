//! The last word to the peer: what it is told of how a transfer ended.

use super::parts::{TEXTS, has};
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::Refusal;
use crate::wire::tftp::ErrorCode;

/// What the peer is told, until that has left: an ERROR of either protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Word {
    /// The peer hears nothing.
    None,
    /// A number without a text.
    Code(u8),
    /// The transfer failed: a place in [`WORDS`].
    Failed(u8),
    /// What was asked for is refused.
    Refused(Refusal),
}

impl Word {
    /// The transfer failed. What the peer said itself is not answered, and one that says nothing is left alone.
    pub(super) const fn of(fault: Fault, parts: u8) -> Self {
        let place = match fault {
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
            | Fault::Peer(Peer::Reset | Peer::Refused | Peer::Declined | Peer::Aborted) => {
                return Self::None;
            }
        };
        if has(parts, TEXTS) { Self::Failed(place) } else { Self::Code(code_at(place) as u8) }
    }

    /// What was asked for is refused.
    pub(super) const fn refusal(why: Refusal, parts: u8) -> Self {
        if has(parts, TEXTS) { Self::Refused(why) } else { Self::Code(code_of(why) as u8) }
    }

    /// The number and the text of the ERROR, with these parts and for an end that refuses or not.
    pub(super) fn error(self, parts: u8, refuses: bool) -> Option<(u8, &'static [u8])> {
        let has_texts = has(parts, TEXTS);
        Some(match self {
            Self::Code(code) if !has_texts => (code, b""),
            Self::Failed(place) if has_texts => {
                let text = WORDS.get(usize::from(place)).map_or(&b""[..], |text| text);
                (code_at(place) as u8, text)
            }
            Self::Refused(why) if has_texts && refuses => {
                (code_of(why) as u8, why.text().as_bytes())
            }
            _ => return None,
        })
    }
}

/// What a peer is told of faults. The texts are of one length, so that a device has no table of places and lengths, and
/// searches for no end.
const WORDS: [[u8; 15]; 9] = [
    *b"unasked options",
    *b"block too large",
    *b"wrong file size",
    *b"malformed bytes",
    *b"no room is left",
    *b"storage failure",
    *b"digest mismatch",
    *b"memory shortage",
    *b"transfer halted",
];

/// The code of each of them.
const fn code_at(place: u8) -> ErrorCode {
    match place {
        0 | 1 => ErrorCode::Options,
        3 => ErrorCode::Illegal,
        4 => ErrorCode::Full,
        _ => ErrorCode::Undefined,
    }
}

const fn code_of(why: Refusal) -> ErrorCode {
    match why {
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
    }
}
