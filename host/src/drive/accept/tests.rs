//! Limits and pauses, with a time that the test tells.

use std::os::fd::AsFd;

use windlass_core::stream::{Read, Write};

use super::*;
use crate::sys::clock;
use crate::sys::connect::connect;
use crate::sys::poll::{Woken, wait};
use crate::sys::ready::{Interest, Ready};
use crate::sys::stream::Stream;

const T0: Instant = Instant::from_micros(1_000_000);

fn acceptor(max: usize) -> Acceptor {
    let address: Address = "tcp:127.0.0.1:0".parse().unwrap();
    Acceptor::new(Listener::bind(&address, 16).unwrap(), max)
}

fn await_input(fd: impl AsFd) {
    let far = clock::now().after(60_000_000);
    let woken = wait(fd.as_fd(), Interest::READ, None, Some(far));
    assert!(matches!(woken, Woken::Ready(_)), "{woken:?}");
}

/// A client that waits to be accepted.
fn client(of: &Acceptor) -> Stream {
    let client = connect(of.address().unwrap(), clock::now().after(60_000_000)).unwrap();
    await_input(of.socket().unwrap());
    client
}

#[test]
fn clients_wait_at_the_limit() {
    let mut acceptor = acceptor(2);
    let _client = client(&acceptor);
    for (live, wants) in [(0, true), (1, true), (2, false), (3, false)] {
        assert_eq!(acceptor.wants(T0, live), wants, "{live} of 2");
    }
    assert!(acceptor.accept(T0, 2).is_none());
    assert_eq!(acceptor.wake(T0), Wake::Never, "only an end makes room");
    assert!(acceptor.accept(T0, 1).is_some());
    assert!(acceptor.accept(T0, 1).is_none(), "one came twice");
}

#[test]
fn a_pause_ends_after_100_ms() {
    let mut acceptor = acceptor(2);
    let _client = client(&acceptor);
    acceptor.pause("accept", Errno::EMFILE, T0, 0);
    let end = T0.after(100_000);
    for now in [T0, T0.after(99_999)] {
        assert!(!acceptor.wants(now, 0));
        assert!(acceptor.accept(now, 0).is_none());
        assert_eq!(acceptor.wake(now), Wake::At(end));
    }
    assert!(acceptor.wants(end, 0));
    assert!(acceptor.accept(end, 0).is_some());
    assert!(acceptor.wants(T0, 0));
}

#[test]
fn a_pause_that_is_over_wakes_no_loop() {
    // What ran out may have come back unseen, with an empty queue: a loop that was woken for
    // the pause until a client comes would spin.
    let mut acceptor = acceptor(2);
    acceptor.pause("accept", Errno::EMFILE, T0, 0);
    assert_eq!(acceptor.wake(T0.after(100_000)), Wake::Never);
    assert_eq!(acceptor.wake(T0.after(100_001)), Wake::Never);
}

#[test]
fn an_end_of_a_connection_ends_the_pause() {
    let mut acceptor = acceptor(2);
    let _client = client(&acceptor);
    acceptor.pause("accept", Errno::EMFILE, T0, 1);
    acceptor.closed();
    assert_eq!(acceptor.wake(T0), Wake::Never);
    assert!(acceptor.accept(T0, 0).is_some());
}

#[test]
fn a_second_pause_is_as_long_as_the_first() {
    let mut acceptor = acceptor(2);
    acceptor.pause("accept", Errno::EMFILE, T0, 0);
    acceptor.pause("accept", Errno::EMFILE, T0.after(100_000), 0);
    assert_eq!(acceptor.wake(T0.after(100_000)), Wake::At(T0.after(200_000)));
}

#[test]
fn a_refused_client_sees_a_clean_end() {
    let mut acceptor = acceptor(2);
    let client = client(&acceptor);
    let stream = acceptor.accept(T0, 0).unwrap();
    assert_eq!(client.send([b"hello", &[]]), Ok(Write::count(5)));
    await_input(&stream);
    acceptor.refuse(&stream, "for this test", T0);
    drop(stream);
    let far = clock::now().after(60_000_000);
    let end = Woken::Ready(Ready { read: true, hup: true, ..Ready::NONE });
    assert_eq!(wait(client.as_fd(), Interest::READ, None, Some(far)), end, "it was reset");
    assert_eq!(client.recv(&mut [0; 8]), Ok(Read::Eof));
}

#[test]
fn closed_it_refuses_every_client() {
    let mut acceptor = acceptor(2);
    let address = acceptor.address().unwrap().clone();
    acceptor.pause("accept", Errno::EMFILE, T0, 0);
    acceptor.close();
    assert!(acceptor.address().is_none());
    assert!(acceptor.socket().is_none());
    assert!(!acceptor.wants(T0.after(100_000), 0));
    assert!(acceptor.accept(T0.after(100_000), 0).is_none());
    assert_eq!(acceptor.wake(T0), Wake::Never);
    // The port is free again: another server takes it, and its queue is empty.
    let next = Listener::bind(&address, 16).unwrap();
    assert!(matches!(next.accept(), Accepted::Empty));
}
