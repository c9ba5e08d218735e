//! Finds packets in the received bytes of a line.

use super::packet::{Bad, FRONT, Packet, Reader, SUM};

/// Finds the packets in the received bytes of a line, in pieces of any length.
///
/// The largest payload is the length of the memory less 3. Bytes that are not a packet are reported
/// with the reason, and counted; the next zero ends it.
///
/// ```
/// use windlass_core::frame::link::{Decoder, PacketStep, seal};
/// let (mut line, mut memory) = (*b"....hi.....", [0; 16]);
/// let line = seal(&mut line, 1, 7, 2).unwrap();
/// let mut decoder = Decoder::new(&mut memory);
/// let PacketStep::Packet { packet, rest } = decoder.feed(line) else { panic!() };
/// assert_eq!((packet.kind, packet.seq, &*packet.payload), (1, 7, &b"hi"[..]));
/// assert!(rest.is_empty());
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Decoder<'b> {
    memory: &'b mut [u8],
    reader: Reader,
    bad: u32,
}

/// What [`Decoder::feed`] found. `rest` is the input after it: feed that next.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub enum PacketStep<'a, 'i> {
    /// All of the input is taken, and no packet is complete.
    More,
    /// A packet.
    Packet {
        /// The packet.
        packet: Packet<'a>,
        /// The input after it.
        rest: &'i [u8],
    },
    /// Bytes that are not a packet.
    Bad {
        /// The reason.
        why: Bad,
        /// The input after it.
        rest: &'i [u8],
    },
}

// By hand: the derive cannot tell apart the slices of two lifetimes.
#[cfg(feature = "defmt")]
impl defmt::Format for PacketStep<'_, '_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            PacketStep::More => defmt::write!(f, "More"),
            PacketStep::Packet { packet, rest } => {
                defmt::write!(f, "Packet {{ packet: {}, rest: {=[u8]} }}", packet, rest);
            }
            PacketStep::Bad { why, rest } => {
                defmt::write!(f, "Bad {{ why: {}, rest: {=[u8]} }}", why, rest);
            }
        }
    }
}

impl<'b> Decoder<'b> {
    /// Accepts packets with up to `memory.len() - 3` bytes of payload.
    pub const fn new(memory: &'b mut [u8]) -> Self {
        Self { memory, reader: Reader::new(), bad: 0 }
    }

