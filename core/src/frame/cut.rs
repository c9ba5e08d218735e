//! The positions of headers and payload when a run of bytes is sent in frames.

use crate::wire::FrameHeader;

/// How a run of bytes is cut into frames: each of the same size, the last one of what is left.
///
/// It is a pure function from a position in the stream to the part at that position. So a sender
/// keeps one number, and continues from any byte after a short write. The empty frame that may end
/// a stream is not part of it.
///
/// ```
/// use windlass_core::frame::{Cut, Part};
/// use windlass_core::wire::FrameHeader;
/// let cut = Cut::new(5000, 4096);
/// assert_eq!(cut.wire_len(), 4 + 4096 + 4 + 904);
/// assert_eq!(cut.at(4), Some(Part::Payload { from: 0, len: 4096 }));
/// assert_eq!(cut.at(4101), Some(Part::Header { header: FrameHeader::new(904), from: 1 }));
/// assert_eq!(cut.at(cut.wire_len()), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cut {
    len: u64,
    frame: u32,
}

/// The part of the stream from a position up to the next boundary of a header or payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Part {
    /// A header, beginning with its byte `from`.
    Header {
        /// The whole header.
        header: FrameHeader,
        /// Bytes of the header before the position: 0 to 3.
        from: usize,
    },
    /// Bytes of the run.
    Payload {
        /// The position of the first byte in the run.
        from: u64,
        /// How many bytes of the run the frame still has.
        len: u32,
    },
}

impl Cut {
    /// The smallest payload of a frame. With a smaller one the length of the longest file with its
    /// headers would not fit in 64 bits.
    pub const FRAME_MIN: u32 = 16;

    /// `len` bytes in frames of `frame` bytes, or of [`FRAME_MIN`](Self::FRAME_MIN) if that is more.
    pub const fn new(len: u64, frame: u32) -> Self {
        // Files have at most 2^63 bytes.
        let len = if len > i64::MAX.unsigned_abs() { i64::MAX.unsigned_abs() } else { len };
        Self { len, frame: if frame < Self::FRAME_MIN { Self::FRAME_MIN } else { frame } }
    }

    /// Bytes on the wire, headers included.
    pub const fn wire_len(self) -> u64 {
        let (frames, rest) = divide(self.len, self.frame as u64);
        self.len + (frames + (rest > 0) as u64) * FrameHeader::LEN as u64
    }

    /// The part at `position`; `None` behind the end.
    pub fn at(self, position: u64) -> Option<Part> {
        let (header, frame) = (FrameHeader::LEN as u64, u64::from(self.frame));
        let (index, within) = divide(position, header + frame);
        // Less than the position, so it fits.
        let begin = index * frame;
        let len = self.len.checked_sub(begin).filter(|&len| len > 0)?.min(frame);
        // At most `frame`, so it fits.
        let len = u32::try_from(len).unwrap_or(self.frame);
        Some(match within.checked_sub(header) {
            None => Part::Header {
                header: FrameHeader::new(len),
                from: usize::try_from(within).unwrap_or_default(),
            },
            Some(into) => {
                let len = len.checked_sub(u32::try_from(into).ok()?).filter(|&len| len > 0)?;
                Part::Payload { from: begin + into, len }
            }
        })
    }
}

/// Quotient and remainder. No divisor is 0, but the optimiser does not always see that.
const fn divide(number: u64, by: u64) -> (u64, u64) {
    match (number.checked_div(by), number.checked_rem(by)) {
        (Some(quotient), Some(remainder)) => (quotient, remainder),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The stream, read in pieces that end at every seam and after `step` bytes at the latest.
    fn stream(cut: Cut, run: &[u8], step: usize) -> Vec<u8> {
        let mut stream = Vec::new();
        while let Some(part) = cut.at(stream.len() as u64) {
            match part {
                Part::Header { header, from } => {
                    let rest = &header.as_bytes()[from..];
                    stream.extend_from_slice(&rest[..rest.len().min(step)]);
                }
                Part::Payload { from, len } => {
                    let from = usize::try_from(from).unwrap();
                    let rest = &run[from..from + len as usize];
                    stream.extend_from_slice(&rest[..rest.len().min(step)]);
                }
            }
        }
        stream
    }

    proptest! {
        #[test]
        fn it_is_what_an_encoder_writes(
            run in proptest::collection::vec(any::<u8>(), 0..200), frame in 16_u32..100, step in 1_usize..40,
        ) {
            let cut = Cut::new(run.len() as u64, frame);
            let expected: Vec<u8> = run
                .chunks(frame as usize)
                .flat_map(|payload| {
                    let len = u32::try_from(payload.len()).unwrap();
                    [FrameHeader::new(len).as_bytes(), payload].concat()
                })
                .collect();
            prop_assert_eq!(cut.wire_len(), expected.len() as u64);
            prop_assert_eq!(stream(cut, &run, step), expected);
        }
    }

    #[test]
    fn the_longest_file_can_be_counted() {
        for frame in [0, 16, 4096, u32::MAX] {
            let cut = Cut::new(u64::MAX, frame);
            let last = cut.wire_len() - 1;
            let end = i64::MAX.unsigned_abs();
            assert_eq!(cut.at(last), Some(Part::Payload { from: end - 1, len: 1 }), "{frame}");
            assert_eq!(cut.at(last + 1), None);
        }
        assert_eq!(Cut::new(0, 4096).at(0), None);
    }
}
