//! A listener in the loop, over Unix sockets in the abstract name space: a connect is in the queue
//! when it returns, so each round accepts what the test put there.

use super::*;
use crate::reactor::tests::{Desk, Door, End, frozen, pump, round};
use crate::reactor::{EventLoop, StreamEvent};

/// Keeps each client as a stream, which is closed when the client leaves.
fn keep(desk: &mut Desk, cx: &mut Context<Desk>, incoming: Incoming) {
    let Incoming::Client(stream) = incoming else { return desk.note("exhausted") };
    desk.note("client");
    let token = cx.buffered(stream, |io, desk: &mut Desk, _, event| {
        if event == StreamEvent::Eof {
            desk.note("left");
            io.close();
        }
    });
    desk.tokens.push(token.unwrap());
}

fn listening(max: usize) -> (EventLoop<Desk>, Desk, Door, Token) {
    let (listener, door) = Door::open();
    let (mut events, desk) = (frozen(), Desk::default());
    let token = events.listen(listener, max, keep).unwrap();
    (events, desk, door, token)
}

#[test]
fn every_client_is_accepted() {
    let (mut events, mut desk, door, token) = listening(usize::MAX);
    // More than one burst.
    let clients: Vec<_> = (0..100).map(|_| door.knock()).collect();
    round(&mut events, &mut desk);
    assert_eq!(desk.count("client"), BURST as usize, "the others have their turn between");
    pump(&mut events, &mut desk);
    assert_eq!((desk.count("client"), events.streams()), (100, 100));
    drop(clients);
    pump(&mut events, &mut desk);
    assert_eq!((desk.count("left"), events.streams()), (100, 0));
    assert!(events.is_armed(token));
}

#[test]
fn at_its_limit_it_waits_until_a_client_leaves() {
    let (mut events, mut desk, door, token) = listening(2);
    let mut clients: Vec<_> = (0..5).map(|_| door.knock()).collect();
    for left in 0..4 {
        pump(&mut events, &mut desk);
        assert_eq!((desk.count("client"), events.streams()), ((2 + left).min(5), 2));
        clients.remove(0);
    }
    pump(&mut events, &mut desk);
    assert_eq!((desk.count("client"), desk.count("left"), events.streams()), (5, 4, 1));
    assert!(events.is_armed(token));
}

#[test]
fn a_full_listener_is_not_in_a_hurry() {
    let (mut events, mut desk, door, _token) = listening(1);
    let _clients: Vec<_> = (0..3).map(|_| door.knock()).collect();
    pump(&mut events, &mut desk);
    let before = events.stats();
    for _ in 0..5 {
        assert_eq!(round(&mut events, &mut desk), 0);
    }
    assert_eq!(events.stats().calls, before.calls);
}

#[test]
fn disarmed_in_its_own_call_it_accepts_no_more() {
    let (listener, door) = Door::open();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let token = events.listen(listener, usize::MAX, |desk: &mut Desk, cx, incoming| {
        keep(desk, cx, incoming);
        cx.disarm(cx.current());
    });
    let token = token.unwrap();
    let _clients: Vec<_> = (0..3).map(|_| door.knock()).collect();
    for count in 1..=3 {
        pump(&mut events, &mut desk);
        assert_eq!((desk.count("client"), events.is_armed(token)), (count, false));
        events.arm(token).unwrap();
    }
}

#[test]
fn disarmed_in_its_own_call_at_its_limit_it_stays_disarmed_when_a_client_leaves() {
    let (listener, door) = Door::open();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let token = events.listen(listener, 1, |desk: &mut Desk, cx, incoming| {
        keep(desk, cx, incoming);
        cx.disarm(cx.current());
    });
    let token = token.unwrap();
    let mut clients: Vec<_> = (0..2).map(|_| door.knock()).collect();
    pump(&mut events, &mut desk);
    clients.remove(0);
    pump(&mut events, &mut desk);
    assert_eq!((desk.count("client"), desk.count("left")), (1, 1));
    assert!(!events.is_armed(token));
    events.arm(token).unwrap();
    pump(&mut events, &mut desk);
    assert_eq!(desk.count("client"), 2);
}

#[test]
fn removed_in_its_own_call_it_is_closed() {
    let (listener, door) = Door::open();
    let (mut events, mut desk) = (frozen(), Desk::default());
    events
        .listen(listener, usize::MAX, |desk: &mut Desk, cx, incoming| {
            keep(desk, cx, incoming);
            assert!(cx.remove(cx.current()));
        })
        .unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| door.knock()).collect();
    pump(&mut events, &mut desk);
    assert_eq!(desk.count("client"), 1);
    assert!(!door.is_open());
    // Clients in the queue were cut off, the accepted one was not.
    let ends: Vec<_> = clients.iter_mut().map(|client| client.hear().1).collect();
    assert_eq!(ends, [End::Open, End::Reset, End::Reset]);
}

#[test]
fn a_break_in_its_call_leaves_the_others_in_the_queue() {
    let (listener, door) = Door::open();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let call = |desk: &mut Desk, cx: &mut Context<Desk>, incoming| {
        keep(desk, cx, incoming);
        cx.break_now();
    };
    events.listen(listener, usize::MAX, call).unwrap();
    let _clients: Vec<_> = (0..3).map(|_| door.knock()).collect();
    for count in 1..=3 {
        events.run(&mut desk).unwrap();
        assert_eq!(desk.count("client"), count);
    }
}

#[test]
fn clients_may_be_dropped_and_the_listener_goes_on() {
    let (listener, door) = Door::open();
    let (mut events, mut desk) = (frozen(), Desk::default());
    events.listen(listener, 1, |desk: &mut Desk, _, _| desk.note("client")).unwrap();
    for count in 1..=3 {
        let mut client = door.knock();
        pump(&mut events, &mut desk);
        assert_eq!((desk.log.len(), client.hear().1), (count, End::Eof));
    }
}
