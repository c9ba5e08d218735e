//! A chunked body of an HTTP server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::client::http::{Fed, Response};
use windlass_fuzz::pieces;

/// The body, if it is whole, and how many bytes it took.
fn read<'i>(pieces: impl Iterator<Item = &'i [u8]>) -> Option<Vec<u8>> {
    let (mut response, mut body) = (Response::new(), Vec::new());
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for mut input in [&head[..]].into_iter().chain(pieces) {
        loop {
            match response.feed(input).ok()? {
                Fed::More => break,
                Fed::Head { rest, .. } => input = rest,
                Fed::Body { bytes, rest } => {
                    body.extend_from_slice(bytes);
                    input = rest;
                }
                Fed::End => return Some(body),
            }
        }
    }
    None
}

/// The same with all of it at hand.
fn model(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r")?;
        rest = &rest[end + 1..];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let behind = line[digits..].trim_ascii_start();
        // Behind the size there are blanks, and perhaps an extension, in which nothing but a CR is of a meaning.
        let blanks = line[digits..].len() - behind.len();
        let is_blank = line[digits..][..blanks].iter().all(|byte| b" \t".contains(byte));
        let is_extension = behind.is_empty() || behind[0] == b';' && !behind.contains(&b'\r');
        if !is_blank || !is_extension {
            return None;
        }
        let size = u64::from_str_radix(str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    // Trailers, up to an empty line.
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        match &rest[..end] {
            b"" | b"\r" => return Some(body),
            [b'\r', ..] => return None,
            _ => rest = &rest[end + 1..],
        }
    }
}

fuzz_target!(|body: &[u8]| {
    // Limits of lines are not the matter here.
    if body.len() < 4000 {
        let expected = model(body);
        assert_eq!(read([body].into_iter()), expected);
        assert_eq!(read(pieces(body)), expected);
    }
});
