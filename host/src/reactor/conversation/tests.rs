//! Ends, timeouts and floods of buffered streams: what is sent before a stream is removed, which
//! side is waited for, and which side has to wait.

use super::*;
use crate::reactor::tests::{
    Desk, End, Peer, frozen, named, note, pass, pump, round, secs, stream_pair, streaming, text,
};
use crate::reactor::{EventLoop, Watch};

/// A stream that does `act` when it is told of `when`, and notes everything.
fn acting(
    when: StreamEvent,
    act: impl Fn(&mut Buffered) + 'static,
) -> (EventLoop<Desk>, Desk, Token, Peer) {
    streaming(move |io, desk, _, event| {
        desk.note(text(event));
        if event == when {
            act(io);
        }
    })
}

#[test]
fn a_close_delivers_what_was_not_sent_and_tells_nothing_more() {
    const SIZE: usize = 3 << 20;
    let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Input, |io| {
        io.consume(usize::MAX);
        io.write(&vec![5; SIZE]);
        io.close();
    });
    peer.say(b"go");
    pump(&mut events, &mut desk);
    assert!(events.contains(token));
    let (mut got, mut end) = (0, End::Open);
    while end == End::Open {
        let (bytes, now) = peer.hear();
        got += bytes.len();
        end = now;
        pump(&mut events, &mut desk);
    }
    assert_eq!((got, end), (SIZE, End::Eof));
    assert_eq!((desk.news(), events.streams()), (vec!["Input".to_owned()], 0));
}

#[test]
fn a_silent_peer_is_closed_at_once_and_one_that_talks_is_listened_to() {
    for (talks, open) in [(false, 0), (true, 1)] {
        let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Eof, |_| {});
        if talks {
            peer.say(b"and another thing");
        }
        let io = events.stream(token).unwrap();
        io.set_reading(false);
        io.write(b"bye");
        io.close();
        pump(&mut events, &mut desk);
        assert_eq!(events.streams(), open);
        assert_eq!(peer.hear(), (b"bye".to_vec(), End::Eof), "not reset, whatever it said");
    }
}

#[test]
fn a_peer_that_keeps_talking_is_cut_off_after_two_seconds() {
    let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Eof, |_| {});
    events.stream(token).unwrap().close();
    peer.say(b"bla");
    for _ in 0..4 {
        pump(&mut events, &mut desk);
        assert_eq!(events.streams(), 1);
        pass(std::time::Duration::from_micros(499_999));
        peer.say(b"bla");
    }
    pass(std::time::Duration::from_micros(4));
    events.run(&mut desk).unwrap();
    assert_eq!((desk.log.len(), events.streams()), (0, 0));
}

#[test]
fn a_peer_that_ends_while_it_is_listened_to_ends_it() {
    let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Eof, |_| {});
    peer.say(b"bla");
    events.stream(token).unwrap().close();
    pump(&mut events, &mut desk);
    assert_eq!(events.streams(), 1);
    peer.say(b"bla");
    peer.finish();
    // It would wait for ever, or for two seconds of a clock that stands still.
    events.run(&mut desk).unwrap();
    assert_eq!((desk.log.len(), peer.hear().1), (0, End::Eof));
}

#[test]
fn a_close_at_the_end_of_a_long_turn_is_no_reset() {
    // Each `Drained` costs a part of the turn's budget; the last one of it closes.
    let turns = BUDGET / DRAINED_COST;
    let (mut events, mut desk, token, mut peer) = streaming(move |io, desk, _, event| {
        assert_eq!(event, StreamEvent::Drained);
        desk.note("Drained");
        io.write(b"x");
        if desk.log.len() == turns {
            io.close();
        }
    });
    let io = events.stream(token).unwrap();
    io.set_reading(false);
    io.write(b"x");
    peer.say(b"never read");
    pump(&mut events, &mut desk);
    assert_eq!(desk.log.len(), turns);
    assert_eq!(peer.hear(), (vec![b'x'; turns + 1], End::Eof));
}

