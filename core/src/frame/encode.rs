//! Writes one frame by any number of writes.

use super::TooLong;
use crate::bytes::put;
use crate::wire::FrameHeader;

/// One frame to send: its own header, and a payload that is not copied.
///
/// ```
/// use windlass_core::frame::Encoder;
/// let mut frame = Encoder::new(b"hi", 4096).unwrap();
/// assert_eq!(frame.pending(), [&[0, 0, 0, 2][..], b"hi"]); // for writev(2)
/// frame.advance(5);                                        // a short write
/// assert_eq!(frame.pending(), [&b""[..], b"i"]);
/// ```
#[derive(Debug, Clone)]
pub struct Encoder<'p> {
    header: FrameHeader,
    payload: &'p [u8],
    /// Bytes of header and payload that were written. Invariant: at most the length of both.
    sent: usize,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Encoder<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Encoder {{ sent: {=usize}, of: {=usize} }}",
            self.sent,
            self.payload.len()
        );
    }
}

impl<'p> Encoder<'p> {
    /// A frame with `payload`, for a receiver that accepts at most `max` bytes of payload.
    ///
    /// # Errors
    /// [`TooLong`] if the payload is longer than `max`, or too long for the header.
    #[expect(clippy::cast_possible_truncation, reason = "a length that does not fit is refused")]
    pub const fn new(payload: &'p [u8], max: u32) -> Result<Self, TooLong> {
        let fits = payload.len() <= u32::MAX as usize;
        let len = if fits { payload.len() as u32 } else { u32::MAX };
        if len > max || !fits {
            return Err(TooLong { claimed: len, max });
        }
        Ok(Self { header: FrameHeader::new(len), payload, sent: 0 })
    }

    /// The bytes left to write, as two slices for `writev(2)`.
    pub fn pending(&self) -> [&[u8]; 2] {
        let of_payload = self.sent.saturating_sub(FrameHeader::LEN);
        [
            self.header.as_bytes().get(self.sent..).unwrap_or_default(),
            self.payload.get(of_payload..).unwrap_or_default(),
        ]
    }

    /// Notes that `n` more bytes were written.
    pub fn advance(&mut self, n: usize) {
        let all = FrameHeader::LEN + self.payload.len();
        debug_assert!(n <= all - self.sent, "more went than was pending");
        self.sent = self.sent.saturating_add(n).min(all);
    }

    /// Copies as many bytes as fit into `out`, notes them as written, and returns their number.
    pub fn render(&mut self, out: &mut [u8]) -> usize {
        let mut n = 0;
        for part in self.pending() {
            n = put(out, n, part);
        }
        self.advance(n);
        n
    }

    /// Whether the whole frame was written.
    pub fn is_done(&self) -> bool {
        self.sent == FrameHeader::LEN + self.payload.len()
    }
}
