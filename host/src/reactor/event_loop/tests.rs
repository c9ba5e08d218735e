//! Rounds: their order, their end, what a panic leaves behind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::reactor::tests::{
    Desk, Peer, drain, frozen, ms, named, pair, pass, pump, round, secs, stream_pair, streaming,
};
use crate::reactor::{StreamEvent, Watch};

/// A source that is ready for ever.
fn always(events: &mut Context<Desk>, name: &'static str) -> (Token, Peer) {
    let (io, peer) = pair();
    let token = events.add(io, Watch::WRITE, move |_, desk: &mut Desk, _, _| desk.note(name));
    (token.unwrap(), peer)
}

#[test]
fn high_goes_before_normal_before_low() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let mut peers = Vec::new();
    for (name, priority) in
        [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)]
    {
        let (token, mut peer) = named(&mut events, name, Watch::READ);
        events.set_priority(token, priority);
        peer.say(b"x");
        peers.push(peer);
    }
    events.defer(|desk: &mut Desk, _| desk.note("deferred"));
    round(&mut events, &mut desk);
    assert_eq!(desk.log, ["high", "normal", "low", "deferred"]);
}

#[test]
fn no_source_starves_behind_those_that_are_always_ready() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let mut peers: Vec<_> = (0..300).map(|_| always(&mut events, "normal")).collect();
    for (name, priority) in [("high", Priority::High), ("low", Priority::Low)] {
        let one = always(&mut events, name);
        events.set_priority(one.0, priority);
        peers.push(one);
    }
    events.every(ms(1), |desk: &mut Desk, _| desk.note("tick"));
    for _ in 0..20 {
        pass(ms(1));
        round(&mut events, &mut desk);
        let normal = desk.count("normal");
        assert!(normal <= 256, "{normal} in one round");
        events.defer(|_, _| {});
        desk.log.retain(|it| it != "normal");
    }
    // The kernel tells of 256 at a time, in turn: each comes in every second round.
    for name in ["high", "low", "tick"] {
        assert!(desk.count(name) >= 8, "{name}: {}", desk.count(name));
    }
}

#[test]
fn deferred_calls_keep_their_order_and_those_they_defer_come_a_round_later() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    for name in ["a", "b"] {
        events.defer(move |desk: &mut Desk, cx| {
            desk.note(name);
            cx.defer(move |desk, _| desk.note(format!("{name} again")));
        });
    }
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["a", "b"]);
    // It would wait for ever if it did wait.
    assert_eq!(events.run_once(&mut desk, None).unwrap(), 2);
    assert_eq!(desk.log, ["a again", "b again"]);
}

#[test]
fn a_run_ends_when_nothing_is_left_that_could_happen() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    events.run(&mut desk).unwrap();
    assert_eq!((events.stats().rounds, events.run_once(&mut desk, None).unwrap()), (0, 0));
    events.timer(|_, _| {});
    let (token, mut peer) = named(&mut events, "called", Watch::READ);
    events.disarm(token);
    events.run(&mut desk).unwrap();
    events.watch(token, Watch::READ.once()).unwrap();
    peer.say(b"x");
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["called"], "one that has fired the one time it was to fire");
}

#[test]
fn exit_ends_the_run_after_its_round_and_break_now_after_its_call() {
    for at_once in [false, true] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        for name in ["a", "b", "c"] {
            events.defer(move |desk: &mut Desk, cx| {
                desk.note(name);
                match (name, at_once) {
                    ("a", true) => cx.break_now(),
                    ("a", false) => cx.exit(),
                    _ => {}
                }
            });
        }
        always(&mut events, "source");
        events.run(&mut desk).unwrap();
        let (first, next) = if at_once { (1, 2) } else { (3, 0) };
        desk.log.retain(|it| it != "source");
        assert_eq!(desk.news(), ["a", "b", "c"][..first]);
        round(&mut events, &mut desk);
        desk.log.retain(|it| it != "source");
        assert_eq!(desk.news(), ["a", "b", "c"][3 - next..]);
    }
}

#[test]
fn sources_that_a_break_cut_off_keep_their_turn() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let peers: Vec<_> = (0..5)
        .map(|_| {
            let (io, mut peer) = pair();
            let call = |io: &mut _, desk: &mut Desk, cx: &mut Context<Desk>, _| {
                drain(io);
                desk.note("called");
                cx.break_now();
            };
            events.add(io, Watch::READ.edge(), call).unwrap();
            peer.say(b"x");
            peer
        })
        .collect();
    for count in 1..=peers.len() {
        events.run(&mut desk).unwrap();
        assert_eq!(desk.log.len(), count);
    }
    assert_eq!(round(&mut events, &mut desk), 0);
}

#[test]
fn break_now_also_cuts_the_calls_of_one_stream() {
    let (mut events, mut desk, _token, mut peer) = streaming(|io, desk, cx, event| {
        desk.note(format!("{event:?}"));
        if event == StreamEvent::Input {
            io.write(b"reply");
            io.consume(usize::MAX);
            cx.break_now();
        }
    });
    peer.say(b"request");
    peer.finish();
    events.run(&mut desk).unwrap();
    assert_eq!((desk.news(), peer.heard()), (vec!["Input".to_owned()], b"reply".to_vec()));
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["Drained", "Eof"], "the rest kept its turn");
}

