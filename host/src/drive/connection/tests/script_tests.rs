//! Sessions that use the convention in unusual ways, and sessions that break it.

use super::*;

// Sessions that keep the convention in unusual ways.

#[test]
fn output_larger_than_the_buffer_takes_several_calls() {
    let owed = pattern(1000);
    let session = Script::recital(owed.clone());
    let mut rig = Rig::new(unix_pair(), session, buffers(64, 16, 64, None));
    // Each turn renders its budget's worth, then the others have theirs.
    for _ in 0..1000 / 64 {
        assert_eq!(rig.turn(Ready::NONE), Next::Again);
    }
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.connection.session().spaces, 1000_usize.div_ceil(16));
    assert_eq!(rig.hear().0, owed);
}

#[test]
fn what_is_rendered_goes_before_the_reply_in_place() {
    let session = Script {
        on_input: |_, bytes, out| {
            assert_eq!(out.put(b"<"), 1);
            assert_eq!(out.put(&bytes[..1]), 1);
            assert_eq!(out.put(b">"), 1);
            bytes.make_ascii_uppercase();
            Consumed::reply(bytes.len())
        },
        ..Script::default()
    };
    let mut rig = Rig::new(unix_pair(), session, buffers(4, 16, 64, None));
    rig.say(b"abcdefgh");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"<a>ABCD<e>EFGH");
}

#[test]
fn only_the_front_of_the_input_is_the_reply() {
    let session = Script {
        on_input: |_, bytes, _| Consumed { bytes: bytes.len(), reply: 2 },
        ..Script::default()
    };
    let mut rig = Rig::plain(session);
    rig.say(b"abcdef");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"ab");
}

/// Takes at most seven bytes at a time; renders a mark and replies in place.
fn sipping() -> Script {
    Script {
        on_input: |script, bytes, out| {
            let n = bytes.len().min(7);
            script.seen.extend_from_slice(&bytes[..n]);
            assert_eq!(out.put(b"|"), 1);
            Consumed::reply(n)
        },
        ..Script::default()
    }
}

/// What [`sipping`] sends, cut where it cut.
fn without_marks(heard: &[u8]) -> Vec<u8> {
    heard.iter().copied().filter(|&byte| byte != b'|').collect()
}

#[test]
fn input_that_was_not_taken_is_offered_again() {
    let mut rig = Rig::plain(sipping());
    rig.say(b"the quick brown fox");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"|the qui|ck brow|n fox");
    assert_eq!(rig.connection.session().inputs, 3);
    assert!(rig.connection.outlet.backlog.is_none(), "the backlog was not given back");
}

#[test]
fn input_is_offered_again_only_after_the_output_drained() {
    let mut rig = Rig::new(unix_pair(), sipping(), buffers(4096, 64, 1 << 20, None));
    let sent = rig.flood();
    assert!(rig.held_output() > 0);
    let offers = rig.connection.session().inputs;
    assert_eq!(rig.turn(READ), Next::Wait(Interest::WRITE));
    assert_eq!(rig.connection.session().inputs, offers, "offered while output was backlog");
    let (heard, how) = rig.converse(&[]);
    assert_eq!(how, Ok(()));
    assert!(without_marks(&heard) == sent, "{} of {} bytes", heard.len(), sent.len());
    assert!(rig.connection.session().seen == sent);
    let in_order = heard.split(|&byte| byte == b'|').all(|sip| sip.len() <= 7);
    assert!(in_order, "a reply overtook its mark");
}

#[test]
fn input_is_held_while_it_is_not_wanted() {
    let at = T0.after(SECOND);
    let mut rig = Rig::plain(Script {
        on_input: |script, bytes, _| {
            if script.ticks.is_empty() {
                let wake = Wake::At(T0.after(SECOND));
                script.want = Want { read: false, wake, ..Want::READ };
                return Consumed::bytes(1);
            }
            script.seen.extend_from_slice(bytes);
            Consumed::bytes(bytes.len())
        },
        on_tick: |script, _| script.want = Want::READ,
        ..Script::default()
    });
    rig.say(b"abc");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::NONE));
    assert_eq!(rig.deadline(), Some(at));
    rig.peer.shutdown_write();
    assert_eq!(rig.turn(LAST), Next::Wait(Interest::NONE));
    assert_eq!(rig.turn_at(SECOND, Ready::NONE), Next::Closed(Ok(())));
    assert_eq!(rig.connection.session().seen, b"bc");
}

#[test]
fn what_a_session_did_not_take_when_it_was_done_is_dropped() {
    let mut rig = Rig::new(
        tcp_pair(),
        Script {
            on_input: |script, bytes, _| {
                script.want = Want::done(Ok(()));
                Consumed::reply(bytes.len().min(2))
            },
            ..Script::default()
        },
        buffers(64, 64, 64, None),
    );
    rig.say(b"abcdef");
    assert_eq!(rig.turn(READ), Next::Closed(Ok(())));
    let Rig { connection, peer, .. } = rig;
    drop(connection);
    await_ready(&peer, Interest::READ);
    assert_eq!(hear(&peer), (b"ab".to_vec(), Heard::Eof));
}

/// Wants to be woken every second.
fn ticking(script: Script) -> Script {
    let wake = Wake::At(T0.after(SECOND));
    Script {
        want: Want { wake, ..script.want },
        on_tick: |script, now| script.want.wake = Wake::At(now.after(SECOND)),
        ..script
    }
}

