//! The head of an answer: found, bounded, and reduced to what a download has to know.

use std::fmt;

use httparse::{Header, ParserConfig, Status};

use crate::printable::words;

/// The longest head, the interim ones before it included, in bytes.
const HEAD_MAX: usize = 64 * 1024;
/// The most header fields.
const FIELDS_MAX: usize = 100;
/// What every answer begins with.
const START: &[u8] = b"HTTP/1.";

/// What the server answered, without the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The reason phrase, cut to something that fits into a line; often empty.
    pub reason: Box<str>,
    /// The Location header, as it came: a claim for [`Url::redirect`](super::Url::redirect).
    pub location: Option<Box<str>>,
    /// How long the body is, if that is known before its end.
    pub length: Option<u64>,
}

impl Head {
    /// The location, if the answer asks to go there for the document (RFC 9110 15.4).
    pub fn redirect(&self) -> Option<&str> {
        let location = self.location.as_deref()?;
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then_some(location)
    }
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has this length.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// The connection ends.
    Close,
}

/// Why an answer's head is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadError {
    /// It does not begin as HTTP/1 does.
    NotHttp,
    /// It is not of HTTP's grammar, or has too many fields.
    Syntax(httparse::Error),
    /// It is too long.
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The server goes on with another protocol, which nobody asked for.
    Switched,
    /// A Content-Length that is not a number, or is 2^64 or more.
    Length,
    /// Two values of Content-Length.
    Lengths {
        /// The first one.
        first: u64,
        /// One that differs.
        other: u64,
    },
    /// A Transfer-Encoding other than `chunked`: what it says, made printable.
    Transfer(Box<str>),
    /// A successful answer with a Content-Encoding, which nobody asked for: the coding's name, made
    /// printable.
    Content(Box<str>),
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
    /// What came of the current head. Empty, or begins as [`START`] does.
    bytes: Vec<u8>,
    /// How many more bytes may come. Interim answers count, so that they cannot go on for ever.
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
            // At once: another protocol's greeting has no empty line that one could wait for.
            if !self.bytes.iter().zip(START).all(|(came, expected)| came == expected) {
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
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let mut config = ParserConfig::default();
    // RFC 9112 5.2: a user agent takes folded lines. What is read here is trimmed of line ends too.
    config.allow_obsolete_multiline_headers_in_responses(true);
    let parse = config.parse_response(&mut parsed, bytes).map_err(HeadError::Syntax)?;
    let status = match (parse, parsed.code) {
        (Status::Complete(len), Some(status)) if len == bytes.len() => status,
        _ => return Err(HeadError::Syntax(httparse::Error::NewLine)),
    };
    match status {
        101 => return Err(HeadError::Switched),
        100..=199 => return Ok(None),
        _ => {}
    }
    let framing = framing(status, parsed.headers)?;
    if let (200..=299, Some(codings)) = (status, combined(parsed.headers, "Content-Encoding")) {
        // A redirect's or an error's text is not what the user wants, so its coding is no matter.
        if let Some(coding) = items(&codings).find(|coding| *coding != b"identity") {
            return Err(HeadError::Content(words(coding).to_string().into()));
        }
    }
    let head = Head {
        status,
        reason: words(parsed.reason.unwrap_or_default().trim().as_bytes()).to_string().into(),
        location: values(parsed.headers, "Location")
            .next()
            .map(|value| String::from_utf8_lossy(value.trim_ascii()).into()),
        length: match framing {
            Framing::Length(len) => Some(len),
            Framing::Chunked | Framing::Close => None,
        },
    };
    Ok(Some((head, framing)))
}

/// RFC 9112 6.3.
fn framing(status: u16, fields: &[Header<'_>]) -> Result<Framing, HeadError> {
    if let 204 | 304 = status {
        return Ok(Framing::Length(0));
    }
    // Overrides a Content-Length, also an invalid one.
    if let Some(codings) = combined(fields, "Transfer-Encoding") {
        return if items(&codings).eq([b"chunked"]) {
            Ok(Framing::Chunked)
        } else {
            Err(HeadError::Transfer(words(&codings).to_string().into()))
        };
    }
    let Some(lengths) = combined(fields, "Content-Length") else {
        return Ok(Framing::Close);
    };
    let mut all = None;
    for length in lengths.split(|&byte| byte == b',') {
        let other = number(length.trim_ascii()).ok_or(HeadError::Length)?;
        let first = *all.get_or_insert(other);
        if first != other {
            return Err(HeadError::Lengths { first, other });
        }
    }
    all.map(Framing::Length).ok_or(HeadError::Length)
}

/// Digits only: the standard library's parser takes a sign.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn values<'f>(fields: &'f [Header<'_>], name: &str) -> impl Iterator<Item = &'f [u8]> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|f| f.value)
}

/// A list's value, from however many fields of that name (RFC 9110 5.3), in lower case.
fn combined(fields: &[Header<'_>], name: &str) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = values(fields, name).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]).to_ascii_lowercase())
}

/// The elements of a list; empty ones do not count (RFC 9110 5.6.1.2).
fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::NotHttp => f.write_str("the answer is not HTTP/1"),
            HeadError::Syntax(error) => write!(f, "the answer's head is malformed: {error}"),
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
            HeadError::Content(coding) => {
                write!(f, "the answer has the content coding '{coding}', which was not asked for")
            }
        }
    }
}

impl std::error::Error for HeadError {}
