//! Deadlines against a map, and at both ends of time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const END: Instant = Instant::from_micros(u64::MAX);

fn at(us: u64) -> Instant {
    Instant::from_micros(us)
}

/// All that have expired at `now`, in order.
fn expired(deadlines: &mut Deadlines, now: Instant) -> Vec<(u32, Instant)> {
    std::iter::from_fn(|| deadlines.expired(now)).collect()
}

#[test]
fn the_earliest_goes_first() {
    let mut deadlines = Deadlines::default();
    for (index, us) in [(0, 30), (1, 10), (2, 20), (3, 99)] {
        deadlines.set(index, at(us));
    }
    assert_eq!(deadlines.wake(), Wake::At(at(10)));
    assert_eq!(expired(&mut deadlines, at(9)), []);
    assert_eq!(expired(&mut deadlines, at(30)), [(1, at(10)), (2, at(20)), (0, at(30))]);
    assert_eq!(deadlines.wake(), Wake::At(at(99)));
}

#[test]
fn a_deadline_that_moved_counts_from_where_it_is() {
    let mut deadlines = Deadlines::default();
    deadlines.set(0, at(10));
    deadlines.set(0, at(50));
    assert_eq!(expired(&mut deadlines, at(49)), []);
    assert_eq!(deadlines.wake(), Wake::At(at(50)));
    deadlines.set(0, at(20));
    assert_eq!(expired(&mut deadlines, at(20)), [(0, at(20))]);
    assert_eq!(expired(&mut deadlines, END), []);
}

#[test]
fn a_deadline_that_was_cleared_never_comes() {
    let mut deadlines = Deadlines::default();
    deadlines.set(7, at(10));
    assert!(deadlines.is_set(7));
    deadlines.clear(7);
    deadlines.clear(7);
    deadlines.clear(1000);
    assert!(!deadlines.is_set(7));
    assert_eq!((deadlines.get(7), deadlines.wake()), (None, Wake::Never));
    assert_eq!(expired(&mut deadlines, END), []);
}

#[test]
fn both_ends_of_time_are_times() {
    let mut deadlines = Deadlines::default();
    deadlines.set(0, END);
    deadlines.set(1, Instant::ZERO);
    assert_eq!(expired(&mut deadlines, Instant::ZERO), [(1, at(1))]);
    assert_eq!(expired(&mut deadlines, at(u64::MAX - 1)), []);
    assert_eq!(expired(&mut deadlines, END), [(0, END)]);
}

#[test]
fn who_cancels_and_sets_again_for_ever_costs_no_memory() {
    let mut deadlines = Deadlines::default();
    for round in 0..100_000 {
        // Ever earlier, so that each makes an entry.
        deadlines.set(0, at(1_000_000 - round));
        deadlines.clear(0);
        deadlines.set(1, at(2_000_000 - round));
    }
    assert!(deadlines.heap.len() <= ENTRIES_MIN + 4, "{}", deadlines.heap.len());
    assert_eq!(expired(&mut deadlines, END), [(1, at(2_000_000 - 99_999))]);
}

#[derive(Debug, Clone)]
enum Step {
    Set(u32, u64),
    Clear(u32),
    Expire(u64),
}

proptest! {
    #[test]
    fn it_does_what_a_map_does(steps in proptest::collection::vec(prop_oneof![
        4 => (0..200_u32, 1..1000_u64).prop_map(|(index, us)| Step::Set(index, us)),
        2 => (0..200_u32).prop_map(Step::Clear),
        1 => (1..1000_u64).prop_map(Step::Expire),
    ], 0..1000)) {
        let (mut deadlines, mut model) = (Deadlines::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Set(index, us) => {
                    deadlines.set(index, at(us));
                    model.insert(index, at(us));
                }
                Step::Clear(index) => {
                    deadlines.clear(index);
                    model.remove(&index);
                }
                Step::Expire(us) => {
                    let mut due: Vec<_> = model.extract_due(at(us));
                    due.sort_by_key(|&(index, at)| (at, index));
                    let mut came = expired(&mut deadlines, at(us));
                    prop_assert!(came.is_sorted_by_key(|&(_, at)| at));
                    came.sort_by_key(|&(index, at)| (at, index));
                    prop_assert_eq!(came, due);
                }
            }
            let earliest = model.values().min();
            match deadlines.wake() {
                Wake::At(wake) => prop_assert!(earliest.is_some_and(|&at| wake <= at)),
                Wake::Never => prop_assert!(earliest.is_none()),
                Wake::Now => prop_assert!(false),
            }
            for (index, &at) in &model {
                prop_assert_eq!(deadlines.get(*index), Some(at));
            }
        }
    }
}

trait ExtractDue {
    fn extract_due(&mut self, now: Instant) -> Vec<(u32, Instant)>;
}

impl ExtractDue for BTreeMap<u32, Instant> {
    fn extract_due(&mut self, now: Instant) -> Vec<(u32, Instant)> {
        let due: Vec<_> =
            self.iter().filter(|&(_, &at)| at <= now).map(|(&i, &at)| (i, at)).collect();
        self.retain(|_, &mut at| at > now);
        due
    }
}
