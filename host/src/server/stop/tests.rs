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
fn a_request_is_noticed_only_when_it_is_looked_at() {
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    assert!(!is_told(&stop));
    handle.stop();
    assert!(is_told(&stop));
    assert!(!stop.is_requested());
    stop.notice(T0);
    assert!(stop.is_requested());
    assert!(!is_told(&stop), "the wait would be woken again and again");
    let (mut stop, handle) = Stop::by_handle(GRACE).unwrap();
    handle.stop();
    handle.clone().stop();
    stop.notice(T0);
    assert_eq!(stop.wake(), Wake::Now, "two requests at once are two");
}

#[test]
fn each_order_sets_the_end_and_none_gives_more_time() {
    const DRAIN: u64 = 100 * GRACE;
    #[derive(Debug)]
    enum Order {
        Look,
        Stop,
        Retire,
    }
    use Order::{Look, Retire, Stop as End};
    let at = |us| Wake::At(T0.after(us));
    // Orders with their times, and when the server ends although a connection is open.
    for (orders, ends) in [
        (&[(0, Look)][..], Wake::Never),
        (&[(0, End)], at(GRACE)),
        (&[(0, End), (1_000, Look)], at(GRACE)),
        (&[(0, End), (0, End)], Wake::Now),
        (&[(0, End), (0, End), (0, End)], Wake::Now),
        (&[(0, Retire)], at(DRAIN)),
        (&[(0, Retire), (1, Retire)], at(DRAIN)),
        (&[(0, Retire), (2, End)], at(2 + GRACE)),
        (&[(0, Retire), (2, End), (3, Retire)], at(2 + GRACE)),
        (&[(0, Retire), (2, End), (4, End)], Wake::Now),
        (&[(0, Retire), (DRAIN - 1, End)], at(DRAIN)),
    ] {
        let source = Source::Handle(Arc::new(Event::new().unwrap()));
        let mut stop = Stop::new(source, GRACE, DRAIN);
        assert_eq!(stop.longest_us(), DRAIN);
        for (us, order) in orders {
            match order {
                Look => drop(stop.notice(T0.after(*us))),
                End => stop.request(T0.after(*us)),
                Retire => stop.retire(T0.after(*us)),
            }
        }
        assert_eq!(stop.wake(), ends, "{orders:?}");
        assert_eq!(stop.is_requested(), ends != Wake::Never, "{orders:?}");
        assert_eq!(
            stop.is_over(T0, 0, 0),
            ends != Wake::Never,
            "no connection is left: {orders:?}"
        );
        let (before, then) = match ends {
            Wake::Never => (T0.after(u64::MAX), None),
            Wake::At(end) => (Instant::from_micros(end.as_micros() - 1), Some(end)),
            Wake::Now => (Instant::ZERO, Some(T0)),
        };
        assert_eq!(stop.is_over(before, 1, 0), ends == Wake::Now, "{orders:?}");
        let waits_for_repeated = matches!(stop.state(), State::Draining { retiring: true, .. });
        let is_over = ends != Wake::Never && !waits_for_repeated;
        assert_eq!(stop.is_over(T0, 0, 1), is_over, "one is repeating: {orders:?}");
        assert!(then.is_none_or(|end| stop.is_over(end, 1, 1)), "{orders:?}");
    }
}

#[cfg(feature = "supervise")]
#[test]
fn an_order_that_comes_both_ways_is_one() {
    const SUPERVISOR: u32 = 11;
    let at = |us| Wake::At(T0.after(us));
    // Orders with their senders, and when the process ends although a connection is open.
    for (senders, ends) in [
        (&[SUPERVISOR][..], at(GRACE)),
        (&[SUPERVISOR, 12], at(GRACE)),
        (&[12, SUPERVISOR], at(GRACE)),
        (&[12, 13], Wake::Now),
        (&[SUPERVISOR, SUPERVISOR], Wake::Now),
        (&[12, SUPERVISOR, 13], Wake::Now),
    ] {
        let source = Source::Handle(Arc::new(Event::new().unwrap()));
        let mut stop = Stop::new(source, GRACE, GRACE).passed_on_by(SUPERVISOR);
        for &sender in senders {
            stop.request_of(sender, T0);
        }
        assert_eq!(stop.wake(), ends, "{senders:?}");
    }
    // Nothing passes orders on to the first process of a server.
    let mut stop = Stop::new(Source::Handle(Arc::new(Event::new().unwrap())), GRACE, GRACE);
    for sender in [12, 13] {
        stop.request_of(sender, T0);
    }
    assert_eq!(stop.wake(), Wake::Now);
    // A process that drains hurries at the first order to stop, from either side.
    let source = Source::Handle(Arc::new(Event::new().unwrap()));
    let mut stop = Stop::new(source, GRACE, 100 * GRACE).passed_on_by(SUPERVISOR);
    stop.retire(T0);
    stop.request_of(12, T0);
    assert_eq!(stop.wake(), at(GRACE));
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
