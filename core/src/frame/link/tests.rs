//! A link against packets by hand, in virtual time.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::line::kind::{self, ACK, BUSY, DATA, END, OPEN, RESET};
use super::*;
use crate::fault::{Fault, Peer};
use crate::time::{Instant, Wake};
use crate::want::Close;

const RX: usize = Link::rx_len(120);
const TX: usize = Link::tx_len(120);
const T: Instant = Instant::from_micros(1_000_000);

/// Kind, number and payload of a packet.
type Said = (u8, u8, Vec<u8>);

/// What a link renders now, without the payload of answers.
fn says(link: &mut Link<'_>, now: Instant) -> Vec<Said> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 1]);
    while link.render(now, &mut piece) == 1 {
        bytes.push(piece[0]);
    }
    let mut memory = [0; 200];
    let mut decoder = Decoder::new(&mut memory);
    let (mut said, mut input) = (Vec::new(), &mut bytes[..]);
    while let PacketStep::Packet { packet: Packet { kind, seq, payload }, rest } =
        decoder.feed(input)
    {
        let is_answer = matches!(kind & !A, ACK | BUSY | RESET);
        assert!(!is_answer || payload.len() == 1, "an answer says how much it takes");
        said.push((kind, seq, if is_answer { Vec::new() } else { payload.to_vec() }));
        input = rest;
    }
    assert_eq!(decoder.bad(), 0);
    said
}

/// Tells a link a packet.
fn tell(link: &mut Link<'_>, now: Instant, kind: u8, seq: u8, payload: &[u8]) {
    let mut bytes = [&[0; 4], payload, &[0; 5]].concat();
    link.input(now, seal(&mut bytes, kind, seq, payload.len()).unwrap());
}

/// The bit of the end that answers.
const A: u8 = kind::ANSWERS;

const MAX: [u8; 1] = [32];

/// A link that was opened by hand, with number 9 as its first.
macro_rules! listening {
    ($link:ident) => {
        let (mut rx, mut tx) = ([0; RX], [0; TX]);
        let mut $link = Link::listen(&mut rx, &mut tx);
        tell(&mut $link, T, OPEN, 9, &MAX);
        let said = says(&mut $link, T);
        assert_eq!((said.len(), said[0].0, said[0].1), (1, ACK | A, 9));
    };
}

#[test]
fn what_comes_again_is_acknowledged_again_and_never_delivered_twice() {
    listening!(link);
    tell(&mut link, T, DATA, 10, b"once");
    assert_eq!(says(&mut link, T), [], "it is acknowledged when it is taken");
    assert_eq!(link.received(), b"once");
    link.taken(3);
    tell(&mut link, T, DATA, 10, b"once");
    assert_eq!(says(&mut link, T), [(BUSY | A, 10, Vec::new())]);
    assert_eq!(link.received(), b"e");
    link.taken(1);
    assert_eq!(says(&mut link, T), [(ACK | A, 10, Vec::new())]);
    tell(&mut link, T, DATA, 10, b"once");
    assert_eq!(says(&mut link, T), [(ACK | A, 10, Vec::new())]);
    assert_eq!(link.received(), b"");
    tell(&mut link, T, DATA, 11, b"twice");
    assert_eq!(link.recv(&mut [0; 9]), 5);
    assert_eq!(link.counts().repeated, 2);
}

#[test]
fn a_packet_looks_as_the_protocol_says() {
    let mut line = [0, 0, 0, 0, 120, 0, 0, 0, 0, 0];
    assert_eq!(seal(&mut line, ACK, 10, 1), Some(&[0, 8, 4, 10, 120, 92, 121, 96, 74, 0][..]));
}

