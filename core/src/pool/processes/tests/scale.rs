//! Rows about how many workers there are: growth, shrinking, reload, recycling, stop.

use super::bench::{Bench, MS, OFF, at, fixed, spare, spawns, worker};
use super::*;
use std::vec::Vec;

#[test]
fn spawns_are_bounded_by_burst_and_rate() {
    let mut bench = Bench::<65, 0>::new(spare(5, 60, 64));
    let mut started = spawns(&bench.drain()).len();
    let take_all = |bench: &mut Bench<65, 0>| -> usize {
        bench.boot();
        let workers: Vec<WorkerId> = bench.pool.workers().map(|(worker, _)| worker).collect();
        workers.into_iter().map(|w| spawns(&bench.tell(Event::Busy(w))).len()).sum()
    };
    for _ in 0..7 {
        started += take_all(&mut bench);
    }
    assert_eq!(started, 32, "the burst");
    bench.now = bench.now.after(125 * MS);
    started += spawns(&bench.drain()).len();
    assert_eq!(started, 36, "32 a second");
}

#[test]
fn a_ramp_needs_no_tick() {
    // Apache needs 4 s from 5 to 20 workers, php-fpm 4.5 s.
    let mut bench = Bench::<21, 0>::ready(spare(5, 10, 20));
    for slot in 0..20 {
        bench.tell(Event::Busy(bench.worker(slot)));
        bench.boot();
    }
    assert_eq!(bench.pool.census().busy, 20);
    assert_eq!(bench.now, at(2_000));
}

#[test]
fn a_queue_starts_workers_up_to_the_spares_that_shrinking_leaves() {
    for (queue, started) in [(0, 0), (5, 0), (7, 2), (10, 5), (1000, 5)] {
        let mut bench = Bench::<21, 0>::ready(spare(5, 10, 20));
        assert_eq!(spawns(&bench.tell(Event::Queue(queue))).len(), started, "{queue} wait");
    }
}

#[test]
fn shrinking_takes_the_oldest_idle_one_a_second_and_stops_at_the_most_spare() {
    let mut bench = Bench::<21, 0>::ready(spare(1, 2, 20));
    for slot in 0..5 {
        bench.tell(Event::Busy(bench.worker(slot)));
        bench.boot();
    }
    assert_eq!(bench.pool.census().alive(), 6);
    for slot in [3, 1, 4, 0, 2] {
        let ms = bench.now.as_micros() / MS;
        bench.tell_at(ms + 1, Event::Idle(bench.worker(slot)));
    }
    let mut gone = Vec::new();
    while let Wake::At(wake) = bench.pool.wake() {
        bench.now = wake;
        for action in bench.drain() {
            let Action::Quit(worker) = action else { panic!("{action:?}") };
            gone.push((wake.as_micros() / MS, worker.slot));
            bench.tell(Event::Exited { worker, exit: Exit::Clean });
        }
    }
    assert_eq!(gone, [(3_002, 5), (4_002, 3), (5_002, 1), (6_002, 4)]);
    assert_eq!(bench.pool.census().idle, 2);
}

#[test]
fn a_reload_replaces_one_after_the_other_each_when_its_successor_is_ready() {
    let mut bench = Bench::<3, 2>::ready(fixed(2));
    let reload = bench.tell(Event::Signal(Signal::Reload));
    assert_eq!(reload, [Action::Spawn { worker: worker(2, 1), generation: 1 }]);
    let first = bench.tell(Event::Ready(worker(2, 1)));
    assert_eq!(first, [Action::Quit(worker(0, 1))]);
    let next = bench.tell(Event::Exited { worker: worker(0, 1), exit: Exit::Clean });
    assert_eq!(next, [Action::Spawn { worker: worker(0, 2), generation: 1 }]);
    let last = bench.tell(Event::Ready(worker(0, 2)));
    let told = Action::Notice(Notice::Reloaded { generation: 1 });
    assert_eq!(last, [Action::Quit(worker(1, 1)), told]);
}

#[test]
fn a_generation_that_does_not_boot_leaves_the_old_one_serving() {
    let mut bench = Bench::<6, 5>::ready(fixed(5));
    bench.tell(Event::Signal(Signal::Reload));
    for _ in 0..100 {
        let starting = |(worker, state)| matches!(state, State::Starting { .. }).then_some(worker);
        let starting: Vec<WorkerId> = bench.pool.workers().filter_map(starting).collect();
        for worker in starting {
            let actions = bench.tell(Event::Exited { worker, exit: Exit::Crash });
            assert!(!actions.iter().any(|action| matches!(action, Action::Quit(_))));
        }
        bench.now = bench.wake();
        bench.drain();
    }
    assert_eq!(bench.pool.census().ready(), 5);
}

