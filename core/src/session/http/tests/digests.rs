//! The digest of a file, for a client that asks for it (RFC 9530).

use super::*;

const WANT: &str = "\nWant-Repr-Digest: sha-256=1";

/// As the shell of these tests has it: 32 bytes with all bits set.
const DIGEST: &str = "sha-256=://////////////////////////////////////////8=:";

#[test]
fn the_digest_is_of_the_whole_file_whatever_part_is_sent() {
    for fields in ["", "\nRange: bytes=2-3", "\nWant-Repr-Digest: sha-512=10"] {
        let answer = get("/a", &format!("{WANT}{fields}"));
        assert_eq!(field(&answer, "Repr-Digest"), Some(DIGEST), "{answer}");
        let head = ask(&format!("HEAD /a HTTP/1.1\nHost: h{WANT}{fields}"));
        assert_eq!(field(&head, "Repr-Digest"), Some(DIGEST), "{head}");
    }
    assert_eq!(body(&get("/a", &format!("{WANT}\nRange: bytes=2-3"))), "23");
    assert_eq!(field(&get("/empty", WANT), "Repr-Digest"), Some(DIGEST));
}

#[test]
fn only_a_client_that_asks_is_told_and_only_of_a_file() {
    for (path, fields) in [
        ("/a", ""),
        ("/a", "\nWant-Repr-Digest: sha-256=0"),
        ("/a", "\nWant-Repr-Digest: sha-512=1"),
        ("/a", "\nWant-Content-Digest: sha-256=1"),
        ("/a", "\nWant-Repr-Digest: sha-256=1\nWant-Repr-Digest: sha-256=0"),
        ("/a", "\nWant-Repr-Digest: sha-256=1\nIf-None-Match: *"),
        ("/a", "\nWant-Repr-Digest: sha-256=1\nRange: bytes=99-"),
        ("/missing", WANT),
        ("/folder", WANT),
    ] {
        assert_eq!(field(&get(path, fields), "Repr-Digest"), None, "{path}{fields}");
    }
}

#[test]
fn a_digest_that_cannot_be_told_costs_no_answer() {
    let changing = get("/changing", WANT);
    assert_eq!((status(&changing), field(&changing, "Repr-Digest")), ("200", None));
    // It is kept behind the head, and a long one leaves no room.
    let long = get("/a", &format!("{WANT}\nX: {}", "x".repeat(430)));
    assert_eq!((status(&long), field(&long, "Repr-Digest")), ("200", None));
    let mut none = HttpServer::new([0; 512], ());
    let request = format!("GET /a HTTP/1.0{WANT}\n\n").replace('\n', "\r\n");
    let _ = none.input(NOW, &mut request.into_bytes(), &mut Out::new(&mut []));
    none.answer(NOW, Answer::Opened(10));
    none.answer(NOW, Answer::Facts(facts()));
    assert_eq!(none.op(), None, "nothing is digested where no digest is offered");
}

/// A gigabyte takes about a second, and is asked for by a hundred bytes.
#[test]
fn a_file_of_more_than_a_gigabyte_is_not_digested() {
    for (size, digested) in [(1 << 30, true), ((1 << 30) + 1, false)] {
        let mut server = server();
        let request = format!("GET /a HTTP/1.0{WANT}\n\n").replace('\n', "\r\n");
        let _ = server.input(NOW, &mut request.into_bytes(), &mut Out::new(&mut []));
        server.answer(NOW, Answer::Opened(size));
        server.answer(NOW, Answer::Facts(facts()));
        let extent = Extent { offset: 0, len: size };
        let op = Op::Digest { kind: DigestKind::Sha256, extent };
        assert_eq!(server.op(), digested.then_some(op));
    }
}

/// The requests of one connection use the same memory.
#[test]
fn the_next_request_has_no_digest_of_the_last_one() {
    let requests = format!("GET /a HTTP/1.1\nHost: h{WANT}\n\nGET /a HTTP/1.1\nHost: h\n\n");
    let requests = requests.replace('\n', "\r\n");
    let (answers, _) = run(&mut server(), requests.as_bytes(), 1000, Some(facts()));
    let answers = String::from_utf8(answers).expect("text");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2);
    assert_eq!(answers.matches("Repr-Digest").count(), 1);
}
