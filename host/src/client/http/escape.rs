//! Turns URLs as users and servers write them into URLs of RFC 3986.
//!
//! A blank, a bracket, a byte beyond ASCII, a percent sign alone: each is percent-encoded behind
//! the host, where it has only one meaning. In the scheme and the host nothing is escaped: they say
//! which server is contacted. A control character is refused everywhere.

use std::fmt::Write;

use super::UrlError;

/// `text` without blanks around it and without its fragment, which is never sent.
///
/// # Errors
/// A control character, or bytes before the path that are not UTF-8.
pub(super) fn escape(text: &[u8]) -> Result<String, UrlError> {
    let lead = text.len() - text.trim_ascii_start().len();
    let text = text[lead..].trim_ascii_end();
    let text = text.split(|&byte| byte == b'#').next().unwrap_or_default();
    let path = path_at(text);
    let (before, path) = text.split_at(path);
    let before = std::str::from_utf8(before)
        .map_err(|error| UrlError::Syntax { at: lead + error.valid_up_to() })?;
    let mut escaped = before.to_owned();
    if before.is_empty() && has_a_colon_but_no_scheme(path) {
        escaped.push_str("./");
    }
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            _ if byte.is_ascii_control() => {
                return Err(UrlError::Syntax { at: lead + before.len() + at });
            }
            b'%' if path
                .get(at + 1..at + 3)
                .is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit)) =>
            {
                escaped.push('%');
            }
            _ if is_literal(byte) => escaped.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    Ok(escaped)
}

/// Where the path begins: behind `scheme://host`, `//host`, or at the start.
fn path_at(text: &[u8]) -> usize {
    let scheme = match memchr::memmem::find(text, b"://") {
        Some(at) if is_scheme(&text[..at]) => at + 1,
        Some(_) | None => 0,
    };
    if !text[scheme..].starts_with(b"//") {
        return scheme;
    }
    let host = scheme + 2;
    let end = text[host..].iter().position(|byte| matches!(byte, b'/' | b'?'));
    end.map_or(text.len(), |end| host + end)
}

/// RFC 3986 4.2: such a segment needs a dot before it, or it would begin with a scheme.
fn has_a_colon_but_no_scheme(path: &[u8]) -> bool {
    let segment = path.split(|byte| matches!(byte, b'/' | b'?')).next().unwrap_or_default();
    let colon = memchr::memchr(b':', segment);
    colon.is_some_and(|colon| !is_scheme(&segment[..colon]))
}

fn is_scheme(text: &[u8]) -> bool {
    let rest = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    text.first().is_some_and(u8::is_ascii_alphabetic) && text.iter().all(rest)
}

/// Whether a path or a query may have this byte as it is.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_meaning_is_escaped() {
        for (text, expected) in [
            (&b"http://h/a b"[..], "http://h/a%20b"),
            (b" http://h/a \n", "http://h/a"),
            (b"/caf\xe9", "/caf%E9"),
            (b"/caf\xc3\xa9", "/caf%C3%A9"),
            (b"/[1]|{id}", "/%5B1%5D%7C%7Bid%7D"),
            (b"/a\"<>\\^`", "/a%22%3C%3E%5C%5E%60"),
            (b"/100%", "/100%25"),
            (b"/%2", "/%252"),
            (b"/%zz%41%", "/%25zz%41%25"),
            (b"/x?t=a b&a[]=%", "/x?t=a%20b&a%5B%5D=%25"),
            (b"?q q", "?q%20q"),
            (b"/a#b c\x01", "/a"),
            (b"x y:z", "./x%20y:z"),
            (b"1:2", "./1:2"),
            (b"a:b c", "a:b%20c"),
            (b"", ""),
            (b"//h\xc3\xa9/x y", "//h\u{e9}/x%20y"),
            (b"/x?u=http://h/a b", "/x?u=http://h/a%20b"),
            (b"http://[::1]:80", "http://[::1]:80"),
            (b"http://h h/", "http://h h/"),
        ] {
            assert_eq!(escape(text).as_deref(), Ok(expected), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_has_none_is_refused() {
        for (text, at) in [
            (&b"/a\tb"[..], 2),
            (b"/a\x01", 2),
            (b"/a\r\nX: y", 2),
            (b"  http://h/a\x7f", 12),
            (b"//h\xe9/", 3),
        ] {
            assert_eq!(escape(text), Err(UrlError::Syntax { at }), "{}", text.escape_ascii());
        }
    }
}
