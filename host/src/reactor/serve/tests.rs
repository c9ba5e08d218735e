//! Sessions in the loop: their end is told, no callback is called for one that was removed, and a peer
//! that floods leaves the others their turn.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use windlass_core::fault::Peer as PeerFault;
use windlass_core::session::files::REQUEST_MAX;
use windlass_core::session::{Consumed, Echo, FilesServer, Out, Upper};
use windlass_core::time::Instant;
use windlass_core::want::{Close, Want};

use super::*;
use crate::drive::{Acceptor, Client, TimeLimits};
use crate::reactor::tests::{
    Desk, End, Peer, frozen, pair, pass, pump, round, secs, stream_pair, text, until,
};
use crate::reactor::{EventLoop, Incoming, Priority};
use crate::sys::listener::Listener;
use crate::sys::root::Root;

fn serving(session: impl Session + Send + 'static) -> (EventLoop<Desk>, Desk, Token, Peer) {
    let (mut events, (stream, peer)) = (frozen(), stream_pair());
    let ended = |desk: &mut Desk, _: &mut Context<Desk>, how| desk.note(text(how));
    let token = events.serve_then(stream, Box::new(session), ended).unwrap();
    (events, Desk::default(), token, peer)
}

/// Keeps what it is told, and ends with its input.
struct Sink {
    kept: Arc<Mutex<Vec<u8>>>,
    want: Want,
}

impl Session for Sink {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        self.kept.lock().unwrap().extend_from_slice(bytes);
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {
        self.want = Want::done(Ok(()));
    }

    fn want(&self) -> Want {
        self.want
    }

    fn abort(&mut self, why: Fault) {
        if !matches!(self.want.close, Close::Done(_)) {
            self.want = Want::done(Err(why));
        }
    }
}

/// Panics at its input.
struct Panics;

impl Session for Panics {
    fn input(&mut self, _: Instant, _: &mut [u8], _: &mut Out<'_>) -> Consumed {
        std::panic::panic_any("on purpose")
    }

    fn eof(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        Want::READ
    }

    fn abort(&mut self, _: Fault) {}
}

#[test]
fn a_session_answers_to_its_end_which_is_told() {
    let (mut events, mut desk, token, mut peer) = serving(Upper::new());
    for word in ["one", "two", "three"] {
        peer.say(word.as_bytes());
        pump(&mut events, &mut desk);
        assert_eq!(peer.heard(), word.to_uppercase().as_bytes());
    }
    assert!(events.contains(token) && desk.log.is_empty());
    assert_eq!((events.connections(), events.streams()), (1, 1));
    peer.say(b"bye");
    peer.finish();
    // It ends by itself: nothing is left.
    events.run(&mut desk).unwrap();
    assert_eq!(peer.hear(), (b"BYE".to_vec(), End::Eof));
    assert_eq!((desk.log, events.connections()), (vec!["Ok(())".to_owned()], 0));
    assert!(!events.contains(token) && !events.remove(token));
}

#[test]
fn a_reset_is_the_fault_it_ends_with() {
    let (mut events, mut desk, _token, mut peer) = serving(Echo::new());
    peer.say(b"never read back");
    pump(&mut events, &mut desk);
    drop(peer);
    events.run(&mut desk).unwrap();
    let reset: std::result::Result<(), Fault> = Err(PeerFault::Reset.into());
    assert_eq!(desk.log, [text(reset)]);
}

#[test]
fn a_session_that_ends_in_its_first_turn_is_told_of_after_the_call_that_began_it() {
    let kept = Arc::default();
    let (mut events, mut desk, token, _peer) = serving(Sink { kept, want: Want::done(Ok(())) });
    assert!(desk.log.is_empty() && !events.contains(token));
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log, ["Ok(())"]);
}

#[test]
fn a_connection_that_was_removed_ends_without_a_word() {
    let (mut events, mut desk, token, mut peer) = serving(Echo::new());
    // It is in the batch and in the queue, and goes before its turn.
    peer.say(b"hello");
    let high = events.timer(move |_, cx| assert!(cx.remove(token)));
    events.set_priority(high, Priority::High);
    events.activate(high);
    events.run(&mut desk).unwrap();
    assert_eq!((desk.log.len(), peer.hear()), (0, (vec![], End::Reset)));
    assert!(!events.remove(token));
}

