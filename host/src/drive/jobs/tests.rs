//! The table: its tokens, its deadlines, its promises. Time is told by the test.

use windlass_core::fault::Fault;
use windlass_core::session::{Consumed, Echo, Out, Session, TimeServer};
use windlass_core::stream::{Read, Write};
use windlass_core::want::Want;
use windlass_core::wire::Stamp;

use super::super::buffers::Reports;
use super::super::rules::{Rules, TimeLimits};
use super::*;
use crate::sys::stream::Stream;

const T0: Instant = Instant::from_micros(1_000_000);
const SECOND: u64 = 1_000_000;

const READ: Ready = Ready { read: true, ..Ready::NONE };

fn table(idle_us: Option<u64>) -> Jobs {
    with(idle_us, Reports::OnChange)
}

fn with(idle_us: Option<u64>, reports: Reports) -> Jobs {
    let limits = TimeLimits { idle_us, ..TimeLimits::default() };
    Jobs::new(Buffers::for_many(Rules { limits, ..Rules::default() }, reports))
}

/// Opens an echo; its token and its peer.
fn open(table: &mut Jobs, now: Instant) -> (Token, Stream) {
    let (ours, peer) = Stream::pair().unwrap();
    let (token, after) = table.open(Job::stream(ours, Box::new(Echo::new()), now), now);
    assert_eq!(after, After::Changed(Interest::READ));
    (token, peer)
}

fn say(peer: &Stream, bytes: &[u8]) {
    assert_eq!(peer.send([bytes, &[]]), Ok(Write::count(bytes.len())));
}

fn hear(peer: &Stream) -> Read {
    peer.recv(&mut vec![0; 1 << 20]).unwrap()
}

/// Wants whatever `want` says for the time of the last call.
struct Waker {
    now: Instant,
    want: fn(Instant) -> Want,
}

