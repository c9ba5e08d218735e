//! The control socket in a loop with a clock that the test moves, with clients in the same thread.

use super::*;
use crate::reactor::EventLoop;
use crate::reactor::tests::{Door, End, frozen, pass, pump};

/// A loop with a control socket that counts how often it was asked, and a way to connect to it.
fn start() -> (EventLoop<u64>, Door) {
    let (mut events, (listener, door)) = (frozen(), Door::open());
    listen(&mut events, listener, |asked: &mut u64, now| {
        *asked += 1;
        Status { uptime_us: now.as_micros(), ..Status::default() }
    })
    .unwrap();
    (events, door)
}

#[test]
fn a_client_that_asks_in_time_stays_and_a_silent_one_is_cut() {
    let ((mut events, door), mut asked) = (start(), 0);
    let (mut lively, mut silent) = (door.knock(), door.knock());
    for second in 0..4 {
        lively.say(b"status\n");
        pump(&mut events, &mut asked);
        let (answer, end) = lively.hear_text();
        assert!(answer.starts_with("{\"version\":") && end == End::Open, "{answer}");
        assert_eq!(silent.hear() == (vec![], End::Eof), second == 3, "second {second}");
        pass(IDLE_TIMEOUT / 3 + Duration::from_micros(1));
        pump(&mut events, &mut asked);
    }
    assert_eq!((asked, events.streams()), (4, 1));
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_any_more_and_cut() {
    let ((mut events, door), mut asked) = (start(), 0);
    let mut greedy = door.knock();
    // More questions than a socket has room for answers.
    while greedy.push(&b"status\n".repeat(1_000)) > 0 {
        pump(&mut events, &mut asked);
    }
    let before = asked;
    pump(&mut events, &mut asked);
    assert_eq!((asked, events.streams()), (before, 1), "the state is not asked for in vain");
    pass(IDLE_TIMEOUT + Duration::from_micros(1));
    pump(&mut events, &mut asked);
    assert_eq!(events.streams(), 0);
}

#[test]
fn there_are_so_many_seats_and_they_are_given_back() {
    let ((mut events, door), mut asked) = (start(), 0);
    let mut seated: Vec<_> = (0..CLIENTS_MAX).map(|_| door.knock()).collect();
    pump(&mut events, &mut asked);
    assert_eq!(events.streams(), CLIENTS_MAX);
    let mut late = door.knock();
    pump(&mut events, &mut asked);
    let refused = "{\"error\":\"16 clients are connected already\"}\n".to_owned();
    assert_eq!(late.hear_text(), (refused, End::Eof));
    seated.pop();
    pump(&mut events, &mut asked);
    let mut next = door.knock();
    next.say(b"status\n");
    pump(&mut events, &mut asked);
    assert_eq!(next.hear_text().1, End::Open);
    assert_eq!((asked, events.streams()), (1, CLIENTS_MAX));
}
