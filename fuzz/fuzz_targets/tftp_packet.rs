//! The packets of TFTP and their options.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::wire::tftp::{Mode, Opcode, Packet, Writer, numbered};
use windlass_fuzz::words;

/// The pairs of words up to an empty name, or to one without its end.
fn pairs(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let (words, _) = words(bytes);
    let pairs = words.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    pairs.take_while(|(name, _)| !name.is_empty()).collect()
}

fuzz_target!(|datagram: &[u8]| {
    let packet = Packet::parse(datagram);
    let Some((opcode, rest)) = datagram.split_first_chunk::<2>() else {
        assert!(packet.is_err());
        return;
    };
    let number = rest.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
    match (u16::from_be_bytes(*opcode), packet) {
        (1 | 2, packet) => {
            let (words, _) = words(rest);
            let mode = words.get(1).and_then(|mode| {
                let is = |known: &str| mode.eq_ignore_ascii_case(known.as_bytes());
                if is("octet") {
                    Some(Mode::Octet)
                } else {
                    is("netascii").then_some(Mode::Netascii)
                }
            });
            let Some(mode) = mode else {
                assert!(packet.is_err());
                return;
            };
            let Ok(Packet::Request(request)) = packet else { panic!("{packet:?}") };
            assert_eq!((request.is_write, request.mode), (opcode[1] == 2, mode));
            assert_eq!(request.name, words[0]);
            let behind = &rest[words[0].len() + words[1].len() + 2..];
            let found: Vec<_> = request.options.pairs().collect();
            assert_eq!(found, pairs(behind));
            // Written again it asks for the same.
            let mut room = vec![0; datagram.len() + 2];
            let mut writer = Writer::new(opcode[1].into(), &mut room);
            writer.word(request.name);
            writer.word(request.mode.name());
            for (name, value) in &found {
                writer.word(name);
                writer.word(value);
            }
            let len = writer.finish().expect("it fits");
            let Ok(Packet::Request(again)) = Packet::parse(&room[..len]) else { panic!() };
            assert_eq!((again.name, again.mode), (request.name, request.mode));
            assert!(again.options.pairs().eq(found));
        }
        (3, Ok(Packet::Data { block, bytes })) => {
            assert_eq!([&numbered(Opcode::Data, block)[..], bytes].concat(), datagram);
        }
        (4, Ok(Packet::Ack { block })) => {
            assert!(datagram.starts_with(&numbered(Opcode::Ack, block)));
        }
        (5, Ok(Packet::Error { code, text })) => {
            assert_eq!(Some(code), number);
            let said = &rest[2..];
            assert_eq!(Some(text), said.split(|&byte| byte == 0).next());
        }
        (3..=5, Err(_)) => assert_eq!(number, None),
        (6, Ok(Packet::OptionAck(options))) => {
            assert!(options.pairs().eq(pairs(rest)));
        }
        (opcode, packet) => assert!(packet.is_err() && !(3..=6).contains(&opcode), "{packet:?}"),
    }
});
