//! Other code closes or copies the descriptors of a loop, or takes their numbers.
//!
//! The numbers of descriptors are the process's, so the tests here take turns. A source holds only
//! a number; nothing closes it but the test.

use std::cell::RefCell;
use std::fs::read_link;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use windlass::reactor::{EventLoop, StreamEvent, Token, Watch};
use windlass::server::Service;
use windlass::sys::stream::Stream;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

type Log = Vec<&'static str>;

/// A descriptor by its number, which may be closed or of another file by now.
struct Number(RawFd);

impl AsFd for Number {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the tests take turns, and each minds what its numbers are.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

fn close(number: RawFd) {
    // SAFETY: the test opened it, and no other code closes it.
    assert_eq!(unsafe { libc::close(number) }, 0);
}

/// Puts the open file of `from` under `number`; what was there is closed.
fn replace(from: RawFd, number: RawFd) {
    // SAFETY: the test opened both, and minds what they are.
    assert_eq!(unsafe { libc::dup2(from, number) }, number);
}

/// A number of our own, and the peer of its socket.
fn socket() -> (RawFd, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("fcntl");
    (ours.into_raw_fd(), peer)
}

/// A source that notes its name and reads what came.
fn named(events: &mut EventLoop<Log>, number: RawFd, name: &'static str, watch: Watch) -> Token {
    let call = move |io: &mut Number, log: &mut Log, _: &mut _, _| {
        let mut bytes = [0; 64];
        // SAFETY: the buffer is ours and as long as it says.
        unsafe { libc::recv(io.0, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) };
        log.push(name);
    };
    events.add(Number(number), watch, call).expect("watched")
}

/// The rounds that are due, and what happened in them.
fn rounds(events: &mut EventLoop<Log>) -> Log {
    let mut log = Log::new();
    for _ in 0..5 {
        events.run_once(&mut log, Some(Duration::ZERO)).expect("a round");
    }
    log
}

/// Waits for 30 ms; how many rounds that took.
fn rounds_of_waiting(events: &mut EventLoop<Log>, log: &mut Log) -> u64 {
    let before = events.stats().rounds;
    events.after(Duration::from_millis(30), |_, cx| cx.exit());
    events.run(log).expect("a run");
    events.stats().rounds - before
}

#[test]
fn a_descriptor_that_is_closed_falls_silent_and_harms_no_other() {
    let _turn = turn();
    let mut events = EventLoop::new().expect("a loop");
    let (bad, mut bad_peer) = socket();
    let (good, mut good_peer) = socket();
    let bad_token = named(&mut events, bad, "bad", Watch::READ.timeout(Duration::from_secs(999)));
    let good_token = named(&mut events, good, "good", Watch::READ);
    bad_peer.write_all(b"x").expect("sent");
    close(bad);
    good_peer.write_all(b"x").expect("sent");
    assert_eq!(rounds(&mut events), ["good"]);
    events.disarm(bad_token);
    let error = events.arm(bad_token).expect_err("it is closed").to_string();
    assert!(error.contains("Bad file"), "{error}");
    assert!(events.watch(bad_token, Watch::WRITE).is_err());
    assert!(events.remove(bad_token));
    good_peer.write_all(b"x").expect("sent");
    assert_eq!(rounds(&mut events), ["good"]);
    assert_eq!((events.stats().stale, events.stats().rebuilt), (0, 0));
    assert!(events.remove(good_token));
    close(good);
}

#[test]
fn a_number_that_is_taken_over_is_the_new_sources_alone() {
    let _turn = turn();
    let deeds: [fn(&mut EventLoop<Log>, Token); 5] = [
        |_, _| {},
        |events, old| events.disarm(old),
        |events, old| assert!(events.arm(old).is_err()),
        |events, old| assert!(events.watch(old, Watch::WRITE).is_err()),
        |events, old| _ = events.remove(old),
    ];
    for watch in [Watch::READ, Watch::READ.edge()] {
        for deed in deeds {
            let mut events = EventLoop::new().expect("a loop");
            let (number, _old_peer) = socket();
            let old = named(&mut events, number, "old", watch);
            let (new, mut peer) = socket();
            replace(new, number);
            close(new);
            let token = named(&mut events, number, "new", watch);
            for _ in 0..2 {
                peer.write_all(b"x").expect("sent");
                assert_eq!(rounds(&mut events), ["new"]);
                deed(&mut events, old);
            }
            events.remove(old);
            peer.write_all(b"x").expect("sent");
            assert_eq!(rounds(&mut events), ["new"]);
            assert_eq!(events.stats().rebuilt, 0);
            assert!(events.remove(token));
            peer.write_all(b"x").expect("sent");
            assert_eq!(rounds(&mut events).len(), 0);
            close(number);
        }
    }
}

#[test]
fn a_number_that_is_taken_over_by_the_loop_itself_is_safe_from_the_old_source() {
    let _turn = turn();
    let deeds: [fn(&mut EventLoop<Log>, Token); 3] = [
        |events, old| events.disarm(old),
        |events, old| assert!(events.arm(old).is_err()),
        |events, old| assert!(events.remove(old)),
    ];
    for deed in deeds {
        let mut events = EventLoop::new().expect("a loop");
        let (socket, _peer) = socket();
        // The lowest number that is free, so that what is opened next has it.
        // SAFETY: the number is open.
        let number = unsafe { libc::dup(socket) };
        close(socket.max(number));
        let number = socket.min(number);
        let old = named(&mut events, number, "old", Watch::READ);
        close(number);
        let remote = events.remote().expect("an eventfd");
        let link = read_link(format!("/proc/self/fd/{number}"));
        assert!(link.is_ok_and(|link| link.to_string_lossy().contains("eventfd")));
        deed(&mut events, old);
        events.after(Duration::from_secs(5), |log: &mut Log, _| log.push("deaf"));
        remote.call(|log: &mut Log, _| log.push("called"));
        let mut log = Log::new();
        events.run_once(&mut log, None).expect("a round");
        assert_eq!(log, ["called"]);
    }
}

#[test]
fn a_registration_that_a_copy_keeps_alive_ends_in_one_new_set_and_no_spin() {
    let _turn = turn();
    for watch in [Watch::READ, Watch::READ.edge(), Watch::BOTH] {
        let mut events = EventLoop::new().expect("a loop");
        let mut log = Log::new();
        let (number, mut peer) = socket();
        // SAFETY: the number is open.
        let copy = unsafe { libc::dup(number) };
        let old = named(&mut events, number, "old", watch);
        let (good, mut good_peer) = socket();
        let good_token = named(&mut events, good, "good", Watch::READ);
        close(number);
        assert!(events.remove(old));
        peer.write_all(b"x").expect("sent");
        let rounds = rounds_of_waiting(&mut events, &mut log);
        let stats = events.stats();
        assert!(rounds <= 10, "{rounds} rounds");
        assert!(stats.stale >= 1 && stats.rebuilt == 1, "{stats:?}");
        peer.write_all(b"x").expect("sent");
        good_peer.write_all(b"x").expect("sent");
        rounds_of_waiting(&mut events, &mut log);
        assert_eq!((log, events.stats().rebuilt), (vec!["good"], 1));
        assert!(events.remove(good_token));
        close(good);
        close(copy);
    }
}

#[test]
fn a_source_that_is_removed_before_its_descriptor_is_closed_leaks_nothing() {
    let _turn = turn();
    let mut events = EventLoop::new().expect("a loop");
    let (number, mut peer) = socket();
    // SAFETY: the number is open.
    let copy = unsafe { libc::dup(number) };
    let token = named(&mut events, number, "called", Watch::READ);
    assert!(events.remove(token));
    close(number);
    peer.write_all(b"x").expect("sent");
    assert_eq!(rounds(&mut events).len(), 0);
    assert_eq!((events.stats().stale, events.stats().rebuilt), (0, 0));
    close(copy);
}

#[test]
fn in_a_new_set_every_source_is_what_it_was() {
    let _turn = turn();
    let mut events = EventLoop::new().expect("a loop");
    let remote = events.remote().expect("an eventfd");
    let (level, mut level_peer) = socket();
    let (edge, mut edge_peer) = socket();
    let (off, mut off_peer) = socket();
    let tokens = [
        named(&mut events, level, "level", Watch::READ),
        named(&mut events, edge, "edge", Watch::READ.edge()),
        named(&mut events, off, "off", Watch::READ),
    ];
    events.disarm(tokens[2]);
    let (stream, mut stream_peer) = UnixStream::pair().expect("a pair");
    let input = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&input);
    let buffered = events.buffered(OwnedFd::from(stream), move |io, log: &mut Log, _, event| {
        if event == StreamEvent::Input {
            log.push("stream");
            kept.borrow_mut().extend_from_slice(io.input());
            io.consume(usize::MAX);
        }
    });
    let buffered = buffered.expect("watched");
    // Half a message before, half of it after.
    stream_peer.write_all(b"hel").expect("sent");
    assert_eq!(rounds(&mut events), ["stream"]);
    // The leak that makes the new set.
    let (number, mut peer) = socket();
    // SAFETY: the number is open.
    let copy = unsafe { libc::dup(number) };
    let old = named(&mut events, number, "old", Watch::READ);
    close(number);
    assert!(events.remove(old));
    peer.write_all(b"x").expect("sent");
    for end in [&mut level_peer, &mut edge_peer, &mut off_peer] {
        end.write_all(b"x").expect("sent");
    }
    stream_peer.write_all(b"lo").expect("sent");
    remote.call(|log: &mut Log, _| log.push("remote"));
    let mut log = rounds(&mut events);
    log.sort_unstable();
    assert_eq!(log, ["edge", "level", "remote", "stream"]);
    assert_eq!((events.stats().rebuilt, &input.borrow()[..]), (1, &b"hello"[..]));
    events.arm(tokens[2]).expect("it is there");
    assert_eq!(rounds(&mut events), ["off"]);
    remote.call(|log: &mut Log, _| log.push("remote"));
    edge_peer.write_all(b"x").expect("sent");
    let mut log = rounds(&mut events);
    log.sort_unstable();
    assert_eq!(log, ["edge", "remote"]);
    events.stream(buffered).expect("it is there").write(b"bye");
    rounds(&mut events);
    let mut bytes = [0; 3];
    stream_peer.read_exact(&mut bytes).expect("a reply");
    assert_eq!(&bytes, b"bye");
    for (token, number) in tokens.into_iter().zip([level, edge, off]) {
        assert!(events.remove(token));
        close(number);
    }
    close(copy);
}

