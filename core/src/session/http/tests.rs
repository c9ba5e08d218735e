//! Requests and their answers, by a small shell with a few files, and the laws.

extern crate std;

use super::*;
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{
    Answer, Digest, DigestKind, Digests, Extent, Facts, FileUser, Op, Piece, Refusal,
};
use crate::laws::Lab;
use crate::session::{Out, Session};
use crate::time::Instant;
use crate::want::Close;
use crate::wire::http::TYPES;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

mod digests;
mod framing;
mod small;
mod versions;

const NOW: Instant = Instant::from_micros(5);

/// The content of every file that is there.
const CONTENT: &[u8] = b"0123456789";

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const MODIFIED: u32 = 784_111_777;

#[derive(Clone)]
struct TestSite;

impl Site for TestSite {
    fn unix_time(&self, _: Instant) -> Option<u32> {
        Some(MODIFIED + 86_400)
    }

    fn types(&self) -> &[(&'static str, &'static str)] {
        TYPES
    }

    fn cache_control(&self) -> Option<&str> {
        Some("no-cache")
    }

    fn digests(&self) -> Digests {
        Digests::ALL
    }
}

fn server() -> HttpServer<[u8; 512], TestSite> {
    HttpServer::new([0; 512], TestSite)
}

fn facts() -> Facts {
    Facts { version: Some([0xc, 0xf]), modified: Some(MODIFIED), is_settled: true }
}

/// What a server sends for a stream of requests, `step` bytes at a time, and whether it closes.
fn run(
    server: &mut HttpServer<[u8; 512], impl Site>,
    requests: &[u8],
    step: usize,
    facts: Option<Facts>,
) -> (Vec<u8>, bool) {
    let (mut rest, mut sent) = (requests.to_vec(), Vec::new());
    loop {
        let want = server.want();
        if let Close::Done(how) = want.close {
            how.unwrap();
            return (sent, true);
        }
        if want.write {
            let n = match server.piece(0).expect("all output is in pieces") {
                Piece::Head { len } => {
                    let mut room = vec![0; len.min(step)];
                    assert_eq!(server.head(0, &mut room), room.len());
                    sent.extend_from_slice(&room);
                    room.len()
                }
                Piece::File(Extent { offset, len }) => {
                    let [offset, len] = [offset, len].map(|n| usize::try_from(n).unwrap());
                    let n = len.min(step);
                    sent.extend_from_slice(&CONTENT[offset..][..n]);
                    n
                }
            };
            server.sent(NOW, n as u64);
        } else if want.file {
            let answer = match server.op().unwrap() {
                Op::Open(b"missing" | b"folder/file/x") => Answer::Refused(Refusal::NotFound),
                Op::Open(b"folder" | b"a b\r\nX: y" | b"/evil" | b"deep/folder") => {
                    Answer::Refused(Refusal::IsFolder)
                }
                Op::Open(b"fifo") => Answer::Refused(Refusal::NotAFile),
                Op::Open(b"secret") => Answer::Refused(Refusal::NotAllowed),
                Op::Open(b"busy") => Answer::Refused(Refusal::Busy),
                Op::Open(b"broken") => Answer::Refused(Refusal::Failed),
                Op::Open(b"empty") => Answer::Opened(0),
                Op::Open(_) => Answer::Opened(CONTENT.len() as u64),
                Op::Examine => facts.map_or(Answer::Failed(Fault::Aborted), Answer::Facts),
                Op::Close => Answer::Done,
                // Some bytes at a time.
                Op::Digest { kind: DigestKind::Sha256, extent } => {
                    Answer::Digested(extent.len.min(7))
                }
                Op::FinishDigest(DigestKind::Sha256) if server.name() == b"changing" => {
                    Answer::Failed(Fault::Aborted)
                }
                Op::FinishDigest(DigestKind::Sha256) => Answer::Digest(Digest::Sha256([0xff; 32])),
                other => panic!("a server of HTTP asked for {other:?}"),
            };
            server.answer(NOW, answer);
        } else if want.read && !rest.is_empty() {
            let n = rest.len().min(step);
            let taken = server.input(NOW, &mut rest[..n], &mut Out::new(&mut []));
            rest.drain(..taken.bytes);
        } else {
            let drains = want.close == Close::WriteHalf;
            return (sent, drains);
        }
    }
}

