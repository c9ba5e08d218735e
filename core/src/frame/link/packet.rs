//! A packet: two bytes of header, a payload, a checksum.

use super::cobs;
use crate::crc::Crc32;

/// Bytes in front of a payload: kind and sequence number.
pub(super) const HEAD: usize = 2;

/// Bytes behind it: the checksum.
const TAIL: usize = 4;

/// Bytes of a packet that are not payload.
pub const OVERHEAD: usize = HEAD + TAIL;

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
    /// They end inside a run: bytes were lost, or a zero was added.
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
            Bad::Code => "the packet ends inside a run",
            Bad::Short => "the packet is shorter than its header and checksum",
            Bad::Long => "the packet is longer than the memory for it",
            Bad::Checksum => "the packet's checksum is wrong",
        })
    }
}

/// Makes a packet of a payload of `len` bytes that stands at byte 2 of `memory`: puts the header before
/// it and the checksum behind. The packet, for [`Encoder::render`](super::Encoder::render); `None` when
/// `memory` is too small.
pub fn seal(memory: &mut [u8], kind: u8, seq: u8, len: usize) -> Option<&[u8]> {
    let packet = memory.get_mut(..len.checked_add(OVERHEAD)?)?;
    let (body, tail) = packet.split_last_chunk_mut::<TAIL>()?;
    *body.first_chunk_mut::<HEAD>()? = [kind, seq];
    *tail = checksum(body);
    Some(packet)
}

/// The packet in what stood between two zeros, decoded in place.
pub(super) fn open(bytes: &mut [u8]) -> Result<Packet<'_>, Bad> {
    let len = cobs::decode(bytes).ok_or(Bad::Code)?;
    let bytes = bytes.get_mut(..len).ok_or(Bad::Code)?;
    let (body, tail) = bytes.split_last_chunk_mut::<TAIL>().ok_or(Bad::Short)?;
    if checksum(body) != *tail {
        return Err(Bad::Checksum);
    }
    let (&mut [kind, seq], payload) = body.split_first_chunk_mut::<HEAD>().ok_or(Bad::Short)?;
    Ok(Packet { kind, seq, payload })
}

fn checksum(body: &[u8]) -> [u8; TAIL] {
    let mut crc = Crc32::new();
    crc.update(body);
    crc.finish().to_be_bytes()
}
