//! When a server sends again, and when it gives up.

extern crate std;

use std::vec::Vec;

use super::ack;
use super::server::{asked, rrq};
use crate::fault::Fault;
use crate::transfer::Transfer;

const SECOND: u64 = 1_000_000;

#[test]
fn the_timer_follows_the_path() {
    let mut rig = asked(100_000, &rrq(b"tsize\x000\0"));
    rig.says_one();
    assert_eq!(rig.transfer.want().wake.wait_us(rig.now), Some(300_000));
    let mut block = 0;
    for _ in 0..20 {
        rig.waits(2000);
        let _ = rig.hears(&ack(block));
        rig.says_one();
        block += 1;
    }
    assert_eq!(rig.transfer.want().wake.wait_us(rig.now), Some(10_000), "the floor");
    // A block is lost and not late, as a rule; then the path or the peer is.
    for us in [10_000, 10_000, 10_000, 10_000, 20_000, 40_000, 80_000] {
        assert_eq!(rig.transfer.want().wake.wait_us(rig.now), Some(us));
        rig.waits(us);
        rig.says_one();
    }
    // What helped is forgotten, and progress begins the wait for the end anew.
    let _ = rig.hears(&ack(block));
    rig.says_one();
    assert_eq!(rig.transfer.want().wake.wait_us(rig.now), Some(10_000));
    let since = rig.now;
    while rig.how().is_none() {
        rig.waits_for_its_timer();
        rig.says();
    }
    assert_eq!(rig.how(), Some(Err(Fault::TimedOut { waited_us: 30 * SECOND })));
    assert_eq!(rig.now.since(since), 30 * SECOND);
}

#[test]
fn a_path_with_windows_gets_less_at_once() {
    let mut rig = asked(1000, &rrq(b"blksize\x008\0windowsize\x008\0"));
    rig.says_one();
    rig.waits(2000);
    let _ = rig.hears(&ack(0));
    for us in [10_000, 20_000, 40_000, 80_000] {
        assert_eq!(rig.says().len(), 8);
        assert_eq!(rig.transfer.want().wake.wait_us(rig.now), Some(us));
        rig.waits(us);
    }
}

/// What is sent again is not measured: so the timeout has to grow without that, until a block is sent once.
#[test]
fn a_path_that_has_become_slower_is_measured_soon() {
    for slow_us in [12_000, 25_000, 50_000, 100_000, 900_000] {
        let mut rig = asked(100_000, &rrq(b"tsize\x000\0"));
        rig.says_one();
        rig.waits(2000);
        let _ = rig.hears(&ack(0));
        let mut copies = Vec::new();
        for block in 1..10 {
            rig.says_one();
            let came = rig.now.after(slow_us);
            let mut sent = 1;
            while rig.transfer.want().wake.is_due(came) {
                rig.waits_for_its_timer();
                sent += rig.says().len();
            }
            rig.waits(came.since(rig.now));
            copies.push(sent);
            let _ = rig.hears(&ack(block));
        }
        assert!(copies[..4].iter().all(|&sent| (2..12).contains(&sent)), "{copies:?}");
        assert_eq!(copies[4..], [1; 5], "{slow_us}: {copies:?}");
    }
}

#[test]
fn utimeout_is_the_first_timeout() {
    let mut rig = asked(700, &rrq(b"utimeout\x0050000\0"));
    rig.says_one();
    assert_eq!(rig.transfer.want().wake.wait_us(rig.now), Some(50_000));
}
