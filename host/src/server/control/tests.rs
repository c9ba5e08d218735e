//! The control socket in a loop with a clock that the test moves, with clients in the same thread.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use super::*;
use crate::addr::Address;
use crate::reactor::EventLoop;

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(1_000_000_000) };
}

fn clock() -> Instant {
    Instant::from_micros(NOW_US.get())
}

/// A loop with a control socket that counts how often it was asked, and its address.
fn start(name: &str) -> (EventLoop<u64>, SocketAddr) {
    let name = format!("windlass-test-control-{name}-{}", std::process::id());
    let listener = Listener::bind(&Address::UnixAbstract(name.clone()), 64).unwrap();
    let mut events = EventLoop::with_clock(clock).unwrap();
    listen(&mut events, listener, |asked: &mut u64, now| {
        *asked += 1;
        Status { uptime_us: now.as_micros(), ..Status::default() }
    })
    .unwrap();
    (events, SocketAddr::from_abstract_name(name).unwrap())
}

fn connect(at: &SocketAddr) -> UnixStream {
    let client = UnixStream::connect_addr(at).unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

/// Runs rounds until there is nothing to do.
fn pump(events: &mut EventLoop<u64>, asked: &mut u64) {
    let mut quiet = 0;
    while quiet < 3 {
        let calls = events.run_once(asked, Some(Duration::ZERO)).unwrap();
        quiet = if calls == 0 { quiet + 1 } else { 0 };
    }
}

/// What came, and whether the end came behind it.
fn heard(client: &mut UnixStream) -> (String, bool) {
    let (mut text, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match client.read(&mut buf) {
            Ok(0) => return (String::from_utf8(text).unwrap(), true),
            Ok(n) => text.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return (String::from_utf8(text).unwrap(), false);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_client_that_asks_in_time_stays_and_a_silent_one_is_cut() {
    let ((mut events, at), mut asked) = (start("silence"), 0);
    let (mut lively, mut silent) = (connect(&at), connect(&at));
    for second in 0..4 {
        lively.write_all(b"status\n").unwrap();
        pump(&mut events, &mut asked);
        let (answer, over) = heard(&mut lively);
        assert!(answer.starts_with("{\"version\":") && !over, "{answer}");
        assert_eq!(heard(&mut silent), (String::new(), second == 3), "second {second}");
        NOW_US.set(NOW_US.get() + IDLE_TIMEOUT.as_micros() as u64 / 3 + 1);
        pump(&mut events, &mut asked);
    }
    assert_eq!((asked, events.streams()), (4, 1));
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_any_more_and_cut() {
    let ((mut events, at), mut asked) = (start("greed"), 0);
    let mut greedy = connect(&at);
    // More questions than a socket has room for answers.
    while greedy.write(&b"status\n".repeat(1_000)).is_ok() {
        pump(&mut events, &mut asked);
    }
    let before = asked;
    pump(&mut events, &mut asked);
    assert_eq!((asked, events.streams()), (before, 1), "the state is not asked for in vain");
    NOW_US.set(NOW_US.get() + IDLE_TIMEOUT.as_micros() as u64 + 1);
    pump(&mut events, &mut asked);
    assert_eq!(events.streams(), 0);
}

#[test]
fn there_are_so_many_seats_and_they_are_given_back() {
    let ((mut events, at), mut asked) = (start("seats"), 0);
    let mut seated: Vec<_> = (0..CLIENTS_MAX).map(|_| connect(&at)).collect();
    pump(&mut events, &mut asked);
    assert_eq!(events.streams(), CLIENTS_MAX);
    let mut late = connect(&at);
    pump(&mut events, &mut asked);
    let refused = "{\"error\":\"16 clients are here already\"}\n".to_owned();
    assert_eq!(heard(&mut late), (refused, true));
    seated.pop();
    pump(&mut events, &mut asked);
    let mut next = connect(&at);
    next.write_all(b"status\n").unwrap();
    pump(&mut events, &mut asked);
    assert!(!heard(&mut next).1);
    assert_eq!((asked, events.streams()), (1, CLIENTS_MAX));
}