/// The answer to one request, of which the head has no line ends yet.
fn ask(head: &str) -> String {
    let request = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
    String::from_utf8(run(&mut server(), request.as_bytes(), 1000, Some(facts())).0).unwrap()
}

/// A request for a name by HTTP/1.1.
fn get(path: &str, fields: &str) -> String {
    ask(&format!("GET {path} HTTP/1.1\nHost: h{fields}"))
}

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").unwrap().get(..3).unwrap()
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_file_is_sent_with_all_that_a_client_asks_for() {
    assert_eq!(
        get("/a.txt", ""),
        "HTTP/1.1 200 OK\r\n\
         Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n\
         Cache-Control: no-cache\r\n\
         Accept-Ranges: bytes\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Content-Length: 10\r\n\
         ETag: \"c-f-a\"\r\n\
         Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n\
         0123456789"
    );
    let wasm = get("/a.wasm", "");
    assert_eq!(field(&wasm, "Content-Type"), Some("application/wasm"));
}

#[test]
fn head_is_get_without_the_content() {
    for path in ["/a.txt", "/", "/empty", "/missing", "/folder", "/a%zz"] {
        for fields in ["", "\nIf-None-Match: *", "\nIf-Match: \"x\""] {
            let got = get(path, fields);
            let head = ask(&format!("HEAD {path} HTTP/1.1\nHost: h{fields}"));
            assert_eq!(got.split("\r\n\r\n").next(), head.split("\r\n\r\n").next(), "{path}");
            assert_eq!(body(&head), "", "{path}");
        }
    }
    // A range is for GET.
    assert_eq!(status(&ask("HEAD /a HTTP/1.1\nHost: h\nRange: bytes=1-2")), "200");
}

#[test]
fn a_refusal_says_its_status_and_no_more() {
    for (path, expected) in [
        ("/missing", "404 Not Found"),
        ("/folder/file/x", "404 Not Found"),
        ("/.git/config", "404 Not Found"),
        ("/a%2fb", "404 Not Found"),
        ("/fifo", "403 Forbidden"),
        ("/secret", "403 Forbidden"),
        ("/busy", "503 Service Unavailable"),
        ("/broken", "500 Internal Server Error"),
        ("/../etc/passwd", "400 Bad Request"),
        ("/%2e%2e/x", "400 Bad Request"),
        ("/a%00b", "400 Bad Request"),
        ("*", "400 Bad Request"),
    ] {
        let answer = get(path, "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}\r\n")), "{path}: {answer}");
        assert_eq!(body(&answer), format!("{expected}\n"), "{path}");
        assert_eq!(field(&answer, "Content-Length"), Some(&*body(&answer).len().to_string()));
        assert_eq!(field(&answer, "X-Content-Type-Options"), Some("nosniff"));
    }
    assert_eq!(field(&get("/busy", ""), "Retry-After"), Some("1"));
    assert_eq!(status(&get("/.well-known/x", "")), "200");
}

#[test]
fn a_folder_without_its_slash_is_a_redirect_to_a_path() {
    for (path, location) in [
        ("/folder", "/folder/"),
        ("/folder?a=b&c", "/folder/?a=b&c"),
        ("//folder", "/folder/"),
        ("http://other/deep/folder?q", "/deep/folder/?q"),
        ("/a%20b%0d%0aX:%20y", "/a%20b%0D%0AX%3A%20y/"),
    ] {
        let answer = get(path, "");
        assert_eq!(
            (status(&answer), field(&answer, "Location")),
            ("301", Some(location)),
            "{path}"
        );
    }
}

