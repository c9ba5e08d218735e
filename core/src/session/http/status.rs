//! The status of an answer.

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

impl Status {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::PartialContent => "206 Partial Content",
            Self::MovedPermanently => "301 Moved Permanently",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::PreconditionFailed => "412 Precondition Failed",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::UriTooLong => "414 URI Too Long",
            Self::RangeNotSatisfiable => "416 Range Not Satisfiable",
            Self::FieldsTooLarge => "431 Request Header Fields Too Large",
            Self::InternalServerError => "500 Internal Server Error",
            Self::NotImplemented => "501 Not Implemented",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
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
