//! Text as TFTP carries it, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::transfer::netascii::{Decoder, Encoder};
use windlass_fuzz::pieces;

fn decode<'i>(pieces: impl Iterator<Item = &'i [u8]>, room: usize) -> Vec<u8> {
    let (mut decoder, mut file, mut to) = (Decoder::new(), Vec::new(), vec![0; room]);
    for mut piece in pieces {
        while !piece.is_empty() {
            let moved = decoder.decode(piece, &mut to);
            assert!(moved.read + moved.written > 0, "it goes on");
            file.extend_from_slice(&to[..moved.written]);
            piece = &piece[moved.read..];
        }
    }
    file.extend(decoder.finish());
    file
}

fn encode<'i>(pieces: impl Iterator<Item = &'i [u8]>, room: usize) -> Vec<u8> {
    let (mut encoder, mut text, mut to) = (Encoder::new(), Vec::new(), vec![0; room]);
    for mut piece in pieces {
        while !piece.is_empty() || !encoder.is_done() {
            let moved = encoder.encode(piece, &mut to);
            assert!(moved.read + moved.written > 0, "it goes on");
            text.extend_from_slice(&to[..moved.written]);
            piece = &piece[moved.read..];
        }
    }
    text
}

/// Pair by pair.
fn decoded(text: &[u8]) -> Vec<u8> {
    match text {
        [b'\r', b'\n', rest @ ..] => [b"\n", &decoded(rest)[..]].concat(),
        [b'\r', 0, rest @ ..] => [b"\r", &decoded(rest)[..]].concat(),
        [byte, rest @ ..] => [&[*byte], &decoded(rest)[..]].concat(),
        [] => Vec::new(),
    }
}

fuzz_target!(|text: &[u8]| {
    let text = &text[..text.len().min(600)];
    let expected = decoded(text);
    for room in [1, 2, 1000] {
        assert_eq!(decode([text].into_iter(), room), expected);
        assert_eq!(decode(pieces(text), room), expected);
        let travels = encode(pieces(text), room);
        assert_eq!(decode(pieces(&travels), room), text, "there and back");
    }
});
