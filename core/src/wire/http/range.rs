//! The part of a file that a request asks for.

use super::word::trim;
use crate::bytes::{cut, is_word};
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
#[inline(never)]
pub fn range(value: &[u8], size: u64) -> Range {
    part(value, size).unwrap_or(Range::Whole)
}

/// `None` for a field that is not understood.
fn part(value: &[u8], size: u64) -> Option<Range> {
    let (unit, set) = cut(b'=', value)?;
    let (begin, end) = cut(b'-', trim(set))?;
    let (begin, end) = (trim(begin), trim(end));
    let (mut offset, mut behind) = (position(begin)?, size);
    let last = position(end)?;
    if !is_word(trim(unit), b"bytes") || (begin.is_empty() && end.is_empty()) {
        return None;
    }
    if begin.is_empty() {
        offset = size - last.min(size);
    } else if !end.is_empty() {
        if offset > last {
            return None;
        }
        behind = last.saturating_add(1).min(size);
    }
    Some(match behind.checked_sub(offset) {
        None | Some(0) => Range::Outside,
        Some(len) => Range::Part { offset, len },
    })
}

/// The digits of a position; 0 for nothing at all. A position that does not fit into 64 bits is behind every end.
fn position(digits: &[u8]) -> Option<u64> {
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    let none = if digits.is_empty() { 0 } else { u64::MAX };
    are_digits.then(|| decimal::parse(digits).unwrap_or(none))
}