#[test]
fn a_retiring_worker_serves_until_its_replacement_is_ready() {
    let mut bench = Bench::<2, 1>::ready(fixed(1));
    let retire = bench.tell(Event::Retiring(worker(0, 1)));
    assert_eq!(retire, [Action::Spawn { worker: worker(1, 1), generation: 0 }]);
    let (conn, actions) = bench.accept();
    assert_eq!(actions[0], Action::Pass { worker: worker(0, 1), conn, again: false });
    bench.tell(Event::Done { worker: worker(0, 1), conn });
    assert_eq!(bench.boot(), [Action::Quit(worker(0, 1))]);
    let gone = bench.tell(Event::Exited { worker: worker(0, 1), exit: Exit::Clean });
    assert_eq!(gone, [], "no worker is missing");
}

#[test]
fn a_full_dynamic_pool_recycles_through_the_surge() {
    let mut bench = Bench::<3, 0>::ready(spare(1, 1, 2));
    bench.tell(Event::Busy(worker(0, 1)));
    bench.boot();
    bench.tell(Event::Busy(worker(1, 1)));
    assert_eq!(bench.pool.census().busy, 2);
    assert_eq!(spawns(&bench.tell(Event::Retiring(worker(0, 1)))), [(2, 1)]);
    assert_eq!(bench.boot(), [Action::Quit(worker(0, 1))]);
}

#[test]
fn a_graceful_stop_quits_all_kills_at_the_deadline_and_exits_when_no_worker_lives() {
    let mut bench = Bench::<3, 2>::ready(fixed(2));
    let (conn, _) = bench.accept();
    let stop = bench.tell(Event::Signal(Signal::Stop));
    assert_eq!(stop, [Action::Quit(worker(0, 1)), Action::Quit(worker(1, 1)), OFF]);
    assert_eq!(bench.tell(Event::Exited { worker: worker(1, 1), exit: Exit::Clean }), []);
    assert_eq!(bench.wake(), at(7_000));
    assert_eq!(bench.tell_at(6_999, Event::Tick), []);
    assert_eq!(bench.tell_at(7_000, Event::Tick), [Action::Kill(worker(0, 1))]);
    let end = bench.crash(0);
    assert_eq!(end, [Action::Close { conn, end: End::Lost }, Action::Exit]);
    assert_eq!(bench.pool.wake(), Wake::Never);
    assert_eq!(bench.tell(Event::Signal(Signal::StopNow)), []);
}

#[test]
fn a_second_stop_and_an_immediate_one_kill_at_once() {
    for signals in [&[Signal::StopNow][..], &[Signal::Stop, Signal::Stop]] {
        let mut bench = Bench::<3, 2>::ready(fixed(2));
        let mut actions = Vec::new();
        for signal in signals {
            actions.extend(bench.tell(Event::Signal(*signal)));
        }
        let kills = actions.iter().filter(|action| matches!(action, Action::Kill(_))).count();
        assert_eq!(kills, 2, "{actions:?}");
    }
}

#[test]
fn a_connection_accepted_while_stopping_is_shed() {
    let mut bench = Bench::<2, 1>::ready(fixed(1));
    bench.tell(Event::Signal(Signal::Stop));
    let (conn, actions) = bench.accept();
    assert_eq!(actions, [Action::Close { conn, end: End::Shed(Shed::Stopping) }]);
}

#[test]
fn a_start_that_fails_after_the_stop_does_not_keep_the_pool_alive() {
    let mut bench = Bench::<2, 1>::new(fixed(1));
    bench.drain();
    assert_eq!(bench.tell(Event::Signal(Signal::Stop)), [Action::Quit(worker(0, 1))]);
    assert!(bench.tell(Event::SpawnFailed(worker(0, 1))).contains(&Action::Exit));
}

#[test]
fn slots_beyond_maximum_and_surge_stay_empty() {
    let mut bench = Bench::<9, 2>::ready(fixed(2));
    bench.tell(Event::Signal(Signal::Reload));
    bench.boot();
    assert_eq!(bench.pool.census().alive(), 3, "two, and one that replaces");
    assert_eq!(bench.drain(), []);
}

#[test]
fn an_inquiry_lists_only_living_workers() {
    let mut bench = Bench::<3, 2>::ready(fixed(2));
    let first = bench.worker(0);
    assert!(matches!(bench.pool.state(first), Some(State::Idle { .. })));
    assert_eq!((bench.pool.generation(), bench.pool.is_stopping()), (0, false));
    bench.crash(0);
    assert_eq!(bench.pool.state(first), None, "another has its slot");
    assert_eq!(bench.pool.state(worker(2, 0)), None, "a slot that was never used");
    assert_eq!(bench.pool.state(worker(9, 1)), None, "no slot");
    bench.tell(Event::Signal(Signal::Reload));
    bench.tell(Event::Signal(Signal::Stop));
    assert_eq!((bench.pool.generation(), bench.pool.is_stopping()), (1, true));
}
