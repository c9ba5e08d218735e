//! The packets of xfer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::wire::xfer::Packet;
use windlass_fuzz::words;

/// Whether it is a packet, of the page on protocols word for word.
fn is_packet(datagram: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = datagram.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let len = datagram.len();
    match number(0) {
        Some(1) => {
            let (words, rest) = words(&datagram[4..]);
            words.len() == 1 && rest.is_empty() && len <= 4 + 1024
        }
        Some(2) => {
            let count = number(8).unwrap_or_default() as usize;
            (1..=1024).contains(&count) && len == 12 + count
        }
        Some(3 | 4) => len == 8,
        Some(5) => len >= 8,
        _ => false,
    }
}

fuzz_target!(|datagram: &[u8]| {
    let packet = Packet::parse(datagram);
    assert_eq!(packet.is_ok(), is_packet(datagram));
    let Ok(packet) = packet else { return };
    let mut room = vec![0; datagram.len() + 1];
    let len = packet.render(&mut room).expect("what was parsed can be sent");
    assert_eq!(Packet::parse(&room[..len]), Ok(packet));
    // The text of an ERROR may lack its NUL, or have bytes behind it.
    assert!(matches!(packet, Packet::Error { .. }) || room[..len] == *datagram);
    assert_eq!(packet.render(&mut room[..len - 1]), None, "what does not fit is not sent");
});
