//! Timers under a clock that the test moves, at both ends of time too.

use super::*;
use crate::reactor::tests::{Desk, frozen, ms, named, pass, pump, round, secs, set_clock};
use crate::reactor::{EventLoop, Watch};

fn note(name: &'static str) -> impl FnMut(&mut Desk, &mut Context<Desk>) {
    move |desk, _| desk.note(name)
}

#[test]
fn timers_come_in_the_order_of_their_time_and_not_before_it() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let ten_years = secs(10 * 365 * 86_400);
    events.after(ten_years, note("ten years"));
    for (delay, name) in [(30, "c"), (10, "a"), (20, "b")] {
        events.after(ms(delay), note(name));
    }
    events.after(Duration::ZERO, note("zero"));
    pass(Duration::from_micros(1));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["zero"]);
    pass(Duration::from_micros(9_998));
    round(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
    pass(Duration::from_micros(1));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["a"]);
    pass(secs(1));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["b", "c"]);
    pass(ten_years);
    events.run(&mut desk).unwrap();
    assert_eq!(desk.news(), ["ten years"]);
}

#[test]
fn a_timer_that_is_cancelled_never_comes() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let [a, b] = ["a", "b"].map(|name| events.after(ms(1), note(name)));
    let c = events.timer(note("c"));
    events.arm_after(c, ms(1));
    assert!(events.remove(a) && events.is_armed(c));
    events.disarm(c);
    assert_eq!((events.is_armed(c), events.deadline(c)), (false, None));
    pass(secs(1));
    events.run(&mut desk).unwrap();
    assert_eq!(desk.news(), ["b"]);
    assert!(!events.contains(b) && events.contains(c));
    events.arm(c).unwrap();
    pass(ms(1));
    events.run(&mut desk).unwrap();
    assert_eq!(desk.news(), ["c"], "armed as it was last armed");
}

#[test]
fn a_timer_cancelled_by_another_of_the_same_round_does_not_come() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let second = events.timer(note("second"));
    events.after(ms(1), move |_: &mut Desk, cx| cx.disarm(second));
    events.arm_after(second, ms(2));
    pass(secs(1));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
}

#[test]
fn armed_again_it_counts_from_then() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let timer = events.timer(note("rang"));
    let acts: [fn(&mut Context<Desk>, Token); 4] = [
        |cx, timer| cx.arm_after(timer, secs(1)),
        |cx, timer| cx.touch(timer),
        |cx, timer| cx.arm(timer).unwrap(),
        |cx, timer| cx.arm_at(timer, cx.now().after(1_000_000)),
    ];
    for act in acts {
        events.arm_after(timer, secs(1));
        pass(ms(999));
        act(&mut events, timer);
        pass(ms(999));
        assert_eq!(round(&mut events, &mut desk), 0);
        pass(ms(1));
        assert_eq!(round(&mut events, &mut desk), 1);
        // Earlier than it was.
        events.arm_after(timer, secs(5));
        events.arm_after(timer, ms(1));
        pass(ms(1));
        assert_eq!(round(&mut events, &mut desk), 1);
        pass(secs(60));
        assert_eq!((round(&mut events, &mut desk), events.is_armed(timer)), (0, false));
    }
}

#[test]
fn a_timer_postponed_in_the_round_in_which_it_came_is_postponed() {
    // A message and the idle timer of its connection fall into one round: it is not idle.
    let acts: [fn(&mut Context<Desk>, Token); 3] = [
        |cx, timer| cx.touch(timer),
        |cx, timer| cx.arm_after(timer, secs(1)),
        |cx, timer| cx.arm_at(timer, cx.now().after(1_000_000)),
    ];
    for act in acts {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let timer = events.timer(note("idle"));
        events.arm_after(timer, secs(1));
        let message = events.timer(move |desk: &mut Desk, cx| {
            desk.note("message");
            act(cx, timer);
        });
        events.arm_after(message, ms(999));
        pass(secs(1));
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), ["message"]);
        pass(secs(1));
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), ["idle"], "once");
    }
}

#[test]
fn ticks_are_multiples_of_the_period_and_missed_ones_are_skipped() {
    let (mut events, mut desk) = (frozen(), Vec::new());
    let start = events.now();
    let token = events.every(ms(10), |ticks: &mut Vec<u64>, cx| {
        ticks.push(cx.now().as_micros());
        let next = cx.deadline(cx.current()).unwrap();
        assert!(next > cx.now());
        ticks.push(next.as_micros());
    });
    // The round comes so many microseconds after the start; the next tick is due at.
    for (late, due) in [
        (10_000, 20_000),
        (23_999, 30_000),
        (30_000, 40_000),
        (75_000, 80_000),
        (80_000, 90_000),
        (1_000_000_001, 1_000_010_000),
    ] {
        set_clock(start.as_micros() + late);
        events.run_once(&mut desk, Some(Duration::ZERO)).unwrap();
        let told: Vec<_> = desk.drain(..).map(|us| us - start.as_micros()).collect();
        assert_eq!(told, [late, due]);
    }
    assert!(events.remove(token));
    events.run(&mut desk).unwrap();
}

