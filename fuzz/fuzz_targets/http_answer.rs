//! The answer of an HTTP server: in any pieces it is the same head and body, and a redirect leads to a URL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::client::http::{Fed, Head, Response, ResponseError, Url};
use windlass_fuzz::pieces;

/// The head, the body, and how it ended.
type Answer = (Option<Head>, Vec<u8>, Result<(), ResponseError>);

fn read<'i>(pieces: impl Iterator<Item = &'i [u8]>) -> Answer {
    let (mut response, mut found, mut body) = (Response::new(), None, Vec::new());
    for mut input in pieces {
        loop {
            match response.feed(input) {
                Ok(Fed::More) => break,
                Ok(Fed::Head { head, rest }) => {
                    assert!(found.is_none(), "a second head");
                    found = Some(head);
                    input = rest;
                }
                Ok(Fed::Body { bytes, rest }) => {
                    assert!(found.is_some() && !bytes.is_empty());
                    body.extend_from_slice(bytes);
                    input = rest;
                }
                Ok(Fed::End) => return (found, body, Ok(())),
                Err(error) => return (found, body, Err(error)),
            }
        }
    }
    let how = response.eof();
    (found, body, how)
}

fuzz_target!(|answer: &[u8]| {
    let whole = read([answer].into_iter());
    assert_eq!(read(pieces(answer)), whole);
    let (Some(head), body, how) = whole else { return };
    if let (Some(length), Ok(())) = (head.length, how) {
        assert_eq!(length, body.len() as u64);
    }
    assert!(!head.reason.chars().any(char::is_control), "the reason is printable");
    let from = Url::parse("http://example.org/a/b?c").unwrap();
    if let Some(to) = head.redirect().and_then(|location| from.redirect(location).ok()) {
        assert_eq!(Url::parse(to.absolute()).map(|url| url.absolute()), Ok(to.absolute()));
    }
});
