//! How a connection ends: by its session, by its peer.

use super::*;

// How a session closes.

#[test]
fn a_half_close_waits_for_the_output_and_leaves_the_input_open() {
    let owed = pattern(1 << 20);
    let then = Want { close: Close::WriteHalf, ..Want::READ };
    let mut rig = Rig::plain(Script { then, ..Script::recital(owed.clone()) });
    let mut heard = Vec::new();
    while rig.turn(WRITE) == Next::Wait(Interest::WRITE) {
        let (bytes, end) = rig.hear();
        assert_eq!(end, Heard::Silence, "the end overtook the output");
        heard.extend(bytes);
    }
    let (last, end) = rig.hear();
    heard.extend(last);
    assert!(heard == owed, "{} bytes of {}", heard.len(), owed.len());
    assert_eq!(end, Heard::Eof);

    rig.say(b"still here");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.connection.session().seen, b"still here");
    rig.peer.shutdown_write();
    assert_eq!(rig.turn(LAST), Next::Closed(Ok(())));
}

#[test]
fn done_with_a_silent_peer_closes_at_once() {
    for pair in [unix_pair(), tcp_pair()] {
        let idle = buffers(64, 64, 64, Some(SECOND));
        let mut rig = Rig::new(pair, TimeServer::new(Stamp(1_700_000_000)), idle);
        assert_eq!(rig.turn(Ready::NONE), Next::Closed(Ok(())));
        let Rig { connection, peer, .. } = rig;
        drop(connection);
        await_ready(&peer, Interest::READ);
        assert_eq!(hear(&peer), (b"1700000000\n".to_vec(), Heard::Eof));
    }
}

#[test]
fn done_while_output_is_owed_flushes_it_first() {
    let owed = pattern(1 << 20);
    let then = Want::done(Ok(()));
    let mut rig = Rig::plain(Script { then, ..Script::recital(owed.clone()) });
    let mut heard = Vec::new();
    let end = loop {
        let next = rig.turn(WRITE);
        heard.extend(rig.hear().0);
        if next != Next::Wait(Interest::WRITE) {
            break next;
        }
    };
    assert_eq!(end, Next::Closed(Ok(())));
    assert!(heard == owed, "{} bytes of {}", heard.len(), owed.len());
}

#[test]
fn a_fault_of_the_session_closes_without_flushing() {
    let mut rig = Rig::plain(Script {
        on_input: |script, bytes, _| {
            script.want = Want::done(Err(Peer::Malformed.into()));
            Consumed::bytes(bytes.len())
        },
        ..Script::default()
    });
    rig.say(b"nonsense");
    assert_eq!(rig.turn(READ), Next::Closed(Err(Peer::Malformed.into())));
}

/// A time server with a client that is still sending when the stamp is sent.
fn lingering() -> Rig<TimeServer> {
    let mut rig = Rig::new(tcp_pair(), TimeServer::new(Stamp(5)), buffers(64, 64, 64, None));
    rig.say(b"GET / HTTP/1.1\r\n");
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    rig
}

#[test]
fn a_peer_that_still_talks_is_listened_to_until_its_end() {
    let mut rig = lingering();
    rig.say(b"Host: none\r\n\r\n");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear_out(), (b"5\n".to_vec(), Heard::Eof));
    rig.say(b"and on");
    rig.peer.shutdown_write();
    let end = loop {
        let ready = await_ready(&rig.connection, Interest::READ);
        match rig.turn(ready) {
            Next::Wait(Interest::READ) | Next::Again => {}
            end => break end,
        }
    };
    assert_eq!(end, Next::Closed(Ok(())));
    let Rig { connection, peer, .. } = rig;
    drop(connection);
    assert_eq!(hear(&peer), (vec![], Heard::Eof), "it was reset");
}

#[test]
fn a_peer_that_still_talks_is_listened_to_for_two_seconds() {
    let mut rig = lingering();
    assert_eq!(rig.deadline(), Some(T0.after(2 * SECOND)));
    assert_eq!(rig.turn_at(2 * SECOND - 1, Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.turn_at(2 * SECOND, Ready::NONE), Next::Closed(Ok(())));
}

#[test]
fn talking_on_does_not_prolong_the_two_seconds() {
    let mut rig = lingering();
    rig.say(b"more");
    assert_eq!(rig.turn_at(2 * SECOND - 1, READ), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(2 * SECOND)));
    assert_eq!(rig.turn_at(2 * SECOND, Ready::NONE), Next::Closed(Ok(())));
}

