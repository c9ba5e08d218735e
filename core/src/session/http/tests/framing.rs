//! Where a request ends: the cases of RFC 9112, 11, in which two readers of one stream could disagree.

use super::*;

/// The first status, and whether the connection ends behind it.
fn outcome(request: &str) -> (String, bool) {
    // What a second reader could take for a request.
    let request = format!("{request}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    let (answer, closed) = run(&mut server(), request.as_bytes(), 1000, Some(facts()));
    let answer = String::from_utf8(answer).expect("text");
    assert!(!closed || answer.matches("HTTP/1.1 ").count() == 1, "{request}: {answer}");
    (status(&answer).into(), closed)
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let long = "x".repeat(600);
    for (request, expected) in [
        // Two lengths, a length and a coding, a coding that HTTP/1.0 does not know.
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            "400",
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        // A length that is no number.
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400"),
        // A coding that is not known, or only by some.
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", "400"),
        // Names and lines.
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\n Content-Length: 5\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nX: y\r\n\tContent-Length: 5\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 5\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h\r\nno field\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\nHost: h\r\n", "400"),
        ("\r\n\r\n\r\n\r\n\r\n", "400"),
        // The first line.
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "400"),
        (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET /\r\n\r\n", "400"),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET / HTTP/1.10\r\nHost: h\r\n\r\n", "400"),
        ("G@T / HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"),
        ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        // The host.
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
        // Bodies.
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "413"),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n", "413"),
        ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "405"),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
        // What is too long.
        (&format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), "414"),
        (&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), "431"),
    ] {
        assert_eq!(outcome(request), (expected.into(), true), "{request}");
    }
}

#[test]
fn what_has_no_body_leaves_the_connection_as_it_is() {
    for (request, expected) in [
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "405"),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
        ("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "501"),
        ("get / HTTP/1.1\r\nHost: h\r\n\r\n", "501"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "200"),
        ("GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 000\r\n\r\n", "200"),
    ] {
        assert_eq!(outcome(request), (expected.into(), false), "{request}");
    }
    assert_eq!(field(&ask("OPTIONS * HTTP/1.1\nHost: h"), "Allow"), Some("GET, HEAD"));
}

#[test]
fn a_body_is_read_and_dropped_for_a_while() {
    let mut server = server();
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n";
    let (answer, drains) = run(&mut server, post, 1000, None);
    assert!(answer.starts_with(b"HTTP/1.1 405 ") && drains);
    let want = server.want();
    assert_eq!((want.close, want.read), (Close::WriteHalf, true));
    // Until it has had its share,
    let mut piece = vec![b'x'; 1 << 16];
    for _ in 0..15 {
        let _ = server.input(NOW, &mut piece, &mut Out::new(&mut []));
    }
    let mut other = server.clone();
    assert!(!server.want().close.is_done());
    let _ = server.input(NOW, &mut piece, &mut Out::new(&mut []));
    assert_eq!(server.want().close, Close::Done(Ok(())));
    // or its time.
    other.tick(NOW.after(1_999_999));
    assert!(!other.want().close.is_done());
    other.tick(NOW.after(2_000_000));
    assert_eq!(other.want().close, Close::Done(Ok(())));
}
