//! No call is early: whichever way a delay is asked for, it counts from the moment of the call, however
//! late in its round that call is.

use std::net::TcpListener;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{Desk, Peer, frozen, ms, pair, pass, pump, round, secs, stream_pair};
use super::*;

const DELAY: Duration = ms(200);

fn late(desk: &mut Desk, _: &mut Context<Desk>) {
    desk.note("late");
}

/// A source that says `late`, and works for a while for everything else it is told.
fn idle(cx: &mut Context<Desk>, watch: Watch) -> (Token, Peer) {
    let (io, peer) = pair();
    let call = |io: &mut _, desk: &mut Desk, _: &mut Context<Desk>, event| match event {
        Event::TimedOut => desk.note("late"),
        Event::Ready(_) => {
            tests::drain(io);
            pass(ms(400));
        }
    };
    (cx.add(io, watch, call).unwrap(), peer)
}

/// The same, buffered.
fn buffered(cx: &mut Context<Desk>) -> (Token, Peer) {
    let (stream, peer) = stream_pair();
    let call = |io: &mut Buffered, desk: &mut Desk, _: &mut Context<Desk>, event| match event {
        StreamEvent::TimedOut(_) => desk.note("late"),
        StreamEvent::Input => {
            io.consume(usize::MAX);
            pass(ms(400));
        }
        _ => {}
    };
    (cx.buffered(stream, call).unwrap(), peer)
}

/// What is there beforehand, and what is asked of it by a callback that has worked for a while.
type Way = (&'static str, fn(&mut Context<Desk>) -> Option<(Token, Peer)>, Ask);
type Ask = fn(&mut Context<Desk>, &mut Option<(Token, Peer)>);

fn token(it: &mut Option<(Token, Peer)>) -> Token {
    it.as_ref().unwrap().0
}

const WAYS: [Way; 15] = [
    (
        "after",
        |_| None,
        |cx, _| {
            cx.after(DELAY, late);
        },
    ),
    (
        "every",
        |_| None,
        |cx, _| {
            cx.every(DELAY, |desk, cx| {
                desk.note("late");
                cx.remove(cx.current());
            });
        },
    ),
    (
        "arm_after",
        |_| None,
        |cx, _| {
            let timer = cx.timer(late);
            cx.arm_after(timer, DELAY);
        },
    ),
    (
        "arm_at",
        |_| None,
        |cx, _| {
            let timer = cx.timer(late);
            cx.arm_at(timer, cx.now().after(200_000));
        },
    ),
    (
        "arm",
        |cx| Some((cx.every(secs(9), late), pair().1)),
        |cx, it| {
            cx.arm_after(token(it), DELAY);
            cx.arm(token(it)).unwrap();
        },
    ),
    (
        "a timeout of what is added",
        |_| None,
        |cx, it| {
            *it = Some(idle(cx, Watch::READ.timeout(DELAY)));
        },
    ),
    (
        "watch",
        |cx| Some(idle(cx, Watch::READ)),
        |cx, it| {
            cx.watch(token(it), Watch::READ.timeout(DELAY)).unwrap();
        },
    ),
    ("touch", |cx| Some(idle(cx, Watch::READ.timeout(DELAY))), |cx, it| cx.touch(token(it))),
    // The event comes in the same round as the call, and the source works for a while too.
    (
        "an event",
        |cx| Some(idle(cx, Watch::READ.timeout(DELAY))),
        |_, it| {
            it.as_mut().unwrap().1.say(b"x");
        },
    ),
    (
        "the timeouts of a new stream",
        |_| None,
        |cx, it| {
            let new = it.insert(buffered(cx));
            cx.stream(new.0).unwrap().set_timeouts(Some(DELAY), None);
        },
    ),
    (
        "set_timeouts",
        |cx| Some(buffered(cx)),
        |cx, it| {
            cx.stream(token(it)).unwrap().set_timeouts(Some(DELAY), None);
        },
    ),
    (
        "set_timeouts of what is written",
        |cx| Some(buffered(cx)),
        |cx, it| {
            let io = cx.stream(token(it)).unwrap();
            io.write(&vec![0; 1 << 20]);
            io.set_timeouts(None, Some(DELAY));
            // Time passes until the turn in which the stream hears of it.
            pass(ms(100));
        },
    ),
    (
        "set_reading",
        |cx| {
            let new = buffered(cx);
            let io = cx.stream(new.0).unwrap();
            io.set_timeouts(Some(DELAY), None);
            io.set_reading(false);
            Some(new)
        },
        |cx, it| cx.stream(token(it)).unwrap().set_reading(true),
    ),
    (
        "set_writing",
        |cx| {
            let new = buffered(cx);
            let io = cx.stream(new.0).unwrap();
            io.write(&vec![0; 1 << 20]);
            io.set_timeouts(None, Some(DELAY));
            io.set_writing(false);
            Some(new)
        },
        |cx, it| cx.stream(token(it)).unwrap().set_writing(true),
    ),
    (
        "input",
        |cx| {
            let new = buffered(cx);
            cx.stream(new.0).unwrap().set_timeouts(Some(DELAY), None);
            Some(new)
        },
        |_, it| it.as_mut().unwrap().1.say(b"x"),
    ),
];

#[test]
fn a_delay_counts_from_the_moment_of_the_call() {
    let a_moment = Duration::from_micros(1);
    for (way, before, ask) in WAYS {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let mut it = before(&mut events);
        pump(&mut events, &mut desk);
        let asker = events.add(pair().0, Watch::READ, move |_, desk: &mut Desk, cx, _| {
            pass(ms(400));
            ask(cx, &mut it);
            desk.note("asked");
            cx.disarm(cx.current());
        });
        let asker = asker.unwrap();
        events.activate(asker);
        while desk.count("asked") == 0 {
            round(&mut events, &mut desk);
        }
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), ["asked"], "{way}");
        pass(DELAY.saturating_sub(a_moment));
        pump(&mut events, &mut desk);
        assert_eq!(desk.news().len(), 0, "{way} is early");
        pass(a_moment);
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), ["late"], "{way} comes");
    }
}

