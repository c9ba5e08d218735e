//! Rows about workers that hang, crash, or cannot be started.

use super::bench::{Bench, MS, at, fixed, spare, spawns, worker};
use super::*;
use std::vec::Vec;

#[test]
fn a_hung_worker_is_killed_at_its_deadline() {
    let mut bench = Bench::<2, 1>::ready(Policy { hold_us: Some(500 * MS), ..fixed(1) });
    bench.accept();
    assert_eq!(bench.wake(), at(2_500));
    assert_eq!(bench.tell_at(2_499, Event::Tick), []);
    let replaced = Action::Spawn { worker: worker(1, 1), generation: 0 };
    let actions = bench.tell_at(2_500, Event::Tick);
    assert_eq!(actions, [Action::Kill(worker(0, 1)), replaced], "without waiting for its end");
    assert_eq!(bench.tell_at(2_600, Event::Tick), [], "once");
}

#[test]
fn a_worker_that_never_boots_is_killed_and_a_failed_boot_is_not_forgiven() {
    let mut bench = Bench::<2, 1>::new(fixed(1));
    bench.drain();
    let actions = bench.tell_at(10_000, Event::Tick);
    let another = Action::Spawn { worker: worker(1, 1), generation: 0 };
    assert_eq!(actions, [Action::Kill(worker(0, 1)), another]);
    assert_eq!(bench.crash(0), []);
    assert_eq!(bench.crash(1), []);
    assert_eq!(bench.wake(), at(10_100));
    assert_eq!(spawns(&bench.tell_at(10_100, Event::Tick)), [(0, 2)]);
}

#[test]
fn a_first_crash_respawns_at_once_and_repeated_ones_wait_longer_and_longer() {
    let policy = Policy { trip: Trip { failures: 100, within_us: 1_000, probe_us: 1 }, ..fixed(1) };
    let mut bench = Bench::<2, 1>::ready(policy);
    assert_eq!(spawns(&bench.crash(0)), [(0, 2)], "an accident");
    let mut waits = Vec::new();
    for _ in 0..11 {
        bench.boot();
        assert_eq!(spawns(&bench.crash(0)), []);
        waits.push(bench.wake().since(bench.now) / MS);
        bench.now = bench.wake();
        assert_eq!(spawns(&bench.drain()).len(), 1);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 25600, 25600]);
    bench.boot();
    bench.now = bench.now.after(1_000 * MS);
    assert_eq!(spawns(&bench.crash(0)).len(), 1, "a worker that has proved itself starts afresh");
}

#[test]
fn a_finished_connection_proves_a_worker_at_once() {
    let mut bench = Bench::<2, 1>::ready(fixed(1));
    bench.crash(0);
    for epoch in 2..40 {
        bench.boot();
        let (conn, _) = bench.accept();
        bench.tell(Event::Done { worker: worker(0, epoch), conn });
        let respawned = spawns(&bench.crash(0));
        let expected = if epoch <= 32 { std::vec![(0, epoch + 1)] } else { std::vec![] };
        assert_eq!(respawned, expected, "as long as there are tokens");
        if epoch > 32 {
            break;
        }
    }
}

/// Every worker is killed on sight: nginx starts 2,600 in 3 s, php-fpm 3,000.
fn crash_loop(bench: &mut Bench<21, 5>, booting: bool) -> (usize, Vec<Notice>) {
    let (mut started, mut notices) = (0, Vec::new());
    let end = bench.now.after(3_000 * MS);
    loop {
        if !booting {
            bench.boot();
        }
        let alive = |(worker, state): (WorkerId, State)| state.is_alive().then_some(worker);
        let alive: Vec<WorkerId> = bench.pool.workers().filter_map(alive).collect();
        for worker in alive {
            let actions = bench.tell(Event::Exited { worker, exit: Exit::Crash });
            started += spawns(&actions).len();
            notices.extend(actions.iter().filter_map(|action| match action {
                Action::Notice(notice) => Some(*notice),
                Action::Spawn { .. }
                | Action::Quit(_)
                | Action::Kill(_)
                | Action::Pass { .. }
                | Action::Inspect(_)
                | Action::Close { .. }
                | Action::Listen(_)
                | Action::Exit => None,
            }));
        }
        let alive = bench.pool.census().alive() > 0;
        bench.now = if alive { bench.now.after(MS) } else { bench.now.max(bench.wake()) };
        if bench.now > end {
            return (started, notices);
        }
        started += spawns(&bench.drain()).len();
    }
}

