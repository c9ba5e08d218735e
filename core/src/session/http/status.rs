//! The status of an answer.

use crate::bytes::{after, first, word_at};
use crate::file::Refusal;

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Status {
    Ok,
    PartialContent,
    MovedPermanently,
    NotModified,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    PreconditionFailed,
    ContentTooLarge,
    UriTooLong,
    RangeNotSatisfiable,
    FieldsTooLarge,
    InternalServerError,
    NotImplemented,
    ServiceUnavailable,
    VersionNotSupported,
}

/// Their numbers and phrases, in the same order.
const TEXTS: &[u8] = b"200 OK\n\
    206 Partial Content\n\
    301 Moved Permanently\n\
    304 Not Modified\n\
    400 Bad Request\n\
    403 Forbidden\n\
    404 Not Found\n\
    405 Method Not Allowed\n\
    408 Request Timeout\n\
    412 Precondition Failed\n\
    413 Content Too Large\n\
    414 URI Too Long\n\
    416 Range Not Satisfiable\n\
    431 Request Header Fields Too Large\n\
    500 Internal Server Error\n\
    501 Not Implemented\n\
    503 Service Unavailable\n\
    505 HTTP Version Not Supported\n";

/// Their numbers alone.
const NUMBERS: &[u8] = b"200 206 301 304 400 403 404 405 408 412 413 414 416 431 500 501 503 505 ";

impl Status {
    /// The number, and the phrase where there are phrases.
    pub(super) fn text(self, has_phrase: bool) -> &'static [u8] {
        if has_phrase {
            word_at(self as usize, TEXTS)
        } else {
            first(after(NUMBERS, (self as usize).saturating_mul(4)), 4)
        }
    }

    /// That of a file that is refused. One that may not be read is forbidden, as with every other server:
    /// it is below the root, and its operator has to see what is wrong.
    pub(super) const fn of(why: Refusal) -> Self {
        match why {
            Refusal::IsFolder => Self::MovedPermanently,
            Refusal::BadName => Self::BadRequest,
            Refusal::TooLong | Refusal::NotFound => Self::NotFound,
            Refusal::NotAFile
            | Refusal::NotAllowed
            | Refusal::TooLarge
            | Refusal::Exists
            | Refusal::NoRoom
            | Refusal::ReadOnly => Self::Forbidden,
            Refusal::Busy => Self::ServiceUnavailable,
            Refusal::Failed => Self::InternalServerError,
        }
    }

    /// The answer has the file, or a part of it.
    pub(super) const fn has_file(self) -> bool {
        matches!(self, Self::Ok | Self::PartialContent)
    }
}
