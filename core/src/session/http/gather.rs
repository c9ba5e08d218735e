//! The head of a request on its way in, line by line.

use super::status::Status;
use crate::bytes::{find, put, split};

/// A head, partly received into memory of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Gather {
    /// Bytes of the head so far.
    have: usize,
    /// Where the current line begins.
    line: usize,
    /// Empty lines before the request. Some clients send one behind the body of the request before
    /// (RFC 9112, 2.2).
    skipped: u8,
}

/// Empty lines that may be before a request.
const SKIPPED_MAX: u8 = 4;

/// How far a head is.
pub(super) enum Step {
    /// There is more to come.
    More,
    /// It is complete, and this long. The last line is empty.
    Whole(usize),
    /// It is none.
    Bad(Status),
}

impl Gather {
    pub(super) const START: Self = Self { have: 0, line: 0, skipped: 0 };

    /// Whether no byte of a request came.
    pub(super) const fn is_empty(self) -> bool {
        self.have == 0
    }

    /// Bytes of it so far.
    pub(super) const fn len(self) -> usize {
        self.have
    }

    /// Takes bytes up to the end of the head. Returns how many.
    #[inline(never)]
    pub(super) fn take(&mut self, memory: &mut [u8], mut input: &[u8]) -> (usize, Step) {
        let all = input.len();
        loop {
            let end = find(b'\n', input).map_or(input.len(), |at| at.saturating_add(1));
            if end == 0 {
                return (all, Step::More);
            }
            let (piece, rest) = split(input, end);
            let room = memory.len().saturating_sub(self.have);
            let before = self.have;
            let have = put(memory, before, piece);
            self.have = have;
            // What speaks another protocol, such as TLS, may never send the end of a line.
            if before == 0 && !may_begin(piece) {
                return (all, Step::Bad(Status::BadRequest));
            }
            if piece.len() > room {
                let is_first = self.line == 0;
                return (
                    all,
                    Step::Bad(if is_first { Status::UriTooLong } else { Status::FieldsTooLarge }),
                );
            }
            let line = memory.get(self.line..have).unwrap_or_default();
            input = rest;
            match line {
                [b'\r', b'\n'] if self.line == 0 && self.skipped < SKIPPED_MAX => {
                    *self = Self { skipped: self.skipped.saturating_add(1), ..Self::START };
                }
                [b'\r', b'\n'] => {
                    let step = if self.line == 0 {
                        Step::Bad(Status::BadRequest)
                    } else {
                        Step::Whole(have)
                    };
                    return (all.saturating_sub(rest.len()), step);
                }
                [.., b'\r', b'\n'] => self.line = have,
                [.., b'\n'] => return (all, Step::Bad(Status::BadRequest)),
                _ => {}
            }
        }
    }
}

/// Whether a first line may begin with these bytes.
fn may_begin(line: &[u8]) -> bool {
    line.first().is_some_and(|&byte| byte.is_ascii_graphic() || byte == b'\r')
}
