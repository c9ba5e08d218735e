//! Packets of a line that flips and loses bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::crc::Crc32;
use windlass_core::frame::link::{Bad, Decoder, OVERHEAD, PAYLOAD_MAX, PacketStep, seal};
use windlass_fuzz::pieces;

/// The longest payload that fits.
const MAX: usize = 40;

/// Kind, number and payload, or why there is no packet.
type Packet = Result<(u8, u8, Vec<u8>), Bad>;

fn read<'i>(pieces: impl Iterator<Item = &'i [u8]>) -> Vec<Packet> {
    let (mut memory, mut found) = ([0; MAX + 3], Vec::new());
    let mut decoder = Decoder::new(&mut memory);
    for mut input in pieces {
        loop {
            match decoder.feed(input) {
                PacketStep::More => break,
                PacketStep::Packet { packet, rest } => {
                    found.push(Ok((packet.kind, packet.seq, packet.payload.to_vec())));
                    input = rest;
                }
                PacketStep::Bad { why, rest } => {
                    found.push(Err(why));
                    input = rest;
                }
            }
        }
    }
    found
}

/// The code of Cheshire and Baker undone with all of the bytes between two zeros at hand.
fn model(code: &[u8]) -> Packet {
    // A zero stands in front of the packet.
    let (mut packet, mut rest) = (Vec::new(), code);
    while let [distance, behind @ ..] = rest {
        let run = usize::from(*distance) - 1;
        packet.push(0);
        packet.extend_from_slice(behind.get(..run).unwrap_or(behind));
        if behind.len() < run {
            // What does not fit is too long first.
            return Err(if code.len() > MAX + 7 { Bad::Long } else { Bad::Code });
        }
        rest = &behind[run..];
    }
    if code.len() > MAX + 7 {
        return Err(Bad::Long);
    }
    let Some((body, sum)) = packet.split_last_chunk::<4>() else { return Err(Bad::Short) };
    let [_, kind, seq, payload @ ..] = body else { return Err(Bad::Short) };
    let mut crc = Crc32::new();
    crc.update(body);
    if crc.finish() != u32::from_le_bytes(*sum) {
        return Err(Bad::Checksum);
    }
    Ok((*kind, *seq, payload.to_vec()))
}

fuzz_target!(|line: &[u8]| {
    let whole = line.iter().rposition(|&byte| byte == 0).map_or(&[][..], |at| &line[..at]);
    let codes = whole.split(|&byte| byte == 0).filter(|code| !code.is_empty());
    let expected: Vec<_> = codes.map(model).collect();
    assert_eq!(read([line].into_iter()), expected);
    assert_eq!(read(pieces(line)), expected);
    // Any payload arrives, whatever came before it.
    let payload = &line[..line.len().min(MAX)];
    let mut memory = [0; PAYLOAD_MAX + OVERHEAD];
    memory[4..4 + payload.len()].copy_from_slice(payload);
    let sealed = seal(&mut memory, 3, 200, payload.len()).unwrap();
    assert!(!sealed[1..sealed.len() - 1].contains(&0));
    let found = read([line, sealed].into_iter());
    assert_eq!(found.last(), Some(&Ok((3, 200, payload.to_vec()))));
});