#[test]
fn an_exit_outside_a_run_ends_the_next_one_after_a_round() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    always(&mut events, "called");
    events.exit();
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["called"]);
}

#[test]
fn one_round_waits_as_long_as_it_is_told_and_no_longer() {
    let (mut events, mut desk) = (EventLoop::new().unwrap(), Desk::default());
    let (_token, mut peer) = named(&mut events, "called", Watch::READ);
    assert_eq!(events.run_once(&mut desk, Some(Duration::ZERO)).unwrap(), 0);
    let before = clock::now();
    assert_eq!(events.run_once(&mut desk, Some(ms(3))).unwrap(), 0);
    // What it may not be is too short.
    assert!(clock::now().since(before) >= 3_000);
    peer.say(b"x");
    assert_eq!(events.run_once(&mut desk, Some(secs(3600))).unwrap(), 1);
    peer.say(b"x");
    assert_eq!(events.run_once(&mut desk, None).unwrap(), 1);
    assert_eq!(events.stats().rounds, 4);
}

#[test]
fn a_source_that_panics_goes_and_the_others_run_on() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (io, mut bad_peer) = pair();
    let bad = events.add(io, Watch::READ, |_, desk: &mut Desk, _, _| {
        desk.note("bad");
        std::panic::panic_any("on purpose");
    });
    let bad = bad.unwrap();
    let mut good: Vec<_> = (0..3).map(|_| named(&mut events, "good", Watch::READ)).collect();
    bad_peer.say(b"x");
    for (_, peer) in &mut good {
        peer.say(b"x");
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| events.run(&mut desk)));
    assert_eq!(
        panicked.err().and_then(|it| it.downcast_ref::<&str>().copied()),
        Some("on purpose")
    );
    assert!(!events.contains(bad));
    pump(&mut events, &mut desk);
    assert_eq!((desk.count("bad"), desk.count("good")), (1, 3), "no turn was lost");
    for (_, peer) in &mut good {
        peer.say(b"x");
    }
    pump(&mut events, &mut desk);
    assert_eq!(desk.count("good"), 6);
}

#[test]
fn a_panic_in_a_timer_a_deferred_call_or_a_stream_leaves_the_loop_whole() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let boom = || std::panic::panic_any(());
    events.after(ms(1), move |_: &mut Desk, _| boom());
    let periodic = events.every(ms(1), move |_, _| boom());
    events.defer(move |_, _| boom());
    events.defer(|desk: &mut Desk, _| desk.note("deferred"));
    let (stream, mut peer) = stream_pair();
    let stream = events.buffered(stream, move |_, _, _, _| boom()).unwrap();
    peer.say(b"x");
    let (stream2, mut echo) = stream_pair();
    events
        .buffered(stream2, |io, _, _, event| {
            if event == StreamEvent::Input {
                let all = io.input().to_vec();
                io.write(&all);
                io.consume(all.len());
            }
        })
        .unwrap();
    echo.say(b"hello");
    pass(ms(1));
    let mut panics = 0;
    for _ in 0..20 {
        let calm = catch_unwind(AssertUnwindSafe(|| round(&mut events, &mut desk)));
        panics += u32::from(calm.is_err());
    }
    assert_eq!(panics, 4);
    let before = events.now();
    pass(secs(1));
    assert_eq!(events.now(), before.after(1_000_000), "no round is going on");
    assert!(!events.contains(periodic) && !events.contains(stream));
    assert_eq!((desk.log, echo.heard()), (vec!["deferred".to_owned()], b"hello".to_vec()));
    assert_eq!(events.streams(), 1);
}

#[test]
fn disarmed_sources_take_nobodys_turn() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let far = secs(1);
    let many: Vec<_> = (0..100).map(|_| events.timer(|_, _| {})).collect();
    for &timer in &many {
        events.set_priority(timer, Priority::Low);
        events.activate(timer);
        events.disarm(timer);
        events.arm_after(timer, far);
    }
    let (last, mut peer) = named(&mut events, "last", Watch::READ);
    events.set_priority(last, Priority::Low);
    peer.say(b"x");
    round(&mut events, &mut desk);
    assert_eq!(desk.log, ["last"]);
}

#[test]
fn a_run_that_a_panic_ended_leaves_no_end_to_the_next_one() {
    let leaves: [fn(&mut Context<Desk>); 2] = [|cx| cx.exit(), |cx| cx.break_now()];
    for leave in leaves {
        let (mut events, mut desk) = (frozen(), Desk::default());
        events.defer(move |_: &mut Desk, cx| {
            leave(cx);
            std::panic::panic_any("on purpose");
        });
        let panicked = catch_unwind(AssertUnwindSafe(|| events.run(&mut desk)));
        assert!(panicked.is_err());
        // Two rounds: it would end after the first.
        events.defer(|_, cx| cx.defer(|desk, _| desk.note("second round")));
        events.run(&mut desk).unwrap();
        assert_eq!(desk.log, ["second round"]);
    }
}