impl Session for Waker {
    fn input(&mut self, now: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        self.now = now;
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {}

    fn tick(&mut self, now: Instant) {
        self.now = now;
    }

    fn want(&self) -> Want {
        (self.want)(self.now)
    }

    fn abort(&mut self, _: Fault) {}
}

// Tokens.

#[test]
fn a_late_token_finds_no_job() {
    let check = |table: &mut Jobs, old| {
        let (open, served) = (table.len(), table.iter().count());
        assert!(!table.note(old, READ));
        assert_eq!(table.turn(old, READ, T0), After::Same);
        assert!(table.socket(old).is_none());
        table.close(old, T0);
        assert_eq!((table.len(), table.iter().count()), (open, served));
    };
    let mut table = table(None);
    let (old, _peer) = open(&mut table, T0);
    table.close(old, T0);
    for token in [old, Token::LISTENER, Token::STOP, Token { index: 1, generation: 0 }] {
        check(&mut table, token);
    }
    // Also when another job has its slot.
    let (new, peer) = open(&mut table, T0);
    assert_eq!(new.index, old.index);
    assert_ne!(new.generation, old.generation);
    say(&peer, b"x");
    check(&mut table, old);
    assert_eq!(hear(&peer), Read::WouldBlock, "an event for the one before was taken for its own");
}

#[test]
fn a_session_that_is_done_in_its_first_turn_takes_no_place() {
    let mut table = table(Some(SECOND));
    let (ours, peer) = Stream::pair().unwrap();
    assert!(matches!(
        table.open(Job::stream(ours, Box::new(TimeServer::new(Stamp(7))), T0), T0),
        (_, After::Gone(Ok(())))
    ));
    assert!(table.is_empty());
    assert_eq!(table.iter().count(), 0);
    assert_eq!(hear(&peer), Read::count(2));
    assert_eq!(hear(&peer), Read::Eof);
}

#[test]
fn a_closed_connection_is_closed_for_its_peer() {
    let mut table = table(None);
    let (token, peer) = open(&mut table, T0);
    table.close(token, T0);
    assert_eq!(hear(&peer), Read::Eof);
}

// Turns.

#[test]
fn a_change_of_interest_is_said_once() {
    let mut table = table(None);
    let (token, peer) = open(&mut table, T0);
    let bytes = vec![b'x'; 60_000];
    let mut answers = Vec::new();
    // The peer does not read, until the replies no longer fit.
    while answers.last() != Some(&After::Changed(Interest::WRITE)) {
        let _ = peer.send([&bytes, &[]]).unwrap();
        answers.push(table.turn(token, READ, T0));
    }
    assert!(answers[..answers.len() - 1].iter().all(|&after| after == After::Same));
    assert_eq!(table.turn(token, READ, T0), After::Same);
    while !matches!(hear(&peer), Read::WouldBlock) {}
    let room = Ready { write: true, ..Ready::NONE };
    assert_eq!(table.turn(token, room, T0), After::Changed(Interest::READ));
}

/// A connection with a first turn that reads less than is there; its table, its token and the peer. The
/// session is done at once and the client talks, so it lingers.
fn lingering(table: Jobs) -> (Jobs, Token, After, Stream) {
    let mut table = table;
    table.buffers.budget = 1;
    table.buffers.input = vec![0; 1];
    let (ours, peer) = Stream::pair().unwrap();
    say(&peer, b"ab");
    let (token, after) = table.open(Job::stream(ours, Box::new(TimeServer::new(Stamp(7))), T0), T0);
    (table, token, after, peer)
}

#[test]
fn edge_triggered_a_used_up_budget_gives_another_turn() {
    let (mut table, token, after, _peer) = lingering(table(None));
    assert_eq!(after, After::Again);
    assert_eq!(table.turn(token, Ready::NONE, T0), After::Again);
    assert_eq!(table.turn(token, Ready::NONE, T0), After::Changed(Interest::READ));
    assert_eq!(table.wake(T0), Wake::At(T0.after(2 * SECOND)));
}

#[test]
fn level_triggered_a_used_up_budget_waits_for_input() {
    let (mut table, token, after, _peer) = lingering(with(None, Reports::WhileReady));
    assert_eq!(after, After::Changed(Interest::READ));
    let listed: Vec<_> = table.iter().map(|(token, _, interest)| (token, interest)).collect();
    assert_eq!(listed, [(token, Interest::READ)]);
    let until = T0.after(2 * SECOND);
    assert_eq!(table.wake(T0), Wake::At(until), "a client that sends no more could stay for ever");
    assert_eq!(table.expired(until), Some(token));
    assert!(matches!(table.turn(token, Ready::NONE, until), After::Gone(_)));
}

#[test]
fn a_turn_is_promised_once() {
    let mut table = table(None);
    let (token, peer) = open(&mut table, T0);
    say(&peer, b"abc");
    assert!(table.note(token, READ));
    assert!(!table.note(token, READ));
    assert!(!table.note(token, Ready::NONE));
    assert_eq!(table.turn(token, Ready::NONE, T0), After::Same);
    assert_eq!(hear(&peer), Read::count(3), "the turn forgot what was noted");
    assert!(table.note(token, READ));
}

// Deadlines.

#[test]
fn a_due_job_is_returned_once() {
    let mut table = table(Some(5 * SECOND));
    let opened: Vec<_> = (0..3).map(|i| open(&mut table, T0.after(i))).collect();
    assert_eq!(table.wake(T0), Wake::At(T0.after(5 * SECOND)));
    assert_eq!(table.expired(T0.after(5 * SECOND - 1)), None);
    let now = T0.after(5 * SECOND + 1);
    assert_eq!(table.expired(now), Some(opened[0].0));
    assert_eq!(table.expired(now), Some(opened[1].0));
    assert_eq!(table.expired(now), None);
    assert!(matches!(table.turn(opened[0].0, Ready::NONE, now), After::Gone(_)));
    assert!(matches!(table.turn(opened[1].0, Ready::NONE, now), After::Gone(_)));
    assert_eq!(table.wake(T0), Wake::At(T0.after(5 * SECOND + 2)));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_job_due_for_two_reasons_is_returned_once() {
    let mut table = table(Some(5 * SECOND));
    let (ours, peer) = Stream::pair().unwrap();
    // TimeLimits first; a wake before it once input has come.
    let want = |last: Instant| match last {
        T0 => Want::READ,
        last => Want { wake: Wake::At(last.after(SECOND)), ..Want::READ },
    };
    let (token, _) = table.open(Job::stream(ours, Box::new(Waker { now: T0, want }), T0), T0);
    say(&peer, b"x");
    assert_eq!(table.turn(token, READ, T0.after(1)), After::Same);
    assert_eq!(table.wake(T0), Wake::At(T0.after(SECOND + 1)));
    let late = T0.after(10 * SECOND);
    assert_eq!(table.expired(late), Some(token));
    assert_eq!(table.expired(late), None);
}

#[test]
fn activity_moves_a_deadline() {
    let mut table = table(Some(5 * SECOND));
    let (token, peer) = open(&mut table, T0);
    say(&peer, b"x");
    assert_eq!(table.turn(token, READ, T0.after(3 * SECOND)), After::Same);
    assert_eq!(table.expired(T0.after(5 * SECOND)), None);
    assert_eq!(table.wake(T0), Wake::At(T0.after(8 * SECOND)));
    assert_eq!(table.expired(T0.after(8 * SECOND - 1)), None);
    assert_eq!(table.expired(T0.after(8 * SECOND)), Some(token));
    // Input that came with it is in time.
    say(&peer, b"x");
    assert_eq!(table.turn(token, READ, T0.after(8 * SECOND)), After::Same);
    assert_eq!(table.wake(T0), Wake::At(T0.after(13 * SECOND)));
    assert_eq!(table.expired(T0.after(13 * SECOND)), Some(token));
    assert!(matches!(table.turn(token, Ready::NONE, T0.after(13 * SECOND)), After::Gone(_)));
}

#[test]
fn the_wake_of_a_session_is_a_deadline() {
    let mut table = table(Some(60 * SECOND));
    let (ours, _peer) = Stream::pair().unwrap();
    let want = |last: Instant| Want { wake: Wake::At(last.after(SECOND)), ..Want::READ };
    let (token, _) = table.open(Job::stream(ours, Box::new(Waker { now: T0, want }), T0), T0);
    for i in 1..=10 {
        let due = T0.after(i * SECOND);
        assert_eq!(table.wake(T0), Wake::At(due));
        assert_eq!(table.expired(due), Some(token));
        assert_eq!(table.turn(token, Ready::NONE, due), After::Same);
    }
}

// The memory of deadlines is bounded by the connections that are open, not by their history.

/// More than a handful; less than a history.
const HANDFUL: usize = 200;

#[test]
fn a_busy_connection_costs_a_handful_of_deadlines() {
    let mut table = table(Some(5 * SECOND));
    let (token, peer) = open(&mut table, T0);
    for i in 0..10_000 {
        say(&peer, b"x");
        let now = T0.after(i * 1_000);
        assert_eq!(table.expired(now), None);
        assert_eq!(table.turn(token, READ, now), After::Same);
        assert_eq!(hear(&peer), Read::count(1));
    }
    assert!(table.table.entries() <= 2, "{} deadlines", table.table.entries());
}

#[test]
fn alternating_wakes_cost_a_handful_of_deadlines() {
    let mut table = table(Some(60 * SECOND));
    let (ours, peer) = Stream::pair().unwrap();
    // In even milliseconds it wants to be woken soon, in odd ones not at all: each time the long
    // the idle timeout is armed again, and each time a short wake comes before it.
    let want = |last: Instant| match last.as_micros() / 1_000 % 2 {
        0 => Want { wake: Wake::At(last.after(1_000)), ..Want::READ },
        _ => Want::READ,
    };
    let (token, _) = table.open(Job::stream(ours, Box::new(Waker { now: T0, want }), T0), T0);
    for i in 1..10_000 {
        let now = T0.after(i * 1_000);
        let due = table.expired(now);
        assert_eq!(due.is_some(), i % 2 == 1);
        if due.is_none() {
            say(&peer, b"x");
        }
        assert_eq!(table.turn(token, READ, now), After::Same);
        assert!(table.table.entries() <= HANDFUL, "{} after {i} turns", table.table.entries());
    }
}

#[test]
fn clients_that_come_and_go_cost_a_handful_of_deadlines() {
    let mut table = table(Some(60 * SECOND));
    let (stays, _peer) = open(&mut table, T0);
    for i in 0..10_000 {
        let (token, peer) = open(&mut table, T0.after(i));
        drop(peer);
        let ready = Ready { read: true, hup: true, dead: true, ..Ready::NONE };
        assert!(matches!(table.turn(token, ready, T0.after(i)), After::Gone(_)));
        assert!(table.table.entries() <= HANDFUL, "{} after {i} clients", table.table.entries());
    }
    assert_eq!((table.len(), table.table.places()), (1, 2));
    let now = T0.after(60 * SECOND);
    assert_eq!(table.expired(now), Some(stays), "the deadline of one that stayed was lost");
    assert!(matches!(table.turn(stays, Ready::NONE, now), After::Gone(_)));
    assert_eq!(table.expired(Instant::from_micros(u64::MAX)), None);
}
