//! Sources that change each other: a removed or disarmed source is not called, a source that comes into
//! its place hears nothing of it. Two sources are made ready together, so one batch has both.

use std::rc::Rc;
use std::time::Duration;

use windlass_core::session::Echo;

use super::*;
use crate::reactor::tests::{
    Desk, End, Peer, drain, frozen, ms, named, pair, pass, pump, round, secs, stream_pair, text,
};
use crate::reactor::{Event, EventLoop};

/// Two ready sources; the first to be called does `act` to the other.
fn neighbours(act: fn(&mut Desk, &mut Context<Desk>, Token)) -> (EventLoop<Desk>, Desk, [Peer; 2]) {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let peers = [0, 1].map(|me: usize| {
        let (io, mut peer) = pair();
        let call = move |io: &mut _, desk: &mut Desk, cx: &mut Context<Desk>, _| {
            drain(io);
            desk.note("called");
            if desk.log.len() == 1 {
                let other = desk.tokens[1 - me];
                act(desk, cx, other);
            }
        };
        desk.tokens.push(events.add(io, Watch::READ, call).unwrap());
        peer.say(b"x");
        peer
    });
    (events, desk, peers)
}

#[test]
fn a_source_removed_in_the_same_round_is_not_called() {
    let (mut events, mut desk, mut peers) = neighbours(|_, cx, other| {
        assert!(cx.remove(other));
    });
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["called"]);
    assert_eq!(events.stats().stale, 1);
    let ends = peers.each_mut().map(|peer| peer.hear().1);
    assert_eq!(ends.iter().filter(|end| **end == End::Open).count(), 1, "{ends:?}");
}

#[test]
fn a_source_disarmed_in_the_same_round_is_not_called_until_it_is_armed() {
    let (mut events, mut desk, _peers) = neighbours(|_, cx, other| cx.disarm(other));
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["called"]);
    for token in desk.tokens.clone() {
        events.arm(token).unwrap();
    }
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["called"; 2], "what came meanwhile was not lost");
    assert_eq!(events.stats().rebuilt, 0);
}

#[test]
fn disarmed_and_armed_in_one_call_it_is_called_once() {
    for watch in [Watch::READ, Watch::READ.edge(), Watch::READ.once(), Watch::READ.edge().once()] {
        let (mut events, mut desk, _peers) = neighbours(|_, cx, other| {
            cx.disarm(other);
            cx.arm(other).unwrap();
        });
        for token in desk.tokens.clone() {
            events.watch(token, watch).unwrap();
        }
        pump(&mut events, &mut desk);
        assert_eq!(desk.log, ["called"; 2], "{watch:?}");
    }
}

#[test]
fn a_source_removes_itself_and_its_peer_sees_the_end() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (io, mut peer) = pair();
    let token = events.add(io, Watch::READ, |_, desk: &mut Desk, cx, _| {
        desk.note("called");
        let me = cx.current();
        assert!(cx.remove(me));
        assert!(!cx.remove(me));
    });
    let token = token.unwrap();
    peer.say(b"x");
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["called"]);
    assert!(!events.contains(token));
    assert_eq!(peer.hear().1, End::Reset, "its byte was not read");
}

#[test]
fn a_source_in_the_slot_of_a_removed_one_gets_none_of_its_events() {
    let (mut events, mut desk, _peers) = neighbours(|desk, cx, other| {
        cx.remove(other);
        let (io, peer) = pair();
        let new = cx.add(io, Watch::BOTH.edge(), |_, desk, _, _| desk.note("new")).unwrap();
        assert_eq!((new.index, new == other), (other.index, false));
        desk.tokens = vec![new];
        // The peer goes, and with it everything that the new one could be told.
        std::mem::forget(peer);
        cx.disarm(new);
    });
    round(&mut events, &mut desk);
    assert_eq!((desk.news(), events.stats().stale), (vec!["called".to_owned()], 1));
    events.arm(desk.tokens[0]).unwrap();
    round(&mut events, &mut desk);
    assert_eq!(desk.log, ["new"]);
}

#[test]
fn a_token_of_an_earlier_generation_stands_for_no_source() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (old, _old_peer) = named(&mut events, "old", Watch::READ);
    events.remove(old);
    let (new, mut peer) = named(&mut events, "new", Watch::READ);
    assert_eq!(new.index, old.index);
    assert!(!events.remove(old) && !events.contains(old) && !events.is_armed(old));
    assert!(events.arm(old).is_err() && events.watch(old, Watch::WRITE).is_err());
    events.disarm(old);
    events.activate(old);
    events.touch(old);
    events.arm_after(old, ms(1));
    events.arm_at(old, Instant::ZERO);
    events.set_priority(old, Priority::Low);
    assert_eq!(events.deadline(old), None);
    assert!(events.stream(old).is_none());
    assert_eq!((round(&mut events, &mut desk), events.is_armed(new)), (0, true));
    peer.say(b"x");
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["new"]);
}

