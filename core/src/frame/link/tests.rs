//! A link against packets by hand, in virtual time.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::packet::kind::{self, ACK, DATA, END, OPEN, RESET};
use super::*;
use crate::fault::{Fault, Peer};
use crate::rtt::Bounds;
use crate::time::{Instant, Wake};

const RX: usize = Link::rx_len(120);
const TX: usize = Link::tx_len(120);
const T: Instant = Instant::from_micros(1_000_000);

/// Kind, number and payload of a packet.
type Said = (u8, u8, Vec<u8>);

/// What a link says now. Of an acknowledgement, whether the bytes were taken.
fn says(link: &mut Link<'_>, now: Instant) -> Vec<Said> {
    let mut bytes = Vec::new();
    loop {
        link.input(now, &[]);
        let Some(&byte) = link.output(now).first() else { break };
        bytes.push(byte);
        link.wrote(1);
    }
    let mut memory = [0; 200];
    let mut decoder = Decoder::new(&mut memory);
    let (mut said, mut input) = (Vec::new(), &bytes[..]);
    while let PacketStep::Packet { packet: Packet { kind, seq, payload }, rest } =
        decoder.feed(input)
    {
        let mut payload = payload.to_vec();
        if matches!(kind & !A, ACK | RESET) {
            assert_eq!(payload.len(), 1, "an answer says how much it takes");
            payload[0] = payload[0].min(1);
        }
        said.push((kind, seq, payload));
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
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![0])], "it is acknowledged when it is taken");
    assert_eq!(link.received(), b"once");
    link.taken(3);
    tell(&mut link, T, DATA, 10, b"once");
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![0])]);
    assert_eq!(link.received(), b"e");
    link.taken(1);
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![1])]);
    tell(&mut link, T, DATA, 10, b"once");
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![1])]);
    assert_eq!(link.received(), b"");
    tell(&mut link, T, DATA, 11, b"twice");
    assert_eq!(link.recv(&mut [0; 9]), 5);
}

#[test]
fn a_packet_looks_as_the_protocol_says() {
    let mut line = [0, 0, 0, 0, 120, 0, 0, 0, 0, 0];
    assert_eq!(seal(&mut line, ACK, 10, 1), Some(&[0, 8, 4, 10, 120, 68, 102, 124, 130, 0][..]));
}

/// Two packets do not fit in the memory, and a short one always does.
#[test]
fn while_a_payload_is_held_answers_come_through() {
    listening!(link);
    tell(&mut link, T, DATA, 10, &[b'x'; 120]);
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![0])]);
    tell(&mut link, T, DATA, 10, &[b'x'; 120]);
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![0])]);
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
}

#[test]
fn a_packet_that_is_acknowledged_while_it_goes_again_is_cut_short() {
    listening!(link);
    assert_eq!(link.send(b"first"), 5);
    assert_eq!(says(&mut link, T).len(), 1);
    let Wake::At(at) = link.wake() else { panic!("it waits for an answer") };
    link.input(at, &[]);
    let mut line = *b"    first     ";
    let first = seal(&mut line, DATA | A, 10, 5).unwrap();
    assert_eq!(link.output(at), first);
    link.wrote(7);
    assert_eq!(link.output(at), &first[7..]);
    tell(&mut link, at, ACK, 10, &MAX);
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
        tell(&mut link, T, ACK, seq, &MAX);
        assert_eq!(says(&mut link, T), []);
    }
    assert_eq!(link.send(b"two"), 3);
    assert_eq!(says(&mut link, T), [(DATA | A, 11, b"two".to_vec())]);
    tell(&mut link, T, ACK, 10, &MAX);
    assert_eq!(says(&mut link, T), []);
    assert_eq!(link.send(b"three"), 0, "it was the acknowledgement of the one before");
}

/// Runs its timers with nothing to hear: what it sent, and how it ended.
fn alone(link: &mut Link<'_>, mut now: Instant) -> (Vec<Said>, Instant, Fault) {
    let mut said = says(link, now);
    loop {
        match (link.over(), link.wake()) {
            (Some(how), _) => return (said, now, how.unwrap_err()),
            (_, Wake::At(at)) => now = at,
            (_, wake) => panic!("{wake:?}"),
        }
        said.extend(says(link, now));
    }
}