/// Two packets do not fit in the memory, and a short one always does.
#[test]
fn while_a_payload_is_held_answers_come_through() {
    listening!(link);
    tell(&mut link, T, DATA, 10, &[b'x'; 120]);
    assert_eq!(says(&mut link, T), []);
    tell(&mut link, T, DATA, 10, &[b'x'; 120]);
    assert_eq!(says(&mut link, T), [(BUSY | A, 10, Vec::new())]);
    assert_eq!(link.send(b"one"), 3);
    assert_eq!(says(&mut link, T).len(), 1);
    tell(&mut link, T, ACK, 10, &MAX);
    assert_eq!(link.send(b"two"), 3);
    assert_eq!(says(&mut link, T).len(), 1);
    // The payload is taken while an answer has come by half.
    let mut answer = [0, 0, 0, 0, 32, 0, 0, 0, 0, 0];
    let (half, rest) = seal(&mut answer, ACK, 11, 1).unwrap().split_at(5);
    link.input(T, half);
    assert_eq!(link.recv(&mut [0; 120]), 120);
    link.input(T, rest);
    assert_eq!(link.send(b"three"), 5);
    assert_eq!(says(&mut link, T).len(), 2);
    // And the longest packet fits again.
    tell(&mut link, T, DATA, 11, &[b'y'; 120]);
    assert_eq!(link.received(), [b'y'; 120]);
    assert_eq!(link.counts().bad, 1, "the long one that came again");
}

#[test]
fn a_packet_that_is_acknowledged_while_it_goes_again_is_not_overwritten() {
    listening!(link);
    assert_eq!(link.send(b"first"), 5);
    assert_eq!(says(&mut link, T).len(), 1);
    let Wake::At(at) = link.want().wake else { panic!("it waits for an answer") };
    link.tick(at);
    let mut line = [0; 14];
    assert_eq!(link.render(at, &mut line[..7]), 7);
    tell(&mut link, at, ACK, 10, &MAX);
    assert_eq!(link.send(b"other"), 0, "the first is still going");
    assert_eq!(link.render(at, &mut line[7..]), 7);
    let mut expected = *b"    first     ";
    assert_eq!(seal(&mut expected, DATA | A, 10, 5), Some(&line[..]));
    assert_eq!(link.send(b"other"), 5);
    assert_eq!(says(&mut link, at), [(DATA | A, 11, b"other".to_vec())]);
}

#[test]
fn a_duplicate_acknowledgement_sends_nothing() {
    listening!(link);
    assert_eq!(link.send(b"one"), 3);
    assert_eq!(says(&mut link, T), [(DATA | A, 10, b"one".to_vec())]);
    assert_eq!(link.send(b"two"), 0, "one is in flight");
    for seq in [9, 11, 10, 10, 10] {
        tell(&mut link, T, ACK, seq, b"");
        assert_eq!(says(&mut link, T), []);
    }
    assert_eq!(link.send(b"two"), 3);
    assert_eq!(says(&mut link, T), [(DATA | A, 11, b"two".to_vec())]);
    tell(&mut link, T, ACK, 10, b"");
    assert_eq!(says(&mut link, T), []);
    assert_eq!(link.send(b"three"), 0, "it was the acknowledgement of the one before");
}

/// Runs its timers with nothing to hear: what it sent, and how it ended.
fn alone(link: &mut Link<'_>, mut now: Instant) -> (Vec<Said>, Instant, Fault) {
    let mut said = says(link, now);
    loop {
        match (link.want().close, link.want().wake) {
            (Close::Done(how), _) => return (said, now, how.unwrap_err()),
            (_, Wake::At(at)) => now = at,
            (_, wake) => panic!("{wake:?}"),
        }
        link.tick(now);
        said.extend(says(link, now));
    }
}

#[test]
fn silence_ends_after_as_many_tries_as_are_stated() {
    let (mut rx, mut tx) = ([0; RX], [0; TX]);
    let mut link = Link::connect(&mut rx, &mut tx, 3);
    let (said, at, fault) = alone(&mut link, T);
    assert_eq!(said, std::vec![(OPEN, 3, std::vec![120]); 8]);
    // One second, doubled up to eight.
    assert_eq!(at.since(T), (1 + 2 + 4 + 8 * 5) * 1_000_000);
    assert_eq!(fault, Fault::TimedOut { waited_us: at.since(T) });

    // One that only waits asks, and takes half as long again, since it answered.
    listening!(link);
    let (said, at, fault) = alone(&mut link, T);
    assert_eq!(said, std::vec![(DATA | A, 10, Vec::new()); 8]);
    let waited_us = 7_500_000 + 1_500_000 * (1 + 2 + 4 + 8 * 5);
    assert_eq!((at.since(T), fault), (waited_us, Fault::TimedOut { waited_us }));
}

