//! Every state that a few workers and connections can reach, breadth first, over the real code.
//!
//! From each state every step is taken that the world allows: each worker boots, reads, finishes,
//! hangs, crashes, each death is noticed now or later; connections come; every start and pass
//! fails in every way; reloads and stops arrive; time passes, to the next wake. After each step the
//! host performs actions until there are none, and whatever it hears at once branches. Scenes that
//! no observer can tell apart are one (`canon.rs`), so nothing is limited but the number of slots and
//! connections.
//!
//! The good step of each state (`Scene::good_step`) makes a graph with one way out of each state:
//! if a state had no way to the goal, that graph would have a cycle without one.

use super::canon::NOW;
use super::invariants;
use super::world::{Powers, Scene, UNIT};
use super::*;
use std::collections::{HashMap, VecDeque};
use std::vec::Vec;

/// More actions than this for one event are a loop.
const ACTIONS_MAX: usize = 64;

/// Performs actions until there are none, in all the ways that they can turn out.
fn settle<const S: usize, const C: usize>(scene: Scene<S, C>, powers: Powers) -> Vec<Scene<S, C>> {
    let mut settled = Vec::new();
    let mut open = std::vec![(scene, 0)];
    while let Some((scene, actions)) = open.pop() {
        assert!(actions < ACTIONS_MAX, "actions without end: {scene:?}");
        let mut asked = scene.clone();
        let Some(action) = asked.pool.poll_action(scene.now) else {
            settled.push(scene);
            continue;
        };
        invariants::in_action(&scene, &asked, action);
        asked.note_loss(&scene, action);
        for (mut way, event) in asked.perform(action, powers) {
            if let Some(event) = event {
                way.pool.handle(event, way.now);
            }
            open.push((way, actions + 1));
        }
    }
    settled
}

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    states: usize,
    transitions: usize,
    /// Good steps from the worst state to rest.
    longest_way: usize,
}

fn explore<const S: usize, const C: usize>(policy: Policy, powers: Powers, limit: usize) -> Found {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    // For each state: where its good step leads, and whether it is at rest.
    let mut good: Vec<(u32, bool)> = Vec::new();
    let mut queue = VecDeque::new();
    let mut transitions = 0;
    let mut visit = |scene: Scene<S, C>, queue: &mut VecDeque<_>| {
        let scene = scene.canonical(powers.symmetric);
        let next = u32::try_from(seen.len()).expect("few states");
        *seen.entry(scene.fingerprint()).or_insert_with(|| {
            invariants::in_state(&scene, next as usize);
            queue.push_back(scene);
            next
        })
    };
    for scene in settle(Scene::new(policy, NOW), powers) {
        visit(scene, &mut queue);
    }
    while let Some(scene) = queue.pop_front() {
        let good_step = scene.good_step();
        let mut good_state = u32::try_from(good.len()).expect("few states");
        for step in scene.steps(powers) {
            let mut stepped = scene.clone();
            if let Some(event) = stepped.take(step) {
                stepped.pool.handle(event, stepped.now);
            }
            for (way, settled) in settle(stepped, powers).into_iter().enumerate() {
                transitions += 1;
                let state = visit(settled, &mut queue);
                // The first way is the one in which all went well.
                if good_step == Some(step) && way == 0 {
                    good_state = state;
                }
            }
        }
        good.push((good_state, scene.is_at_rest()));
        if good.len() >= limit {
            return Found { states: good.len(), transitions, longest_way: 0 };
        }
    }
    Found { states: good.len(), transitions, longest_way: longest_way(&good) }
}

/// From every state letting the world behave well leads to rest, and in so many steps at most.
fn longest_way(good: &[(u32, bool)]) -> usize {
    let mut ways: Vec<Option<usize>> = good.iter().map(|(_, rest)| rest.then_some(0)).collect();
    for start in 0..good.len() {
        let mut path = Vec::new();
        let mut state = start;
        while ways[state].is_none() {
            assert!(path.len() < 500, "state {start} never comes to rest");
            path.push(state);
            state = good[state].0 as usize;
        }
        let mut way = ways[state].unwrap_or(0);
        for state in path.into_iter().rev() {
            way += 1;
            ways[state] = Some(way);
        }
    }
    ways.into_iter().flatten().max().unwrap_or(0)
}