/// Two sessions, the first of which lost its descriptor number to something that epoll refuses.
fn with_a_number_taken_over() -> (EventLoop<Log>, [Token; 2], UnixStream) {
    let mut events = EventLoop::new().expect("a loop");
    let (ours, _gone) = UnixStream::pair().expect("a pair");
    let number = ours.as_raw_fd();
    let lost = events.serve(Stream::from(OwnedFd::from(ours)), Service::Upper.session());
    let (ours, peer) = UnixStream::pair().expect("a pair");
    peer.set_nonblocking(true).expect("fcntl");
    let other = events.serve(Stream::from(OwnedFd::from(ours)), Service::Upper.session());
    let file = tempfile::tempfile().expect("a file");
    // From now on the loop has a file in place of a socket.
    replace(file.as_raw_fd(), number);
    (events, [lost, other].map(|it| it.expect("watched")), peer)
}

#[test]
fn after_a_fork_a_session_with_a_number_that_was_taken_over_is_gone_and_the_others_are_served() {
    let _turn = turn();
    let (mut events, [lost, other], mut peer) = with_a_number_taken_over();
    events.after_fork().expect("a new set");
    assert_eq!((events.contains(lost), events.contains(other)), (false, true));
    peer.write_all(b"hello").expect("sent");
    rounds(&mut events);
    let mut reply = [0; 5];
    peer.read_exact(&mut reply).expect("a reply");
    assert_eq!((&reply, events.connections()), (b"HELLO", 1));
}

