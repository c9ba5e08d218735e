//! Cuts a byte stream into frames, in a buffer of fixed size.

use super::TooLong;
use super::header::HeaderReader;
use crate::bytes::{after, first, put, split};
use crate::fault::Peer;

/// Cuts a stream into frames; the pieces of the stream may have any length.
///
/// The largest accepted payload is the length of the buffer. A frame that claims more is reported
/// at its header with both lengths, and skipped. The next frame is not affected. A frame that is
/// complete in the input is lent from there without a copy.
///
/// ```
/// use windlass_core::frame::{Decoder, FrameStep};
/// let mut buf = [0; 8];
/// let mut frames = Decoder::new(&mut buf);
/// let FrameStep::Frame { payload, rest } = frames.feed(b"\0\0\0\x02hi\0\0") else { panic!() };
/// assert_eq!(payload, b"hi");
/// assert_eq!(frames.feed(rest), FrameStep::More);
/// assert!(frames.finish().is_err(), "the stream ended inside a header");
/// ```
#[derive(Debug)]
pub struct Decoder<'b> {
    buf: &'b mut [u8],
    state: State,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Decoder<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Decoder {{ state: {}, max: {=usize} }}", self.state, self.buf.len());
    }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Inside a header.
    Header(HeaderReader),
    /// Inside a payload of `len <= buf.len()` bytes: the first `have < len` are in the buffer.
    Payload { len: usize, have: usize },
    /// Inside an oversize payload: `left` bytes of it are still to be skipped.
    Skipping { left: u32 },
}

impl State {
    const START: Self = State::Header(HeaderReader::START);
}

/// What [`Decoder::feed`] found. `rest` is the input after it: feed that next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum FrameStep<'a, 'i> {
    /// All of the input is taken, and no frame is complete.
    More,
    /// A frame.
    Frame {
        /// Its payload.
        payload: &'a [u8],
        /// The input after it.
        rest: &'i [u8],
    },
    /// A frame that claims more than the buffer holds. Its payload is skipped.
    TooLong {
        /// The claimed and the allowed length.
        what: TooLong,
        /// The input after its header.
        rest: &'i [u8],
    },
}

// By hand: the derive cannot tell apart the slices of two lifetimes.
#[cfg(feature = "defmt")]
impl defmt::Format for FrameStep<'_, '_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            FrameStep::More => defmt::write!(f, "More"),
            FrameStep::Frame { payload, rest } => {
                let (payload, rest) = (payload.len(), rest.len());
                defmt::write!(f, "Frame {{ payload: {=usize}, rest: {=usize} }}", payload, rest);
            }
            FrameStep::TooLong { what, rest } => {
                defmt::write!(f, "TooLong {{ what: {}, rest: {=usize} }}", what, rest.len());
            }
        }
    }
}

