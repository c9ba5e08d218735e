//! A packet: two bytes of header, a payload, a checksum, without a zero byte on the line.
//!
//! Consistent Overhead Byte Stuffing: every zero of the packet, and a byte in front of it, becomes the
//! distance to the next, the last one that to the end.
//!
//! ```text
//!   packet       11 22 00 33          00
//!   line   00 03 11 22 02 33 00       00 01 01 00
//! ```

use crate::crc::Crc32;

/// Bytes of a payload at most. A packet then has 254 bytes, and the distances fit in a byte.
pub const PAYLOAD_MAX: usize = 248;

/// Bytes on the line, or in the memory of [`seal`], that are not payload: two zeros, the first distance,
/// kind, number and checksum.
pub const OVERHEAD: usize = HEAD + 5;

/// Bytes in front of a payload on the line.
pub(super) const HEAD: usize = 4;

/// A packet that came whole.
#[derive(PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Packet<'a> {
    /// What it is for. [`Link`](super::Link) has kinds of its own.
    pub kind: u8,
    /// Its number.
    pub seq: u8,
    /// What it carries, where it was decoded.
    pub payload: &'a mut [u8],
}

/// Why the bytes between two zeros are not a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Bad {
    /// A distance leads beyond their end: bytes were lost, or a zero was added.
    Code,
    /// They are fewer than a packet has.
    Short,
    /// They are more than there is memory for: too large a packet, or a zero was lost.
    Long,
    /// The checksum is of other bytes.
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

/// Makes a packet for the line of a payload of `len` bytes that stands at byte 4 of `memory`, in place. What
/// is to be sent is returned; it is `len` and [`OVERHEAD`] bytes long, a zero before and behind it. `None`
/// when `memory` is shorter, or the payload longer than [`PAYLOAD_MAX`].
///
/// ```
/// use windlass_core::frame::link::seal;
/// let mut memory = *b"....hi.....";
/// let line = seal(&mut memory, 1, 7, 2).unwrap();
/// assert_eq!(line[..6], *b"\0\x09\x01\x07hi");
/// assert_eq!(line[10], 0);
/// ```
pub fn seal(memory: &mut [u8], kind: u8, seq: u8, len: usize) -> Option<&[u8]> {
    if len > PAYLOAD_MAX {
        return None;
    }
    let line = memory.get_mut(..len + OVERHEAD)?;
    let [before, code, packet @ .., behind] = line else { return None };
    let (body, sum) = packet.split_last_chunk_mut()?;
    *body.first_chunk_mut()? = [kind, seq];
    *sum = checksum(body);
    let mut distance = 1_u8;
    for byte in packet.iter_mut().rev() {
        if *byte == 0 {
            *byte = distance;
            distance = 0;
        }
        // At most 255, since a packet has 254 bytes at most.
        distance = distance.wrapping_add(1);
    }
    (*before, *code, *behind) = (0, distance, 0);
    Some(line)
}

/// The packet in what stood between two zeros, decoded in place.
pub(super) fn open(bytes: &mut [u8]) -> Result<Packet<'_>, Bad> {
    let [code, packet @ ..] = bytes else { return Err(Bad::Short) };
    let mut distance = *code;
    for byte in packet.iter_mut() {
        distance = distance.wrapping_sub(1);
        if distance == 0 {
            distance = *byte;
            *byte = 0;
        }
    }
    if distance != 1 {
        return Err(Bad::Code);
    }
    let (body, sum) = packet.split_last_chunk_mut().ok_or(Bad::Short)?;
    if checksum(body) != *sum {
        return Err(Bad::Checksum);
    }
    let (&mut [kind, seq], payload) = body.split_first_chunk_mut().ok_or(Bad::Short)?;
    Ok(Packet { kind, seq, payload })
}

#[inline(never)]
fn checksum(body: &[u8]) -> [u8; 4] {
    let mut crc = Crc32::new();
    crc.update(body);
    crc.finish().to_be_bytes()
}
