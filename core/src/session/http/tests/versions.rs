//! Conditions and ranges: which version of a file a client has, and which part of it.

use super::*;

fn under(facts: Facts, fields: &str) -> String {
    let request = format!("GET /a HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", fields.replace('\n', "\r\n"));
    String::from_utf8(run(&mut server(), request.as_bytes(), 1000, Some(facts)).0).expect("text")
}

#[test]
fn a_condition_is_weighed_as_rfc_9110_says() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, expected) in [
        ("If-None-Match: \"c-f-a\"", "304"),
        ("If-None-Match: W/\"c-f-a\"", "304"),
        ("If-None-Match: \"x\", \"c-f-a\"", "304"),
        ("If-None-Match: \"x\"\nIf-None-Match: \"c-f-a\"", "304"),
        ("If-None-Match: *", "304"),
        ("If-None-Match: \"x\"", "200"),
        ("If-None-Match: c-f-a", "200"),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "304"),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", "304"),
        ("If-Modified-Since: Sun Nov  6 08:49:37 1994", "304"),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", "200"),
        ("If-Modified-Since: yesterday", "200"),
        // A tag says more than a date.
        ("If-None-Match: \"x\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "200"),
        ("If-Match: \"c-f-a\"", "200"),
        ("If-Match: *", "200"),
        ("If-Match: W/\"c-f-a\"", "412"),
        ("If-Match: \"x\"", "412"),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", "412"),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "200"),
        ("If-Match: \"x\"\nIf-None-Match: \"c-f-a\"", "412"),
        ("Range: bytes=2-4", "206"),
        ("Range: bytes=2-4\nIf-Range: \"c-f-a\"", "206"),
        ("Range: bytes=2-4\nIf-Range: W/\"c-f-a\"", "200"),
        ("Range: bytes=2-4\nIf-Range: \"x\"", "200"),
        ("Range: bytes=2-4\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", "200"),
        ("Range: bytes=2-4\nIf-None-Match: \"c-f-a\"", "304"),
        ("Range: bytes=10-", "416"),
        ("Range: bytes=10-\nIf-Range: \"x\"", "200"),
        ("Range: bytes=0-1,3-4", "200"),
        ("Range: bytes=0-1\nRange: bytes=3-4", "200"),
    ] {
        assert_eq!(status(&under(facts(), fields)), expected, "{fields}");
    }
    let kept = under(facts(), "If-None-Match: *");
    assert_eq!(field(&kept, "ETag"), Some("\"c-f-a\""));
    assert_eq!(field(&kept, "Last-Modified"), Some(DATE));
    assert_eq!(field(&kept, "Cache-Control"), Some("no-cache"));
    assert_eq!(field(&kept, "Date"), Some("Mon, 07 Nov 1994 08:49:37 GMT"));
    assert_eq!((field(&kept, "Content-Length"), body(&kept)), (None, ""));
}

#[test]
fn a_part_says_where_it_is() {
    let part = under(facts(), "Range: bytes=-3");
    assert_eq!(field(&part, "Content-Range"), Some("bytes 7-9/10"));
    assert_eq!((field(&part, "Content-Length"), body(&part)), (Some("3"), "789"));
    assert_eq!(field(&part, "ETag"), Some("\"c-f-a\""));
    let outside = under(facts(), "Range: bytes=10-11");
    assert_eq!(field(&outside, "Content-Range"), Some("bytes */10"));
    let empty = get("/empty", "\nRange: bytes=0-");
    assert_eq!((status(&empty), field(&empty, "Content-Range")), ("416", Some("bytes */0")));
}

/// Within a tick of the clock a file can change and keep its facts.
#[test]
fn a_file_that_was_changed_a_moment_ago_is_never_known_already() {
    let young = Facts { is_settled: false, ..facts() };
    let answer = under(young, "X: y");
    assert_eq!(field(&answer, "ETag"), Some("W/\"c-f-a-w\""));
    assert_eq!(field(&answer, "Last-Modified"), None);
    for (fields, expected) in [
        ("If-None-Match: W/\"c-f-a-w\"", "200"),
        ("If-None-Match: \"c-f-a\"", "200"),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "200"),
        ("Range: bytes=1-\nIf-Range: W/\"c-f-a-w\"", "200"),
        ("If-Match: W/\"c-f-a-w\"", "412"),
    ] {
        assert_eq!(status(&under(young, fields)), expected, "{fields}");
    }
    // Nor is what had its weak tag then.
    assert_eq!(status(&under(facts(), "If-None-Match: W/\"c-f-a-w\"")), "200");
}

#[test]
fn without_facts_there_are_files_and_no_conditions() {
    let (answer, _) = run(
        &mut server(),
        b"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\nIf-None-Match: \"x\"\r\n\r\n",
        3,
        None,
    );
    let answer = String::from_utf8(answer).expect("text");
    assert_eq!((status(&answer), body(&answer)), ("206", "12"));
    assert_eq!((field(&answer, "ETag"), field(&answer, "Last-Modified")), (None, None));
}

/// The file is opened, and cannot be sent.
fn fails(server: &mut HttpServer<[u8; 512], TestSite>, fault: StorageFault) {
    assert_eq!(server.op(), Some(Op::Open(b"a")));
    server.answer(NOW, Answer::Opened(CONTENT.len() as u64));
    server.answer(NOW, Answer::Facts(facts()));
    assert!(server.want().write);
    server.answer(NOW, Answer::Failed(fault.into()));
}

fn asked() -> HttpServer<[u8; 512], TestSite> {
    let mut server = server();
    let mut request = b"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=2-4\r\n\r\n".to_vec();
    let _ = server.input(NOW, &mut request, &mut Out::new(&mut []));
    server
}

fn rest(server: &mut HttpServer<[u8; 512], TestSite>) -> (String, bool) {
    let (answer, closed) = run(server, b"", 1000, Some(facts()));
    (String::from_utf8(answer).expect("text"), closed)
}

#[test]
fn a_file_that_changes_before_its_first_byte_leaves_is_opened_anew() {
    for changes in 1..4 {
        let mut server = asked();
        for _ in 0..changes {
            fails(&mut server, StorageFault::Changed);
        }
        let (answer, closed) = rest(&mut server);
        assert_eq!((status(&answer), body(&answer), closed), ("206", "234", false));
    }
    // One that changes all the time cannot be had now.
    let mut server = asked();
    for _ in 0..4 {
        fails(&mut server, StorageFault::Changed);
    }
    let (answer, closed) = rest(&mut server);
    assert_eq!((status(&answer), field(&answer, "Retry-After"), closed), ("503", Some("1"), false));
    assert_eq!((field(&answer, "ETag"), body(&answer)), (None, "503 Service Unavailable\n"));
    // The next request begins anew.
    let (answer, _) = run(&mut server, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 1000, Some(facts()));
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(CONTENT));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_of_the_server() {
    let mut server = asked();
    fails(&mut server, StorageFault::Failed);
    let (answer, closed) = rest(&mut server);
    assert_eq!(
        (status(&answer), body(&answer), closed),
        ("500", "500 Internal Server Error\n", false)
    );
}

#[test]
fn behind_the_first_byte_a_change_ends_the_connection() {
    for fault in [StorageFault::Changed, StorageFault::Failed] {
        let mut server = asked();
        server.answer(NOW, Answer::Opened(CONTENT.len() as u64));
        server.answer(NOW, Answer::Facts(facts()));
        server.sent(NOW, 1);
        server.answer(NOW, Answer::Failed(fault.into()));
        assert_eq!(server.want().close, Close::Done(Err(fault.into())));
    }
}
