//! Rows about connections, and about policies that contradict themselves.

use super::bench::{Bench, OFF, ON, at, fixed, plain, spare, spawns, worker};
use super::*;
use std::vec::Vec;

#[test]
fn contradictions_are_refused() {
    let (f, s) = (fixed(2), spare(1, 2, 3));
    let trip = |failures, within_us| Trip { failures, within_us, ..f.trip };
    for (policy, error) in [
        (fixed(0), PolicyError::Zero),
        (Policy { surge: 0, ..f }, PolicyError::Zero),
        (Policy { deaths: 0, ..f }, PolicyError::Zero),
        (Policy { spawn: Rate { burst: 0, every_us: 1 }, ..f }, PolicyError::Zero),
        (spare(0, 1, 1), PolicyError::Zero),
        (spare(2, 1, 3), PolicyError::Order { min_spare: 2, max_spare: 1, max: 3 }),
        (spare(1, 4, 3), PolicyError::Order { min_spare: 1, max_spare: 4, max: 3 }),
        (Policy { trip: trip(1, 10), ..f }, PolicyError::Failures),
        (Policy { trip: trip(9, 8), ..f }, PolicyError::Failures),
        (Policy { backoff: Backoff { max_us: 1, ..plain() }, ..s }, PolicyError::Failures),
        (fixed(4), PolicyError::Slots { need: 5, have: 4 }),
        (fixed(3), PolicyError::Conns { need: 3, have: 2 }),
        (fixed(u16::MAX), PolicyError::Slots { need: 65_536, have: 4 }),
    ] {
        assert_eq!(
            Arrays::<4, 2>::in_arrays(policy, at(0)).expect_err("a bad policy"),
            error,
            "{policy:?}"
        );
    }
    assert!(Arrays::<3, 2>::in_arrays(f, at(0)).is_ok());
    assert!(Arrays::<4, 0>::in_arrays(s, at(0)).is_ok());
}

#[test]
fn a_connection_goes_to_an_idle_worker_and_its_place_is_free_when_it_is_done() {
    let mut bench = Bench::<3, 2>::new(fixed(2));
    assert_eq!(spawns(&bench.drain()), [(0, 1), (1, 1)]);
    assert_eq!(bench.tell(Event::Ready(worker(0, 1))), [ON]);
    let (conn, actions) = bench.accept();
    let pass = Action::Pass { worker: worker(0, 1), conn, again: false };
    assert_eq!(actions, [pass, OFF], "no other worker is idle: the backlog is the queue");
    let done = bench.tell(Event::Done { worker: worker(0, 1), conn });
    assert_eq!(done, [Action::Close { conn, end: End::Served }, ON]);
    assert_eq!(bench.pool.vacant(), Some(Conn { index: 0, generation: 1 }));
}

#[test]
fn the_one_that_is_idle_longest_serves_next() {
    let mut bench = Bench::<3, 2>::new(fixed(2));
    bench.drain();
    bench.tell_at(1, Event::Ready(worker(1, 1)));
    bench.tell_at(2, Event::Ready(worker(0, 1)));
    let (conn, actions) = bench.accept();
    assert_eq!(actions[0], Action::Pass { worker: worker(1, 1), conn, again: false });
}

#[test]
fn an_untouched_connection_of_a_dead_worker_is_dispatched_again_but_not_for_ever() {
    let mut bench = Bench::<4, 3>::ready(fixed(3));
    let (conn, actions) = bench.accept();
    assert_eq!(actions, [Action::Pass { worker: worker(0, 1), conn, again: false }]);
    let died = bench.crash(0);
    assert_eq!(died[0], Action::Inspect(conn));
    let again = bench.tell(Event::Inspected { conn, trace: Trace::Untouched });
    assert_eq!(again, [Action::Pass { worker: worker(1, 1), conn, again: true }]);
    assert_eq!(bench.crash(1)[0], Action::Inspect(conn));
    let quarantined = Action::Close { conn, end: End::Shed(Shed::Quarantined) };
    assert_eq!(bench.tell(Event::Inspected { conn, trace: Trace::Untouched }), [quarantined]);
}

#[test]
fn a_touched_connection_of_a_dead_worker_is_lost() {
    let mut bench = Bench::<2, 1>::ready(fixed(1));
    let (conn, _) = bench.accept();
    bench.crash(0);
    let lost = Action::Close { conn, end: End::Lost };
    assert_eq!(bench.tell(Event::Inspected { conn, trace: Trace::Touched }), [lost]);
}

#[test]
fn a_full_channel_rests_its_worker_and_a_broken_one_ends_it() {
    for (pass, first, second) in [
        (Pass::WouldBlock, None, Some(at(2_010))),
        (Pass::Broken, Some(Action::Kill(worker(0, 1))), None),
    ] {
        let mut bench = Bench::<2, 1>::ready(fixed(1));
        let conn = bench.pool.vacant().expect("room");
        bench.pool.handle(Event::Accepted(conn), bench.now);
        let passed = bench.pool.poll_action(bench.now);
        assert_eq!(passed, Some(Action::Pass { worker: worker(0, 1), conn, again: false }));
        let actions = bench.tell(Event::Passed { worker: worker(0, 1), conn, pass });
        assert_eq!(actions.first().copied().filter(|a| *a != OFF), first, "{pass:?}");
        assert!(actions.contains(&OFF));
        if let Some(rested) = second {
            assert_eq!(bench.wake(), rested);
            let again = bench.tell_at(2_010, Event::Tick);
            assert_eq!(again, [Action::Pass { worker: worker(0, 1), conn, again: false }]);
        }
    }
}

#[test]
fn a_connection_that_no_worker_takes_is_shed_after_its_time() {
    let mut bench = Bench::<2, 1>::ready(fixed(1));
    let (conn, _) = bench.accept();
    bench.tell(Event::Returned { worker: worker(0, 1), conn });
    bench.crash(0);
    let waits: Vec<Action> = bench.tell_at(11_999, Event::Tick);
    assert!(!waits.iter().any(|action| matches!(action, Action::Close { .. })));
    let shed = bench.tell_at(12_000, Event::Tick);
    assert!(shed.contains(&Action::Close { conn, end: End::Shed(Shed::Waited) }), "{shed:?}");
}
