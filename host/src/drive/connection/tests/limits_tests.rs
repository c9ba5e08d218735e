//! How long nothing may move.

use super::*;

fn with_limits(session: Script) -> Rig<Script> {
    Rig::new(unix_pair(), session, buffers(64, 1 << 20, 1 << 20, Some(5 * SECOND)))
}

#[test]
fn an_idle_connection_is_cut_at_its_deadline_and_not_before() {
    let mut rig = with_limits(Script::default());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(5 * SECOND)));
    assert_eq!(rig.turn_at(5 * SECOND - 1, Ready::NONE), Next::Wait(Interest::READ));
    let fault = Fault::TimedOut { waited_us: 5 * SECOND };
    assert_eq!(rig.turn_at(5 * SECOND, Ready::NONE), Next::Closed(Err(fault)));
    assert_eq!(rig.connection.session().aborted, Some(fault));
}

#[test]
fn what_came_since_the_wait_is_seen_before_a_connection_is_cut() {
    let mut rig = with_limits(Script::default());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    // The turns of others took long, and no wait has told of this yet.
    rig.say(b"in time");
    assert_eq!(rig.turn_at(5 * SECOND, Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(10 * SECOND)));
}

#[test]
fn a_wrong_event_does_not_move_the_deadline() {
    let mut rig = with_limits(Script::default());
    assert_eq!(rig.turn_at(SECOND, READ), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(5 * SECOND)));
}

#[test]
fn input_moves_the_deadline() {
    let mut rig = with_limits(Script::default());
    rig.say(b".");
    assert_eq!(rig.turn_at(3 * SECOND, READ), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(8 * SECOND)));
    rig.say(b"in time");
    assert_eq!(rig.turn_at(8 * SECOND, READ), Next::Wait(Interest::READ));
}

#[test]
fn output_moves_the_deadline() {
    let mut rig = with_limits(Script::recital(pattern(1 << 20)));
    assert_eq!(rig.turn_at(SECOND, Ready::NONE), Next::Wait(Interest::WRITE));
    assert_eq!(rig.deadline(), Some(T0.after(6 * SECOND)));
    // The socket is full: an event without room moves nothing.
    assert_eq!(rig.turn_at(2 * SECOND, WRITE), Next::Wait(Interest::WRITE));
    assert_eq!(rig.deadline(), Some(T0.after(6 * SECOND)));
    assert!(!rig.hear().0.is_empty());
    assert_eq!(rig.turn_at(3 * SECOND, WRITE), Next::Wait(Interest::WRITE));
    assert_eq!(rig.deadline(), Some(T0.after(8 * SECOND)));
}

#[test]
fn a_peer_that_never_reads_is_cut() {
    let mut rig = with_limits(Script::recital(pattern(1 << 20)));
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::WRITE));
    let fault = Fault::TimedOut { waited_us: 5 * SECOND };
    assert_eq!(rig.turn_at(5 * SECOND, Ready::NONE), Next::Closed(Err(fault)));
}

#[test]
fn without_a_limit_it_stays_for_ever() {
    let mut rig = Rig::plain(Upper::new());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), None);
    assert_eq!(rig.turn_at(u64::MAX, Ready::NONE), Next::Wait(Interest::READ));
}

#[test]
fn a_clock_that_steps_back_cuts_no_client() {
    let mut rig = with_limits(Script::default());
    rig.now = Instant::ZERO;
    rig.say(b".");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
}

/// A session that waits for a request until a byte `.` ends it.
struct Asked(Script, bool);