#[test]
fn an_end_that_is_slow_is_not_given_up() {
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    let mut now = T;
    for _ in 0..100 {
        assert_eq!(says(&mut link, now), [(DATA | A, 10, b"x".to_vec())]);
        tell(&mut link, now, BUSY, 10, b"");
        let Wake::At(at) = link.want().wake else { panic!("it asks again") };
        assert!(at.since(now) <= 12_000_000, "it asks again in time");
        now = at;
        link.tick(now);
    }
    tell(&mut link, now, ACK, 10, b"");
    assert_eq!(link.srtt_us(), None, "what was sent again is no measurement");
}

#[test]
fn an_end_that_begins_anew_is_noticed() {
    // The other end was heard, and opens again: with another number or with the same.
    for (first, heard, reset) in
        [(9, true, true), (8, true, true), (8, false, true), (9, false, false)]
    {
        listening!(link);
        if heard {
            tell(&mut link, T, DATA, 10, b"x");
            link.taken(1);
        }
        tell(&mut link, T, OPEN, first, &MAX);
        let close = link.want().close;
        let expected = if reset { Close::Done(Err(Peer::Reset.into())) } else { Close::Open };
        assert_eq!(close, expected, "{first} {heard}");
    }
    // It was heard by an acknowledgement alone.
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    assert_eq!(says(&mut link, T).len(), 1);
    tell(&mut link, T, ACK, 10, &MAX);
    tell(&mut link, T, OPEN, 9, &MAX);
    assert_eq!(link.want().close, Close::Done(Err(Peer::Reset.into())));
    // It listens again: what it is sent, or asked, it does not know of.
    for ask in [false, true] {
        let (mut rx, mut tx) = ([0; RX], [0; TX]);
        let mut link = Link::connect(&mut rx, &mut tx, 3);
        says(&mut link, T);
        tell(&mut link, T, ACK | A, 3, &MAX);
        let mut now = T;
        if ask {
            let Wake::At(at) = link.want().wake else { panic!("it asks after a while") };
            now = at;
            link.tick(now);
        } else {
            assert_eq!(link.send(b"x"), 1);
        }
        let said = says(&mut link, now);
        let (mut rx, mut tx) = ([0; RX], [0; TX]);
        let mut anew = Link::listen(&mut rx, &mut tx);
        tell(&mut anew, now, said[0].0, said[0].1, &said[0].2);
        assert_eq!(anew.received(), b"");
        assert_eq!(says(&mut anew, now), [(RESET | A, 4, Vec::new())]);
        tell(&mut link, now, RESET | A, 4, b"");
        assert_eq!(link.want().close, Close::Done(Err(Peer::Reset.into())));
        // And it can be opened.
        tell(&mut anew, now, OPEN, 200, &MAX);
        assert_eq!(says(&mut anew, now)[0].0, ACK | A);
    }
}

#[test]
fn it_does_not_hear_itself() {
    let (mut rx, mut tx) = ([0; RX], [0; TX]);
    let mut link = Link::connect(&mut rx, &mut tx, 3);
    for (kind, seq, payload) in says(&mut link, T) {
        tell(&mut link, T, kind, seq, &payload);
    }
    assert_eq!(says(&mut link, T), []);
    tell(&mut link, T, ACK | A, 3, &MAX);
    assert_eq!(link.send(b"echo"), 4);
    for (kind, seq, payload) in says(&mut link, T) {
        tell(&mut link, T, kind, seq, &payload);
    }
    assert_eq!(link.received(), b"");
    assert_eq!(link.want().close, Close::Open);
}

