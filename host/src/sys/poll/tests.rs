//! One descriptor, and sets of them.

use std::os::fd::AsFd;

use super::*;
use crate::sys::event::Event;
use crate::sys::stream::Stream;

const FAR: u64 = 60_000_000;

fn far() -> Instant {
    clock::now().after(FAR)
}

fn readable() -> Event {
    let event = Event::new().unwrap();
    event.raise();
    event
}

fn token(index: u32) -> Token {
    Token { index, generation: 7 }
}

#[test]
fn what_is_ready_is_returned_at_once() {
    let event = readable();
    let ready = Ready { read: true, ..Ready::NONE };
    assert_eq!(wait(event.as_fd(), Interest::READ, None, None), Woken::Ready(ready));
    let ready = Ready { write: true, ..Ready::NONE };
    assert_eq!(wait(event.as_fd(), Interest::WRITE, None, None), Woken::Ready(ready));
}

#[test]
fn the_other_descriptor_comes_first() {
    let (event, other) = (readable(), readable());
    let woken = wait(event.as_fd(), Interest::READ, Some(other.as_fd()), None);
    assert_eq!(woken, Woken::Other);
    other.take();
    let woken = wait(event.as_fd(), Interest::READ, Some(other.as_fd()), None);
    assert!(matches!(woken, Woken::Ready(_)));
}

#[test]
fn a_deadline_ends_the_wait() {
    let event = Event::new().unwrap();
    for deadline in [Instant::ZERO, clock::now(), clock::now().after(1)] {
        let woken = wait(event.as_fd(), Interest::READ, None, Some(deadline));
        assert_eq!(woken, Woken::TimedOut);
        assert!(clock::now() >= deadline);
    }
}

#[test]
fn what_is_ready_goes_before_a_deadline_that_is_over() {
    let event = readable();
    let woken = wait(event.as_fd(), Interest::READ, None, Some(Instant::ZERO));
    assert!(matches!(woken, Woken::Ready(_)));
}

#[test]
fn another_thread_ends_the_wait() {
    let (event, other) = (Event::new().unwrap(), Event::new().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| other.raise());
        let woken = wait(event.as_fd(), Interest::READ, Some(other.as_fd()), Some(far()));
        assert_eq!(woken, Woken::Other);
    });
}

#[test]
fn a_half_close_is_a_hangup_and_not_a_death() {
    let (ours, peer) = Stream::pair().unwrap();
    peer.shutdown_write();
    let ready = Ready { read: true, hup: true, ..Ready::NONE };
    assert_eq!(wait(ours.as_fd(), Interest::READ, None, None), Woken::Ready(ready));
    // A member without READ is not told: it would be told for ever.
    let woken = wait(ours.as_fd(), Interest::NONE, None, Some(Instant::ZERO));
    assert_eq!(woken, Woken::TimedOut);
}

#[test]
fn a_hang_up_is_reported_to_every_member() {
    let (ours, peer) = Stream::pair().unwrap();
    drop(peer);
    let ready = Ready { read: true, hup: true, dead: true, ..Ready::NONE };
    assert_eq!(wait(ours.as_fd(), Interest::NONE, None, None), Woken::Ready(ready));
}

#[test]
fn a_set_names_the_ready_members() {
    let events = [readable(), Event::new().unwrap(), readable()];
    let mut set = PollSet::new();
    for (event, index) in events.iter().zip(0..) {
        set.add(event.as_fd(), Interest::READ, token(index));
    }
    let count = set.wait(Some(FAR)).unwrap();
    assert_eq!(count, 2);
    let ready = Ready { read: true, ..Ready::NONE };
    let found: Vec<_> = set.ready(count).collect();
    assert_eq!(found, [(token(0), ready), (token(2), ready)]);
    // The set is kept: the next wait finds what is new.
    events[0].take();
    events[1].raise();
    let count = set.wait(None).unwrap();
    let found: Vec<_> = set.ready(count).map(|(token, _)| token.index).collect();
    assert_eq!(found, [1, 2]);
}

#[test]
fn a_set_waits_no_longer_than_it_is_told() {
    let event = Event::new().unwrap();
    let mut set = PollSet::new();
    set.add(event.as_fd(), Interest::READ, token(0));
    assert_eq!(set.wait(Some(0)), Ok(0));
    assert_eq!(set.wait(Some(1)), Ok(0));
    assert_eq!(set.ready(0).count(), 0);
    set.add(event.as_fd(), Interest::WRITE, token(1));
    assert_eq!(set.wait(Some(u64::MAX)), Ok(1));
    set.clear();
    assert_eq!(set.wait(Some(0)), Ok(0));
}
