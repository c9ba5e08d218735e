//! What becomes of each datagram.

use std::time::Duration;

use crate::Random;

/// What one direction does to datagrams. Chances are of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path {
    /// The datagram does not arrive.
    pub loss: u16,
    /// It arrives twice.
    pub duplicate: u16,
    /// It is late by [`late`](Self::late), so that others overtake it.
    pub reorder: u16,
    /// How late such a datagram is.
    pub late: Duration,
    /// How long each datagram is on its way.
    pub delay: Duration,
    /// These datagrams of a client do not arrive, counted from 1, whatever chance says.
    pub lose: &'static [u64],
}

impl Path {
    /// Every datagram arrives once, at once.
    pub const PERFECT: Self = Self {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        late: Duration::ZERO,
        delay: Duration::ZERO,
        lose: &[],
    };

    /// So many of a thousand datagrams do not arrive.
    pub const fn losing(loss: u16) -> Self {
        Self { loss, ..Self::PERFECT }
    }
}

/// The fates of the datagrams of one client in one direction. What becomes of the n-th one follows from the
/// seed and from n alone, and a datagram that is lost at some rate of loss is lost at each higher one too.
#[derive(Debug)]
pub(crate) struct Fates {
    path: Path,
    random: Random,
    count: u64,
}

/// What becomes of one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// It arrives after this time, and a copy of it after that one.
    Arrives(Duration, Option<Duration>),
}

impl Fates {
    pub(crate) const fn new(path: Path, seed: u64) -> Self {
        Self { path, random: Random::new(seed), count: 0 }
    }

    /// That of the next one.
    pub(crate) fn next(&mut self) -> Fate {
        let Path { loss, duplicate, reorder, late, delay, lose } = self.path;
        self.count += 1;
        // The same numbers are drawn for each datagram, whatever they are used for.
        let [is_lost, is_doubled, is_late, copy_is_late] =
            [loss, duplicate, reorder, reorder].map(|chance| self.random.chance(chance));
        if is_lost || lose.contains(&self.count) {
            return Fate::Lost;
        }
        let takes = |is_late| if is_late { delay + late } else { delay };
        Fate::Arrives(takes(is_late), is_doubled.then(|| takes(copy_is_late)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(path: Path, seed: u64) -> Vec<u64> {
        let mut fates = Fates::new(path, seed);
        (1..=1000).filter(|_| fates.next() == Fate::Lost).collect()
    }

    #[test]
    fn fates_follow_from_the_seed() {
        let path = Path::losing(50);
        assert_eq!(lost(path, 7), lost(path, 7));
        assert_ne!(lost(path, 7), lost(path, 8));
        let count = lost(path, 7).len();
        assert!((20..100).contains(&count), "{count} of 1000");
    }

    #[test]
    fn more_loss_loses_others_beside() {
        let (few, many) = (lost(Path::losing(10), 3), lost(Path::losing(200), 3));
        assert!(few.len() < many.len() && few.iter().all(|nth| many.contains(nth)));
    }

    #[test]
    fn the_named_ones_are_lost() {
        assert_eq!(lost(Path { lose: &[1, 3], ..Path::PERFECT }, 9), [1, 3]);
    }

    #[test]
    fn each_copy_is_late_or_not() {
        let (late, delay) = (Duration::from_millis(5), Duration::from_millis(1));
        let path = Path { duplicate: 500, reorder: 500, late, delay, ..Path::PERFECT };
        let mut fates = Fates::new(path, 1);
        let all = (0..100).map(|_| fates.next()).collect::<Vec<_>>();
        for one in [delay, delay + late] {
            assert!(all.contains(&Fate::Arrives(one, None)));
            for copy in [delay, delay + late] {
                assert!(all.contains(&Fate::Arrives(one, Some(copy))));
            }
        }
    }
}
