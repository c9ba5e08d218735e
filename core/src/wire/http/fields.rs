//! The fields behind the first line of a request, and what they say about its body and its host.

use super::word::{Bad, Letters, trim};
use crate::bytes::{after, cut, find, first, is_word};
use crate::decimal;

/// The fields of a head: an iterator over the lines behind the first one. A line that is no field ends
/// it with an error.
#[derive(Debug, Clone)]
pub struct Fields<'m> {
    rest: &'m [u8],
}

#[cfg(feature = "defmt")]
impl defmt::Format for Fields<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Fields {{ rest: {=usize} }}", self.rest.len());
    }
}

impl<'m> Fields<'m> {
    /// The fields in `lines`, each of which ends with CRLF. An empty line is their end.
    pub const fn new(lines: &'m [u8]) -> Self {
        Self { rest: lines }
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Result<(&'m [u8], &'m [u8]), Bad>;

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let (line, behind) = cut(b'\n', self.rest)?;
        self.rest = &[];
        match line {
            [b'\r'] => None,
            [line @ .., b'\r'] => {
                let field = field(line);
                if field.is_ok() {
                    self.rest = behind;
                }
                Some(field)
            }
            _ => Some(Err(Bad::Syntax)),
        }
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    let (name, value) = cut(b':', line).ok_or(Bad::Syntax)?;
    let is_text = |&byte: &u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
    if name.is_empty() || !Letters::TOKEN.are(name) || !value.iter().all(is_text) {
        return Err(Bad::Syntax);
    }
    Ok((name, trim(value)))
}

/// What a request says about its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Body {
    /// There is none.
    Empty,
    /// There is one, and its end is known.
    Follows,
}

impl Body {
    /// By RFC 9112, 6.3, without the tolerance that it allows: each of two framings, a length that is
    /// repeated, and a coding that HTTP/1.0 does not know is a mistake, since a proxy before this server
    /// may have understood it in another way.
    ///
    /// # Errors
    /// The end of the body is not known.
    pub fn of(fields: Fields<'_>, is_http_10: bool) -> Result<Self, Bad> {
        let (mut body, mut is_framed) = (Self::Empty, false);
        for field in fields {
            let (name, value) = field?;
            let is_coded = is_word(name, b"transfer-encoding");
            if !is_coded && !is_word(name, b"content-length") {
                continue;
            }
            if is_framed || (is_coded && is_http_10) {
                return Err(Bad::Syntax);
            }
            is_framed = true;
            if is_coded {
                if !is_word(value, b"chunked") {
                    return Err(Bad::Coding);
                }
                body = Self::Follows;
            } else if decimal::parse(value).ok_or(Bad::Syntax)? > 0 {
                body = Self::Follows;
            }
        }
        Ok(body)
    }
}

/// Whether a list in `value` has this word, in any case.
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|word| is_word(trim(word), token))
}

/// Whether it is a host with or without a port (RFC 3986, 3.2.2). An empty one is allowed: it says that
/// the target has none.
pub fn is_host(host: &[u8]) -> bool {
    let (letters, name, rest) = if let [b'[', rest @ ..] = host {
        let Some((address, rest)) = cut(b']', rest) else { return false };
        if address.is_empty() {
            return false;
        }
        (Letters::ADDRESS, address, rest)
    } else {
        let end = find(b':', host).unwrap_or(host.len());
        (Letters::HOST, first(host, end), after(host, end))
    };
    let is_port = match rest {
        [] => true,
        [b':', port @ ..] => !name.is_empty() && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port && letters.are(name)
}
