//! The lines of an answer's head: the fields of interest and their values.
//!
//! Servers on the net send lines that follow no grammar: names with blanks or brackets, control
//! characters, a warning of an interpreter. A line that is not a field of interest is ignored,
//! whatever it is. A field of interest is never lost, because a body that is cut short could then
//! be taken for the whole one.

/// The code and the reason phrase of a status line.
///
/// Two blanks before the code, none behind it, other versions than 1.0 and 1.1 and `http` in small letters
/// are seen on the net. They change nothing about what follows.
pub(super) fn status(line: &[u8]) -> Option<(u16, &[u8])> {
    let at = line.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let (version, rest) = line.split_at(at);
    let (name, version) = version.split_at_checked(5)?;
    let is_version = match version {
        [major] => major.is_ascii_digit(),
        [major, b'.', minor] => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    };
    let (code, reason) = rest.trim_ascii_start().split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    let is_code = code >= 100 && !reason.first().is_some_and(u8::is_ascii_digit);
    let is_status = name.eq_ignore_ascii_case(b"HTTP/") && is_version && is_code;
    is_status.then(|| (code, reason.trim_ascii()))
}

/// The values of the fields called `name`, in their order. `lines` is what is behind the status line.
///
/// Folded lines (RFC 9112 5.2) are put together, with a blank between them.
pub(super) fn values<'h>(lines: &'h [u8], name: &'h str) -> impl Iterator<Item = Vec<u8>> + 'h {
    let fields = Fields { rest: lines };
    fields.filter_map(move |field| {
        let colon = memchr::memchr(b':', field)?;
        // A blank before the colon is seen on the net (RFC 9112 5.1 has it removed).
        let is_it = field[..colon].trim_ascii_end().eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| {
            let lines = field[colon + 1..].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b" "[..])
        })
    })
}

/// Each field with its folded lines.
struct Fields<'h> {
    rest: &'h [u8],
}

impl<'h> Iterator for Fields<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut ends = memchr::memchr_iter(b'\n', self.rest).map(|lf| lf + 1);
        let is_end = |end: &usize| !matches!(self.rest.get(*end), Some(b' ' | b'\t'));
        let end = ends.find(is_end).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(field)
    }
}

/// The elements of a list, from all fields of that name (RFC 9110 5.3), in lower case.
pub(super) fn list(lines: &[u8], name: &str) -> Option<Vec<u8>> {
    let values: Vec<Vec<u8>> = values(lines, name).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]).to_ascii_lowercase())
}

/// The elements of a list; empty ones do not count (RFC 9110 5.6.1.2).
pub(super) fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Digits only: the standard library's parser takes a sign.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_has_a_code() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK", Some((200, "OK"))),
            ("HTTP/1.0 404", Some((404, ""))),
            ("HTTP/1.1 200 ", Some((200, ""))),
            ("HTTP/1.1  200  OK ", Some((200, "OK"))),
            ("HTTP/1.1\t200\tOK", Some((200, "OK"))),
            ("HTTP/1.1 200OK", Some((200, "OK"))),
            ("HTTP/1.2 200 OK", Some((200, "OK"))),
            ("HTTP/2 200", Some((200, ""))),
            ("http/1.1 200 ok", Some((200, "ok"))),
            ("HTTP/1.1 999 Denied", Some((999, "Denied"))),
            ("HTTP/1.1 2000 OK", None),
            ("HTTP/1.1 099 OK", None),
            ("HTTP/1.1 20 OK", None),
            ("HTTP/1.1 -20 OK", None),
            ("HTTP/1.1 +20 OK", None),
            ("HTTP/1.1 OK", None),
            ("HTTP/1.1", None),
            ("HTTP/1.1 ", None),
            ("HTTP/11 200 OK", None),
            ("HTTP/ 200 OK", None),
            ("ICY 200 OK", None),
            ("", None),
        ] {
            let expected = expected.map(|(code, reason): (u16, &str)| (code, reason.as_bytes()));
            assert_eq!(status(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn a_field_of_interest_is_found_among_whatever_else_there_is() {
        for (lines, expected) in [
            ("X: 1\r\n\r\n", &["1"][..]),
            ("x:1\n\n", &["1"]),
            ("X : 1\r\nX\t:\t2\t\r\n\r\n", &["1", "2"]),
            ("X:\r\nX: \r\n\r\n", &["", ""]),
            ("X: a\r\n b\r\n\tc\r\nY: 1\r\n\r\n", &["a b c"]),
            ("Y: 1\r\n X: folded\r\nX: 1\r\n\r\n", &["1"]),
            (" X: folded into nothing\r\nX: 1\r\n\r\n", &["1"]),
            ("Y: a\rX: 2\r\nX: 1\r\n\r\n", &["1"]),
            ("X: a\rb\0\x01\r\n\r\n", &["a\rb\0\x01"]),
            ("X: 1: 2\r\n\r\n", &["1: 2"]),
            ("X\r\n: 2\r\nA X: 3\r\nX[1]: 4\r\nX@: 5\r\n\u{e4}: 6\r\nX: 1\r\n\r\n", &["1"]),
            ("\r\n", &[]),
        ] {
            let found: Vec<Vec<u8>> = values(lines.as_bytes(), "X").collect();
            let expected: Vec<&[u8]> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
