//! Rows for each rule of the policy, then random histories against the invariants.

extern crate std;
use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * MS)
}

/// Performs every action at once; how many threads were started and retired.
fn perform(pool: &mut Threads, now: Instant) -> (u32, u32) {
    let (mut spawned, mut retired) = (0, 0);
    while let Some(action) = pool.poll_action(now) {
        match action {
            Action::Spawn => spawned += 1,
            Action::Retire => {
                retired += 1;
                pool.handle(Event::Retired, now);
            }
        }
    }
    (spawned, retired)
}

fn pool() -> Threads {
    Threads::new(Policy::default(), at(0)).unwrap()
}

#[test]
fn it_starts_with_its_minimum() {
    let mut pool = pool();
    assert_eq!(perform(&mut pool, at(0)), (3, 0));
    assert_eq!((pool.live(), pool.busy(), pool.queued()), (3, 0, 0));
}

#[test]
fn contradictions_are_refused() {
    let refuse = |policy| Threads::new(policy, at(0)).unwrap_err();
    let good = Policy::default();
    assert_eq!(refuse(Policy { min: 0, ..good }), PolicyError::Zero);
    assert_eq!(refuse(Policy { queue: 0, ..good }), PolicyError::Zero);
    assert_eq!(
        refuse(Policy { min: 9, max: 8, ..good }),
        PolicyError::MinAboveMax { min: 9, max: 8 }
    );
}

#[test]
fn the_fourth_connection_behind_three_that_stay_is_served() {
    // The classic pool waits here for ever: growth needs ten in the queue (seeds §5 row 22).
    let mut pool = pool();
    perform(&mut pool, at(0));
    for _ in 0..3 {
        pool.submit(at(0)).unwrap();
        pool.handle(Event::Taken, at(0));
    }
    pool.submit(at(1)).unwrap();
    assert_eq!(perform(&mut pool, at(5)), (0, 0), "not before it has waited");
    assert_eq!(pool.wake(), Wake::At(at(6)));
    pool.handle(Event::Tick, at(6));
    assert_eq!(perform(&mut pool, at(6)), (10, 0));
}

#[test]
fn a_queue_that_moves_does_not_grow_the_pool() {
    let mut pool = pool();
    perform(&mut pool, at(0));
    for _ in 0..40 {
        pool.submit(at(0)).unwrap();
    }
    for _ in 0..3 {
        pool.handle(Event::Taken, at(0));
    }
    for ms in 1..30 {
        pool.handle(Event::Finished, at(ms));
        pool.handle(Event::Taken, at(ms));
        assert_eq!(perform(&mut pool, at(ms)), (0, 0));
    }
}

#[test]
fn it_grows_by_steps_up_to_the_maximum() {
    let mut pool = Threads::new(Policy { max: 25, ..Policy::default() }, at(0)).unwrap();
    perform(&mut pool, at(0));
    for _ in 0..100 {
        pool.submit(at(0)).unwrap();
    }
    assert_eq!(pool.submit(at(0)), Err(Full));
    let mut lives = std::vec![];
    for ms in [5, 10, 15, 20] {
        pool.handle(Event::Tick, at(ms));
        perform(&mut pool, at(ms));
        lives.push(pool.live());
    }
    assert_eq!(lives, [13, 23, 25, 25]);
}

#[test]
fn the_check_shrinks_by_steps_down_to_the_minimum_and_grows_again() {
    let mut pool = pool();
    perform(&mut pool, at(0));
    pool.submit(at(0)).unwrap();
    for ms in [5, 10] {
        pool.handle(Event::Tick, at(ms));
        perform(&mut pool, at(ms));
    }
    assert_eq!(pool.live(), 23);
    pool.handle(Event::Taken, at(11));
    let mut lives = std::vec![];
    for s in [10, 20, 30, 40] {
        pool.handle(Event::Tick, at(s * 1000));
        perform(&mut pool, at(s * 1000));
        lives.push(pool.live());
    }
    assert_eq!(lives, [13, 3, 3, 3]);
    pool.submit(at(40_000)).unwrap();
    pool.handle(Event::Tick, at(40_005));
    assert_eq!(perform(&mut pool, at(40_005)), (10, 0), "after a shrink it still grows");
}

