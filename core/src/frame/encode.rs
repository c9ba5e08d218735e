//! Writes one frame in as many pieces as the stream takes.

use super::TooLong;
use crate::bytes::put;
use crate::wire::FrameHeader;

/// One frame on its way out: a header of its own and a payload that stays where it is.
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
    /// Bytes of header and payload that went. Invariant: at most the length of both.
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
    /// A frame of `payload`, of which the receiver takes at most `max` bytes.
    ///
    /// # Errors
    /// [`TooLong`] when the payload is longer than `max` or than a header can say.
    #[expect(clippy::cast_possible_truncation, reason = "a length that does not fit is refused")]
    pub const fn new(payload: &'p [u8], max: u32) -> Result<Self, TooLong> {
        let fits = payload.len() <= u32::MAX as usize;
        let len = if fits { payload.len() as u32 } else { u32::MAX };
        if len > max || !fits {
            return Err(TooLong { claimed: len, max });
        }
        Ok(Self { header: FrameHeader::new(len), payload, sent: 0 })
    }

    /// What is left to write, as the two slices a `writev(2)` takes.
    pub fn pending(&self) -> [&[u8]; 2] {
        let of_payload = self.sent.saturating_sub(FrameHeader::LEN);
        [
            self.header.as_bytes().get(self.sent..).unwrap_or_default(),
            self.payload.get(of_payload..).unwrap_or_default(),
        ]
    }

    /// Notes that `n` more bytes went.
    pub fn advance(&mut self, n: usize) {
        let all = FrameHeader::LEN + self.payload.len();
        debug_assert!(n <= all - self.sent, "more went than was pending");
        self.sent = self.sent.saturating_add(n).min(all);
    }

    /// Copies as much as fits into `out`, notes it as gone, and says how much that was.
    pub fn render(&mut self, out: &mut [u8]) -> usize {
        let mut n = 0;
        for part in self.pending() {
            n = put(out, n, part);
        }
        self.advance(n);
        n
    }

    /// Whether all of the frame went.
    pub fn is_done(&self) -> bool {
        self.sent == FrameHeader::LEN + self.payload.len()
    }
}