#[test]
fn a_periodic_timer_can_stop_go_on_and_change_its_period_in_its_call() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let token = events.every(ms(10), |desk: &mut Desk, cx| {
        desk.note("tick");
        match desk.log.len() {
            1 => cx.arm_after(cx.current(), ms(50)),
            2 => cx.disarm(cx.current()),
            _ => _ = cx.remove(cx.current()),
        }
    });
    for (time, ticks) in [(10, 1), (49, 1), (1, 2), (1000, 2)] {
        pass(ms(time));
        pump(&mut events, &mut desk);
        assert_eq!(desk.log.len(), ticks, "{time}");
    }
    events.run(&mut desk).unwrap();
    events.arm(token).unwrap();
    pass(ms(50));
    events.run(&mut desk).unwrap();
    assert_eq!((desk.log.len(), events.contains(token)), (3, false));
}

#[test]
fn a_clock_that_goes_backwards_makes_nothing_come_early_and_nothing_twice() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let start = events.now().as_micros();
    events.every(ms(10), note("tick"));
    events.after(ms(25), note("once"));
    let mut seen = Vec::new();
    for at in [10, 5, 0, 15, 20, 19, 30, 10, 39, 40] {
        set_clock(start + at * 1000);
        round(&mut events, &mut desk);
        seen.push((at, desk.news().join(" ")));
    }
    seen.retain(|(_, what)| !what.is_empty());
    assert_eq!(
        seen.iter().map(|(at, what)| (*at, what.as_str())).collect::<Vec<_>>(),
        [(10, "tick"), (20, "tick"), (30, "once tick"), (40, "tick")]
    );
}

#[test]
fn time_ends_without_a_panic_and_without_a_spin() {
    set_clock(u64::MAX - 1);
    let (mut events, mut desk) = (frozen(), Desk::default());
    events.every(secs(1), note("tick"));
    events.after(secs(1), note("after"));
    events.after(Duration::MAX, note("never"));
    let _kept = named(&mut events, "late", Watch::READ.timeout(Duration::MAX));
    round(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
    set_clock(u64::MAX);
    for _ in 0..100 {
        round(&mut events, &mut desk);
    }
    for name in ["tick", "after", "never"] {
        assert_eq!(desk.count(name), 1, "{name}");
    }
}

#[test]
fn time_begins_at_zero() {
    set_clock(0);
    let (mut events, mut desk) = (frozen(), Desk::default());
    let timer = events.timer(note("rang"));
    events.arm_at(timer, Instant::ZERO);
    events.every(ms(1), note("tick"));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["rang"]);
    pass(ms(1));
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["tick"]);
}

#[test]
fn a_timer_of_nothing_that_arms_itself_starves_no_source() {
    for real in [false, true] {
        let mut events = if real { EventLoop::new().unwrap() } else { frozen() };
        let mut desk = Desk::default();
        let timer = events.timer(|desk: &mut Desk, cx| {
            desk.note("zero");
            cx.arm_after(cx.current(), Duration::ZERO);
        });
        events.arm_after(timer, Duration::ZERO);
        let (_token, mut peer) = named(&mut events, "socket", Watch::READ);
        for _ in 0..20 {
            peer.say(b"x");
            pass(ms(1));
            events.run_once(&mut desk, None).unwrap();
            assert!(desk.count("zero") <= 1, "once in a round");
            desk.log.retain(|it| it != "zero");
        }
        // By the real clock a round may be of the socket alone, so soon does it come.
        assert_eq!(desk.log.len(), 20);
    }
}

#[test]
fn a_timer_that_never_had_a_delay_cannot_be_armed_with_it() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let timer = events.timer(note("rang"));
    let error = events.arm(timer).unwrap_err().to_string();
    assert!(error.contains("delay") && !events.is_armed(timer), "{error}");
    // A time is no delay.
    let now = events.now();
    events.arm_at(timer, now);
    round(&mut events, &mut desk);
    assert_eq!(desk.news(), ["rang"]);
    assert!(events.arm(timer).is_err() && !events.is_armed(timer));
    events.run(&mut desk).unwrap();
    events.arm_after(timer, ms(1));
    events.disarm(timer);
    events.arm(timer).unwrap();
    pass(ms(1));
    events.run(&mut desk).unwrap();
    assert_eq!(desk.news(), ["rang"]);
}
