//! A site without versions, folders and phrases, as a device has it.

use super::*;

#[derive(Clone)]
struct Small;

impl Site for Small {
    fn versions(&self) -> bool {
        false
    }

    fn folders(&self) -> bool {
        false
    }

    fn phrases(&self) -> bool {
        false
    }
}

fn hear(head: &str) -> String {
    let request = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
    let mut server = HttpServer::new([0; 512], Small);
    String::from_utf8(run(&mut server, request.as_bytes(), 7, Some(facts())).0).expect("text")
}

#[test]
fn a_file_and_a_part_of_it_and_their_heads() {
    let whole = "HTTP/1.1 200 \r\nAccept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n\
                 X-Content-Type-Options: nosniff\r\nContent-Length: 10\r\n\r\n";
    assert_eq!(hear("GET /a HTTP/1.1\nHost: h"), format!("{whole}0123456789"));
    assert_eq!(hear("HEAD /a HTTP/1.1\nHost: h"), whole);
    let part = hear("GET /a HTTP/1.1\nHost: h\nRange: bytes=3-5");
    assert_eq!(
        (status(&part), field(&part, "Content-Range"), body(&part)),
        ("206", Some("bytes 3-5/10"), "345")
    );
    let outside = hear("GET /a HTTP/1.1\nHost: h\nRange: bytes=10-");
    assert_eq!((status(&outside), field(&outside, "Content-Range")), ("416", Some("bytes */10")));
}

/// No version that a client knows can be the one that is there, and a date says nothing of it.
#[test]
fn conditions_are_kept_without_versions() {
    for (condition, means) in [
        ("If-Range: \"f-c-a\"\nRange: bytes=3-5", "200"),
        ("Range: bytes=3-5\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", "200"),
        ("If-Match: \"f-c-a\"", "412"),
        ("If-Match: *", "200"),
        ("If-None-Match: \"f-c-a\"", "200"),
        ("If-None-Match: *", "304"),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "200"),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", "200"),
        ("Range: bytes=0-1\nRange: bytes=2-3", "200"),
    ] {
        let answer = hear(&format!("GET /a HTTP/1.1\nHost: h\n{condition}"));
        assert_eq!(status(&answer), means, "{condition}");
    }
}

#[test]
fn a_refusal_is_a_number() {
    for (path, status) in
        [("/missing", "404"), ("/folder", "404"), ("/busy", "503"), ("/..", "400")]
    {
        let answer = hear(&format!("GET {path} HTTP/1.1\nHost: h"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} \r\n")), "{answer}");
        assert_eq!(
            (body(&answer), field(&answer, "Content-Length")),
            (&*format!("{status} \n"), Some("5"))
        );
        assert_eq!(field(&answer, "Location"), None);
    }
}

#[test]
fn it_keeps_the_laws() {
    if cfg!(miri) {
        return;
    }
    for request in [
        "GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=3-5\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
    ] {
        let mut lab = Lab::<640>::new().with_file(12);
        lab.check(|| HttpServer::new([0; 96], Small), request.as_bytes())
            .unwrap_or_else(|broken| panic!("{request}: {broken}"));
    }
}