#[test]
fn a_tick_comes_when_it_is_due_and_not_before() {
    let mut rig = Rig::plain(ticking(Script::default()));
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.deadline(), Some(T0.after(SECOND)));
    assert_eq!(rig.turn_at(SECOND - 1, Ready::NONE), Next::Wait(Interest::READ));
    assert!(rig.connection.session().ticks.is_empty());
    assert_eq!(rig.turn_at(SECOND, Ready::NONE), Next::Wait(Interest::READ));
    assert_eq!(rig.connection.session().ticks, [T0.after(SECOND)]);
    assert_eq!(rig.deadline(), Some(T0.after(2 * SECOND)));
}

#[test]
fn a_tick_comes_also_while_output_is_held() {
    let mut rig = Rig::new(
        unix_pair(),
        ticking(Script::recital(pattern(1 << 20))),
        buffers(64, 1 << 20, 64, Some(5 * SECOND)),
    );
    assert_eq!(rig.turn(Ready::NONE), Next::Wait(Interest::WRITE));
    assert!(rig.held_output() > 0);
    // `recital` has set `want` anew after it rendered everything.
    rig.connection.session.want.wake = Wake::At(T0.after(SECOND));
    assert_eq!(rig.deadline(), Some(T0.after(SECOND)));
    assert_eq!(rig.turn_at(SECOND, Ready::NONE), Next::Wait(Interest::WRITE));
    assert_eq!(rig.connection.session().ticks, [T0.after(SECOND)]);
}

#[test]
fn a_session_can_end_itself_in_a_tick() {
    let wake = Wake::At(T0.after(SECOND));
    let mut rig = Rig::plain(Script {
        want: Want { wake, ..Want::READ },
        on_tick: |script, _| script.want = Want::done(Err(Fault::TimedOut { waited_us: SECOND })),
        ..Script::default()
    });
    let fault = Fault::TimedOut { waited_us: SECOND };
    assert_eq!(rig.turn_at(SECOND, Ready::NONE), Next::Closed(Err(fault)));
}

#[test]
fn the_deadline_is_the_earlier_of_limit_and_wake() {
    let after = |us| T0.after(us);
    for (wake, idle_us, expected) in [
        (Wake::Never, None, None),
        (Wake::Never, Some(7), Some(after(7))),
        (Wake::At(after(9)), None, Some(after(9))),
        (Wake::At(after(9)), Some(7), Some(after(7))),
        (Wake::At(after(5)), Some(7), Some(after(5))),
        (Wake::Now, Some(7), Some(Instant::ZERO)),
        (Wake::Now, None, Some(Instant::ZERO)),
    ] {
        let session = Script { want: Want { wake, ..Want::READ }, ..Script::default() };
        let rig = Rig::new(unix_pair(), session, buffers(1, 1, 1, idle_us));
        assert_eq!(rig.deadline(), expected, "{wake:?}, {idle_us:?}");
    }
}

// Sessions that break the convention end, and nothing spins or panics.

/// A fault of ours, not of the peer.
fn is_local(next: Next) -> bool {
    matches!(next, Next::Closed(Err(Fault::Local(_))))
}

#[test]
fn a_session_that_wants_to_write_and_says_nothing_is_ended() {
    let mut rig = Rig::plain(Script { want: Want::WRITE, ..Script::default() });
    assert!(is_local(rig.turn(Ready::NONE)));
    let session = rig.connection.session();
    assert!(matches!(session.aborted, Some(Fault::Local(_))));
    assert_eq!(session.spaces, 1);
}

#[test]
fn a_session_with_a_tick_that_stays_due_is_ended() {
    for wake in [Wake::Now, Wake::At(T0)] {
        let mut rig = Rig::plain(Script { want: Want { wake, ..Want::READ }, ..Script::default() });
        assert!(is_local(rig.turn(Ready::NONE)), "{wake:?}");
        assert_eq!(rig.connection.session().ticks.len(), 1);
    }
}

#[test]
fn a_session_that_takes_nothing_is_ended() {
    let mut rig =
        Rig::plain(Script { on_input: |_, _, _| Consumed::bytes(0), ..Script::default() });
    rig.say(b"abc");
    assert!(is_local(rig.turn(READ)));
}

#[test]
fn a_session_that_takes_more_than_it_was_lent_gets_no_more() {
    let mut rig = Rig::plain(Script {
        on_input: |_, _, _| Consumed { bytes: usize::MAX, reply: usize::MAX },
        ..Script::default()
    });
    rig.say(b"abc");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"abc");
}

#[test]
fn a_session_that_replies_with_more_than_it_took_sends_what_it_took() {
    let mut rig = Rig::plain(Script {
        on_input: |_, _, _| Consumed { bytes: 1, reply: usize::MAX },
        ..Script::default()
    });
    rig.say(b"abc");
    assert_eq!(rig.turn(READ), Next::Wait(Interest::READ));
    assert_eq!(rig.hear().0, b"abc");
}

#[test]
fn a_session_that_reads_on_after_the_end_waits_without_a_spin() {
    let mut rig = Rig::plain(Script { on_eof: |_| {}, ..Script::default() });
    rig.peer.shutdown_write();
    assert_eq!(rig.turn(LAST), Next::Wait(Interest::NONE));
    assert!(!look(&rig.connection, Interest::NONE).any(), "the wait would not wait");
}