impl<'b> Decoder<'b> {
    /// Takes frames of up to `buf.len()` bytes of payload.
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, state: State::START }
    }

    /// Takes input up to the end of the first frame in it.
    pub fn feed<'a, 'i: 'a>(&'a mut self, mut input: &'i [u8]) -> FrameStep<'a, 'i> {
        loop {
            match &mut self.state {
                State::Header(header) => {
                    let (header, rest) = header.take(input);
                    input = rest;
                    let Some(header) = header else { return FrameStep::More };
                    if let Err(what) = self.begin(header.len()) {
                        return FrameStep::TooLong { what, rest };
                    }
                }
                &mut State::Payload { len, have: 0 } if input.len() >= len => {
                    self.state = State::START;
                    let (payload, rest) = split(input, len);
                    return FrameStep::Frame { payload, rest };
                }
                State::Payload { len, have } => {
                    let (piece, rest) = split(input, *len - *have);
                    *have = put(self.buf, *have, piece);
                    if have < len {
                        return FrameStep::More;
                    }
                    let len = *len;
                    self.state = State::START;
                    return FrameStep::Frame { payload: first(self.buf, len), rest };
                }
                State::Skipping { left } => {
                    let n = input.len().min(*left as usize);
                    // `n <= *left`, so it fits.
                    *left -= u32::try_from(n).unwrap_or(*left);
                    input = after(input, n);
                    if *left > 0 {
                        return FrameStep::More;
                    }
                    self.state = State::START;
                }
            }
        }
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`Peer::Truncated`] inside a frame, an oversize one included. A new stream can follow.
    pub fn finish(&mut self) -> Result<(), Peer> {
        match core::mem::replace(&mut self.state, State::START) {
            State::Header(header) if header.is_empty() => Ok(()),
            State::Header(_) | State::Payload { .. } | State::Skipping { .. } => {
                Err(Peer::Truncated)
            }
        }
    }

    /// The state after a header: inside its payload, or both lengths if the payload is too long.
    fn begin(&mut self, claimed: u32) -> Result<(), TooLong> {
        match usize::try_from(claimed) {
            Ok(len) if len <= self.buf.len() => {
                self.state = State::Payload { len, have: 0 };
                Ok(())
            }
            _ => {
                self.state = State::Skipping { left: claimed };
                Err(TooLong { claimed, max: u32::try_from(self.buf.len()).unwrap_or(u32::MAX) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::Encoder;
    use proptest::prelude::*;
    use std::vec::Vec;

    type Event = Result<Vec<u8>, TooLong>;

    fn run<'i>(max: usize, pieces: impl IntoIterator<Item = &'i [u8]>) -> (Vec<Event>, bool) {
        let mut buf = std::vec![0; max];
        let mut frames = Decoder::new(&mut buf);
        let mut events = Vec::new();
        for mut input in pieces {
            loop {
                match frames.feed(input) {
                    FrameStep::More => break,
                    FrameStep::Frame { payload, rest } => {
                        events.push(Ok(payload.to_vec()));
                        input = rest;
                    }
                    FrameStep::TooLong { what, rest } => {
                        events.push(Err(what));
                        input = rest;
                    }
                }
            }
        }
        (events, frames.finish().is_ok())
    }

    fn encode(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for payload in payloads {
            let mut frame = Encoder::new(payload, u32::MAX).unwrap();
            let mut piece = [0; 3];
            while !frame.is_done() {
                let n = frame.render(&mut piece);
                stream.extend_from_slice(&piece[..n]);
            }
        }
        stream
    }

    #[test]
    fn an_oversize_frame_is_named_and_skipped() {
        let stream = encode(&[b"four".to_vec(), b"five!".to_vec(), b"".to_vec(), b"ok".to_vec()]);
        let expected = (
            std::vec![
                Ok(b"four".to_vec()),
                Err(TooLong { claimed: 5, max: 4 }),
                Ok(b"".to_vec()),
                Ok(b"ok".to_vec()),
            ],
            true,
        );
        for size in 1..=stream.len() {
            assert_eq!(run(4, stream.chunks(size)), expected, "by {size}");
        }
    }

    #[test]
    fn the_largest_claim_is_skipped_not_believed() {
        let (events, whole) = run(16, [&b"\xff\xff\xff\xffabc"[..]]);
        assert_eq!(events, [Err(TooLong { claimed: u32::MAX, max: 16 })]);
        assert!(!whole);
    }

    #[test]
    fn the_end_of_the_stream_is_checked_at_every_byte() {
        let stream = encode(&[b"abc".to_vec(), b"".to_vec()]);
        for cut in 0..=stream.len() {
            let whole = cut == 0 || cut == 7 || cut == 11;
            assert_eq!(run(8, [&stream[..cut]]).1, whole, "cut at {cut}");
        }
    }

    #[test]
    fn the_encoder_refuses_what_the_receiver_would() {
        assert_eq!(Encoder::new(b"abc", 2).unwrap_err(), TooLong { claimed: 3, max: 2 });
        assert!(Encoder::new(b"", 0).unwrap().pending()[1].is_empty());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_under_any_chunking(
            payloads in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..20), 0..8),
            size in 1usize..40,
            max in 0usize..20,
        ) {
            let stream = encode(&payloads);
            let expected: Vec<Event> = payloads
                .into_iter()
                .map(|p| {
                    if p.len() <= max {
                        Ok(p)
                    } else {
                        Err(TooLong {
                            claimed: u32::try_from(p.len()).unwrap(),
                            max: u32::try_from(max).unwrap(),
                        })
                    }
                })
                .collect();
            prop_assert_eq!(run(max, stream.chunks(size)), (expected, true));
        }
    }
}
