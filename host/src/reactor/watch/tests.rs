//! What a descriptor is told and how often: level, edge, once, timeouts, files, hang-ups.
//!
//! Each source notes what it is told and reads nothing by itself, so that readiness stays.

use std::fs::File;
use std::io::{Seek, Write};

use super::*;
use crate::reactor::tests::{Desk, Peer, drain, frozen, ms, pair, pass, round, secs};
use crate::reactor::{Context, EventLoop, Token};

/// A source that notes what it is told: `r` and `w`, `h`ang-up, `d`ead, or `late`.
fn told(cx: &mut Context<Desk>, watch: Watch) -> (Token, Peer) {
    let (io, peer) = pair();
    let call = |_: &mut _, desk: &mut Desk, _: &mut Context<Desk>, event| desk.note(letters(event));
    (cx.add(io, watch, call).unwrap(), peer)
}

fn letters(event: Event) -> String {
    let Event::Ready(ready) = event else { return "late".to_owned() };
    let all = [(ready.read, 'r'), (ready.write, 'w'), (ready.hup, 'h'), (ready.dead, 'd')];
    all.into_iter().filter_map(|(is, letter)| is.then_some(letter)).collect()
}

fn rounds(events: &mut EventLoop<Desk>, desk: &mut Desk, count: u32) -> Vec<String> {
    for _ in 0..count {
        round(events, desk);
    }
    desk.news()
}

#[test]
fn level_is_told_in_every_round_edge_when_something_changes_once_until_it_is_armed() {
    for (watch, at_first, after_more, after_arm) in [
        (Watch::READ, 3, 3, 3),
        (Watch::READ.edge(), 1, 1, 1),
        (Watch::READ.once(), 1, 0, 1),
        (Watch::READ.edge().once(), 1, 0, 1),
    ] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let (token, mut peer) = told(&mut events, watch);
        assert_eq!(rounds(&mut events, &mut desk, 3).len(), 0);
        peer.say(b"x");
        assert_eq!(rounds(&mut events, &mut desk, 3), vec!["r"; at_first], "{watch:?}");
        peer.say(b"y");
        assert_eq!(rounds(&mut events, &mut desk, 3), vec!["r"; after_more], "{watch:?}");
        events.arm(token).unwrap();
        assert_eq!(rounds(&mut events, &mut desk, 3), vec!["r"; after_arm], "{watch:?}");
    }
}

#[test]
fn a_timeout_comes_again_and_again_until_something_does() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (token, mut peer) = told(&mut events, Watch::READ.edge().timeout(secs(10)));
    for _ in 0..3 {
        pass(ms(9_999));
        assert_eq!(rounds(&mut events, &mut desk, 2).len(), 0);
        pass(ms(1));
        assert_eq!(rounds(&mut events, &mut desk, 2), ["late"]);
    }
    // Activity postpones it, however it is told.
    let acts: [fn(&mut EventLoop<Desk>, Token, &mut Peer); 4] = [
        |_, _, peer| peer.say(b"x"),
        |events, token, _| events.touch(token),
        |events, token, _| events.arm(token).unwrap(),
        |events, token, _| events.activate(token),
    ];
    for act in acts {
        pass(secs(9));
        act(&mut events, token, &mut peer);
        rounds(&mut events, &mut desk, 1);
        pass(secs(9));
        assert_eq!(rounds(&mut events, &mut desk, 1).len(), 0);
        pass(secs(1));
        assert_eq!(rounds(&mut events, &mut desk, 1), ["late"]);
    }
    assert_eq!(events.deadline(token), Some(events.now().after(10_000_000)));
}

#[test]
fn what_came_with_its_timeout_came() {
    for watch in [Watch::READ, Watch::READ.edge(), Watch::READ.once()] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let (_token, mut peer) = told(&mut events, watch.timeout(secs(1)));
        peer.say(b"x");
        pass(secs(1));
        assert_eq!(rounds(&mut events, &mut desk, 1), ["r"], "{watch:?}");
    }
}