#[test]
fn an_attempt_to_connect_has_all_of_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut events, mut desk) = (frozen(), Desk::default());
    events.after(ms(1), move |desk: &mut Desk, cx| {
        pass(ms(400));
        let token = cx.connect(address, Some(DELAY), |_, _, _, _| {}).unwrap();
        assert_eq!(cx.deadline(token), Some(cx.now().after(200_000)));
        desk.note("asked");
    });
    pass(ms(1));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["asked"]);
}

#[test]
fn a_delay_is_rounded_up_to_the_clock() {
    let mut events = frozen();
    let timer = events.timer(late);
    events.arm_after(timer, Duration::from_nanos(1_001));
    assert_eq!(events.deadline(timer), Some(events.now().after(2)));
}

proptest! {
    /// Calls that work, and ask for others, in any order: each comes at its time or later.
    #[test]
    fn no_timer_is_early(script in prop::collection::vec((0..3_u8, 0..300_u64, 0..300_u64), 1..60)) {
        fn step(desk: &mut Desk, cx: &mut Context<Desk>, mut script: Vec<(u8, u64, u64)>) {
            while let Some((way, work, delay)) = script.pop() {
                pass(ms(work));
                let due = cx.now().after(delay * 1000);
                let rest = script.clone();
                let call = move |desk: &mut Desk, cx: &mut Context<Desk>| {
                    desk.note(if cx.now() < due { "early" } else { "in time" });
                    step(desk, cx, rest.clone());
                };
                match way {
                    // Those behind it are asked for by that call, after its own work.
                    0 => {
                        cx.after(ms(delay), call);
                        return;
                    }
                    1 => {
                        let timer = cx.timer(move |desk, _| desk.note(""));
                        cx.arm_after(timer, ms(delay));
                    }
                    _ => {
                        cx.every(ms(delay), move |desk, cx| {
                            cx.remove(cx.current());
                            call(desk, cx);
                        });
                        return;
                    }
                }
            }
            desk.note("end");
        }
        let (mut events, mut desk) = (frozen(), Desk::default());
        events.defer(move |desk, cx| step(desk, cx, script));
        for _ in 0..60_000 {
            if events.run_once(&mut desk, Some(Duration::ZERO)).unwrap() == 0 {
                pass(ms(1));
            }
            if desk.count("end") == 1 {
                break;
            }
        }
        prop_assert_eq!((desk.count("end"), desk.count("early")), (1, 0));
    }
}
