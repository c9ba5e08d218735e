//! Frames of a stream that arrives in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::frame::{Decoder, Encoder, FrameStep};
use windlass_fuzz::{frame, pieces};

/// The longest payload that fits.
const MAX: usize = 24;

/// A payload, or one that is too long, of all frames; and whether the stream ended between two.
type Frames = (Vec<Option<Vec<u8>>>, bool);

fn read<'i>(pieces: impl Iterator<Item = &'i [u8]>) -> Frames {
    let (mut memory, mut found) = ([0; MAX], Vec::new());
    let mut frames = Decoder::new(&mut memory);
    for mut input in pieces {
        loop {
            match frames.feed(input) {
                FrameStep::More => break,
                FrameStep::Frame { payload, rest } => {
                    found.push(Some(payload.to_vec()));
                    input = rest;
                }
                FrameStep::TooLong { what, rest } => {
                    assert!(what.claimed > what.max);
                    found.push(None);
                    input = rest;
                }
            }
        }
    }
    (found, frames.finish().is_ok())
}

fn model(mut stream: &[u8]) -> Frames {
    let mut found = Vec::new();
    while let Some((payload, rest)) = frame(stream, MAX) {
        found.push(payload.map(<[u8]>::to_vec));
        // One that is too long, and cut: what is behind it never comes.
        let is_cut = payload.is_none()
            && u32::from_be_bytes(stream[..4].try_into().unwrap()) as usize > stream.len() - 4;
        if is_cut {
            return (found, false);
        }
        stream = rest;
    }
    (found, stream.is_empty())
}

fuzz_target!(|stream: &[u8]| {
    let expected = model(stream);
    assert_eq!(read([stream].into_iter()), expected);
    assert_eq!(read(pieces(stream)), expected);
    // Written again, with any room, the frames are the stream.
    let mut again = Vec::new();
    for payload in expected.0.iter().map_while(Option::as_ref) {
        let mut encoder = Encoder::new(payload, u32::MAX).unwrap();
        let mut room = [0; 7];
        while !encoder.is_done() {
            let n = encoder.render(&mut room);
            again.extend_from_slice(&room[..n]);
        }
    }
    assert!(stream.starts_with(&again));
});
