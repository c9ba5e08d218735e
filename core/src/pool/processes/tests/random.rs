//! Long random histories at real sizes and policies, with slots to spare, against the same invariants.

use super::invariants;
use super::world::{Powers, Scene, Step};
use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const ALL: Powers = Powers {
    reload: true,
    reload_again: true,
    stop: false,
    retire: true,
    spawns_fail: true,
    passes_fail: true,
    returns: true,
    resource: true,
    queue: true,
    symmetric: false,
};

const START: Instant = Instant::from_micros(7);

/// One call, and what it answered.
enum Call {
    Handle(Event, Instant),
    Poll(Instant, Option<Action>),
}

fn run<const S: usize, const C: usize>(policy: Policy, choices: &[(u16, u8)], stop_at: usize) {
    let mut scene = Scene::<S, C>::new(policy, START);
    let mut log = Vec::new();
    scene = drain(scene, 255, &mut log);
    for (turn, (choice, luck)) in choices.iter().enumerate() {
        let step = if turn == stop_at {
            Step::Signal(Signal::Stop)
        } else {
            let mut steps = scene.steps(ALL);
            // Crashes are many in the list; in a run they are rare.
            if luck % 8 != 0 {
                steps.retain(|step| !matches!(step, Step::Crash(..)));
            }
            let Some(step) = steps.get(usize::from(*choice) % steps.len().max(1)) else { break };
            *step
        };
        if let Some(event) = scene.take(step) {
            log.push(Call::Handle(event, scene.now));
            scene.pool.handle(event, scene.now);
        }
        scene = drain(scene, *luck, &mut log);
        invariants::in_state(&scene, turn);
    }
    at_most_burst_and_rate(&policy, &log);
    equal_inputs_give_equal_actions::<S, C>(policy, &log);
    well_behaved_it_comes_to_rest(scene);
}

fn drain<const S: usize, const C: usize>(
    mut scene: Scene<S, C>,
    luck: u8,
    log: &mut Vec<Call>,
) -> Scene<S, C> {
    for _ in 0..1_000 {
        let mut asked = scene.clone();
        let action = asked.pool.poll_action(scene.now);
        log.push(Call::Poll(scene.now, action));
        let Some(action) = action else { return scene };
        invariants::in_action(&scene, &asked, action);
        asked.note_loss(&scene, action);
        let mut ways = asked.perform(action, ALL);
        let way = if luck < 32 { usize::from(luck) % ways.len() } else { ways.len() - 1 };
        let (next, event) = ways.swap_remove(way);
        scene = next;
        if let Some(event) = event {
            log.push(Call::Handle(event, scene.now));
            scene.pool.handle(event, scene.now);
        }
    }
    panic!("actions without end: {scene:?}");
}

fn at_most_burst_and_rate(policy: &Policy, log: &[Call]) {
    let spawned = |call: &Call| match call {
        Call::Poll(now, Some(Action::Spawn { .. })) => Some(*now),
        Call::Poll(..) | Call::Handle(..) => None,
    };
    let spawned_at: Vec<Instant> = log.iter().filter_map(spawned).collect();
    for (first, from) in spawned_at.iter().enumerate() {
        for (count, to) in (1..).zip(&spawned_at[first..]) {
            let allowed = u64::from(policy.spawn.burst) + to.since(*from) / policy.spawn.every_us;
            assert!(count <= allowed, "{count} spawns between {from:?} and {to:?}");
        }
    }
}

/// A recorded log replays.
fn equal_inputs_give_equal_actions<const S: usize, const C: usize>(policy: Policy, log: &[Call]) {
    let mut pool = Arrays::<S, C>::in_arrays(policy, START).expect("a good policy");
    for call in log {
        match call {
            Call::Handle(event, now) => pool.handle(*event, *now),
            Call::Poll(now, action) => assert_eq!(pool.poll_action(*now), *action),
        }
    }
}

fn well_behaved_it_comes_to_rest<const S: usize, const C: usize>(mut scene: Scene<S, C>) {
    let mut log = Vec::new();
    for _ in 0..2_000 {
        if scene.is_at_rest() {
            return;
        }
        let Some(step) = scene.good_step() else { break };
        if let Some(event) = scene.take(step) {
            scene.pool.handle(event, scene.now);
        }
        scene = drain(scene, 255, &mut log);
    }
    assert!(scene.is_at_rest(), "{scene:?}");
}

fn choices() -> impl Strategy<Value = Vec<(u16, u8)>> {
    proptest::collection::vec(any::<(u16, u8)>(), 0..if cfg!(miri) { 20 } else { 600 })
}

/// A case is up to 600 steps, each checked: fewer cases than usual will do.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.min(64), failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_static_pool_keeps_its_promises(
        choices in choices(),
        stop_at in 0_usize..900,
        hold in proptest::option::of(1_u64..3_000_000),
    ) {
        let policy = Policy { hold_us: hold, ..Policy::fixed(5) };
        run::<8, 7>(policy, &choices, stop_at);
    }

    #[test]
    fn a_dynamic_pool_keeps_its_promises(
        choices in choices(),
        stop_at in 0_usize..900,
        hold in proptest::option::of(1_u64..3_000_000),
    ) {
        let policy = Policy { hold_us: hold, surge: 2, ..Policy::spare(2, 4, 7) };
        run::<11, 0>(policy, &choices, stop_at);
    }

    /// Events that no host could have sent: nothing panics, and it still stops.
    #[test]
    fn garbage_does_no_harm(events in proptest::collection::vec(garbage(), 0..200)) {
        let mut pool = Arrays::<4, 3>::in_arrays(Policy::fixed(3), Instant::ZERO).expect("good");
        for (event, us) in events {
            let now = Instant::from_micros(us);
            pool.handle(event, now);
            for _ in 0..64 {
                if pool.poll_action(now).is_none() {
                    break;
                }
            }
            prop_assert_eq!(pool.poll_action(now), None);
        }
    }
}

fn garbage() -> impl Strategy<Value = (Event, u64)> {
    let worker = (0_u16..5, 0_u32..6).prop_map(|(slot, epoch)| WorkerId { slot, epoch });
    let conn = (0_u16..4, 0_u32..4).prop_map(|(index, generation)| Conn { index, generation });
    let event = (0_u8..17, worker, conn, any::<u32>()).prop_map(|(kind, worker, conn, queue)| {
        let pass = [Pass::Sent, Pass::WouldBlock, Pass::Broken][queue as usize % 3];
        let exit = [Exit::Clean, Exit::Crash, Exit::Resource][queue as usize % 3];
        match kind {
            0 => Event::Tick,
            1 | 2 => Event::Ready(worker),
            3 => Event::Busy(worker),
            4 => Event::Idle(worker),
            5 => Event::Done { worker, conn },
            6 => Event::Returned { worker, conn },
            7 => Event::Retiring(worker),
            8 => Event::Exited { worker, exit },
            9 => Event::SpawnFailed(worker),
            10 | 11 => Event::Accepted(conn),
            12 => Event::Passed { worker, conn, pass },
            13 => Event::Inspected { conn, trace: Trace::Untouched },
            14 => Event::Queue(queue),
            15 => Event::Signal(Signal::Reload),
            _ if queue % 7 == 0 => Event::Signal(Signal::Stop),
            _ => Event::Inspected { conn, trace: Trace::Touched },
        }
    });
    (event, 0_u64..5_000_000)
}
