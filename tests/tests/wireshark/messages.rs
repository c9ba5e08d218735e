//! Datagrams and packets, whole and spoiled: the dissectors and the core read the same.

use std::collections::BTreeMap;

use windlass_core::frame::link::{Bad, Decoder, PAYLOAD_MAX, PacketStep, seal};
use windlass_core::wire::{Score, xfer};
use windlass_tests::{Capture, Random, has};

use crate::{SCORE, XFER, hexadecimal, number_of, one, rendered};

/// What a channel, or a peer of another kind, makes of a message.
fn spoil(random: &mut Random, bytes: &mut Vec<u8>) {
    match random.up_to(5) {
        1 => bytes.truncate(random.up_to(bytes.len() + 1) - 1),
        2 => bytes.extend(random.bytes(3)),
        3 => {
            let (at, bit) = (random.up_to(bytes.len()) - 1, random.up_to(8) - 1);
            bytes[at] ^= 1 << bit;
        }
        _ => {}
    }
}

#[test]
fn datagrams_are_read_as_the_core_reads_them() {
    if !has("tshark") {
        return;
    }
    let mut random = Random::new(1);
    let (mut scores, mut packets) = (Vec::new(), Vec::new());
    for round in 0..300 {
        let mut buf = [0; Score::LEN_MAX];
        let name = "x".repeat(random.up_to(Score::NAME_MAX + 1) - 1);
        let [math, chinese] = [(); 2].map(|()| u32::try_from(random.next() >> 32).expect("a u32"));
        let score = Score::render(math, chinese, name.as_bytes(), &mut buf).expect("a score");
        let mut score = score.to_vec();
        let bytes = random.bytes(xfer::BLOCK_MAX);
        let bytes = &bytes[..random.up_to(bytes.len())];
        let mut packet = rendered(&match round % 5 {
            0 => xfer::Packet::Path(&name.as_bytes()[..name.len() % 1023]),
            1 => xfer::Packet::Data { seq: math, bytes },
            2 => xfer::Packet::Eot { seq: math },
            3 => xfer::Packet::Ack { seq: chinese },
            _ => xfer::Packet::Error { code: chinese % 9, text: name.as_bytes() },
        });
        spoil(&mut random, &mut score);
        spoil(&mut random, &mut packet);
        // An empty datagram has nothing to dissect.
        scores.extend(Some(score).filter(|score| !score.is_empty()));
        packets.extend(Some(packet).filter(|packet| !packet.is_empty()));
    }
    packets.push([&1_u32.to_be_bytes()[..], &[b'x'; xfer::PATH_MAX], b"\0"].concat());
    let mut capture = Capture::ip();
    for score in &scores {
        capture.udp(5000, SCORE, score);
    }
    for packet in &packets {
        capture.udp(6000, XFER, packet);
    }
    let shown = capture.dissect("");

    let fields = ["malformed", "math", "chinese", "name"];
    let fields = fields.map(|field| shown.each(&format!("windlass.score.{field}")));
    let mut malformed = 0;
    for (at, datagram) in scores.iter().enumerate() {
        let [fault, math, chinese, name] = fields.each_ref().map(|field| &field[at]);
        match Score::parse(datagram) {
            Ok(score) => {
                assert_eq!((math, chinese), (&one(&score.math()), &one(&score.chinese())));
                let read = name.concat().into_bytes();
                assert!(read == score.name() || !score.name().is_ascii());
            }
            Err(_) => malformed += 1,
        }
        assert_eq!(fault.is_empty(), Score::parse(datagram).is_ok(), "{}", datagram.escape_ascii());
    }
    assert!(malformed > 30, "{malformed}");

    let fields = ["malformed", "type", "path", "seq", "len", "data", "code"];
    let fields = fields.map(|field| shown.each(&format!("windlass.xfer.{field}")));
    let mut seen = BTreeMap::<_, usize>::new();
    for (at, datagram) in packets.iter().enumerate() {
        let [fault, kind, path, seq, len, data, code] =
            fields.each_ref().map(|field| &field[scores.len() + at]);
        let read = xfer::Packet::parse(datagram);
        match read {
            Ok(xfer::Packet::Path(name)) => {
                assert!(path.concat().as_bytes() == name || !name.is_ascii());
            }
            Ok(xfer::Packet::Data { seq: number, bytes }) => {
                assert_eq!((seq, len), (&one(&number), &one(&bytes.len())));
                assert_eq!(data, &vec![hexadecimal(bytes)]);
            }
            Ok(xfer::Packet::Eot { seq: number } | xfer::Packet::Ack { seq: number }) => {
                assert_eq!(seq, &one(&number));
            }
            Ok(xfer::Packet::Error { code: number, .. }) => assert_eq!(code, &one(&number)),
            Err(_) => {}
        }
        assert_eq!(fault.is_empty(), read.is_ok(), "{}", datagram.escape_ascii());
        if read.is_ok() {
            assert_eq!(kind, &one(&number_of(datagram)));
        }
        *seen.entry(read.map_or(0, |_| number_of(datagram))).or_default() += 1;
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn packets_of_a_line_are_read_as_the_core_reads_them() {
    if !has("tshark") {
        return;
    }
    let mut random = Random::new(2);
    let mut capture = Capture::serial();
    let mut lines = Vec::new();
    for round in 0..300 {
        let mut memory = [0; 259];
        let payload = random.bytes([0, 1, 7, 120, 248][round % 5]);
        memory[4..4 + payload.len()].copy_from_slice(&payload);
        let kind = u8::try_from(random.up_to(5)).expect("a kind");
        let line = seal(&mut memory, kind, random.bytes(1)[0], payload.len()).expect("it fits");
        let mut coded = line[1..line.len() - 1].to_vec();
        spoil(&mut random, &mut coded);
        // Noise may look like the beginning of a packet.
        if round % 20 == 0 {
            coded = vec![4, 1, 7, 9];
        }
        coded.retain(|&byte| byte != 0);
        let line = [&[0], &coded[..], &[0]].concat();
        // Two zeros with nothing between them are nothing.
        if !coded.is_empty() {
            capture.record(&line);
            lines.push(line);
        }
    }
    let shown = capture.dissect("");
    let fields =
        ["kind", "seq", "payload", "room"].map(|it| shown.each(&format!("windlass.link.{it}")));
    let messages = shown.each("_ws.expert.message");
    let mut seen = BTreeMap::<_, usize>::new();
    for (at, line) in lines.iter().enumerate() {
        let mut memory = [0; PAYLOAD_MAX + 3];
        let [kind, seq, payload, room] = fields.each_ref().map(|field| &field[at]);
        let said: Vec<_> = messages[at].iter().filter(|it| *it != "Retransmission").collect();
        let why = match Decoder::new(&mut memory).feed(line) {
            PacketStep::Packet { packet, .. } => {
                assert_eq!((kind, seq), (&one(&(packet.kind & 0x7f)), &one(&packet.seq)));
                let is_stream = packet.kind == 2 || packet.kind == 3;
                let bytes = if is_stream { hexadecimal(packet.payload) } else { String::new() };
                assert_eq!(payload.concat(), bytes);
                let first = packet.payload.first().filter(|_| !is_stream && packet.kind < 6);
                assert_eq!(room.concat(), first.map_or(String::new(), u8::to_string));
                None
            }
            PacketStep::Bad { why, .. } => Some(match why {
                Bad::Code => "A distance leads beyond the end",
                Bad::Short => "Too short",
                Bad::Long => "Too long",
                Bad::Checksum => "The checksum differs",
            }),
            PacketStep::More => panic!("the line ends with a zero"),
        };
        assert_eq!(said, Vec::from_iter(why), "{}", line.escape_ascii());
        *seen.entry(why).or_default() += 1;
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}
