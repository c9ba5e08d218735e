//! Answers of every framing, cut everywhere, and those that no honest server sends.

use proptest::prelude::*;

use super::*;

/// A whole answer: its head, its body, and whether it ended by itself.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    head: Head,
    body: Vec<u8>,
    ended: bool,
}

/// What comes of these pieces and the end of the connection.
fn run<'i>(pieces: impl IntoIterator<Item = &'i [u8]>) -> Result<Answer, ResponseError> {
    let mut response = Response::new();
    let (mut heads, mut body, mut ended) = (Vec::new(), Vec::new(), false);
    for mut input in pieces {
        // Every answer but the last two takes some of the input.
        for _ in 0..=input.len() + 1 {
            match response.feed(input)? {
                Fed::More => break,
                Fed::Head { head, rest } => {
                    heads.push(head);
                    input = rest;
                }
                Fed::Body { bytes, rest } => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(bytes);
                    input = rest;
                }
                Fed::End => {
                    ended = true;
                    break;
                }
            }
        }
    }
    response.eof()?;
    assert_eq!(response.feed(b"more"), Ok(Fed::End));
    assert_eq!(heads.len(), 1);
    Ok(Answer { head: heads.remove(0), body, ended })
}

fn whole(text: &str) -> Result<Answer, ResponseError> {
    run([text.as_bytes()])
}

const FRAMED: &[(&str, &str, bool)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, surplus", "hello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
    ("HTTP/1.1 200 OK\r\ncontent-LENGTH:5\t\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5,5\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\nhello", "hello", true),
    ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", false),
    ("HTTP/1.1 200\r\n\r\n", "", false),
    ("HTTP/1.0 200 OK\r\nContent-Encoding: identity\r\n\r\nhello", "hello", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: ,Chunked ,\r\n\r\n2\r\nhe\r\n0\r\n\r\n", "he", true),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\nsurplus",
        "hello",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "",
        true,
    ),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "", true),
    ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: gzip\r\n\r\nhello", "", true),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "hi",
        true,
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi, surplus", "hi", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2,\r\n\r\nhi", "hi", true),
    ("HTTP/1.1 200 OK\r\nX: a\rContent-Length: 9\r\nContent-Length: 2\r\n\r\nhi", "hi", true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi", "hi", true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\nhi", "hi", true),
    (
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\n\r\n",
        "hi",
        true,
    ),
    ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "hi", true),
    ("HTTP/1.1  200 OK\r\nX Y: z\r\n@: 1\r\nwarning\r\n: 2\r\nZ: \0\r\n\r\nhi", "hi", false),
    ("HTTP/2 200\r\n\r\nhi", "hi", false),
    ("http/1.1 200 ok\r\n\r\nhi", "hi", false),
    ("HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "hi", true),
];

#[test]
fn every_framing_ends_where_it_says() {
    for (text, body, ended) in FRAMED.iter().copied() {
        let answer = whole(text).unwrap();
        assert_eq!((answer.body.as_slice(), answer.ended), (body.as_bytes(), ended), "{text:?}");
    }
}

#[test]
fn where_the_input_is_cut_makes_no_difference() {
    for (text, ..) in FRAMED.iter().copied() {
        let expected = whole(text);
        let bytes = text.as_bytes();
        for size in [1, 2, 3, 7] {
            assert_eq!(run(bytes.chunks(size)), expected, "{text:?} by {size}");
        }
        for cut in 0..=bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(run([front, back]), expected, "{text:?} at {cut}");
            assert_eq!(run([front, &[], back, &[]]), expected, "{text:?} at {cut}, with nothing");
        }
    }
}