#[test]
fn one_that_is_to_fire_once_may_time_out_instead() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (token, mut peer) = told(&mut events, Watch::READ.once().timeout(secs(1)));
    pass(secs(1));
    assert_eq!(rounds(&mut events, &mut desk, 1), ["late"]);
    peer.say(b"x");
    pass(secs(60));
    assert_eq!((rounds(&mut events, &mut desk, 2).len(), events.is_armed(token)), (0, false));
    events.run(&mut desk).unwrap();
    events.arm(token).unwrap();
    assert_eq!(rounds(&mut events, &mut desk, 2), ["r"]);
    pass(secs(60));
    assert_eq!(rounds(&mut events, &mut desk, 2).len(), 0, "its timeout went with it");
}

#[test]
fn a_timeout_can_be_given_changed_and_taken_away() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (token, _peer) = told(&mut events, Watch::READ);
    assert_eq!(events.deadline(token), None);
    events.arm_after(token, secs(2));
    pass(secs(2));
    assert_eq!(rounds(&mut events, &mut desk, 1), ["late"]);
    events.watch(token, Watch::READ.timeout(secs(1))).unwrap();
    pass(secs(1));
    assert_eq!(rounds(&mut events, &mut desk, 1), ["late"]);
    events.watch(token, Watch::READ).unwrap();
    pass(secs(60));
    assert_eq!((rounds(&mut events, &mut desk, 1).len(), events.deadline(token)), (0, None));
}

#[test]
fn a_peer_that_went_is_told_and_one_that_is_disarmed_does_not_spin() {
    // By the real clock: the loop waits, and how often it woke up is counted.
    let (mut events, mut desk) = (EventLoop::new().unwrap(), Desk::default());
    for watch in [Watch::READ, Watch::WRITE, Watch::BOTH, Watch::READ.edge(), Watch::BOTH.once()] {
        let (token, peer) = told(&mut events, watch);
        drop(peer);
        round(&mut events, &mut desk);
        let news = desk.news();
        assert!(news.len() == 1 && news[0].ends_with("hd"), "{news:?} {watch:?}");
        events.disarm(token);
        assert!(!events.is_armed(token));
    }
    // And one that is disarmed before the peer goes.
    let (token, peer) = told(&mut events, Watch::READ);
    events.disarm(token);
    drop(peer);
    events.after(ms(30), |_, cx| cx.exit());
    let before = events.stats().rounds;
    events.run(&mut desk).unwrap();
    let rounds = events.stats().rounds - before;
    assert!(rounds <= 10, "{rounds} rounds with nothing to do");
    assert_eq!(desk.news().len(), 0);
    events.arm(token).unwrap();
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["rhd"]);
}

#[test]
fn a_regular_file_is_always_ready_and_can_be_disarmed() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"abc").unwrap();
    file.rewind().unwrap();
    for io in [file, File::open("/dev/null").unwrap()] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let call =
            |_: &mut _, desk: &mut Desk, _: &mut Context<Desk>, event| desk.note(letters(event));
        let token = events.add(io, Watch::READ, call).unwrap();
        assert_eq!(rounds(&mut events, &mut desk, 3), ["r"; 3]);
        events.disarm(token);
        // Nothing is left to wait for.
        events.run(&mut desk).unwrap();
        assert_eq!(desk.news().len(), 0);
        events.watch(token, Watch::BOTH.once()).unwrap();
        assert_eq!(rounds(&mut events, &mut desk, 3), ["rw"]);
        events.arm(token).unwrap();
        assert_eq!(rounds(&mut events, &mut desk, 3), ["rw"]);
        assert!(events.remove(token));
        assert_eq!(rounds(&mut events, &mut desk, 1).len(), 0);
    }
}

#[test]
fn a_file_that_is_always_ready_starves_no_source() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let null = File::open("/dev/null").unwrap();
    events.add(null, Watch::READ, |_, desk: &mut Desk, _, _| desk.note("file")).unwrap();
    let (io, mut peer) = pair();
    let call = |io: &mut _, desk: &mut Desk, _: &mut Context<Desk>, _| {
        drain(io);
        desk.note("socket");
    };
    events.add(io, Watch::READ, call).unwrap();
    peer.say(b"x");
    events.after(ms(1), |desk: &mut Desk, _| desk.note("timer"));
    pass(ms(1));
    round(&mut events, &mut desk);
    desk.log.sort();
    assert_eq!(desk.news(), ["file", "socket", "timer"]);
    // It never waits, so one round at a time is all there is to do.
    for _ in 0..5 {
        assert_eq!(events.run_once(&mut desk, None).unwrap(), 1);
    }
    assert_eq!(desk.news(), ["file"; 5]);
}