#[test]
fn silence_ends_after_as_long_as_is_stated() {
    let (mut rx, mut tx) = ([0; RX], [0; TX]);
    let mut link = Link::connect(&mut rx, &mut tx, 3);
    let (said, at, fault) = alone(&mut link, T);
    assert_eq!(said, vec![(OPEN, 3, vec![120]); 10]);
    // One second, doubled up to eight: a minute is over after the tenth.
    assert_eq!(at.since(T), (1 + 2 + 4 + 8 * 7) * 1_000_000);
    assert_eq!(fault, Fault::TimedOut { waited_us: at.since(T) });

    // One that only waits asks, and takes half as long again, since it answered.
    listening!(link);
    let (said, at, fault) = alone(&mut link, T);
    assert_eq!(said, vec![(DATA | A, 10, Vec::new()); 8]);
    let waited_us = 1_500_000 * (1 + 2 + 4 + 8 * 5);
    assert_eq!((at.since(T), fault), (7_500_000 + waited_us, Fault::TimedOut { waited_us }));
}

/// Times are kept in 32 bits, and do not wrap.
#[test]
fn hours_without_a_call_are_silence() {
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    assert_eq!(says(&mut link, T).len(), 1);
    link.input(T.after(1 << 32), &[]);
    let waited_us = u32::MAX.into();
    assert_eq!(link.over(), Some(Err(Fault::TimedOut { waited_us })));
}

/// So that what the line keeps is not sent after the fault.
#[test]
fn a_line_that_takes_nothing_is_silence_too() {
    for reset in [false, true] {
        listening!(link);
        assert_eq!(link.send(b"x"), 1);
        assert!(!link.output(T).is_empty());
        if reset {
            link.reset();
            assert!(!link.output(T).is_empty());
        }
        let mut now = T;
        while link.over().is_none() {
            let Wake::At(at) = link.wake() else { panic!("it waits for the line") };
            assert!(at > now && at.since(T) < 90_000_000, "{at:?}");
            now = at;
            link.input(now, &[]);
        }
        let waited_us = now.since(T);
        let fault = if reset { Fault::Aborted } else { Fault::TimedOut { waited_us } };
        assert_eq!(link.over(), Some(Err(fault)));
        assert_eq!(link.output(now), b"");
    }
}

#[test]
fn an_end_that_is_slow_is_not_given_up() {
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    let mut now = T;
    for _ in 0..100 {
        assert_eq!(says(&mut link, now), [(DATA | A, 10, b"x".to_vec())]);
        tell(&mut link, now, ACK, 10, &[0]);
        let Wake::At(at) = link.wake() else { panic!("it asks again") };
        assert!(at.since(now) <= 12_000_000, "it asks again in time");
        now = at;
    }
    assert_eq!(says(&mut link, now).len(), 1);
    tell(&mut link, now, ACK, 10, &MAX);
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
        let expected = reset.then_some(Err(Peer::Reset.into()));
        assert_eq!(link.over(), expected, "{first} {heard}");
    }
    // It was heard by an acknowledgement alone.
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    assert_eq!(says(&mut link, T).len(), 1);
    tell(&mut link, T, ACK, 10, &MAX);
    tell(&mut link, T, OPEN, 9, &MAX);
    assert_eq!(link.over(), Some(Err(Peer::Reset.into())));
    // It listens again: what it is sent, or asked, it does not know of.
    for ask in [false, true] {
        let (mut rx, mut tx) = ([0; RX], [0; TX]);
        let mut link = Link::connect(&mut rx, &mut tx, 3);
        says(&mut link, T);
        tell(&mut link, T, ACK | A, 3, &MAX);
        let mut now = T;
        if ask {
            let Wake::At(at) = link.wake() else { panic!("it asks after a while") };
            now = at;
        } else {
            assert_eq!(link.send(b"x"), 1);
        }
        let said = says(&mut link, now);
        let (mut rx, mut tx) = ([0; RX], [0; TX]);
        let mut anew = Link::listen(&mut rx, &mut tx);
        tell(&mut anew, now, said[0].0, said[0].1, &said[0].2);
        assert_eq!(anew.received(), b"");
        assert_eq!(says(&mut anew, now), [(RESET | A, 0, vec![1])]);
        tell(&mut link, now, RESET | A, 4, b"");
        assert_eq!(link.over(), Some(Err(Peer::Reset.into())));
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
    assert_eq!(link.over(), None);
}

