//! Each parser on its own. What a server makes of them is tested with its session.

extern crate std;

use super::*;
use crate::text::Text;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

fn written(write: impl Fn(&mut Text<'_>)) -> String {
    let mut room = [0; 600];
    let mut text = Text::new(&mut room, 0);
    write(&mut text);
    let len = text.len();
    String::from_utf8(room[..len].to_vec()).unwrap()
}

#[test]
fn a_date_is_understood_in_three_forms() {
    for (text, seconds) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Tue, 29 Feb 2000 23:59:59 GMT", Some(951_868_799)),
        ("Thursday, 01-Jan-26 00:00:00 GMT", Some(1_767_225_600)),
        ("Thu, 31 Dec 2105 23:59:59 GMT", Some(4_291_747_199)),
        ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
        ("Fri, 01 Jan 2106 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:60:37 GMT", None),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 nov 1994 08:49:37 GMT", None),
        ("Sun Nov  6 08:49:37 1994 GMT", None),
        ("\"a-tag\"", None),
        ("Sun", None),
        ("", None),
    ] {
        assert_eq!(date(text.as_bytes()), seconds, "{text}");
    }
}

#[test]
fn a_digest_is_asked_for_with_a_weight() {
    for (value, wants) in [
        ("sha-256=1", Some(true)),
        ("sha-256=10", Some(true)),
        ("sha-512=3, sha-256=10, unixsum=0", Some(true)),
        ("sha-256=3;a=b", Some(true)),
        ("\tsha-256=1 ", Some(true)),
        ("sha-256=1, sha-256=0", Some(false)),
        ("sha-256=0", Some(false)),
        ("sha-256=11", Some(false)),
        ("sha-256=-1", Some(false)),
        ("sha-256=?1", Some(false)),
        ("sha-256", Some(false)),
        ("SHA-256=1", None),
        ("sha-512=1", None),
        ("x-sha-256=1", None),
        (",=,", None),
        ("", None),
    ] {
        assert_eq!(wants_sha256(value.as_bytes()), wants, "{value}");
    }
}

#[test]
fn a_digest_is_told_in_base64() {
    for (bytes, expected) in [
        (&b""[..], "sha-256=::"),
        (b"f", "sha-256=:Zg==:"),
        (b"fo", "sha-256=:Zm8=:"),
        (b"foo", "sha-256=:Zm9v:"),
        (b"foobar", "sha-256=:Zm9vYmFy:"),
        (b"\xff\xfe\xfd", "sha-256=://79:"),
    ] {
        assert_eq!(written(|text| put_sha256(text, bytes)), expected);
    }
}

#[test]
fn a_range_is_a_part_of_the_file_or_all_of_it() {
    let part = |offset, len| Range::Part { offset, len };
    for (value, size, expected) in [
        ("bytes=0-0", 10, part(0, 1)),
        ("bytes=2-4", 10, part(2, 3)),
        ("bytes=2-", 10, part(2, 8)),
        ("bytes=2-99999999999999999999999", 10, part(2, 8)),
        ("bytes=-3", 10, part(7, 3)),
        ("bytes=-99999999999999999999999", 10, part(0, 10)),
        ("BYTES = 2 - 4", 10, part(2, 3)),
        ("bytes=10-", 10, Range::Outside),
        ("bytes=99999999999999999999999-", 10, Range::Outside),
        ("bytes=18446744073709551615-18446744073709551615", u64::MAX, Range::Outside),
        ("bytes=18446744073709551614-18446744073709551615", u64::MAX, part(u64::MAX - 1, 1)),
        ("bytes=-0", 10, Range::Outside),
        ("bytes=0-", 0, Range::Outside),
        ("bytes=-5", 0, Range::Outside),
        ("bytes=4-2", 10, Range::Whole),
        ("bytes=-", 10, Range::Whole),
        ("bytes=0-1,3-4", 10, Range::Whole),
        ("bytes=0-1-2", 10, Range::Whole),
        ("bytes=+1-2", 10, Range::Whole),
        ("bytes=0x1-2", 10, Range::Whole),
        ("bytes", 10, Range::Whole),
        ("lines=0-1", 10, Range::Whole),
        ("", 10, Range::Whole),
    ] {
        assert_eq!(range(value.as_bytes(), size), expected, "{value} of {size}");
    }
}