#[test]
fn an_idle_connection_is_cut_after_its_time_and_not_before() {
    let (mut events, mut desk, _token, mut peer) = serving(Echo::new());
    events.set_idle_timeout(Some(secs(10)));
    for _ in 0..3 {
        peer.say(b"x");
        pump(&mut events, &mut desk);
        assert_eq!(peer.heard(), b"x");
        pass(secs(9));
    }
    pump(&mut events, &mut desk);
    assert_eq!((desk.log.len(), events.connections()), (0, 1));
    pass(secs(1));
    events.run(&mut desk).unwrap();
    let late: std::result::Result<(), Fault> = Err(Fault::TimedOut { waited_us: 10_000_000 });
    assert_eq!((desk.log, peer.hear().1), (vec![text(late)], End::Eof));
}

#[test]
fn an_idle_pipe_is_waited_for_and_read_to_its_end() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let sink = Sink { kept: Arc::clone(&kept), want: Want::READ };
    let ended = |desk: &mut Desk, _: &mut Context<Desk>, how| desk.note(text(how));
    let stream = Stream::from(OwnedFd::from(reader));
    events.serve_then(stream, Box::new(sink), ended).unwrap();
    let mut said = Vec::new();
    for size in [1, 4096, 4097, 60_000] {
        let piece = vec![size as u8; size];
        writer.write_all(&piece).unwrap();
        said.extend(piece);
        pump(&mut events, &mut desk);
        assert!(*kept.lock().unwrap() == said);
    }
    writer.write_all(b"last").unwrap();
    said.extend(b"last");
    drop(writer);
    events.run(&mut desk).unwrap();
    assert!(*kept.lock().unwrap() == said);
    assert_eq!(desk.log, ["Ok(())"]);
}

#[test]
fn a_regular_file_is_refused_and_leaves_nothing_behind() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let file = tempfile::tempfile().unwrap();
    let error = events.serve(Stream::from(OwnedFd::from(file)), Box::new(Echo::new()));
    assert!(error.unwrap_err().to_string().starts_with("watch a stream"));
    events.run(&mut desk).unwrap();
    assert_eq!(events.connections(), 0);
}

#[test]
fn a_session_that_starts_another_in_its_end_goes_on() {
    let (mut events, (stream, first)) = (frozen(), stream_pair());
    let (next, mut second) = stream_pair();
    let ended = move |desk: &mut Desk, cx: &mut Context<Desk>, _| {
        desk.note("first");
        let ended = |desk: &mut Desk, _: &mut Context<Desk>, _| desk.note("second");
        cx.serve_then(next, Box::new(Upper::new()), ended).unwrap();
    };
    events.serve_then(stream, Box::new(Echo::new()), ended).unwrap();
    let mut desk = Desk::default();
    first.finish();
    second.say(b"early");
    pump(&mut events, &mut desk);
    assert_eq!((desk.news(), second.heard()), (vec!["first".to_owned()], b"EARLY".to_vec()));
    second.finish();
    events.run(&mut desk).unwrap();
    assert_eq!(desk.news(), ["second"]);
}

#[test]
fn a_peer_that_floods_leaves_the_others_their_turn() {
    let (mut events, mut desk, _token, mut flood) = serving(Echo::new());
    let (stream, mut meek) = stream_pair();
    events.serve(stream, Box::new(Echo::new())).unwrap();
    let piece = vec![1; 256 * 1024];
    let mut echoed = 0;
    for turn in 0..200 {
        flood.push(&piece);
        meek.say(b"x");
        round(&mut events, &mut desk);
        echoed += flood.heard().len();
        assert_eq!(meek.heard(), b"x", "round {turn}");
    }
    assert!(echoed > 1 << 20, "{echoed}");
}

