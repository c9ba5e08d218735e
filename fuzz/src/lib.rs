//! What the targets share: input in pieces, models of what a parser does, and a shell without sockets.
//!
//! A target takes the bytes as a peer sends them, so a file of the corpus is a message that can be read. How it
//! arrives in pieces follows from the bytes themselves.

mod shell;

pub use shell::{Told, talk};

use windlass_core::crc::Crc32;
use windlass_core::sim::Random;

/// Cuts a stream into pieces, in an order of lengths that follows from its bytes.
pub fn pieces(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut random = random_of(stream);
    let longest = [1, 3, 16, 300][random.below(4) as usize];
    let mut rest = stream;
    std::iter::from_fn(move || {
        let len = rest.len().min(1 + random.below(longest) as usize);
        let (piece, behind) = rest.split_at(len);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Numbers that follow from these bytes.
pub fn random_of(bytes: &[u8]) -> Random {
    let mut crc = Crc32::new();
    crc.update(bytes);
    Random::new(crc.finish().into())
}

/// The words before each NUL, and what is behind the last NUL.
pub fn words(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut words: Vec<_> = bytes.split(|&byte| byte == 0).collect();
    let rest = words.pop().unwrap_or_default();
    (words, rest)
}

/// A frame, as the page on protocols has it: its payload, or that it is longer than `max`; and what is behind it.
/// `None` where the stream ends first. A frame that is too long is reported with its header.
pub fn frame(stream: &[u8], max: usize) -> Option<(Option<&[u8]>, &[u8])> {
    let (header, rest) = stream.split_first_chunk::<4>()?;
    let len = u32::from_be_bytes(*header) as usize;
    if len > max {
        return Some((None, rest.get(len..).unwrap_or_default()));
    }
    Some((Some(rest.get(..len)?), &rest[len..]))
}