/// Every duration is a few units, so that many deadlines meet.
fn policy(kind: Kind) -> Policy {
    Policy {
        kind,
        surge: 1,
        spawn: Rate { burst: 2, every_us: UNIT },
        backoff: Backoff { first_us: UNIT, max_us: UNIT, jitter_percent: 0, seed: 0 },
        trip: Trip { failures: 2, within_us: 2 * UNIT, probe_us: UNIT },
        proof_us: UNIT,
        boot_us: UNIT,
        hold_us: Some(UNIT),
        drain_us: UNIT,
        grace_us: UNIT,
        shrink_us: UNIT,
        wait_us: UNIT,
        deaths: 2,
    }
}

const NONE: Powers = Powers {
    reload: false,
    stop: false,
    retire: false,
    spawns_fail: false,
    passes_fail: false,
    returns: false,
    resource: false,
    queue: false,
    reload_again: false,
    symmetric: false,
};

/// No start is ever held back but by its slot.
fn unhurried(kind: Kind) -> Policy {
    Policy {
        spawn: Rate { burst: 9_000, every_us: 1 },
        trip: Trip { failures: 9_000, within_us: 9_000, probe_us: UNIT },
        ..policy(kind)
    }
}

/// No worker hangs, and one that has booted has proved itself: fewer timers, so that more fits.
fn trusting(kind: Kind) -> Policy {
    Policy { hold_us: None, proof_us: 0, ..unhurried(kind) }
}

const FIXED_1: Kind = Kind::Static { workers: 1 };
const FIXED_2: Kind = Kind::Static { workers: 2 };
const SPARE: Kind = Kind::Dynamic { min_spare: 1, max_spare: 1, max: 2 };
const SIGNALS: Powers = Powers { stop: true, reload: true, ..NONE };
const SORTED: Powers = Powers { symmetric: true, ..NONE };

/// States that a search visits. An interpreter gets a taste only.
const LIMIT: usize = if cfg!(miri) { 2 } else { usize::MAX };

/// A search goes through all that there is: so many states, and none is further from rest.
/// A change of a rule changes the numbers: check that the change is the intended one.
fn search<const S: usize, const C: usize>(
    policy: Policy,
    powers: Powers,
    states: usize,
    way: usize,
) {
    let found = explore::<S, C>(policy, powers, LIMIT);
    if LIMIT == usize::MAX {
        assert_eq!((found.states, found.longest_way), (states, way), "{found:?}");
    }
}

#[test]
fn two_slots_two_connections_every_timer_reloads_and_stops() {
    search::<2, 2>(policy(FIXED_1), SIGNALS, 104_722, 9);
}

#[test]
fn three_slots_three_connections_two_generations() {
    search::<3, 3>(trusting(FIXED_2), Powers { reload: true, ..SORTED }, 191_521, 13);
}

#[test]
fn starts_and_passes_fail() {
    let faults = Powers { passes_fail: true, returns: true, spawns_fail: true, ..NONE };
    search::<2, 2>(unhurried(FIXED_1), Powers { resource: true, ..faults }, 7_949, 5);
}

#[test]
fn dynamic_two_generations() {
    search::<3, 0>(trusting(SPARE), Powers { reload: true, ..SORTED }, 28_761, 14);
}

#[test]
fn dynamic_queues_and_stops() {
    search::<3, 0>(trusting(SPARE), Powers { stop: true, queue: true, ..SORTED }, 13_044, 8);
}

#[test]
fn dynamic_every_timer() {
    search::<3, 0>(policy(SPARE), SORTED, 16_202, 8);
}

/// Everything at once, three slots and three connections: for a release build.
///
/// `WINDLASS_SEARCH=full cargo test --release -p windlass-core --lib explore`
#[test]
fn everything_when_asked_for() {
    if std::env::var_os("WINDLASS_SEARCH").is_none() {
        return;
    }
    let report = |name: &str, found: Found| {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "{name}: {found:?}");
    };
    let max = 20_000_000;
    let all = Powers { symmetric: true, reload_again: true, ..SIGNALS };
    let retire = Powers { retire: true, reload: true, ..SORTED };
    report("static, faults", {
        let faults = Powers { passes_fail: true, returns: true, spawns_fail: true, ..SIGNALS };
        explore::<2, 2>(policy(FIXED_1), Powers { retire: true, resource: true, ..faults }, max)
    });
    report("static", explore::<3, 3>(Policy { hold_us: None, ..unhurried(FIXED_2) }, all, max));
    report("static, retiring", explore::<3, 3>(trusting(FIXED_2), retire, max));
    report("dynamic, retiring", explore::<3, 0>(trusting(SPARE), retire, max));
    report("dynamic", explore::<3, 0>(policy(SPARE), Powers { queue: true, ..all }, max));
}
