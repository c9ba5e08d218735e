//! What a turn answers, and how much it moves.

use super::*;

// What a turn answers.

#[test]
fn nothing_is_read_before_an_event_says_so() {
    let mut rig = Rig::plain(Upper::new());
    rig.say(b"abc");
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.hear(), (vec![], Heard::Silence));
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear(), (b"ABC".to_vec(), Heard::Silence));
}

#[test]
fn an_event_that_was_wrong_is_survived() {
    let mut rig = Rig::plain(Upper::new());
    assert_eq!(rig.turn(Ready { read: true, write: true, ..Ready::NONE }), {
        Next::Wait(Interest::READ)
    });
    assert_eq!(rig.hear(), (vec![], Heard::Silence));
}

#[test]
fn a_noted_event_counts_in_the_turn_that_comes_later() {
    let mut rig = Rig::plain(Upper::new());
    rig.say(b"abc");
    rig.connection.note(READ);
    rig.connection.note(Ready::NONE);
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"ABC");
}

#[test]
fn a_session_that_wants_nothing_is_waited_for_in_silence() {
    let at = T0.after(SECOND);
    let want = Want { read: false, wake: Wake::At(at), ..Want::READ };
    let mut rig = Rig::plain(Script { want, ..Script::default() });
    rig.say(b"not now");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::NONE));
    assert_eq!(rig.connection.session().inputs, 0);
    assert_eq!(rig.deadline(), Some(at));
}

#[test]
fn level_triggered_events_in_any_number_serve_a_stream() {
    let mut rig = Rig::plain(Echo::new());
    for piece in pattern(1000).chunks(7) {
        rig.say(piece);
        assert_eq!(rig.turn(look(&rig.connection, Interest::READ)), Next::Wait(Interest::READ));
        assert_eq!(rig.hear(), (piece.to_vec(), Heard::Silence));
    }
}

#[test]
fn the_budget_ends_a_turn_and_later_turns_finish() {
    let mut rig = Rig::new(unix_pair(), Echo::new(), buffers(16, 16, 64, None));
    let bytes = pattern(200);
    rig.say(&bytes);
    let mut heard = Vec::new();
    for (ready, expected, moved) in [
        (READ, Next::Again, 64),
        (Ready::NONE, Next::Again, 64),
        (Ready::NONE, Next::Again, 64),
        (Ready::NONE, Next::Wait(Interest::READ), 8),
    ] {
        assert_eq!(rig.turn(ready), expected);
        let (piece, _) = rig.hear();
        assert_eq!(piece.len(), moved);
        heard.extend(piece);
    }
    assert_eq!(heard, bytes);
}

// Edge-triggered: an event is told once.

#[test]
fn data_and_the_end_in_one_event_are_served_in_one_turn() {
    for input in [1, 3, 4, 64] {
        let mut rig = Rig::new(unix_pair(), Upper::new(), buffers(input, 64, 64, None));
        rig.say(b"abc");
        rig.peer.shutdown_write();
        assert_eq!(rig.turn(LAST), Next::Closed(Ok(())), "reads of {input}");
        drop(rig.connection);
        assert_eq!(hear(&rig.peer), (b"ABC".to_vec(), Heard::Eof));
    }
}

#[test]
fn a_hangup_outlives_a_turn_that_ran_out_of_budget() {
    let mut rig = Rig::new(unix_pair(), Upper::new(), buffers(4, 4, 8, None));
    rig.say(b"ten bytes.");
    rig.peer.shutdown_write();
    assert_eq!(rig.turn(LAST), Next::Again);
    assert_eq!(rig.turn(Ready::NONE), Next::Closed(Ok(())));
    assert_eq!(rig.hear().0, b"TEN BYTES.");
}

#[test]
fn without_a_hangup_a_short_read_ends_the_turn() {
    let mut rig = Rig::plain(Upper::new());
    rig.say(b"abc");
    rig.peer.shutdown_write();
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert!(!rig.connection.outlet.readiness.is_readable());
    assert!(
        !rig.connection.outlet.readiness.has_ended(),
        "the end was looked for without a reason"
    );
    assert_eq!(rig.turn(READ), Next::Closed(Ok(())));
}

#[test]
fn a_read_that_filled_the_buffer_is_followed_by_another() {
    let mut rig = Rig::new(unix_pair(), Upper::new(), buffers(4, 4, 64, None));
    rig.say(b"eight by");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"EIGHT BY");
    assert!(
        !rig.connection.outlet.readiness.is_readable(),
        "it waits for input with input at hand"
    );
}

// A peer that does not read.

/// Floods, checks that everything stopped, then reads everything.
fn a_flood_stops_and_loses_nothing<S: Session>(pair: (Stream, Stream), session: S, upper: bool) {
    let mut rig = Rig::new(pair, session, buffers(16 * 1024, 4096, 256 * 1024, None));
    let mut sent = rig.flood();
    let backlog = rig.held_output();
    assert!((1..=16 * 1024).contains(&backlog), "{backlog} bytes are backlog");
    assert!(rig.held_capacity() <= 32 * 1024, "{} bytes of memory", rig.held_capacity());
    // Whatever events say now, it does not read on.
    assert_eq!(rig.turn(READ), Next::Wait(Interest::WRITE));
    assert_eq!(rig.turn(WRITE), Next::Wait(Interest::WRITE));
    assert!(rig.held_output() <= backlog, "it read on");

    let rest = pattern(100_000);
    let (heard, how) = rig.converse(&rest);
    sent.extend(rest);
    if upper {
        sent.make_ascii_uppercase();
    }
    assert_eq!(how, Ok(()));
    assert!(heard == sent, "{} bytes were sent and {} came back", sent.len(), heard.len());
    assert!(rig.connection.outlet.backlog.is_none(), "the backlog was not given back");
}

#[test]
fn a_unix_peer_that_does_not_read_is_felt_and_loses_nothing() {
    a_flood_stops_and_loses_nothing(unix_pair(), Upper::new(), true);
    a_flood_stops_and_loses_nothing(unix_pair(), Echo::new(), false);
}

#[test]
fn a_tcp_peer_that_does_not_read_is_felt_and_loses_nothing() {
    a_flood_stops_and_loses_nothing(tcp_pair(), Upper::new(), true);
}

#[test]
fn the_reply_is_flushed_after_the_peer_half_closed() {
    let mut rig = Rig::plain(Echo::new());
    let sent = rig.flood();
    rig.peer.shutdown_write();
    assert_eq!(rig.turn(LAST), Next::Wait(Interest::WRITE));
    let (heard, how) = rig.converse(&[]);
    assert!(heard == sent, "{} bytes were sent and {} came back", sent.len(), heard.len());
    assert_eq!(how, Ok(()));
}
