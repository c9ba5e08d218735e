//! The first line of a request.

use super::word::{Bad, Letters};
use crate::bytes::{cut, place_of};

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `CONNECT`: its target is no path.
    Connect,
    /// Another method of RFC 9110 or RFC 5789.
    Other,
    /// A word that is no method.
    Unknown,
}

impl Method {
    fn of(word: &[u8]) -> Self {
        const KNOWN: &[u8] = b"get\nhead\nconnect\npost\nput\ndelete\noptions\ntrace\npatch\n";
        let is_upper = !word.iter().any(u8::is_ascii_lowercase);
        match place_of(word, KNOWN).filter(|_| is_upper) {
            Some(0) => Self::Get,
            Some(1) => Self::Head,
            Some(2) => Self::Connect,
            Some(_) => Self::Other,
            None => Self::Unknown,
        }
    }
}

/// The version of a request. A later one with the same first number is understood as 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The first line of a request, without its CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'m> {
    /// The method.
    pub method: Method,
    /// The target: not empty, without spaces and control characters.
    pub target: &'m [u8],
    /// The version.
    pub version: Result<Version, Bad>,
}

#[cfg(feature = "defmt")]
impl defmt::Format for RequestLine<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{} {=[u8]:a} {}", self.method, self.target, self.version);
    }
}

impl<'m> RequestLine<'m> {
    /// Method, target and version, with one space between two of them.
    ///
    /// # Errors
    /// It is something else.
    #[inline(never)]
    pub fn parse(line: &'m [u8]) -> Result<Self, Bad> {
        let (word, rest) = cut(b' ', line).ok_or(Bad::Syntax)?;
        let (target, version) = cut(b' ', rest).ok_or(Bad::Syntax)?;
        if word.is_empty() || !Letters::TOKEN.are(word) {
            return Err(Bad::Syntax);
        }
        if target.is_empty() || target.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
            return Err(Bad::Syntax);
        }
        let version = match *version.strip_prefix(b"HTTP/").ok_or(Bad::Syntax)? {
            [b'1', b'.', b'0'] => Ok(Version::Http10),
            [b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
            [b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Bad::Version),
            _ => return Err(Bad::Syntax),
        };
        Ok(Self { method: Method::of(word), target, version })
    }
}