#[test]
fn talking_faster_than_a_turn_reads_does_not_prolong_the_two_seconds() {
    let mut rig = lingering();
    rig.say(&pattern(1000));
    assert_eq!(rig.turn_at(2 * SECOND - 1, READ), Next::Again);
    assert_eq!(rig.turn_at(2 * SECOND, Ready::NONE), Next::Closed(Ok(())));
}

#[test]
fn a_peer_that_resets_after_the_end_costs_nothing() {
    let rig = lingering();
    // To close with unread input is to reset.
    await_ready(&rig.peer, Interest::READ);
    let Rig { mut connection, mut buffers, now, peer } = rig;
    drop(peer);
    let ready = await_ready(&connection, Interest::READ);
    assert_eq!(connection.turn(ready, now, &mut buffers), Next::Closed(Ok(())));
}

// Peers that go away.

#[test]
fn a_reset_aborts_the_session() {
    let mut rig =
        Rig::new(tcp_pair(), Script::recital(b"unread".to_vec()), buffers(64, 64, 64, None));
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    await_ready(&rig.peer, Interest::READ);
    let Rig { mut connection, mut buffers, now, peer } = rig;
    // To close with unread input is to reset.
    drop(peer);
    let ready = await_ready(&connection, Interest::READ);
    let fault = Fault::Peer(Peer::Reset);
    assert_eq!(connection.turn(ready, now, &mut buffers), Next::Closed(Err(fault)));
    assert_eq!(connection.session().aborted, Some(fault));
}

#[test]
fn a_peer_that_goes_while_output_is_owed_is_a_reset() {
    let mut rig = Rig::plain(Script::recital(pattern(1 << 20)));
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::WRITE));
    let Rig { mut connection, mut buffers, now, peer } = rig;
    drop(peer);
    // A wait for input alone would have said it like this.
    let ready = Ready { read: true, hup: true, dead: true, ..Ready::NONE };
    let fault = Fault::Peer(Peer::Reset);
    assert_eq!(connection.turn(ready, now, &mut buffers), Next::Closed(Err(fault)));
    assert_eq!(connection.session().aborted, Some(fault));
}

#[test]
fn what_a_peer_said_before_it_went_is_heard() {
    let mut rig = Rig::plain(Script::default());
    rig.say(b"last words");
    let Rig { mut connection, mut buffers, now, peer } = rig;
    drop(peer);
    let ready = await_ready(&connection, Interest::READ);
    assert!(ready.dead);
    assert_eq!(connection.turn(ready, now, &mut buffers), Next::Closed(Ok(())));
    assert_eq!(connection.session().seen, b"last words");
}

#[test]
fn a_dead_connection_that_waits_for_time_only_is_closed() {
    let want = Want { read: false, wake: Wake::At(T0.after(SECOND)), ..Want::READ };
    let mut rig = Rig::plain(Script { want, ..Script::default() });
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::NONE));
    let Rig { mut connection, mut buffers, now, peer } = rig;
    drop(peer);
    // The kernel reports this also without any interest, again and again.
    let ready = await_ready(&connection, Interest::NONE);
    assert!(ready.dead);
    let fault = Fault::Peer(Peer::Reset);
    assert_eq!(connection.turn(ready, now, &mut buffers), Next::Closed(Err(fault)));
    assert_eq!(connection.session().aborted, Some(fault));
}

#[test]
fn an_abort_is_told_to_the_session_and_seen_by_the_peer() {
    let mut rig = Rig::plain(Script::default());
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    rig.connection.abort(Fault::Aborted);
    assert_eq!(rig.connection.session().aborted, Some(Fault::Aborted));
    assert_eq!(rig.hear(), (vec![], Heard::Eof));
    assert_eq!(rig.turn(LAST), Next::Closed(Err(Fault::Aborted)));
}