    /// Takes input up to the end of the first packet in it, or of the first bytes that are not one.
    pub fn feed<'i>(&mut self, mut input: &'i [u8]) -> PacketStep<'_, 'i> {
        while let [byte, rest @ ..] = input {
            input = rest;
            if *byte != 0 {
                self.reader.push(*byte, self.memory.get_mut(self.reader.len));
            } else if self.reader.len > 0 {
                return self.end(rest);
            }
        }
        PacketStep::More
    }

    fn end<'i>(&mut self, rest: &'i [u8]) -> PacketStep<'_, 'i> {
        let is_long = self.reader.len > self.memory.len().saturating_add(SUM);
        let end = self.reader.end();
        let end = if is_long { Err(Bad::Long) } else { end };
        let packet = end.and_then(|end| {
            let bytes = self.memory.get_mut(..end).ok_or(Bad::Long)?;
            let (head, payload) = bytes.split_first_chunk_mut::<FRONT>().ok_or(Bad::Short)?;
            let &mut [_, kind, seq] = head;
            Ok(Packet { kind, seq, payload })
        });
        match packet {
            Ok(packet) => PacketStep::Packet { packet, rest },
            Err(why) => {
                self.bad = self.bad.wrapping_add(1);
                PacketStep::Bad { why, rest }
            }
        }
    }

    /// How often bytes were not a packet. The count wraps.
    pub const fn bad(&self) -> u32 {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::{PAYLOAD_MAX, seal};
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The packet, or why it is not one.
    type Event = Result<(u8, u8, Vec<u8>), Bad>;

    fn encode(kind: u8, seq: u8, payload: &[u8]) -> Vec<u8> {
        let mut line = [&[0xee; 4], payload, &[0xee; 5]].concat();
        assert_eq!(seal(&mut line, kind, seq, payload.len()).map(<[u8]>::len), Some(line.len()));
        line
    }

    fn decode(line: &[u8], memory: usize, step: usize) -> Vec<Event> {
        let mut memory = std::vec![0; memory];
        let mut decoder = Decoder::new(&mut memory);
        let mut events = Vec::new();
        for mut input in line.chunks(step) {
            loop {
                let (event, rest) = match decoder.feed(input) {
                    PacketStep::More => break,
                    PacketStep::Packet { packet: Packet { kind, seq, payload }, rest } => {
                        (Ok((kind, seq, payload.to_vec())), rest)
                    }
                    PacketStep::Bad { why, rest } => (Err(why), rest),
                };
                events.push(event);
                input = rest;
            }
        }
        let bad = events.iter().filter(|event| event.is_err()).count();
        assert_eq!(decoder.bad() as usize, bad);
        events
    }

    /// The code of Cheshire and Baker, as in the paper.
    fn cobs(packet: &[u8]) -> Vec<u8> {
        let mut code = Vec::new();
        for run in packet.split(|&byte| byte == 0) {
            code.push(u8::try_from(run.len() + 1).unwrap());
            code.extend_from_slice(run);
        }
        code
    }

    #[test]
    fn the_code_is_that_of_the_paper() {
        let full: Vec<u8> = (0..248).map(|at| at | 1).collect();
        for payload in
            [&b""[..], b"\0", b"\0\0", b"\x11\x22\0\x33", b"\x11\0\0\0", &full, &[0; 248]]
        {
            for (kind, seq) in [(0, 0), (1, 2), (0, 255)] {
                let mut crc = crate::crc::Crc32::new();
                crc.update(&[&[0, kind, seq], payload].concat());
                let packet = [&[kind, seq], payload, &crc.finish().to_le_bytes()].concat();
                assert_eq!(
                    encode(kind, seq, payload),
                    [&b"\0"[..], &cobs(&packet), b"\0"].concat()
                );
            }
        }
        assert_eq!(seal(&mut [0; 300], 1, 2, PAYLOAD_MAX + 1), None);
        assert_eq!(seal(&mut [0; 10], 1, 2, 2), None);
    }

    #[test]
    fn what_is_no_packet_has_a_reason() {
        for (line, why) in [
            (&b"\x05abc\0"[..], Bad::Code),
            (b"\x04abc\0", Bad::Short),
            (b"\x01\0", Bad::Short),
            (b"\x07abcdef\0", Bad::Checksum),
            (b"\x07abcdefghijklmno\0", Bad::Long),
            (b"\x05\0", Bad::Code),
        ] {
            for step in 1..=line.len() {
                assert_eq!(decode(line, 8, step), [Err(why)], "{line:?} by {step}");
            }
        }
        assert_eq!(decode(b"\0\0\0\0", 8, 1), []);
    }

    /// Every fault of one byte or bit costs the packet that it hits, and no other.
    #[test]
    fn the_next_packet_arrives_whatever_happened_to_the_one_before() {
        let first = encode(1, 2, b"some\0payload\0");
        let second = encode(3, 4, b"next");
        let expected = Ok((3, 4, b"next".to_vec()));
        let intact = Ok((1, 2, b"some\0payload\0".to_vec()));
        for at in 0..first.len() {
            for fault in 0..10 {
                let mut line = first.clone();
                match fault {
                    8 => drop(line.remove(at)),
                    9 => line.insert(at, line[at]),
                    bit => line[at] ^= 1 << bit,
                }
                line.extend_from_slice(&second);
                let events = decode(&line, 64, 7);
                assert_eq!(events.last(), Some(&expected), "fault {fault} at {at}");
                for event in &events[..events.len() - 1] {
                    assert!(event.is_err() || *event == intact, "fault {fault} at {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_under_any_chunking(
            packets in proptest::collection::vec(
                (any::<u8>(), any::<u8>(), proptest::collection::vec(0_u8..3, 0..=PAYLOAD_MAX)), 0..6),
            step in 1_usize..700,
        ) {
            let line: Vec<u8> =
                packets.iter().flat_map(|(kind, seq, payload)| encode(*kind, *seq, payload)).collect();
            let expected: Vec<Event> = packets.into_iter().map(Ok).collect();
            prop_assert_eq!(decode(&line, PAYLOAD_MAX + 7, step), expected);
        }

        #[test]
        fn noise_is_survived_and_read_alike_under_any_chunking(
            noise in proptest::collection::vec(0_u8..9, 0..300),
            step in 1_usize..40,
            memory in 0_usize..40,
        ) {
            let events = decode(&noise, memory, step);
            prop_assert_eq!(&events, &decode(&noise, memory, usize::MAX));
            // A packet behind the noise arrives.
            let line = [&noise[..], &encode(1, 2, b"x")].concat();
            let events = decode(&line, memory.max(8), step);
            prop_assert_eq!(events.last(), Some(&Ok((1, 2, b"x".to_vec()))));
        }
    }
}
