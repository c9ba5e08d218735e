//! The head of an answer: its end, its limit, and the fields that a download needs.

use std::fmt;

use super::fields::{items, list, number, status, values};
use super::validator::{ContentRange, Version};
use crate::printable::words;

/// The longest head, the interim ones before it included, in bytes. Browsers take 256 KiB.
const HEAD_MAX: usize = 512 * 1024;
/// The beginning of every answer, in capital or small letters.
const START: &[u8] = b"HTTP/";

/// The answer of the server, without the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The reason phrase, cut to fit in a line; often empty.
    pub reason: Box<str>,
    /// The Location field, as it came, for [`Url::redirect`](super::Url::redirect).
    pub location: Option<Box<[u8]>>,
    /// The content coding of the body, made printable, if it has one. It is not decoded: an archive
    /// that is compressed is often labelled so, and is wanted as it is.
    pub coding: Option<Box<str>>,
    /// The length of the body, if it is known before its end.
    pub length: Option<u64>,
    /// The version of the document.
    pub version: Version,
    /// The bytes of the document in the body, if the answer is partial and names them.
    pub range: Option<ContentRange>,
}

impl Head {
    /// The location, if the answer asks to go there for the document (RFC 9110 15.4).
    pub fn redirect(&self) -> Option<&[u8]> {
        let location = self.location.as_deref()?;
        matches!(self.status, 300..=303 | 307 | 308).then_some(location)
    }
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The body has this length.
    Length(u64),
    /// The body is chunked.
    Chunked,
    /// The body ends with the connection.
    Close,
}

/// Why an answer's head is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadError {
    /// The answer does not begin as HTTP does.
    NotHttp,
    /// Its first line has no status code.
    Status,
    /// The head is too long.
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The server goes on with another protocol, which was not requested.
    Switched,
    /// A Content-Length that is not a number, or is 2^64 or more.
    Length,
    /// Two values of Content-Length.
    Lengths {
        /// The first one.
        first: u64,
        /// A value that differs from it.
        other: u64,
    },
    /// A Transfer-Encoding other than `chunked` and `identity`: its value, made printable.
    Transfer(Box<str>),
}

/// A head that is whole.
pub(super) struct Collected<'i> {
    pub(super) head: Head,
    pub(super) framing: Framing,
    /// The input after it.
    pub(super) rest: &'i [u8],
}

/// Collects a head.
#[derive(Debug)]
pub(super) struct Collector {
    /// The bytes of the current head. Empty, or begins with [`START`].
    bytes: Vec<u8>,
    /// How many more bytes are allowed. Interim answers count too, so that they cannot go on for ever.
    room: usize,
}

impl Collector {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), room: HEAD_MAX }
    }

    /// How many bytes of a head came, the interim ones included.
    pub(super) fn received(&self) -> usize {
        HEAD_MAX - self.room
    }

    /// Takes input up to the end of the head, or all of it.
    pub(super) fn feed<'i>(
        &mut self,
        mut input: &'i [u8],
    ) -> Result<Option<Collected<'i>>, HeadError> {
        while !input.is_empty() {
            let end = memchr::memchr(b'\n', input).map_or(input.len(), |lf| lf + 1);
            let (piece, rest) = input.split_at(end);
            input = rest;
            self.room = self.room.checked_sub(end).ok_or(HeadError::TooLong { max: HEAD_MAX })?;
            self.bytes.extend_from_slice(piece);
            // At once: the greeting of another protocol has no empty line to wait for.
            let start = &self.bytes[..START.len().min(self.bytes.len())];
            if !start.eq_ignore_ascii_case(&START[..start.len()]) {
                return Err(HeadError::NotHttp);
            }
            if self.bytes.ends_with(b"\n\r\n") || self.bytes.ends_with(b"\n\n") {
                let bytes = std::mem::take(&mut self.bytes);
                if let Some((head, framing)) = parse(&bytes)? {
                    return Ok(Some(Collected { head, framing, rest }));
                }
            }
        }
        Ok(None)
    }
}

/// A whole head, or `None` if it is an interim one.
fn parse(bytes: &[u8]) -> Result<Option<(Head, Framing)>, HeadError> {
    let at = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |lf| lf + 1);
    let (first, lines) = bytes.split_at(at);
    let (status, reason) = status(first.trim_ascii_end()).ok_or(HeadError::Status)?;
    match status {
        101 => return Err(HeadError::Switched),
        100..=199 => return Ok(None),
        _ => {}
    }
    let framing = framing(status, lines)?;
    let codings = list(lines, "Content-Encoding").unwrap_or_default();
    let head = Head {
        status,
        reason: printable(reason),
        location: values(lines, "Location").next().map(Vec::into_boxed_slice),
        coding: items(&codings).find(|coding| *coding != b"identity").map(printable),
        length: match framing {
            Framing::Length(len) => Some(len),
            Framing::Chunked | Framing::Close => None,
        },
        version: Version::of(lines),
        range: ContentRange::of(lines),
    };
    Ok(Some((head, framing)))
}

/// RFC 9112 6.3, and `identity` of RFC 2616, which says nothing.
fn framing(status: u16, lines: &[u8]) -> Result<Framing, HeadError> {
    if let 204 | 304 = status {
        return Ok(Framing::Length(0));
    }
    let codings = list(lines, "Transfer-Encoding").unwrap_or_default();
    let mut transfer = items(&codings).filter(|coding| *coding != b"identity");
    match (transfer.next(), transfer.next()) {
        (None, _) => {}
        // Overrides a Content-Length, also an invalid one.
        (Some(b"chunked"), None) => return Ok(Framing::Chunked),
        (Some(_), _) => return Err(HeadError::Transfer(printable(&codings))),
    }
    let Some(lengths) = list(lines, "Content-Length") else {
        return Ok(Framing::Close);
    };
    let mut all = None;
    for length in items(&lengths) {
        let other = number(length).ok_or(HeadError::Length)?;
        let first = *all.get_or_insert(other);
        if first != other {
            return Err(HeadError::Lengths { first, other });
        }
    }
    all.map(Framing::Length).ok_or(HeadError::Length)
}

fn printable(said: &[u8]) -> Box<str> {
    words(said).to_string().into()
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::NotHttp => f.write_str("the answer is not HTTP"),
            HeadError::Status => {
                f.write_str("the answer is malformed: its first line has no status")
            }
            HeadError::TooLong { max } => {
                write!(f, "the answer's head is longer than {max} bytes")
            }
            HeadError::Switched => f.write_str("the server switches to another protocol"),
            HeadError::Length => {
                f.write_str("the answer's Content-Length is not a number below 2^64")
            }
            HeadError::Lengths { first, other } => {
                write!(f, "the answer has two lengths, {first} and {other}")
            }
            HeadError::Transfer(codings) => {
                write!(f, "the answer has the transfer coding '{codings}', not just chunks")
            }
        }
    }
}

impl std::error::Error for HeadError {}
