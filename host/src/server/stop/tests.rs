//! Requests to stop, with a time that the test tells.

use super::*;
use crate::sys::clock;
use crate::sys::stream::Stream;

const T0: Instant = Instant::from_micros(1_000_000);
const GRACE: u64 = 5_000_000;

fn is_told(stop: &Stop) -> bool {
    let woken = poll::wait(stop.socket(), Interest::READ, None, Some(Instant::ZERO));
    matches!(woken, poll::Woken::Ready(_))
}

#[test]
fn nothing_ends_unasked() {
    let (mut stop, _handle) = Stop::by_handle(GRACE).unwrap();
    assert!(!is_told(&stop));
    stop.notice(T0);
    assert!(!stop.is_requested());
    assert!(!stop.is_over(T0.after(u64::MAX), 0));
    assert_eq!(stop.wake(), Wake::Never);
}

#[test]
fn a_request_is_noticed_only_when_it_is_looked_at() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    handle.stop();
    assert!(is_told(&stop));
    assert!(!stop.is_requested());
    stop.notice(T0);
    assert!(stop.is_requested());
    assert!(!is_told(&stop), "the wait would be woken again and again");
}

#[test]
fn the_first_request_waits_for_those_that_are_served() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    handle.stop();
    stop.notice(T0);
    assert_eq!(stop.wake(), Wake::At(T0.after(GRACE)));
    for (us, live, over) in
        [(0, 1, false), (0, 0, true), (GRACE - 1, 1, false), (GRACE, 1, true), (GRACE + 1, 1, true)]
    {
        assert_eq!(stop.is_over(T0.after(us), live), over, "{live} open after {us} µs");
    }
}

#[test]
fn without_grace_the_first_request_ends_everything() {
    let (mut stop, handle) = Stop::by_handle(0).unwrap();
    handle.stop();
    stop.notice(T0);
    assert!(stop.is_over(T0, 1));
}

#[test]
fn noticing_again_does_not_prolong_the_grace() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    handle.stop();
    stop.notice(T0);
    stop.notice(T0.after(1_000));
    assert_eq!(stop.wake(), Wake::At(T0.after(GRACE)));
}

#[test]
fn the_second_request_ends_everything() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    handle.stop();
    stop.notice(T0);
    handle.clone().stop();
    stop.notice(T0);
    assert!(stop.is_over(T0, 1000));
    assert_eq!(stop.wake(), Wake::Now);
    // And there it stays.
    handle.stop();
    stop.notice(T0);
    assert!(stop.is_over(T0, 1));
}

#[test]
fn two_requests_at_once_are_two() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    handle.stop();
    handle.stop();
    stop.notice(T0);
    assert!(stop.is_over(T0, 1));
}

#[cfg(feature = "supervise")]
#[test]
fn a_retiring_server_has_time_and_can_be_told_to_hurry() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    stop.set_grace(GRACE, 100 * GRACE);
    assert_eq!(stop.longest_us(), 100 * GRACE);
    stop.retire(T0);
    assert!(stop.is_requested());
    assert_eq!(stop.wake(), Wake::At(T0.after(100 * GRACE)));
    assert!(stop.is_over(T0, 0) && !stop.is_over(T0.after(100 * GRACE - 1), 1));
    // To say it again changes nothing; one request is the first.
    stop.retire(T0.after(1));
    handle.stop();
    stop.notice(T0.after(2));
    assert_eq!(stop.wake(), Wake::At(T0.after(2 + GRACE)));
    // A server that was told to stop does not retire.
    stop.retire(T0.after(3));
    assert_eq!(stop.wake(), Wake::At(T0.after(2 + GRACE)));
    handle.stop();
    stop.notice(T0.after(4));
    assert_eq!(stop.wake(), Wake::Now);
}

#[test]
fn a_request_to_stop_gives_no_more_time() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    stop.retire(T0);
    handle.stop();
    stop.notice(T0.after(GRACE / 2));
    assert_eq!(stop.wake(), Wake::At(T0.after(GRACE)));
}

#[test]
fn a_wait_for_one_connection_is_cut_by_the_second_request() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    let (ours, _peer) = Stream::pair().unwrap();
    handle.stop();
    assert!(matches!(stop.wait(ours.as_fd(), Interest::READ, None), Woken::Look));
    handle.stop();
    assert!(matches!(stop.wait(ours.as_fd(), Interest::READ, None), Woken::Cut));
}

#[test]
fn a_wait_for_one_connection_ends_with_the_grace() {
    let (mut stop, handle) = Stop::by_handle(0).unwrap();
    let (ours, _peer) = Stream::pair().unwrap();
    handle.stop();
    assert!(matches!(stop.wait(ours.as_fd(), Interest::READ, None), Woken::Cut));
}

#[test]
fn a_wait_for_one_connection_ends_at_its_deadline() {
    let (mut stop, _handle) = Stop::by_handle(GRACE).unwrap();
    let (ours, peer) = Stream::pair().unwrap();
    let soon = Some(clock::now());
    assert!(matches!(stop.wait(ours.as_fd(), Interest::READ, soon), Woken::Look));
    peer.shutdown_write();
    let woken = stop.wait(ours.as_fd(), Interest::READ, None);
    assert!(matches!(woken, Woken::Ready(ready) if ready.hup));
}
