//! Chunks as servers send them, and where two readers could disagree.

use super::*;

fn run<'i>(pieces: impl IntoIterator<Item = &'i [u8]>) -> Result<(Vec<u8>, bool), ChunkError> {
    let mut chunked = Chunked::new();
    let mut body = Vec::new();
    for mut input in pieces {
        loop {
            match chunked.feed(input)? {
                Piece::More => break,
                Piece::Data { bytes, rest } => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(bytes);
                    input = rest;
                }
                Piece::End => return Ok((body, true)),
            }
        }
    }
    Ok((body, false))
}

/// The same, whole and byte by byte.
fn check(stream: &[u8], expected: &Result<(Vec<u8>, bool), ChunkError>) {
    let shown = stream[..stream.len().min(60)].escape_ascii();
    assert_eq!(&run([stream]), expected, "{shown}");
    assert_eq!(&run(stream.chunks(1)), expected, "{shown}, byte by byte");
}

#[test]
fn chunks_are_put_together() {
    for (stream, body) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
        ("003\r\nabc\r\n0\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("3  \t\r\nabc\r\n0 \r\n\r\n", "abc"),
        ("3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n", "abc"),
        ("3 ; a\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3;9\r\nabc\r\n0\r\n\r\n", "abc"),
        ("1\r\na\r\n0\r\nX: y\r\nZ: 0\r\n\r\n", "a"),
        ("1\r\na\r\n0\r\nX: y\n\n", "a"),
        ("1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", "a"),
    ] {
        check(stream.as_bytes(), &Ok((body.into(), true)));
    }
}

#[test]
fn a_body_is_whole_at_the_last_byte_and_not_before() {
    let stream = b"3;x\r\nabc\r\n0\r\nT: u\r\n\r\n";
    for cut in 0..stream.len() {
        let (_, whole) = run([&stream[..cut]]).unwrap();
        assert!(!whole, "cut at {cut}");
    }
}

#[test]
fn where_readers_could_disagree_there_is_an_error() {
    for (stream, expected) in [
        ("\r\n\r\n", ChunkError::Size),
        (";x\r\n\r\n", ChunkError::Size),
        (" 3\r\nabc", ChunkError::Size),
        ("g\r\n", ChunkError::Size),
        ("-1\r\n", ChunkError::Size),
        ("+1\r\n", ChunkError::Size),
        ("0x3\r\nabc", ChunkError::Size),
        ("3_0\r\n", ChunkError::Size),
        ("3 0\r\n", ChunkError::Size),
        ("3\nabc\n", ChunkError::Size),
        ("3\rabc", ChunkError::Size),
        ("3\r\r\nabc", ChunkError::Size),
        ("3;x\nabc", ChunkError::Size),
        ("3;x\rabc", ChunkError::Size),
        ("3 \nabc", ChunkError::Size),
        ("3\r\nabcd\r\n", ChunkError::Overrun),
        ("3\r\nabc\n0\r\n", ChunkError::Overrun),
        ("3\r\nabc\rx", ChunkError::Overrun),
        ("3\r\nabc0\r\n\r\n", ChunkError::Overrun),
        ("0\r\n\rX: y\r\n\r\n", ChunkError::Trailers),
        ("10000000000000000\r\n", ChunkError::SizeTooLarge),
        ("fffffffffffffffff\r\n", ChunkError::SizeTooLarge),
    ] {
        check(stream.as_bytes(), &Err(expected));
        assert!(!expected.to_string().contains('\n'));
    }
}

#[test]
fn the_largest_size_is_counted_and_not_believed() {
    check(b"ffffffffffffffff\r\nabc", &Ok((b"abc".to_vec(), false)));
}

#[test]
fn lines_and_trailers_have_an_end() {
    let zeros = |n: usize| [&b"0".repeat(n)[..], b"1\r\na\r\n0\r\n\r\n"].concat();
    check(&zeros(LINE_MAX - 3), &Ok((b"a".to_vec(), true)));
    check(&zeros(LINE_MAX - 2), &Err(ChunkError::LineTooLong { max: LINE_MAX }));

    for endless in [&b"0"[..], b"1;", b"1 "] {
        let (start, fill) = endless.split_at(endless.len() - 1);
        let stream = [start, &fill.repeat(LINE_MAX + 1)].concat();
        check(&stream, &Err(ChunkError::LineTooLong { max: LINE_MAX }));
    }
    for endless in [&b"x"[..], b"x\r\n"] {
        let stream = [b"0\r\n", &*endless.repeat(TRAILERS_MAX + 1)].concat();
        check(&stream, &Err(ChunkError::TrailersTooLong { max: TRAILERS_MAX }));
    }
    // The bound is for one line, not for all of them together.
    let many = [&*b"1;x\r\na\r\n".repeat(LINE_MAX), b"0\r\n\r\n"].concat();
    check(&many, &Ok((b"a".repeat(LINE_MAX), true)));
}