#[test]
fn each_stream_ends_by_itself() {
    listening!(link);
    tell(&mut link, T, DATA, 10, b"last");
    link.close();
    assert_eq!(says(&mut link, T), [(END | A, 10, Vec::new())]);
    assert_eq!(link.send(b"more"), 0);
    tell(&mut link, T, ACK, 10, b"");
    assert!(!link.is_ended() && !link.is_closed());
    assert_eq!(link.recv(&mut [0; 9]), 4);
    assert_eq!(says(&mut link, T), [(ACK | A, 10, Vec::new())]);
    tell(&mut link, T, END, 11, b"");
    assert!(link.is_ended() && link.is_closed());
    // The acknowledgement of the end is lost, and it comes again.
    for _ in 0..3 {
        assert_eq!(says(&mut link, T), [(ACK | A, 11, Vec::new())]);
        tell(&mut link, T, END, 11, b"");
    }
    let Wake::At(at) = link.want().wake else { panic!("it answers for a while") };
    link.tick(at);
    assert_eq!(link.want().close, Close::Done(Ok(())));
}

#[test]
fn an_end_that_is_over_there_is_over_here() {
    // Everything has arrived there but the end, of which nothing is known there any more.
    listening!(link);
    tell(&mut link, T, END, 10, b"");
    link.close();
    let _ = says(&mut link, T);
    tell(&mut link, T, RESET, 10, b"");
    assert_eq!(link.want().close, Close::Done(Ok(())));
}

#[test]
fn giving_up_is_told() {
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    link.reset();
    assert_eq!(link.want().close, Close::WriteHalf);
    let said = says(&mut link, T);
    assert_eq!((said.len(), said[0].0), (1, RESET | A));
    assert_eq!(link.want().close, Close::Done(Err(Fault::Aborted)));
    // So is a number that no end gives.
    listening!(link);
    tell(&mut link, T, DATA, 17, b"x");
    assert_eq!(says(&mut link, T), [(RESET | A, 9, Vec::new())]);
    assert_eq!(link.want().close, Close::Done(Err(Peer::Malformed.into())));
}

/// What a link with this much memory says that it takes.
fn takes<const R: usize>() -> u8 {
    let (mut rx, mut tx) = ([0; R], [0; TX]);
    says(&mut Link::connect(&mut rx, &mut tx, 0), T)[0].2[0]
}

#[test]
fn the_memory_is_for_as_much_as_is_said() {
    assert_eq!(takes::<{ Link::rx_len(8) }>(), 8);
    assert_eq!(takes::<{ Link::rx_len(247) }>(), 247);
    assert_eq!(takes::<{ Link::rx_len(248) }>(), 248);
    assert_eq!(takes::<{ Link::rx_len(1000) }>(), 248);
}

proptest! {
    /// Whatever comes: no panic, no end without a name, no spin.
    #[test]
    fn any_packets_are_survived(
        packets in proptest::collection::vec(
            (1_u8..8, 0_u8..12, proptest::collection::vec(any::<u8>(), 0..40), 0_u8..6), 0..60),
        opens: bool,
    ) {
        let (mut rx, mut tx) = ([0; Link::rx_len(30)], [0; Link::tx_len(30)]);
        let mut link =
            if opens { Link::connect(&mut rx, &mut tx, 3) } else { Link::listen(&mut rx, &mut tx) };
        let mut now = T;
        for (kind, seq, payload, act) in packets {
            match act {
                0 => { let _ = link.send(&payload); }
                1 => { let n = link.received().len().div_ceil(2); link.taken(n); }
                2 => { if let Wake::At(at) = link.want().wake { now = now.max(at); } }
                3 if seq == 0 => link.close(),
                4 if seq == 0 => link.reset(),
                4 => link.input(now, &payload),
                _ => tell(&mut link, now, kind | if opens { A } else { 0 }, seq, &payload),
            }
            if link.want().wake.is_due(now) {
                link.tick(now);
            }
            prop_assert!(!link.want().wake.is_due(now));
            if link.want().write && act % 2 == 0 {
                prop_assert!(link.render(now, &mut [0; 5][..=usize::from(act)]) > 0);
            }
        }
    }
}
