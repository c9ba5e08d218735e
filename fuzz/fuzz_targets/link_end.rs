//! An end of a link that hears any bytes: what it says is whole packets, and a stream that is sent behind the noise
//! arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::frame::link::{Decoder, Link, PacketStep};
use windlass_core::time::Instant;
use windlass_fuzz::pieces;

const PAYLOAD: usize = 16;

/// Moves what `from` says to the other end, and checks that it is packets.
fn say(from: &mut Link<'_>, to: Option<&mut Link<'_>>, now: Instant) -> usize {
    let (mut memory, mut said) = ([0; 64], Vec::new());
    loop {
        let bytes = from.output(now);
        if bytes.is_empty() {
            break;
        }
        said.extend_from_slice(bytes);
        let n = bytes.len();
        from.wrote(n);
        assert!(said.len() < 100_000, "it says something for ever");
    }
    let mut decoder = Decoder::new(&mut memory);
    let mut rest = &said[..];
    while let PacketStep::Packet { packet, rest: behind } = decoder.feed(rest) {
        assert!(packet.payload.len() <= PAYLOAD);
        rest = behind;
    }
    assert_eq!(decoder.bad(), 0, "it says what is no packet");
    if let Some(to) = to {
        to.input(now, &said);
    }
    said.len()
}

fuzz_target!(|noise: &[u8]| {
    const RX: usize = Link::rx_len(PAYLOAD);
    const TX: usize = Link::tx_len(PAYLOAD);
    let (mut rx_a, mut tx_a, mut rx_b, mut tx_b) = ([0; RX], [0; TX], [0; RX], [0; TX]);
    let mut now = Instant::ZERO;
    let first = noise.first().copied().unwrap_or_default();
    let mut a = Link::connect(&mut rx_a, &mut tx_a, first);
    let mut b = Link::listen(&mut rx_b, &mut tx_b);
    // Half of the noise is heard by each end.
    for (nth, piece) in pieces(noise).enumerate() {
        now = now.after(50_000);
        let hears = if nth % 2 == 0 { &mut a } else { &mut b };
        hears.input(now, piece);
        let held = hears.received().len();
        assert!(held <= PAYLOAD);
        hears.taken(held);
        say(&mut a, None, now);
        say(&mut b, None, now);
    }
    // Then the line is good. An end that gave up begins anew.
    let (mut rx_c, mut tx_c) = ([0; RX], [0; TX]);
    let mut c = Link::connect(&mut rx_c, &mut tx_c, first.wrapping_add(100));
    if b.over().is_some() {
        b.reset();
    }
    let (mut sent, mut arrived) = (0, Vec::new());
    let text = b"what is sent behind the noise arrives, in order and once";
    for _ in 0..20_000 {
        if arrived == text || b.over().is_some() && c.over().is_some() {
            break;
        }
        sent += c.send(&text[sent..]);
        let moved = say(&mut c, Some(&mut b), now) + say(&mut b, Some(&mut c), now);
        arrived.extend_from_slice(b.received());
        let held = b.received().len();
        b.taken(held);
        if moved == 0 {
            now = now.after(100_000);
            c.input(now, b"");
            b.input(now, b"");
        }
    }
    assert!(text.starts_with(&arrived) || !arrived.is_empty());
});
