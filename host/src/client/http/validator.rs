//! How to request the rest of a document, and how to check that it is the rest of the same version.
//!
//! ```text
//! first answer    ETag: "v1"                          is kept with the bytes
//! next request    Range: bytes=1000-, If-Range: "v1"
//! answer          206, Content-Range: bytes 1000-4999/5000, ETag: "v1"
//!          or     200: another version, from its beginning
//! ```

use super::fields::{number, values};

/// The fields of an answer about its version, as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// The entity tag, if it is one (RFC 9110 8.8.3).
    tag: Option<Box<str>>,
    /// Last-Modified, if it is a date.
    modified: Option<Box<str>>,
    /// Whether an equal `modified` means equal bytes: the answer was made at least a second later.
    is_settled: bool,
    /// Whether the server says that it has no ranges.
    is_whole_only: bool,
}

impl Version {
    pub(super) fn of(lines: &[u8]) -> Self {
        let text =
            |name| values(lines, name).next().and_then(|value| String::from_utf8(value).ok());
        let tag = text("ETag").filter(|tag| is_tag(tag));
        let modified = text("Last-Modified");
        let time = |text: &Option<String>| httpdate::parse_http_date(text.as_deref()?).ok();
        let times = (time(&modified), time(&text("Date")));
        let age = match times {
            (Some(modified), Some(now)) => now.duration_since(modified).ok(),
            _ => None,
        };
        Self {
            tag: tag.map(String::into_boxed_str),
            modified: modified.filter(|_| times.0.is_some()).map(String::into_boxed_str),
            is_settled: age.is_some_and(|age| age.as_secs() >= 1),
            is_whole_only: text("Accept-Ranges").is_some_and(|it| it.eq_ignore_ascii_case("none")),
        }
    }

    /// What to ask for the rest with, if equal validators mean equal bytes: a strong entity tag or, where
    /// there is no tag, a date that is settled (RFC 9110 8.8.2.2, 13.1.5).
    pub fn validator(&self) -> Option<&str> {
        match (&self.tag, &self.modified) {
            _ if self.is_whole_only => None,
            (Some(tag), _) => tag.starts_with('"').then_some(tag),
            (None, Some(date)) => self.is_settled.then_some(date),
            (None, None) => None,
        }
    }

    /// Whether a partial answer is of the version with this validator. It need not repeat a date, and
    /// has to repeat a tag (RFC 9110 15.3.7).
    pub fn is(&self, validator: &str) -> bool {
        if validator.starts_with('"') {
            self.tag.as_deref() == Some(validator)
        } else {
            self.modified.as_deref().is_none_or(|date| date == validator)
        }
    }
}

/// An entity tag, strong or weak, without a blank or a control character.
fn is_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
}

/// The bytes that a partial answer has: `first` to `last`, both included, of `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// How many the document has.
    pub total: u64,
}

impl ContentRange {
    /// `bytes FIRST-LAST/TOTAL`, with `FIRST <= LAST < TOTAL`.
    pub(super) fn of(lines: &[u8]) -> Option<Self> {
        let mut fields = values(lines, "Content-Range");
        let (value, None) = (fields.next()?, fields.next()) else { return None };
        let (unit, range) = value.split_at_checked(6)?;
        let mut numbers =
            range.split(|&byte| byte == b'/').flat_map(|part| part.split(|&it| it == b'-'));
        let mut next = || numbers.next().filter(|digits| !digits.is_empty()).and_then(number);
        let (first, last, total) = (next()?, next()?, next()?);
        let written = format!("{first}-{last}/{total}");
        // Written back, so that no other order of the signs and no leading zero is taken for it.
        let is_range = unit.eq_ignore_ascii_case(b"bytes ") && range == written.as_bytes();
        (is_range && first <= last && last < total).then_some(Self { first, last, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const LATER: &str = "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n";
    const AT_ONCE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    #[test]
    fn a_validator_is_strong() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (fields, expected) in [
            (String::new(), None),
            ("ETag: \"a\"\r\n".into(), Some("\"a\"")),
            ("ETag: \"\"\r\n".into(), Some("\"\"")),
            ("ETag: W/\"a\"\r\n".into(), None),
            (format!("ETag: W/\"a\"\r\n{OLD}{LATER}"), None),
            (format!("ETag: \"a\"\r\n{OLD}{LATER}"), Some("\"a\"")),
            ("ETag: a\r\n".into(), None),
            ("ETag: \"a\r\n X: y\"\r\n".into(), None),
            ("ETag: \"a\"b\"\r\n".into(), None),
            ("ETag: \"a\u{e4}\"\r\n".into(), None),
            ("ETag: \"\r\n".into(), None),
            (format!("ETag: a\r\n{OLD}{LATER}"), date),
            (format!("{OLD}{LATER}"), date),
            (format!("{OLD}{LATER}Accept-Ranges: bytes\r\n"), date),
            (format!("{OLD}{LATER}Accept-Ranges: none\r\n"), None),
            (format!("{OLD}{AT_ONCE}"), None),
            (OLD.into(), None),
            (format!("Last-Modified: yesterday\r\n{LATER}"), None),
        ] {
            assert_eq!(Version::of(fields.as_bytes()).validator(), expected, "{fields}");
        }
    }

    #[test]
    fn a_part_is_of_the_version_that_it_says() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (fields, validator, expected) in [
            ("ETag: \"a\"\r\n", "\"a\"", true),
            ("ETag: \"b\"\r\n", "\"a\"", false),
            ("ETag: W/\"a\"\r\n", "\"a\"", false),
            ("", "\"a\"", false),
            (OLD, "\"a\"", false),
            (OLD, date, true),
            ("", date, true),
            ("Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT\r\n", date, false),
        ] {
            assert_eq!(Version::of(fields.as_bytes()).is(validator), expected, "{fields}");
        }
    }

    #[test]
    fn a_range_is_exact() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        for (value, expected) in [
            ("bytes 0-0/1", range(0, 0, 1)),
            ("Bytes 5-9/10", range(5, 9, 10)),
            ("bytes 5-6/10", range(5, 6, 10)),
            ("bytes 0-18446744073709551614/18446744073709551615", range(0, u64::MAX - 1, u64::MAX)),
            ("bytes 5-9/*", None),
            ("bytes */10", None),
            ("bytes 5-10/10", None),
            ("bytes 6-5/10", None),
            ("bytes 5-9/18446744073709551616", None),
            ("bytes 05-9/10", None),
            ("bytes +5-9/10", None),
            ("bytes 5/9-10", None),
            ("bytes 5-9/10/11", None),
            ("bytes=5-9/10", None),
            ("bytes 5 - 9/10", None),
            ("lines 5-9/10", None),
            ("bytes", None),
            ("", None),
        ] {
            let lines = format!("Content-Range: {value}\r\n");
            assert_eq!(ContentRange::of(lines.as_bytes()), expected, "{value}");
            assert_eq!(ContentRange::of(lines.repeat(2).as_bytes()), None, "{value}, twice");
        }
    }
}