#[test]
fn a_head_says_what_came() {
    let text = "HTTP/1.1 302 Moved  there\r\nServer: x\r\nlocation:  /new?a=b \r\n\
                Location: /second\r\nContent-Length: 0\r\n\r\n";
    let head = whole(text).unwrap().head;
    assert_eq!((head.status, &*head.reason, head.length), (302, "Moved  there", Some(0)));
    assert_eq!(head.location.as_deref(), Some(&b"/new?a=b"[..]));
    assert_eq!(head.redirect(), Some(&b"/new?a=b"[..]));

    for (text, status, reason, length) in [
        ("HTTP/1.1 200\r\n\r\n", 200, "", None),
        ("HTTP/1.1 200 \r\n\r\n", 200, "", None),
        (
            "HTTP/1.1 201 I'm\ta \r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            201,
            "I'm\\ta",
            Some(0),
        ),
        (
            "HTTP/1.1 599 \u{e4}\x1b[2J\r\nContent-Length: 0\r\n\r\n",
            599,
            "\u{e4}\\u{1b}[2J",
            Some(0),
        ),
        ("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n", 204, "No", Some(0)),
        ("HTTP/1.1 302 No place\r\nContent-Length: 0\r\n\r\n", 302, "No place", Some(0)),
    ] {
        let head = whole(text).unwrap().head;
        assert_eq!((head.status, &*head.reason, head.length), (status, reason, length), "{text:?}");
        assert_eq!(head.redirect(), None, "{text:?}");
    }
    let long = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(1000));
    let reason = whole(&long).unwrap().head.reason;
    assert!(reason.len() < 250 && reason.ends_with("x… (1000 bytes)"), "{reason}");
}

#[test]
fn a_head_that_is_not_understood_says_why() {
    use HeadError::{Length, Lengths, NotHttp, Status, Switched, Transfer};
    for (start, fields, expected) in [
        ("SSH-2.0-OpenSSH", "", NotHttp),
        ("ICY 200 OK", "", NotHttp),
        (" HTTP/1.1 200 OK", "", NotHttp),
        ("\r\nHTTP/1.1 200 OK", "", NotHttp),
        ("HTTP/1.1 20 OK", "", Status),
        ("HTTP/1.1 2000 OK", "", Status),
        ("HTTP/1.1 -20 OK", "", Status),
        ("HTTP/1.1 OK", "", Status),
        ("HTTP/1.1 101 Go on", "Upgrade: x\r\n", Switched),
        ("HTTP/1.1 200 OK", "Content-Length: 5\x01\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 5\0\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 5\rX: y\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 5\r\n 6\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length : x\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: \r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: +5\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: -5\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 0x5\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 5 5\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: ,\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 5;x\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 18446744073709551616\r\n", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 5, 6\r\n", Lengths { first: 5, other: 6 }),
        (
            "HTTP/1.1 200 OK",
            "Content-Length: 5\r\nA: b\r\ncontent-length: 0\r\n",
            Lengths { first: 5, other: 0 },
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: gzip, chunked\r\n",
            Transfer("gzip, chunked".into()),
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Transfer("chunked, chunked".into()),
        ),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked;q\r\n", Transfer("chunked;q".into())),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: xchunked\r\n", Transfer("xchunked".into())),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: none\r\n", Transfer("none".into())),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: \u{9b}2J\r\n", Transfer("\\u{9b}2j".into())),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chun\rked\r\n", Transfer("chun\\rked".into())),
    ] {
        let text = format!("{start}\r\n{fields}\r\n");
        let expected = ResponseError::Head(expected);
        assert!(!expected.to_string().contains(['\n', '\r']), "{expected}");
        assert_eq!(whole(&text), Err(expected.clone()), "{text:?}");
        assert_eq!(run(text.as_bytes().chunks(1)), Err(expected), "{text:?} byte by byte");
    }
}

#[test]
fn another_protocol_is_noticed_at_its_first_byte() {
    let mut response = Response::new();
    assert_eq!(response.feed(b"S"), Err(ResponseError::Head(HeadError::NotHttp)));
    let mut response = Response::new();
    assert_eq!(response.feed(b"HTTP"), Ok(Fed::More));
    assert_eq!(response.feed(b" 1"), Err(ResponseError::Head(HeadError::NotHttp)));
}

#[test]
fn heads_have_an_end_and_interim_ones_count() {
    const MAX: usize = 512 * 1024;
    let too_long = Err(ResponseError::Head(HeadError::TooLong { max: MAX }));
    let of_length = |len: usize| {
        let (front, back) = ("HTTP/1.1 200 OK\r\nX: ", "\r\nContent-Length: 0\r\n\r\n");
        format!("{front}{}{back}", "x".repeat(len - front.len() - back.len()))
    };
    assert!(whole(&of_length(MAX)).is_ok());
    assert_eq!(whole(&of_length(MAX + 1)), too_long);
    assert_eq!(run(of_length(MAX + 1).as_bytes().chunks(1000)), too_long);
    assert_eq!(whole(&format!("HTTP/1.1 200 {}", "x".repeat(MAX))), too_long);
    assert_eq!(whole(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX / 8)), too_long);

    // As many fields as there is room for.
    assert!(whole(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X:y\n".repeat(MAX / 4 - 8))).is_ok());
    assert!(whole(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "\n".repeat(MAX - 64))).is_ok());
}