#[test]
fn a_connection_is_no_source_that_can_be_armed_or_called() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (source, mut peer) = named(&mut events, "source", Watch::READ.timeout(secs(5)));
    let (stream, mut client) = stream_pair();
    let connection = events.serve(stream, Box::new(Echo::new())).unwrap();
    let deadline = events.deadline(source);
    let harms: [fn(&mut Context<Desk>, Token); 7] = [
        |cx, token| cx.disarm(token),
        |cx, token| assert!(cx.arm(token).is_err()),
        |cx, token| assert!(cx.watch(token, Watch::WRITE).is_err()),
        |cx, token| cx.activate(token),
        |cx, token| cx.arm_after(token, ms(1)),
        |cx, token| assert!(!cx.is_armed(token) && cx.deadline(token).is_none()),
        |cx, token| assert!(cx.stream(token).is_none()),
    ];
    for harm in harms {
        harm(&mut events, connection);
        assert_eq!((events.is_armed(source), events.deadline(source)), (true, deadline));
        peer.say(b"x");
        client.say(b"hello");
        pump(&mut events, &mut desk);
        assert_eq!((desk.news(), client.heard()), (vec!["source".to_owned()], b"hello".to_vec()));
    }
    assert!(events.remove(connection) && !events.contains(connection) && events.contains(source));
}

#[test]
fn a_source_that_is_added_in_a_call_has_its_turn_in_the_next_round() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    events.defer(|desk: &mut Desk, cx| {
        desk.note("deferred");
        let (_, mut peer) = named(cx, "added", Watch::READ);
        peer.say(b"x");
        cx.after(Duration::ZERO, |desk, _| desk.note("timer"));
    });
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["deferred"]);
    pass(ms(1));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["added", "timer"]);
}

#[test]
fn activated_sources_are_called_once_for_nothing_in_particular() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (io, _peer) = pair();
    let call = |_: &mut _, desk: &mut Desk, _: &mut Context<Desk>, event| desk.note(text(event));
    let token = events.add(io, Watch::READ, call).unwrap();
    events.activate(token);
    events.activate(token);
    round(&mut events, &mut desk);
    let nothing = text(Event::Ready(Ready::NONE));
    assert_eq!(desk.news(), [nothing.as_str()]);
    // Also one that is disarmed, which stays so.
    events.disarm(token);
    events.activate(token);
    pump(&mut events, &mut desk);
    assert_eq!((desk.news(), events.is_armed(token)), (vec![nothing], false));
}

#[test]
fn what_is_watched_can_be_changed() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (io, mut peer) = pair();
    let call = |_: &mut _, desk: &mut Desk, _: &mut Context<Desk>, event| match event {
        Event::Ready(ready) => desk.note(format!("{}{}", ready.read, ready.write)),
        Event::TimedOut => desk.note("late"),
    };
    let token = events.add(io, Watch::READ.once(), call).unwrap();
    assert_eq!(round(&mut events, &mut desk), 0);
    for (watch, told) in [
        (Watch::WRITE.once(), Some("falsetrue")),
        (Watch::READ.once(), None),
        (Watch::BOTH.once(), Some("falsetrue")),
    ] {
        events.watch(token, watch).unwrap();
        round(&mut events, &mut desk);
        assert_eq!(desk.news().first().map(String::as_str), told, "{watch:?}");
    }
    peer.say(b"x");
    events.watch(token, Watch::BOTH.once()).unwrap();
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["truetrue"]);
    let timer = events.timer(|_, _| {});
    assert!(events.watch(timer, Watch::READ).is_err(), "a timer is no descriptor");
}

#[test]
fn the_same_descriptor_twice_is_an_error_that_harms_no_source() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (io, mut peer) = pair();
    let shared = Rc::new(io);
    let first = events.add(Rc::clone(&shared), Watch::READ, |io, desk: &mut Desk, _, _| {
        drain(&mut io.try_clone().unwrap());
        desk.note("first");
    });
    let first = first.unwrap();
    let again = events.add(shared, Watch::WRITE, |_, desk, _, _| desk.note("second"));
    let error = again.unwrap_err().to_string();
    assert!(error.starts_with("watch descriptor ") && error.ends_with("File exists"), "{error}");
    peer.say(b"x");
    pump(&mut events, &mut desk);
    assert_eq!((desk.news(), events.is_armed(first)), (vec!["first".to_owned()], true));
    assert!(events.remove(first));
    assert_eq!(peer.hear().1, End::Eof, "no source holds it any more");
}

#[test]
fn a_disarmed_descriptor_has_no_timeout_whatever_touches_it() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (token, mut peer) = named(&mut events, "called", Watch::READ.timeout(secs(5)));
    events.disarm(token);
    events.touch(token);
    assert_eq!((events.deadline(token), events.is_armed(token)), (None, false));
    // And one that has fired the one time it was to fire.
    events.watch(token, Watch::READ.once().timeout(secs(5))).unwrap();
    peer.say(b"x");
    pump(&mut events, &mut desk);
    events.touch(token);
    pass(secs(60));
    pump(&mut events, &mut desk);
    assert_eq!((desk.log, events.is_armed(token)), (vec!["called".to_owned()], false));
}
