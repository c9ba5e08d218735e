//! Consistent Overhead Byte Stuffing: packets without zero bytes, so that a zero ends one.
//!
//! A packet becomes runs of bytes that are not zero. In front of each run stands its length plus one,
//! 1 to 255; behind a run of less than 254 bytes there was a zero, except behind the last.
//!
//! ```text
//!   11 22 00 33        03 11 22 02 33
//!   00                 01 01
//! ```

use core::cell::Cell;

/// The longest run.
const RUN_MAX: u8 = 254;

/// Takes a packet out of its code, in the same place. How many bytes it has; `None` when it ends inside
/// a run, or is empty.
pub(super) fn decode(bytes: &mut [u8]) -> Option<usize> {
    let cells = Cell::from_mut(bytes).as_slice_of_cells();
    // What is written never overtakes what is read: each run lost the byte in front of it.
    let (mut from, mut to) = (cells.iter(), cells.iter());
    let mut len = 0;
    let mut put = |byte| {
        if let Some(to) = to.next() {
            to.set(byte);
            len += 1;
        }
    };
    let mut code = from.next()?.get();
    loop {
        for _ in 1..code {
            put(from.next()?.get());
        }
        let Some(next) = from.next() else { return Some(len) };
        if code <= RUN_MAX {
            put(0);
        }
        code = next.get();
    }
}

/// How far the code of one packet has been rendered, with a zero byte before and behind it.
///
/// The packet is lent for each call and has to be the same each time. It is encoded on the way out: to
/// send it again takes another encoder, and no memory for the code.
///
/// ```
/// use windlass_core::frame::link::Encoder;
/// let (mut encoder, mut out) = (Encoder::new(), [0xff; 6]);
/// assert_eq!(encoder.render(b"a\0b", &mut out), 6);
/// assert_eq!(out, *b"\0\x02a\x02b\0");
/// assert!(encoder.is_done());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encoder {
    /// Bytes of the packet that went.
    at: usize,
    /// Bytes of the run that are still to go.
    left: u8,
    next: Next,
}

/// What is rendered next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Next {
    /// The zero before it.
    Begin,
    /// The length of a run.
    Code,
    /// A run that stands for a zero behind it.
    Run,
    /// One of the longest, which does not.
    FullRun,
    Nothing,
}

impl Encoder {
    /// Nothing of the packet went yet.
    pub const fn new() -> Self {
        Self { at: 0, left: 0, next: Next::Begin }
    }

    /// Renders what fits of the rest of `packet`. How many bytes that is.
    pub fn render(&mut self, packet: &[u8], out: &mut [u8]) -> usize {
        let mut n = 0;
        for to in out {
            let Some(byte) = self.step(packet) else { break };
            *to = byte;
            n += 1;
        }
        n
    }

    /// Whether all of it went.
    pub const fn is_done(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    fn step(&mut self, packet: &[u8]) -> Option<u8> {
        if self.left > 0 {
            self.left -= 1;
            let byte = packet.get(self.at).copied();
            self.at += 1;
            return byte;
        }
        match self.next {
            Next::Nothing => return None,
            Next::Begin => {
                self.next = Next::Code;
                return Some(0);
            }
            Next::Run | Next::FullRun if self.at >= packet.len() => {
                self.next = Next::Nothing;
                return Some(0);
            }
            Next::Code | Next::FullRun => {}
            // The zero that the run stands for.
            Next::Run => self.at += 1,
        }
        self.next = Next::FullRun;
        for &byte in packet.get(self.at..).unwrap_or_default() {
            if byte == 0 || self.left == RUN_MAX {
                break;
            }
            self.left += 1;
        }
        if self.left < RUN_MAX {
            self.next = Next::Run;
        }
        Some(self.left + 1)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that a packet of `len` bytes takes on the line at most, the two zeros included.
pub const fn encoded_max(len: usize) -> usize {
    len.saturating_add(len / RUN_MAX as usize).saturating_add(3)
}