#[test]
fn a_session_that_panics_goes_and_the_others_are_served() {
    let (mut events, mut desk, bad, mut bad_peer) = serving(Panics);
    let (stream, mut good_peer) = stream_pair();
    let good = events.serve(stream, Box::new(Upper::new())).unwrap();
    bad_peer.say(b"x");
    good_peer.say(b"before");
    let panicked = catch_unwind(AssertUnwindSafe(|| events.run(&mut desk)));
    assert_eq!(
        panicked.err().and_then(|it| it.downcast_ref::<&str>().copied()),
        Some("on purpose")
    );
    assert!(!events.contains(bad) && !events.remove(bad));
    assert_eq!((events.connections(), bad_peer.hear().1 == End::Open), (1, false));
    good_peer.say(b" and after");
    pump(&mut events, &mut desk);
    assert_eq!(good_peer.heard(), b"BEFORE AND AFTER");
    assert!(events.contains(good));
    good_peer.finish();
    events.run(&mut desk).unwrap();
    assert_eq!(desk.log.len(), 0, "how it ended was the panic's to say");
}

#[test]
fn a_session_with_a_socket_that_lives_on_in_a_copy_is_forgotten_at_its_first_event() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (ours, mut peer) = pair();
    let copy = ours.try_clone().unwrap();
    let token = events.serve(Stream::from(OwnedFd::from(ours)), Box::new(Upper::new())).unwrap();
    let (stream, mut other) = stream_pair();
    events.serve(stream, Box::new(Upper::new())).unwrap();
    assert!(events.remove(token));
    for _ in 0..3 {
        // Each is an edge, which an old set would tell.
        peer.say(b"x");
        pump(&mut events, &mut desk);
        assert_eq!((events.stats().stale, events.stats().rebuilt), (1, 1));
        other.say(b"x");
        pump(&mut events, &mut desk);
        assert_eq!(other.heard(), b"X", "the others are in the new set");
    }
    drop(copy);
}

#[test]
fn one_loop_serves_two_listeners_by_their_own_rules() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut clients = Vec::new();
    for (folder, (idle, text)) in folders.iter().zip([(5, "of one"), (60, "of the other")]) {
        std::fs::write(folder.path().join("name"), text).unwrap();
        let limits = TimeLimits { idle_us: Some(idle * 1_000_000), ..TimeLimits::default() };
        let root = Some(Arc::new(Root::open(folder.path()).unwrap()));
        let rules = events.add_rules(Rules { limits, root, ..Rules::default() });
        let listener = Listener::bind(&"tcp:127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let address = listener.address().to_string();
        let acceptor = Acceptor::new(listener, 8);
        let accepted = move |_: &mut Desk, cx: &mut Context<Desk>, incoming| {
            if let Incoming::Client(Client::Stream(stream)) = incoming {
                let session = Box::new(FilesServer::new([0; REQUEST_MAX]));
                cx.carry(Job::stream(stream, session, cx.now()).under(rules)).unwrap();
            }
        };
        events.accept_with(acceptor, accepted).unwrap();
        let [asks, waits] =
            [(); 2].map(|()| TcpStream::connect(address.trim_start_matches("tcp:")).unwrap());
        (&asks).write_all(b"\0\0\0\x04name").unwrap();
        let mut heard = Vec::new();
        until(&mut events, &mut desk, |_, _| hear(&asks, &mut heard));
        assert!(String::from_utf8_lossy(&heard).contains(text), "{heard:?}");
        clients.push(waits);
    }
    let mut ended =
        |events: &mut _, client| until(events, &mut desk, |_, _| hear(client, &mut Vec::new()));
    pass(secs(5));
    ended(&mut events, &clients[0]);
    assert_eq!(events.connections(), 1);
    assert!(!hear(&clients[1], &mut Vec::new()), "it has the limits of the other listener");
    pass(secs(55));
    ended(&mut events, &clients[1]);
}

/// Adds to `all` what has come. True at the end.
fn hear(mut client: &TcpStream, all: &mut Vec<u8>) -> bool {
    client.set_nonblocking(true).unwrap();
    client.read_to_end(all).is_ok()
}