#[test]
fn a_path_is_the_name_of_a_file() {
    for (raw, name) in [
        ("/", Ok(("", false))),
        ("", Ok(("", false))),
        ("/a/b", Ok(("a/b", false))),
        ("/a/b/", Ok(("a/b/", false))),
        ("//a//b//", Ok(("a/b/", false))),
        ("/./a/./b/.", Ok(("a/b/", false))),
        ("/a%20b%C3%BC", Ok(("a bü", false))),
        ("/%61%2e%62", Ok(("a.b", false))),
        ("/.git/config", Ok((".git/config", true))),
        ("/a/%2egit", Ok(("a/.git", true))),
        ("/.well-known/x", Ok((".well-known/x", false))),
        ("/a/.well-known", Ok(("a/.well-known", true))),
        ("/...", Ok(("...", true))),
        ("/a..b", Ok(("a..b", false))),
        ("/..", Err(Bad::Syntax)),
        ("/a/../b", Err(Bad::Syntax)),
        ("/%2e%2e/a", Err(Bad::Syntax)),
        ("/a/.%2E/", Err(Bad::Syntax)),
        ("/a%00", Err(Bad::Syntax)),
        ("/a%", Err(Bad::Syntax)),
        ("/a%4", Err(Bad::Syntax)),
        ("/a%zz", Err(Bad::Syntax)),
        ("/a%2fb", Err(Bad::Path)),
        ("/..%2fb", Err(Bad::Path)),
    ] {
        let mut bytes = raw.as_bytes().to_vec();
        let found = path(&mut bytes)
            .map(|path| (String::from_utf8(bytes[..path.len].to_vec()).unwrap(), path.is_hidden));
        assert_eq!(found, name.map(|(name, hidden)| (name.into(), hidden)), "{raw}");
    }
    // A name that is no UTF-8, such as an overlong slash, stays as it is.
    let mut overlong = *b"/a%c0%afb";
    let len = path(&mut overlong).unwrap().len;
    assert_eq!(&overlong[..len], b"a\xc0\xafb");
}

#[test]
fn a_target_is_a_path_or_begins_with_a_host() {
    for (target, expected) in [
        ("/a?b?c", Ok(("/a", "?b?c"))),
        ("/", Ok(("/", ""))),
        ("http://host/a?b", Ok(("/a", "?b"))),
        ("HTTP://host:80", Ok(("", ""))),
        ("http://[::1]:80?q", Ok(("", "?q"))),
        ("//host/a", Ok(("//host/a", ""))),
        ("http://", Err(Bad::Syntax)),
        ("http:///a", Err(Bad::Syntax)),
        ("http://user@host/a", Err(Bad::Syntax)),
        ("https://host:443/a?b", Ok(("/a", "?b"))),
        ("httpss://host/a", Err(Bad::Syntax)),
        ("http:/host/a", Err(Bad::Syntax)),
        ("ftp://host/a", Err(Bad::Syntax)),
        ("://host/a", Err(Bad::Syntax)),
        ("host:80", Err(Bad::Syntax)),
        ("*", Err(Bad::Syntax)),
        ("a", Err(Bad::Syntax)),
        ("/a#b", Err(Bad::Syntax)),
    ] {
        let found =
            reference(target.as_bytes()).map(|(begin, end)| (&target[begin..end], &target[end..]));
        assert_eq!(found, expected, "{target}");
    }
}

#[test]
fn a_host_has_no_more_than_a_name_and_a_port() {
    for host in ["", "a", "a.b-c:80", "a:", "127.0.0.1:1", "[::1]", "[::1]:80", "[fe80::1%25eth0]"]
    {
        assert!(is_host(host.as_bytes()), "{host}");
    }
    for host in
        [":80", "a b", "a/b", "a:b", "a:80:80", "[::1", "[]", "[::1]x", "a@b", "a,b\t", "[/]"]
    {
        assert!(!is_host(host.as_bytes()), "{host}");
    }
}