#[test]
fn half_busy_is_not_idle() {
    let mut pool = Threads::new(Policy { min: 2, ..Policy::default() }, at(0)).unwrap();
    perform(&mut pool, at(0));
    pool.submit(at(0)).unwrap();
    pool.handle(Event::Tick, at(5));
    perform(&mut pool, at(5));
    for _ in 0..5 {
        pool.submit(at(5)).unwrap();
    }
    for _ in 0..6 {
        pool.handle(Event::Taken, at(5));
    }
    assert_eq!((pool.live(), pool.busy()), (12, 6));
    pool.handle(Event::Tick, at(10_000));
    assert_eq!(perform(&mut pool, at(10_000)), (0, 0));
}

#[test]
fn a_lost_thread_is_replaced_and_a_failed_start_is_retried_later() {
    let mut pool = pool();
    perform(&mut pool, at(0));
    pool.submit(at(0)).unwrap();
    pool.handle(Event::Taken, at(0));
    pool.handle(Event::Lost, at(1));
    assert_eq!(pool.poll_action(at(1)), Some(Action::Spawn));
    pool.handle(Event::SpawnFailed, at(1));
    assert_eq!(pool.poll_action(at(50)), None, "no storm of failing starts");
    assert_eq!(pool.wake(), Wake::At(at(101)));
    assert_eq!(perform(&mut pool, at(101)), (1, 0));
}

proptest! {
    #[test]
    fn the_invariants_hold_in_every_history(
        min in 1u32..4, more in 0u32..5, queue in 1u32..6,
        steps in proptest::collection::vec((0u8..7, 0u64..8_000), 1..300),
    ) {
        let max = min + more;
        let policy = Policy {
            min, max, queue, grow_step: 2, shrink_step: 2,
            check_every_us: 20_000, ..Policy::default()
        };
        let mut now = at(0);
        let mut pool = Threads::new(policy, now).unwrap();
        // The host's own account of its threads.
        let (mut idle, mut busy, mut retiring, mut queued) = (0u32, 0u32, 0u32, 0u32);
        for (what, wait) in steps {
            now = now.after(wait);
            match what {
                0 | 1 if pool.submit(now).is_ok() => queued += 1,
                0 | 1 => prop_assert_eq!(queued, queue),
                2 if queued > 0 && idle > 0 => {
                    queued -= 1;
                    idle -= 1;
                    busy += 1;
                    pool.handle(Event::Taken, now);
                }
                3 if busy > 0 => { busy -= 1; idle += 1; pool.handle(Event::Finished, now); }
                4 if busy > 0 => { busy -= 1; pool.handle(Event::Lost, now); }
                5 if retiring > 0 => { retiring -= 1; pool.handle(Event::Retired, now); }
                _ => pool.handle(Event::Tick, now),
            }
            let mut actions = 0;
            while let Some(action) = pool.poll_action(now) {
                actions += 1;
                prop_assert!(actions <= 2 * max, "the actions never end");
                match action {
                    Action::Spawn => idle += 1,
                    Action::Retire => { idle -= 1; retiring += 1; }
                }
            }
            prop_assert_eq!(
                (pool.live(), pool.busy(), pool.queued()),
                (idle + busy + retiring, busy, queued)
            );
            prop_assert!(pool.live() <= max && queued <= queue);
            prop_assert!(idle + busy >= min || pool.live() == max, "fewer than the minimum stay");
            let stalled = queued > 0 && now.since(pool.head_since) >= policy.grow_after_us;
            prop_assert!(!stalled || pool.live() == max, "a stalled queue grows the pool");
            prop_assert!(!pool.wake().is_due(now), "nothing is due after it was handled");
        }
    }
}
