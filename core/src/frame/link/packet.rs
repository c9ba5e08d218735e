//! A packet: two bytes of header, a payload, a checksum, without a zero byte on the line.
//!
//! Consistent Overhead Byte Stuffing: every zero of the packet, and one in front of it, becomes the
//! distance to the next, the last one that to the end.
//!
//! ```text
//!   packet    00 11 22 00 33          00 00
//!   line   00 03 11 22 02 33 00    00 01 01 00
//! ```
//!
//! The checksum includes that first zero, so no loop has an exception for it. A byte is decoded and
//! added to the checksum when it arrives, one byte at a time.

use crate::bytes::fill;
use crate::crc::Crc32;

/// The largest payload in bytes. A packet then has 254 bytes, and the distances fit in a byte.
pub const PAYLOAD_MAX: usize = 248;

/// The bytes of a packet on the line, or in the memory of [`seal`], that are not payload: two
/// zeros, the first distance, kind, number and checksum.
pub const OVERHEAD: usize = HEAD + 5;

/// Bytes in front of a payload on the line.
pub(super) const HEAD: usize = 4;

/// The kinds of packets between two ends of a [`Link`](super::Link).
pub(super) mod kind {
    /// Opens a link; payload: `u8`, the largest payload that the sender accepts.
    pub(in super::super) const OPEN: u8 = 1;
    /// Bytes of the stream; without any, it asks whether the other end is there.
    pub(in super::super) const DATA: u8 = 2;
    /// The last bytes of the stream, or the end of the stream again.
    pub(in super::super) const END: u8 = 3;
    /// An opening, data or an end has arrived; payload: `u8`, bytes of payload that the sender takes
    /// next, 0 while it has not taken these.
    pub(in super::super) const ACK: u8 = 4;
    /// The sender knows of no such link, or gives it up.
    pub(in super::super) const RESET: u8 = 5;
    /// The bit of the end that answers the opening.
    pub(in super::super) const ANSWERS: u8 = 0x80;
}

/// A packet that arrived undamaged.
#[derive(PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Packet<'a> {
    /// Its kind. [`Link`](super::Link) has kinds of its own.
    pub kind: u8,
    /// Its number.
    pub seq: u8,
    /// Its payload, where it was decoded.
    pub payload: &'a mut [u8],
}

/// Why the bytes between two zeros are not a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Bad {
    /// A distance leads beyond their end: bytes were lost, or a zero was added.
    Code,
    /// They are fewer than those of the shortest packet.
    Short,
    /// They do not fit in the memory: the packet is too large, or a zero was lost.
    Long,
    /// The checksum differs.
    Checksum,
}

impl core::error::Error for Bad {}

impl core::fmt::Display for Bad {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Bad::Code => "the packet's code leads beyond its end",
            Bad::Short => "the packet is shorter than its header and checksum",
            Bad::Long => "the packet is longer than the memory for it",
            Bad::Checksum => "the packet's checksum is wrong",
        })
    }
}

/// Makes a packet for the line of a payload of `len` bytes at byte 4 of `memory`, in place. Returns
/// the bytes to send, `len` and [`OVERHEAD`] bytes with a zero before and behind them. `None` if
/// `memory` is shorter, or the payload longer than [`PAYLOAD_MAX`].
///
/// ```
/// use windlass_core::frame::link::seal;
/// let mut memory = *b"....hi.....";
/// let line = seal(&mut memory, 1, 7, 2).unwrap();
/// assert_eq!(line[..6], *b"\0\x09\x01\x07hi");
/// assert_eq!(line[10], 0);
/// ```
#[inline(never)]
pub fn seal(memory: &mut [u8], kind: u8, seq: u8, len: usize) -> Option<&[u8]> {
    if len > PAYLOAD_MAX {
        return None;
    }
    let line = memory.get_mut(..len + OVERHEAD)?;
    let (body, sum) = line.split_last_chunk_mut()?;
    *body.first_chunk_mut()? = [0, 0, kind, seq];
    let mut crc = Crc32::new();
    crc.update(body.get(1..)?);
    let [a, b, c, d] = crc.finish().to_le_bytes();
    *sum = [a, b, c, d, 0];
    let mut distance = 0_u8;
    for byte in line.get_mut(1..)?.iter_mut().rev() {
        if *byte == 0 {
            *byte = distance;
            distance = 0;
        }
        // At most 255 where it is used, since a packet has 254 bytes at most.
        distance = distance.wrapping_add(1);
    }
    Some(line)
}

/// The kind of a packet that is beside a link: its payload is a datagram, such as a
/// [`Score`](crate::wire::Score). Nothing answers it, and it may be lost.
pub const REPORT: u8 = 6;

/// Makes a packet for the line of a datagram, which is copied into `memory`. Returns the bytes to send. `None` if
/// `memory` has not [`OVERHEAD`] bytes more than the datagram, or the datagram is longer than [`PAYLOAD_MAX`].
///
/// ```
/// use windlass_core::frame::link::{OVERHEAD, report};
/// use windlass_core::wire::Score;
/// let mut memory = [0; 13 + OVERHEAD];
/// let mut score = [0; 13];
/// let line = report(&mut memory, Score::render(83, 86, b"Mike", &mut score)?).unwrap();
/// assert_eq!((line.len(), line[0], line[21]), (22, 0, 0));
/// # Ok::<(), windlass_core::fault::Limit>(())
/// ```
pub fn report<'m>(memory: &'m mut [u8], datagram: &[u8]) -> Option<&'m [u8]> {
    fill(memory.get_mut(HEAD..)?, datagram);
    seal(memory, REPORT, 0, datagram.len())
}

/// Bytes in front of a payload once they are decoded: the first zero, kind and number.
pub(super) const FRONT: usize = HEAD - 1;

/// Bytes behind a payload.
pub(super) const SUM: usize = 4;

/// The part of a packet since the last zero.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Reader {
    /// The number of bytes; bytes without room are counted too.
    pub(super) len: usize,
    crc: Crc32,
    /// Bytes until the next distance.
    left: u8,
}

impl Reader {
    pub(super) const fn new() -> Self {
        Self { len: 0, crc: Crc32::new(), left: 0 }
    }

    /// Decodes a byte that is not zero to where it belongs, if there is room.
    pub(super) fn push(&mut self, byte: u8, to: Option<&mut u8>) {
        let byte = if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            byte
        } else {
            self.left = byte.wrapping_sub(1);
            0
        };
        self.crc.push(byte);
        if let Some(to) = to {
            *to = byte;
        }
        self.len = self.len.wrapping_add(1);
    }

    /// A zero arrived. Returns where the payload ends in the memory, and begins the next packet.
    pub(super) fn end(&mut self) -> Result<usize, Bad> {
        let Self { len, crc, left } = core::mem::replace(self, Self::new());
        if left != 0 {
            return Err(Bad::Code);
        }
        match len.checked_sub(SUM) {
            Some(end @ FRONT..) if crc.is_whole() => Ok(end),
            Some(FRONT..) => Err(Bad::Checksum),
            Some(_) | None => Err(Bad::Short),
        }
    }
}
