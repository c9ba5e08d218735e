//! The text of HTTP/1.1: the head of a request (RFC 9112), and the fields that a server of files
//! needs (RFC 9110).
//!
//! Every parser here is strict where two readers of one message could disagree: the end of a line,
//! of a name and of a body. A line ends with CRLF. A field has no white space before its colon and is
//! never folded.

mod date;
mod digest;
mod fields;
mod line;
mod range;
mod tag;
mod target;
mod types;
mod word;

pub use date::{date, is_date};
pub use digest::wants_sha256;
pub use fields::{Body, Fields, has_token, is_host};
pub use line::{Method, RequestLine, Version};
pub use range::{Range, range};
pub use tag::Tag;
pub use target::{Path, path, reference};
pub use types::{TYPES, type_of};
pub use word::Bad;

pub(crate) use date::put_date;
pub(crate) use digest::put_sha256;
pub(crate) use target::put_path;

#[cfg(test)]
mod tests;