#[test]
fn a_tag_is_compared_as_its_field_says() {
    let tag = Tag { parts: [0x1f, 0, u64::MAX], is_weak: false };
    assert_eq!(written(|text| tag.put(text)), "\"1f--ffffffffffffffff\"");
    let weak = Tag { is_weak: true, ..tag };
    assert_eq!(written(|text| weak.put(text)), "W/\"1f--ffffffffffffffff-w\"");
    let own = "\"1f--ffffffffffffffff\"";
    for (list, weakly, strongly) in [
        (String::from("*"), true, true),
        (own.into(), true, true),
        (std::format!("\"\" ,\t, \"a,b\",{own}"), true, true),
        (std::format!("W/{own}"), true, false),
        (std::format!("w/{own}"), false, false),
        (std::format!("\"unended, {own}"), false, false),
        (std::format!("bare, {own}"), false, false),
        ("\"1f\"".into(), false, false),
        (String::new(), false, false),
    ] {
        assert_eq!(tag.is_in(list.as_bytes(), true), weakly, "{list}");
        assert_eq!(tag.is_in(list.as_bytes(), false), strongly, "{list}");
        assert_eq!(weak.is_in(list.as_bytes(), true), list == "*", "{list}");
    }
    assert!(tag.is_strongly(own.as_bytes()));
    for other in ["*", "W/\"1f--ffffffffffffffff\"", "\"\"", ""] {
        assert!(!tag.is_strongly(other.as_bytes()), "{other}");
    }
    assert!(!weak.is_strongly(b"W/\"1f--ffffffffffffffff-w\""));
}

#[test]
fn the_type_is_that_of_the_ending() {
    for (name, kind) in [
        ("a.html", "text/html"),
        ("b/a.HTML", "text/html"),
        ("a.tar.gz", "application/gzip"),
        ("a.wasm", "application/wasm"),
        ("html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.html/b", "application/octet-stream"),
        ("a/", "text/html"),
        ("", "text/html"),
    ] {
        assert_eq!(type_of(name.as_bytes(), TYPES), kind, "{name}");
    }
    assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0), "an ending twice, or out of order");
}

proptest! {
    #[test]
    fn what_is_written_as_a_date_is_read(seconds in 0..4_291_747_200_u32) {
        let text = written(|text| put_date(text, seconds));
        prop_assert_eq!(date(text.as_bytes()), Some(seconds), "{}", text);
        let form = httpdate(seconds);
        prop_assert_eq!(text, form);
    }

    #[test]
    fn what_is_encoded_is_decoded(name in "[^/\0]{1,9}(/[^/\0]{1,9}){0,3}") {
        let parts: Vec<_> = name.split('/').collect();
        prop_assume!(!parts.contains(&".") && !parts.contains(&".."));
        let mut text = written(|text| put_path(text, name.as_bytes())).into_bytes();
        prop_assert!(text.iter().all(u8::is_ascii_graphic));
        let len = path(&mut text).unwrap().len;
        prop_assert_eq!(&text[..len], name.as_bytes());
    }

    #[test]
    fn no_bytes_are_too_much(bytes: Vec<u8>, size: u64) {
        let _ = (date(&bytes), is_host(&bytes), type_of(&bytes, TYPES));
        let _ = (RequestLine::parse(&bytes), Body::of(Fields::new(&bytes), true));
        if let Range::Part { offset, len } = range(&bytes, size) {
            prop_assert!(len > 0 && offset.checked_add(len).is_some_and(|end| end <= size));
        }
        if let Ok((begin, end)) = reference(&bytes) {
            prop_assert!(begin <= end && end <= bytes.len());
        }
        let mut name = bytes.clone();
        if let Ok(path) = path(&mut name) {
            let name = &name[..path.len];
            prop_assert!(!name.starts_with(b"/") && !name.contains(&0));
            prop_assert!(!name.split(|&byte| byte == b'/').any(|part| part == b".."));
        }
        let _ = wants_sha256(&bytes);
        let tag = Tag { parts: [1, 2, 3], is_weak: false };
        let _ = (tag.is_in(&bytes, true), tag.is_strongly(&bytes));
    }
}

/// The same date by another way: day after day.
fn httpdate(seconds: u32) -> String {
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let mut year = 1970;
    let is_leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u32::from(is_leap(year)) {
        days -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let months = [31, 28 + u32::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    let name =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    std::format!("{weekday}, {:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT", days + 1)
}
