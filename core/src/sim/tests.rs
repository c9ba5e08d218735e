//! What a network does, and what it leaves alone.

extern crate std;

use super::*;
use std::vec::Vec;

/// Datagrams that are sent. To find the next one takes a look at all that are on their way.
const COUNT: u16 = if cfg!(miri) { 50 } else { 1000 };

fn arrivals(path: Path, seed: u64) -> Vec<(u64, Vec<u8>)> {
    let mut link = Link::<2100, 4>::new(path, seed);
    for n in 0..COUNT {
        link.send(Instant::from_micros(u64::from(n) * 10), &n.to_be_bytes());
    }
    let mut all = Vec::new();
    while let Wake::At(now) = link.arrives_at() {
        let mut to = [0; 4];
        let len = link.recv(now, &mut to).unwrap();
        all.push((now.as_micros(), to[..len].to_vec()));
    }
    all
}

#[test]
fn a_perfect_path_changes_nothing() {
    let all = arrivals(Path { delay_us: 500, ..Path::PERFECT }, 1);
    for (n, (at, bytes)) in all.iter().enumerate() {
        let n = u16::try_from(n).unwrap();
        assert_eq!((*at, &bytes[..]), (u64::from(n) * 10 + 500, &n.to_be_bytes()[..]));
    }
    assert_eq!(all.len(), COUNT.into());
}

#[test]
fn chances_are_of_a_thousand_and_follow_from_the_seed() {
    if cfg!(miri) {
        return;
    }
    let lossy = Path { loss: 200, ..Path::PERFECT };
    let lost = 1000 - arrivals(lossy, 7).len();
    assert!((150..250).contains(&lost), "{lost}");
    assert_eq!(arrivals(lossy, 7), arrivals(lossy, 7));
    assert_ne!(arrivals(lossy, 7), arrivals(lossy, 8));
    let doubled = arrivals(Path { duplicate: 200, ..Path::PERFECT }, 7).len() - 1000;
    assert!((150..250).contains(&doubled), "{doubled}");
    let late = arrivals(Path { reorder: 50, reorder_us: 35, ..Path::PERFECT }, 7);
    let overtaken = late.windows(2).filter(|pair| pair[0].1 > pair[1].1).count();
    assert!((20..80).contains(&overtaken), "{overtaken}");
    let changed = arrivals(Path { corrupt: 100, ..Path::PERFECT }, 7);
    let changed =
        (0_u16..).zip(&changed).filter(|(n, (_, bytes))| n.to_be_bytes()[..] != bytes[..]).count();
    assert!((60..140).contains(&changed), "{changed}");
}

#[test]
fn a_slow_path_has_a_queue_and_a_full_one_loses() {
    let all = arrivals(Path { bytes_per_second: 100_000, ..Path::PERFECT }, 1);
    assert_eq!(all.last().unwrap().0, u64::from(COUNT) * 20, "two bytes each");
    let mut link = Link::<2, 4>::new(Path::PERFECT, 1);
    for _ in 0..3 {
        link.send(Instant::ZERO, b"a");
    }
    link.send(Instant::ZERO, b"too long");
    assert_eq!((link.sent(), link.lost()), (4, 2));
}