#[test]
fn a_connection_lasts_as_both_ends_want() {
    for (request, connection, closes) in [
        ("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", None, false),
        ("GET /a HTTP/1.7\r\nHost: h\r\n\r\n", None, false),
        ("GET /a HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", Some("close"), true),
        ("GET /a HTTP/1.0\r\n\r\n", Some("close"), true),
        ("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Some("keep-alive"), false),
        ("GET /missing HTTP/1.1\r\nHost: h\r\n\r\n", None, false),
        ("DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n", None, false),
        ("\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", None, false),
    ] {
        let (answer, closed) = run(&mut server(), request.as_bytes(), 1000, Some(facts()));
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!((field(&answer, "Connection"), closed), (connection, closes), "{request}");
    }
}

#[test]
fn requests_are_answered_in_their_order() {
    let one = b"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\nHEAD /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let alone = run(&mut server(), one, 1000, Some(facts())).0;
    let (times, least) = if cfg!(miri) { (2, 100) } else { (50, 1) };
    for step in [least, 7.max(least), 1000] {
        let mut server = server();
        let (answers, closed) = run(&mut server, &one.repeat(times), step, Some(facts()));
        assert_eq!((answers == alone.repeat(times), closed), (true, false), "by {step}");
        server.eof(NOW);
        assert_eq!(server.want().close, Close::Done(Ok(())));
    }
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let mut idle = server();
    idle.eof(NOW);
    assert_eq!(idle.want().close, Close::Done(Ok(())));
    let mut begun = server();
    let _ = begun.input(NOW, &mut b"GET /".to_vec(), &mut Out::new(&mut []));
    begun.eof(NOW);
    assert_eq!(begun.want().close, Close::Done(Err(Peer::Truncated.into())));
    // A client that half-closes gets its answer.
    let mut half = server();
    let _ = half.input(
        NOW,
        &mut b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        &mut Out::new(&mut []),
    );
    half.eof(NOW);
    let (answer, closed) = run(&mut half, b"", 1000, Some(facts()));
    assert!(answer.ends_with(CONTENT) && closed);
}

#[test]
fn a_request_that_takes_too_long_is_told_so() {
    let mut slow = server();
    assert!(!slow.expire(NOW), "a client that sent nothing is not late");
    let _ = slow.input(NOW, &mut b"GET / HTTP/1.1\r\n".to_vec(), &mut Out::new(&mut []));
    assert!(slow.awaits_request() && slow.expire(NOW));
    let (answer, closed) = run(&mut slow, b"", 9, None);
    assert!(answer.starts_with(b"HTTP/1.1 408 ") && closed);
    // Behind an answer it is idle until the next request begins.
    let mut kept = server();
    assert!(!kept.rests());
    run(&mut kept, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 9, Some(facts()));
    assert!(kept.rests() && kept.awaits_request());
    let _ = kept.input(NOW, &mut b"G".to_vec(), &mut Out::new(&mut []));
    assert!(!kept.rests() && kept.awaits_request());
}

#[test]
fn the_server_keeps_the_laws() {
    // A head is rendered anew for each piece of it: in an interpreter that takes half an hour.
    if cfg!(miri) {
        return;
    }
    let requests = [
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=3-5\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nWant-Repr-Digest: sha-256=1\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost:\r\n\r\nGET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345",
        "GET / HTTP/1.1\n",
        "\x16\x03\x01",
    ];
    for request in requests {
        for len in [Some(12), None] {
            let lab = Lab::<640>::new();
            let mut lab = match len {
                Some(len) => lab.with_file(len),
                None => lab,
            };
            let make = || HttpServer::new([0; 96], TestSite);
            lab.check(make, request.as_bytes())
                .unwrap_or_else(|broken| panic!("{request}: {broken}"));
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_is_asked_is_too_much(bytes: Vec<u8>, step in 1_usize..40) {
        let _ = run(&mut server(), &bytes, step, Some(facts()));
    }

    #[test]
    fn no_line_of_a_head_is_too_much(
        lines in proptest::collection::vec("[ -~]{0,20}(:[ -~]{0,20})?", 0..6),
        path in "/[ -~]{0,20}",
        step in 1_usize..40,
    ) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", lines.join("\r\n"));
        let one = run(&mut server(), request.as_bytes(), 1000, Some(facts()));
        prop_assert_eq!(&one, &run(&mut server(), request.as_bytes(), step, Some(facts())));
        prop_assert!(one.0.starts_with(b"HTTP/1.1 "));
    }
}