#[test]
fn in_a_new_set_a_session_with_a_number_that_was_taken_over_is_gone_and_the_others_are_served() {
    let _turn = turn();
    let (mut events, [lost, other], mut peer) = with_a_number_taken_over();
    // The leak that makes the new set.
    let (ours, mut leak) = UnixStream::pair().expect("a pair");
    let copy = ours.try_clone().expect("a copy");
    let leaked = events.serve(Stream::from(OwnedFd::from(ours)), Service::Upper.session());
    assert!(events.remove(leaked.expect("watched")));
    leak.write_all(b"x").expect("sent");
    rounds(&mut events);
    assert_eq!((events.stats().stale, events.stats().rebuilt), (1, 1));
    assert_eq!((events.contains(lost), events.contains(other)), (false, true));
    peer.write_all(b"hello").expect("sent");
    rounds(&mut events);
    let mut reply = [0; 5];
    peer.read_exact(&mut reply).expect("a reply");
    assert_eq!((&reply, events.connections()), (b"HELLO", 1));
    drop(copy);
}

#[test]
fn a_session_that_was_removed_while_a_copy_lives_wakes_the_loop_once() {
    let _turn = turn();
    let mut events = EventLoop::new().expect("a loop");
    let mut log = Log::new();
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    let copy = ours.try_clone().expect("a copy");
    let token = events.serve(Stream::from(OwnedFd::from(ours)), Service::Upper.session());
    assert!(events.remove(token.expect("watched")));
    peer.write_all(b"x").expect("sent");
    let rounds = rounds_of_waiting(&mut events, &mut log);
    assert!(rounds <= 10, "{rounds} rounds");
    for _ in 0..3 {
        peer.write_all(b"x").expect("sent");
        rounds_of_waiting(&mut events, &mut log);
        assert_eq!((events.stats().stale, events.stats().rebuilt), (1, 1));
    }
    drop(copy);
}