#[test]
fn a_close_for_a_timeout_closes() {
    for late in [Direction::Read, Direction::Write] {
        let (mut events, mut desk, token, mut peer) =
            acting(StreamEvent::TimedOut(late), Buffered::close);
        let io = events.stream(token).unwrap();
        match late {
            Direction::Read => io.set_timeouts(Some(secs(1)), None),
            Direction::Write => {
                io.set_timeouts(None, Some(secs(1)));
                io.write(&vec![0; 1 << 20]);
            }
        }
        pump(&mut events, &mut desk);
        assert_eq!(events.deadline(token), Some(events.now().after(1_000_000)));
        pass(secs(1));
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), [text(StreamEvent::TimedOut(late))]);
        if late == Direction::Write {
            // What is written when it is closed has the same timeout once more.
            assert_eq!(events.streams(), 1);
            pass(secs(1));
            pump(&mut events, &mut desk);
        }
        assert_eq!((desk.log.len(), events.streams()), (0, 0));
        peer.heard();
        assert_ne!(peer.hear().1, End::Open);
    }
}

#[test]
fn both_directions_may_be_late_and_a_close_in_between_ends_it() {
    for close in [false, true] {
        let late = StreamEvent::TimedOut(Direction::Read);
        let (mut events, mut desk, token, _peer) = acting(late, move |io| {
            if close {
                io.close();
            }
        });
        let io = events.stream(token).unwrap();
        io.set_timeouts(Some(secs(1)), Some(secs(1)));
        // More than the socket takes, and not so much that nothing is read meanwhile.
        io.set_write_watermarks(0, usize::MAX);
        io.write(&vec![0; 1 << 20]);
        pump(&mut events, &mut desk);
        pass(secs(1));
        pump(&mut events, &mut desk);
        let told = ["TimedOut(Read)", "TimedOut(Write)"];
        assert_eq!(desk.news(), told[..2 - usize::from(close)]);
        pass(secs(1));
        pump(&mut events, &mut desk);
        // Reading has ended with the first; writing is waited for again.
        assert_eq!(desk.news(), told[1 + usize::from(close)..]);
        assert_eq!(events.streams(), usize::from(!close));
    }
}

#[test]
fn activity_postpones_a_timeout_and_reading_again_starts_it_anew() {
    let late = StreamEvent::TimedOut(Direction::Read);
    let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Input, |io| {
        io.consume(usize::MAX);
    });
    events.stream(token).unwrap().set_timeouts(Some(secs(10)), None);
    for _ in 0..3 {
        pass(secs(9));
        peer.say(b"x");
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), ["Input"]);
    }
    pass(secs(10));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), [text(late)]);
    // Reading has ended: time does not count, and nothing is told.
    peer.say(b"x");
    pass(secs(100));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
    events.stream(token).unwrap().set_reading(true);
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["Input"]);
    pass(secs(9));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
    pass(secs(1));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), [text(late)]);
}

#[test]
fn while_it_is_full_the_peer_cannot_be_late() {
    let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Eof, |_| {});
    let io = events.stream(token).unwrap();
    io.set_timeouts(Some(secs(1)), None);
    io.write(&vec![0; 1 << 20]);
    pump(&mut events, &mut desk);
    pass(secs(100));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0, "nothing is read, so nothing is missed");
    while desk.log.is_empty() {
        peer.heard();
        pump(&mut events, &mut desk);
    }
    assert_eq!(desk.news(), ["Drained"]);
    pass(secs(1));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["TimedOut(Read)"]);
}

#[test]
fn a_peer_that_never_reads_is_not_read_from_and_costs_what_it_may() {
    let (mut events, mut desk, token, mut peer) = acting(StreamEvent::Input, |io| {
        let all = io.input().to_vec();
        io.write(&all);
        io.consume(all.len());
    });
    let piece = vec![9; 64 * 1024];
    let (mut sent, mut most) = (0, 0);
    loop {
        let now = peer.push(&piece);
        sent += now;
        pump(&mut events, &mut desk);
        let io = events.stream(token).unwrap();
        most = most.max(io.unsent() + io.input().len());
        if now == 0 {
            break;
        }
    }
    assert!(events.stream(token).unwrap().is_full());
    assert!(most <= BUDGET + READ_SIZE, "{most} bytes in memory");
    // And it gets everything when it reads.
    let mut got = 0;
    while got < sent {
        let heard = peer.heard().len();
        got += heard;
        let calls = events.stats().calls;
        pump(&mut events, &mut desk);
        assert!(heard > 0 || events.stats().calls > calls, "stuck at {got} of {sent}");
    }
    assert_eq!(got, sent);
}