#[test]
fn a_coding_is_told_and_not_undone() {
    for (field, coding) in [
        ("X: y", None),
        ("Content-Encoding: identity", None),
        ("Content-Encoding: identity, GZip", Some("gzip")),
        ("Content-Encoding: UTF-8", Some("utf-8")),
        ("Content-Encoding: \u{9b}2J", Some("\\u{9b}2j")),
    ] {
        let head = whole(&format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n")).unwrap().head;
        assert_eq!(head.coding.as_deref(), coding, "{field}");
    }
}

#[test]
fn an_early_end_says_how_much_came() {
    for (text, expected) in [
        ("", ResponseError::NoAnswer { received: 0 }),
        ("HTTP/1.1 2", ResponseError::NoAnswer { received: 10 }),
        ("HTTP/1.1 100 Continue\r\n\r\n", ResponseError::NoAnswer { received: 25 }),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            ResponseError::Truncated { received: 4, of: Some(5) },
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nh",
            ResponseError::Truncated { received: 1, of: Some(u64::MAX) },
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            ResponseError::Truncated { received: 5, of: None },
        ),
    ] {
        assert_eq!(whole(text), Err(expected.clone()), "{text:?}");
        assert_eq!(run(text.as_bytes().chunks(1)), Err(expected), "{text:?} byte by byte");
    }
    let error = ResponseError::Truncated { received: 4, of: Some(5) };
    assert_eq!(error.to_string(), "the connection ended after 4 of 5 bytes");
}

#[test]
fn a_body_is_lent_and_not_copied() {
    let mut response = Response::new();
    let input = b"HTTP/1.1 200 OK\r\n\r\nhello";
    let Ok(Fed::Head { rest, .. }) = response.feed(input) else { panic!() };
    let Ok(Fed::Body { bytes, rest }) = response.feed(rest) else { panic!() };
    assert_eq!(bytes.as_ptr_range(), input[19..].as_ptr_range());
    assert_eq!(response.feed(rest), Ok(Fed::More));
}

/// Bytes that get past the first check more often than chance allows.
fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: [&[u8]; 16] = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 100 \n",
        b"Content-Length: ",
        b"5",
        b"18446744073709551615",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Location: /",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"0",
        b";",
        b" ",
        b"ffffffffffffffff",
    ];
    let word = prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    (any::<bool>(), proptest::collection::vec(word, 0..30)).prop_map(|(honest, words)| {
        let start: &[u8] = if honest { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        [start, &words.concat()].concat()
    })
}

/// `stream` in pieces of these sizes, over and over.
fn pieces<'s>(mut stream: &'s [u8], sizes: &'s [usize]) -> impl Iterator<Item = &'s [u8]> {
    sizes.iter().cycle().map_while(move |&size| {
        let (piece, rest) = stream.split_at_checked(size).unwrap_or((stream, &[]));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_no_cut_changes_what_they_mean(
        stream in nearly_http(),
        sizes in proptest::collection::vec(1usize..40, 1..8),
    ) {
        prop_assert_eq!(run(pieces(&stream, &sizes)), run([&*stream]));
    }

    #[test]
    fn every_framing_carries_every_body_through_every_cut(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        chunk in 1usize..50,
        sizes in proptest::collection::vec(1usize..40, 1..8),
    ) {
        let head = "HTTP/1.1 200 OK\r\n";
        let length = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        let close = format!("{head}\r\n");
        let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in body.chunks(chunk) {
            chunked.extend(format!("{:X}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()));
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        for (stream, ended) in [
            ([length.as_bytes(), &body].concat(), true),
            ([close.as_bytes(), &body].concat(), false),
            (chunked, true),
        ] {
            let answer = run(pieces(&stream, &sizes)).unwrap();
            prop_assert_eq!((&answer.body, answer.ended), (&body, ended));
        }
    }
}
