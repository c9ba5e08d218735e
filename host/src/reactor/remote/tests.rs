//! Calls from other threads: in order, none lost, and the end when no handle is left.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::reactor::EventLoop;
use crate::reactor::tests::{Desk, frozen, ms, round};

#[test]
fn calls_of_each_thread_are_made_in_their_order_and_none_is_lost() {
    const THREADS: usize = 4;
    const CALLS: u32 = 2_000;
    let (mut events, mut seen) = (EventLoop::new().unwrap(), [const { Vec::new() }; THREADS]);
    let remote: Remote<[Vec<u32>; THREADS]> = events.remote().unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let remote = remote.clone();
            scope.spawn(move || {
                for number in 0..CALLS {
                    remote.call(move |seen, _| seen[thread].push(number));
                }
            });
        }
        drop(remote);
        // It ends when the last thread has dropped its handle, and not before.
        events.run(&mut seen).unwrap();
    });
    for of_one in seen {
        assert!(of_one.iter().copied().eq(0..CALLS), "{} of {CALLS}", of_one.len());
    }
}

#[test]
fn the_last_words_of_a_remote_are_heard() {
    // The call is left, and the handle dropped, after the loop has looked and before it looks again.
    let (mut events, mut desk) = (frozen(), Desk::default());
    let remote = events.remote().unwrap();
    events.defer(move |_: &mut Desk, _| {
        remote.call(|desk: &mut Desk, _| desk.note("last words"));
        drop(remote);
    });
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["last words"]);
}

#[test]
fn a_hundred_remotes_that_say_one_word_and_go_are_heard() {
    for _ in 0..100 {
        let (mut events, mut count) = (EventLoop::new().unwrap(), 0);
        let remote = events.remote().unwrap();
        let thread = thread::spawn(move || remote.call(|count: &mut u32, _| *count += 1));
        events.run(&mut count).unwrap();
        thread.join().unwrap();
        assert_eq!(count, 1);
    }
}

#[test]
fn wake_ends_a_wait_and_makes_no_call() {
    let (mut events, mut desk) = (EventLoop::new().unwrap(), Desk::default());
    let remote = events.remote().unwrap();
    for _ in 0..3 {
        let waker = remote.clone();
        let thread = thread::spawn(move || {
            waker.wake();
            waker
        });
        assert_eq!(events.run_once(&mut desk, None).unwrap(), 0);
        thread.join().unwrap();
        // Its handle was dropped here, which rings too.
        assert_eq!(events.run_once(&mut desk, None).unwrap(), 0);
    }
}

#[test]
fn a_remote_outlives_its_loop() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let remote = events.remote().unwrap();
    let (alive, gone) = mpsc::channel::<()>();
    remote.call(|desk: &mut Desk, _| desk.note("called"));
    round(&mut events, &mut desk);
    drop(events);
    let other = remote.clone();
    assert!(!other.call(move |_, _| drop(alive)));
    remote.wake();
    assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Disconnected), "the call will not be made");
    thread::spawn(move || drop(remote)).join().unwrap();
    drop(other);
    assert_eq!(desk.log, ["called"]);
}

#[test]
fn a_call_may_call_and_a_handle_may_be_asked_for_again() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let remote = events.remote().unwrap();
    let inner = remote.clone();
    remote.call(move |desk: &mut Desk, cx| {
        desk.note("outer");
        inner.call(|desk, _| desk.note("inner"));
        let again = cx.remote().unwrap();
        again.call(|desk, _| desk.note("again"));
        cx.after(ms(0), |desk, _| desk.note("timer"));
        crate::reactor::tests::pass(ms(1));
    });
    drop(remote);
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log[0], "outer");
    desk.log.sort();
    assert_eq!(desk.log, ["again", "inner", "outer", "timer"]);
}

#[test]
fn what_was_left_for_a_loop_goes_with_the_loop() {
    let mut events: EventLoop<Desk> = frozen();
    let remote = events.remote().unwrap();
    let (alive, gone) = mpsc::channel::<()>();
    // It owns a handle too, and does not keep the loop alive with it.
    let own = remote.clone();
    assert!(remote.call(move |_, _| drop((alive, own))));
    assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(events);
    assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    assert!(!remote.call(|_, _| {}));
}