#[test]
fn a_producer_that_is_pumped_by_drained_leaves_others_their_turn() {
    const SIZE: usize = 10 << 20;
    let mut left = SIZE;
    let (mut events, mut desk, token, mut peer) = streaming(move |io, _, _, event| {
        if event == StreamEvent::Drained {
            let now = left.min(32 * 1024);
            io.write(&vec![3; now]);
            left -= now;
            if left == 0 {
                io.close();
            }
        }
    });
    events.stream(token).unwrap().write(b"x");
    let (_other, mut tap) = named(&mut events, "tap", Watch::READ);
    let (mut got, mut taps) = (0, 0);
    while got <= SIZE {
        tap.say(b"x");
        taps += 1;
        round(&mut events, &mut desk);
        assert_eq!(desk.log.len(), taps, "its turn comes in every round");
        got += peer.heard().len();
        assert!(taps < 100_000, "stuck at {got}");
    }
    assert_eq!((got, peer.hear().1), (SIZE + 1, End::Eof));
}

#[test]
fn a_peer_that_floods_leaves_others_their_turn() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (stream, mut peer) = stream_pair();
    let most = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let counted = std::rc::Rc::clone(&most);
    let call = move |io: &mut Buffered, _: &mut Desk, _: &mut Context<Desk>, _: StreamEvent| {
        let (total, now) = counted.get();
        counted.set((total + io.input().len(), now + io.input().len()));
        io.consume(usize::MAX);
        // The peer is in this thread: it goes on as soon as there is room.
        peer.push(&vec![1; 256 * 1024]);
    };
    events.buffered(stream, call).unwrap();
    // The first push is the call's own; this one starts it.
    let (_other, mut tap) = named(&mut events, "tap", Watch::READ);
    for taps in 1..=20 {
        tap.say(b"x");
        round(&mut events, &mut desk);
        assert_eq!(desk.log.len(), taps);
        let (total, now) = most.replace((most.get().0, 0));
        assert!(now <= BUDGET + READ_SIZE, "{now} of {total} in one turn");
    }
}

#[test]
fn what_came_before_a_reset_is_delivered_and_then_it_fails() {
    let (mut events, mut desk, token, mut peer) =
        streaming(|io, desk, _, event| note(io, desk, event));
    events.stream(token).unwrap().write(b"never read");
    pump(&mut events, &mut desk);
    peer.say(b"last words");
    // A Unix socket that is closed with input unread resets the connection.
    drop(peer);
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["Drained", "Input last words", "Failed(ECONNRESET)"]);
    assert_eq!(events.streams(), 0);
}

#[test]
fn what_came_before_a_write_failed_is_delivered_and_then_it_fails() {
    let (mut events, mut desk, token, mut peer) =
        streaming(|io, desk, _, event| note(io, desk, event));
    pump(&mut events, &mut desk);
    peer.say(b"last words");
    drop(peer);
    let io = events.stream(token).unwrap();
    io.write(b"to a dead peer");
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["Input last words", "Failed(EPIPE)"]);
    assert_eq!(events.streams(), 0);
}

#[test]
fn a_stream_that_does_not_read_is_told_of_a_failure_at_once() {
    let (mut events, mut desk, token, mut peer) =
        streaming(|io, desk, _, event| note(io, desk, event));
    events.stream(token).unwrap().set_reading(false);
    peer.say(b"unread");
    drop(peer);
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
    events.stream(token).unwrap().write(b"to a dead peer");
    events.run(&mut desk).unwrap();
    assert_eq!((desk.news(), events.streams()), (vec!["Failed(EPIPE)".to_owned()], 0));
}