impl Session for Asked {
    fn input(&mut self, now: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed {
        self.1 |= bytes.contains(&b'.');
        self.0.input(now, bytes, out)
    }

    fn eof(&mut self, now: Instant) {
        self.0.eof(now);
    }

    fn render(&mut self, now: Instant, out: &mut Out<'_>) {
        self.0.render(now, out);
    }

    fn tick(&mut self, now: Instant) {
        self.0.tick(now);
    }

    fn want(&self) -> Want {
        self.0.want()
    }

    fn abort(&mut self, why: Fault) {
        self.0.abort(why);
    }

    fn awaits_request(&self) -> bool {
        !self.1
    }
}

fn asked(limits: TimeLimits) -> Rig<Asked> {
    let session = Asked(Script::default(), false);
    let mut rig = Rig::new(unix_pair(), session, Buffers::for_one(under(limits)));
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    rig
}

const IN_ALL: TimeLimits = TimeLimits {
    idle_us: Some(5 * SECOND),
    request_us: Some(8 * SECOND),
    min_rate: None,
    busy_us: Some(SECOND),
};

#[test]
fn a_request_is_cut_at_its_deadline_however_often_a_byte_of_it_comes() {
    let mut rig = asked(IN_ALL);
    assert_eq!(rig.deadline(), Some(T0.after(5 * SECOND)), "silence");
    for second in [2, 4, 6] {
        rig.say(b"x");
        assert_eq!(rig.turn_at(second * SECOND, READ), Next::Wait(Interest::READ));
    }
    assert_eq!(rig.deadline(), Some(T0.after(8 * SECOND)));
    rig.say(b"x");
    let fault = Fault::TimedOut { waited_us: 8 * SECOND };
    assert_eq!(rig.turn_at(8 * SECOND, READ), Next::Closed(Err(fault)));
}

#[test]
fn a_request_that_is_whole_has_no_deadline_any_more() {
    let mut rig = asked(IN_ALL);
    rig.say(b"x");
    assert_eq!(rig.turn_at(4 * SECOND, READ), Next::Wait(Interest::READ));
    rig.say(b"x.");
    assert_eq!(rig.turn_at(8 * SECOND, READ), Next::Wait(Interest::READ), "it came in time");
    assert_eq!(rig.deadline(), Some(T0.after(13 * SECOND)));
}

#[test]
fn a_request_has_less_time_while_others_wait() {
    for (overload, next) in [
        (false, Next::Wait(Interest::READ)),
        (true, Next::Closed(Err(Fault::TimedOut { waited_us: SECOND }))),
    ] {
        let mut rig = asked(IN_ALL);
        rig.buffers = Buffers::for_one(under(IN_ALL)).watching(Box::new(move || overload));
        assert!(rig.connection.look_every_us(&rig.buffers).is_some());
        assert_eq!(rig.turn_at(SECOND - 1, Ready::NONE), Next::Wait(Interest::READ));
        assert_eq!(rig.turn_at(SECOND, Ready::NONE), next);
    }
    // A conversation has no request.
    let mut rig = asked(IN_ALL);
    rig.say(b".");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    rig.buffers = Buffers::for_one(under(IN_ALL)).watching(Box::new(|| true));
    assert!(rig.connection.look_every_us(&rig.buffers).is_none());
    assert_eq!(rig.turn_at(4 * SECOND, Ready::NONE), Next::Wait(Interest::READ));
}

#[test]
fn a_peer_that_takes_less_than_the_rate_is_cut_although_it_takes_some() {
    let rate = std::num::NonZeroU32::new(1_000_000);
    let limits = TimeLimits { idle_us: Some(5 * SECOND), min_rate: rate, ..TimeLimits::default() };
    for (each_second, lives) in [(2 << 20, true), (64 << 10, false)] {
        let mut rig = Rig::new(
            unix_pair(),
            Script::recital(pattern(64 << 20)),
            Buffers::for_one(under(limits)),
        );
        rig.buffers.output = vec![0; 64 << 20].into();
        let mut end = rig.turn(Ready::NONE);
        for second in 1..20 {
            let mut left = each_second;
            while left > 0 && !matches!(end, Next::Closed(_)) {
                let mut buf = vec![0; left.min(32 << 10)];
                match rig.peer.recv(&mut buf) {
                    Ok(Read::Moved(n)) => left -= n.get(),
                    _ => left = 0,
                }
                end = rig.turn_at(second * SECOND, WRITE);
            }
        }
        assert_eq!(!matches!(end, Next::Closed(_)), lives, "{each_second} bytes a second: {end:?}");
    }
}
