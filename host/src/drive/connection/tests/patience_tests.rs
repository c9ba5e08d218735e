//! How long nothing may move.

use super::*;

fn patient(session: Script) -> Rig<Script> {
    Rig::new(unix_pair(), session, lent(64, 1 << 20, 1 << 20, Some(5 * SECOND)))
}

#[test]
fn an_idle_connection_is_cut_at_its_deadline_and_not_before() {
    let mut rig = patient(Script::default());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(5 * SECOND)));
    assert_eq!(rig.turn_at(5 * SECOND - 1, Ready::NONE), Next::Wait(Interest::READ));
    let fault = Fault::TimedOut { waited_us: 5 * SECOND };
    assert_eq!(rig.turn_at(5 * SECOND, Ready::NONE), Next::Closed(Err(fault)));
    assert_eq!(rig.connection.session().aborted, Some(fault));
}

#[test]
fn what_came_since_the_wait_is_seen_before_a_connection_is_cut() {
    let mut rig = patient(Script::default());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    // The turns of others took long, and no wait has told of this yet.
    rig.say(b"in time");
    assert_eq!(rig.turn_at(5 * SECOND, Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(10 * SECOND)));
}

#[test]
fn a_wrong_event_does_not_move_the_deadline() {
    let mut rig = patient(Script::default());
    assert_eq!(rig.turn_at(SECOND, READ), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(5 * SECOND)));
}

#[test]
fn input_moves_the_deadline() {
    let mut rig = patient(Script::default());
    rig.say(b".");
    assert_eq!(rig.turn_at(3 * SECOND, READ), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(8 * SECOND)));
    rig.say(b"in time");
    assert_eq!(rig.turn_at(8 * SECOND, READ), Next::Wait(Interest::READ));
}

#[test]
fn output_moves_the_deadline() {
    let mut rig = patient(Script::recital(pattern(1 << 20)));
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
    let mut rig = patient(Script::recital(pattern(1 << 20)));
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::WRITE));
    let fault = Fault::TimedOut { waited_us: 5 * SECOND };
    assert_eq!(rig.turn_at(5 * SECOND, Ready::NONE), Next::Closed(Err(fault)));
}

#[test]
fn without_a_limit_patience_has_no_end() {
    let mut rig = Rig::plain(Upper::new());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), None);
    assert_eq!(rig.turn_at(u64::MAX, Ready::NONE), Next::Wait(Interest::READ));
}

#[test]
fn a_clock_that_steps_back_cuts_nobody() {
    let mut rig = patient(Script::default());
    rig.now = Instant::ZERO;
    rig.say(b".");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
}
