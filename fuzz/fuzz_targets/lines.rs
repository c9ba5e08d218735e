//! Lines of a stream that arrives in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::stream::{Ending, LineStep, ReadLine};
use windlass_fuzz::pieces;

/// The longest line.
const MAX: usize = 12;

/// A line and its end, or one that is too long.
type Line = Option<(Vec<u8>, Ending)>;

fn read<'i>(pieces: impl Iterator<Item = &'i [u8]>) -> Vec<Line> {
    let (mut memory, mut found) = ([0; MAX], Vec::new());
    let mut lines = ReadLine::new(&mut memory);
    for mut input in pieces {
        loop {
            match lines.feed(input) {
                LineStep::More => break,
                LineStep::Line { line, rest } => {
                    found.push(Some((line.text.to_vec(), line.ending)));
                    input = rest;
                }
                LineStep::TooLong { rest, .. } => {
                    found.push(None);
                    input = rest;
                }
            }
        }
    }
    match lines.finish() {
        Some(Ok(line)) => found.push(Some((line.text.to_vec(), line.ending))),
        Some(Err(_)) => found.push(None),
        None => {}
    }
    found
}

/// The same with all of the stream at hand.
fn model(stream: &[u8]) -> Vec<Line> {
    let mut found = Vec::new();
    for line in stream.split_inclusive(|&byte| byte == b'\n') {
        let (text, ending) = if let Some(text) = line.strip_suffix(b"\r\n") {
            (text, Ending::CrLf)
        } else if let Some(text) = line.strip_suffix(b"\n") {
            (text, Ending::Lf)
        } else {
            (line, Ending::Eof)
        };
        found.push((text.len() <= MAX).then(|| (text.to_vec(), ending)));
    }
    found
}

fuzz_target!(|stream: &[u8]| {
    let expected = model(stream);
    assert_eq!(read([stream].into_iter()), expected);
    assert_eq!(read(pieces(stream)), expected);
});