#[test]
fn a_crash_loop_starts_at_most_ten_in_three_seconds_and_says_so_once() {
    for policy in [fixed(5), spare(5, 10, 20)] {
        for (booting, proved) in [(true, false), (false, true), (false, false)] {
            let mut bench = Bench::<21, 5>::new(policy);
            let first = spawns(&bench.drain()).len();
            if proved {
                bench.boot();
                bench.tell_at(2_000, Event::Tick);
            }
            let (started, notices) = crash_loop(&mut bench, booting);
            let started = if proved { started } else { started + first };
            let most = if booting || proved { 10 } else { 13 };
            assert!(started <= most, "{started} by {policy:?}, booting: {booting}");
            assert_eq!(notices, [Notice::CrashLoop], "{policy:?} {booting} {proved} {started}");
        }
    }
}

#[test]
fn a_probe_that_proves_itself_closes_the_breaker_and_fills_the_pool() {
    let mut bench = Bench::<6, 5>::new(fixed(5));
    bench.drain();
    for slot in 0..5 {
        bench.crash(slot);
    }
    assert_eq!(bench.wake(), at(1_000));
    let probe = spawns(&bench.tell_at(1_000, Event::Tick));
    assert_eq!(probe.len(), 1);
    let slot = usize::from(probe[0].0);
    bench.tell(Event::Ready(bench.worker(slot)));
    let (conn, _) = bench.accept();
    let actions = bench.tell_at(1_001, Event::Done { worker: bench.worker(slot), conn });
    assert_eq!(actions[0], Action::Notice(Notice::Recovered));
    assert_eq!(spawns(&actions).len(), 4);
}

#[test]
fn killing_all_workers_at_once_starts_all_at_once() {
    let mut bench = Bench::<21, 0>::ready(spare(5, 10, 20));
    let started: usize = (0..5).map(|slot| spawns(&bench.crash(slot)).len()).sum();
    assert_eq!(started, 5);
    if cfg!(miri) {
        return; // Interpreted, 64 take minutes.
    }
    let mut bench = Bench::<65, 64>::ready(fixed(64));
    bench.tell_at(60_000, Event::Tick);
    let started: usize = (0..64).map(|slot| spawns(&bench.crash(slot)).len()).sum();
    assert_eq!(started, 64);
}

#[test]
fn failed_starts_are_told_once_and_tried_again_later_and_later() {
    let mut bench = Bench::<6, 5>::new(fixed(5));
    let mut waits = Vec::new();
    let mut told = 0;
    for epoch in 1..5 {
        let first = bench.pool.poll_action(bench.now);
        assert_eq!(first, Some(Action::Spawn { worker: worker(0, epoch), generation: 0 }));
        let actions = bench.tell(Event::SpawnFailed(worker(0, epoch)));
        assert_eq!(spawns(&actions), [], "the others would fail too");
        told += actions.iter().filter(|a| **a == Action::Notice(Notice::SpawnsFail)).count();
        waits.push(bench.wake().since(bench.now) / MS);
        bench.now = bench.wake();
    }
    assert_eq!((waits, told), (std::vec![100, 200, 400, 800], 1));
    assert_eq!(spawns(&bench.drain()).len(), 5);
    assert!(bench.boot().contains(&Action::Notice(Notice::SpawnsWork)));
}

#[test]
fn the_grace_can_change_for_workers_that_are_asked_from_then_on() {
    let mut pool =
        Arrays::<2, 1>::in_arrays(Policy::fixed(1), Instant::ZERO).expect("a slot and one more");
    let worker = |slot| worker(slot, 1);
    let now = Instant::from_micros(1);
    let polled = |pool: &mut Arrays<2, 1>, wanted: Action| {
        let mut actions = core::iter::from_fn(|| pool.poll_action(now));
        assert!(actions.any(|action| action == wanted), "{wanted:?}");
    };
    polled(&mut pool, Action::Spawn { worker: worker(0), generation: 0 });
    pool.handle(Event::Ready(worker(0)), now);
    pool.set_grace(70, 90);
    pool.handle(Event::Signal(Signal::Reload), now);
    assert_eq!(pool.generation(), 1);
    polled(&mut pool, Action::Spawn { worker: worker(1), generation: 1 });
    pool.handle(Event::Ready(worker(1)), now);
    polled(&mut pool, Action::Quit(worker(0)));
    assert_eq!(pool.wake(), Wake::At(now.after(70)));
    pool.set_grace(7, 50);
    assert_eq!(pool.wake(), Wake::At(now.after(70)));
    pool.handle(Event::Signal(Signal::Stop), now);
    polled(&mut pool, Action::Quit(worker(1)));
    assert_eq!(pool.wake(), Wake::At(now.after(50)));
}