#[test]
fn each_stream_ends_by_itself() {
    listening!(link);
    tell(&mut link, T, DATA, 10, b"last");
    link.close();
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![0]), (END | A, 10, Vec::new())]);
    assert_eq!(link.send(b"more"), 0);
    tell(&mut link, T, ACK, 10, &MAX);
    assert!(!link.is_ended() && !link.is_closed());
    assert_eq!(link.recv(&mut [0; 9]), 4);
    assert_eq!(says(&mut link, T), [(ACK | A, 10, vec![1])]);
    tell(&mut link, T, END, 11, b"");
    assert!(link.is_ended() && link.is_closed());
    // The acknowledgement of the end is lost, and it comes again.
    for _ in 0..3 {
        assert_eq!(says(&mut link, T), [(ACK | A, 11, vec![1])]);
        tell(&mut link, T, END, 11, b"");
    }
    let Wake::At(at) = link.wake() else { panic!("it answers for a while") };
    link.input(at, &[]);
    assert_eq!(link.over(), Some(Ok(())));
}

#[test]
fn an_end_that_is_over_there_is_over_here() {
    // Everything has arrived there but the end, of which nothing is known there any more.
    listening!(link);
    tell(&mut link, T, END, 10, b"");
    link.close();
    let _ = says(&mut link, T);
    tell(&mut link, T, RESET, 10, b"");
    assert_eq!(link.over(), Some(Ok(())));
}

#[test]
fn giving_up_is_told() {
    listening!(link);
    assert_eq!(link.send(b"x"), 1);
    link.reset();
    assert_eq!(link.over(), None);
    let said = says(&mut link, T);
    assert_eq!((said.len(), said[0].0), (1, RESET | A));
    assert_eq!(link.over(), Some(Err(Fault::Aborted)));
    // So is a number that no end gives.
    listening!(link);
    tell(&mut link, T, DATA, 17, b"x");
    assert_eq!(says(&mut link, T), [(RESET | A, 9, vec![1])]);
    assert_eq!(link.over(), Some(Err(Peer::Malformed.into())));
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
                2 => { if let Wake::At(at) = link.wake() { now = now.max(at); } }
                3 if seq == 0 => link.close(),
                4 if seq == 0 => link.reset(),
                4 => link.input(now, &payload),
                _ => tell(&mut link, now, kind | if opens { A } else { 0 }, seq, &payload),
            }
            link.input(now, &[]);
            prop_assert!(link.over().is_some() || !link.wake().is_due(now));
            let n = link.output(now).len();
            link.wrote(n.min(usize::from(act)));
        }
    }
}

#[test]
fn the_times_of_a_line_follow_from_its_rate() {
    let rto = |baud, payload, answer_us| {
        let Bounds { initial_us, min_us, max_us } = Timing::of_line(baud, payload, answer_us).rto;
        (initial_us, min_us, max_us)
    };
    // 24 bytes of payload, 9 around them, and an answer of 10.
    assert_eq!(rto(115_200, 24, 5_000), (250_000, 8_732, 17_464));
    assert_eq!(rto(1_200, 248, 5_000), (4_460_000, 2_230_000, 4_460_000));
    // A packet has no more payload than this, and every line has a rate.
    assert_eq!(rto(1_200, 1_000_000, 5_000), rto(1_200, 248, 5_000));
    assert_eq!(rto(0, 24, u32::MAX).1, 1 << 28);
}
