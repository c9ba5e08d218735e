//! The part of a file that a request asks for.

use super::word::trim;
use crate::bytes::{after, find, first, is_word};
use crate::decimal;

/// The part of a file that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Range {
    /// All of it: the field is not understood, or has several ranges, and a server may ignore it.
    Whole,
    /// This part, of at least one byte.
    Part {
        /// The offset of its first byte.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// A part that the file does not have.
    Outside,
}

/// The part of a file of `size` bytes that the value of a field `Range` asks for.
pub fn range(value: &[u8], size: u64) -> Range {
    let (unit, set) = match find(b'=', value) {
        Some(at) => (first(value, at), trim(after(value, at + 1))),
        None => return Range::Whole,
    };
    let Some(dash) = find(b'-', set).filter(|_| is_word(trim(unit), b"bytes")) else {
        return Range::Whole;
    };
    let (begin, end) = (trim(first(set, dash)), trim(after(set, dash + 1)));
    let (Some(begin), Some(end)) = (position(begin), position(end)) else { return Range::Whole };
    let (offset, end) = match (begin, end) {
        (None, None) => return Range::Whole,
        (Some(begin), Some(last)) if begin > last => return Range::Whole,
        (Some(begin), last) => (begin, last.map_or(size, |last| last.saturating_add(1).min(size))),
        (None, Some(len)) => (size - len.min(size), size),
    };
    match end.checked_sub(offset) {
        None | Some(0) => Range::Outside,
        Some(len) => Range::Part { offset, len },
    }
}

/// The digits of a position, or nothing at all. A position that does not fit into 64 bits is behind
/// every end.
#[expect(clippy::option_option, reason = "what is no number is not what is not there")]
fn position(digits: &[u8]) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    are_digits.then(|| Some(decimal::parse(digits).unwrap_or(u64::MAX)))
}
