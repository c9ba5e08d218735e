//! Deadlines against a map, and at both ends of time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// More than a few; less than a history.
const HANDFUL: usize = 70;

const END: Instant = Instant::from_micros(u64::MAX);

fn at(us: u64) -> Instant {
    Instant::from_micros(us)
}

/// Things that are nothing but their deadlines.
#[derive(Default)]
struct Rig {
    table: Table<Option<Instant>>,
    tokens: Vec<Token>,
}

impl Rig {
    fn new(things: u32) -> Self {
        let mut rig = Self::default();
        rig.tokens = (0..things).map(|_| rig.table.insert(None, ())).collect();
        rig
    }

    fn set(&mut self, index: u32, at: Instant) {
        let token = self.tokens[index as usize];
        *self.table.get_mut(token).unwrap() = Some(at);
        self.table.arm(token, at);
    }

    fn clear(&mut self, index: u32) {
        *self.table.get_mut(self.tokens[index as usize]).unwrap() = None;
    }

    fn wake(&mut self) -> Wake {
        self.table.wake(Instant::ZERO, |deadline| *deadline)
    }

    /// All that have expired at `now`, in order.
    fn expired(&mut self, now: Instant) -> Vec<(u32, Instant)> {
        let next = || {
            let (token, at) = self.table.expired(now, |deadline| *deadline)?;
            *self.table.get_mut(token).unwrap() = None;
            Some((token.index, at))
        };
        std::iter::from_fn(next).collect()
    }
}

#[test]
fn the_earliest_goes_first() {
    let mut rig = Rig::new(4);
    for (index, us) in [(0, 30), (1, 10), (2, 20), (3, 99)] {
        rig.set(index, at(us));
    }
    assert_eq!(rig.wake(), Wake::At(at(10)));
    assert_eq!(rig.expired(at(9)), []);
    assert_eq!(rig.expired(at(30)), [(1, at(10)), (2, at(20)), (0, at(30))]);
    assert_eq!(rig.wake(), Wake::At(at(99)));
}

#[test]
fn a_wait_is_not_cut_short_for_a_deadline_that_moved() {
    let mut rig = Rig::new(2);
    for (index, us) in [(0, 100), (1, 2 * SOON_US), (0, 3 * SOON_US), (1, 4 * SOON_US)] {
        rig.set(index, at(us));
    }
    assert_eq!(rig.wake(), Wake::At(at(2 * SOON_US)), "that is not soon: it may be too early");
    assert_eq!(rig.table.wake(at(SOON_US + 1), |it| *it), Wake::At(at(3 * SOON_US)));
    assert_eq!(rig.expired(at(4 * SOON_US)), [(0, at(3 * SOON_US)), (1, at(4 * SOON_US))]);
}

#[test]
fn a_deadline_that_moved_counts_from_where_it_is() {
    let mut rig = Rig::new(1);
    rig.set(0, at(10));
    rig.set(0, at(50));
    assert_eq!(rig.expired(at(49)), []);
    assert_eq!(rig.wake(), Wake::At(at(50)));
    rig.set(0, at(20));
    assert_eq!(rig.expired(at(20)), [(0, at(20))]);
    assert_eq!(rig.expired(END), []);
}

#[test]
fn a_deadline_that_was_cleared_never_comes() {
    let mut rig = Rig::new(1);
    rig.set(0, at(10));
    rig.clear(0);
    assert_eq!(rig.wake(), Wake::Never);
    assert_eq!(rig.expired(END), []);
}

#[test]
fn a_deadline_goes_with_its_thing() {
    let mut rig = Rig::new(1);
    rig.set(0, at(10));
    rig.table.remove(rig.tokens[0]);
    assert_eq!(rig.wake(), Wake::Never);
    let next = rig.table.insert(Some(at(20)), ());
    assert_eq!(next.index, rig.tokens[0].index);
    rig.table.arm(next, at(20));
    rig.table.arm(rig.tokens[0], at(1));
    assert_eq!(rig.expired(END), [(0, at(20))]);
}

#[test]
fn both_ends_of_time_are_times() {
    let mut rig = Rig::new(2);
    rig.set(0, END);
    rig.set(1, Instant::ZERO);
    assert_eq!(rig.expired(Instant::ZERO), [(1, at(1))]);
    assert_eq!(rig.expired(at(u64::MAX - 1)), []);
    assert_eq!(rig.expired(END), [(0, END)]);
}

#[test]
fn to_cancel_and_set_again_for_ever_costs_no_memory() {
    let mut rig = Rig::new(2);
    for round in 0..100_000 {
        // Ever earlier, so that each makes an entry.
        rig.set(0, at(1_000_000 - round));
        rig.clear(0);
        rig.set(1, at(2_000_000 - round));
    }
    let entries = rig.table.entries();
    assert!(entries <= HANDFUL, "{entries}");
    assert_eq!(rig.expired(END), [(1, at(2_000_000 - 99_999))]);
}

#[test]
fn to_set_one_deadline_again_and_again_costs_no_memory() {
    let mut rig = Rig::new(1);
    for round in 1..10_000 {
        // A far one, and a near one before it that comes.
        rig.set(0, at(1_000_000));
        rig.set(0, at(round));
        assert_eq!(rig.expired(at(round)), [(0, at(round))]);
    }
    let entries = rig.table.entries();
    assert!(entries <= HANDFUL, "{entries}");
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
        let (mut rig, mut model) = (Rig::new(200), BTreeMap::new());
        for step in steps {
            match step {
                Step::Set(index, us) => {
                    rig.set(index, at(us));
                    model.insert(index, at(us));
                }
                Step::Clear(index) => {
                    rig.clear(index);
                    model.remove(&index);
                }
                Step::Expire(us) => {
                    let mut due: Vec<_> = model.extract_due(at(us));
                    due.sort_by_key(|&(index, at)| (at, index));
                    let mut came = rig.expired(at(us));
                    prop_assert!(came.is_sorted_by_key(|&(_, at)| at));
                    came.sort_by_key(|&(index, at)| (at, index));
                    prop_assert_eq!(came, due);
                }
            }
            let earliest = model.values().min();
            match rig.wake() {
                Wake::At(wake) => {
                    prop_assert!(earliest.is_some_and(|&at| wake <= at));
                    let is_soon = wake < Instant::ZERO.after(SOON_US);
                    prop_assert!(!is_soon || Some(&wake) == earliest);
                }
                Wake::Never => prop_assert!(earliest.is_none()),
                Wake::Now => prop_assert!(false),
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
