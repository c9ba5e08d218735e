//! An event loop on both sides of a fork, for the tests: a program of one thread, which has to be
//! forked without a harness. It names a scene, plays it, and exits with 0 if all went as it should.
//!
//! - `renewed`: the child goes on with the loop after `after_fork`, and takes it apart.
//! - `dropped`: the child drops the loop.
//! - `left`: the child exits and touches nothing.
#![allow(missing_docs)]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::raise;
use windlass::reactor::{EventLoop, Remote, StreamEvent, Token, Watch};
use windlass::sys::Signal;
use windlass::sys::process::{Forked, SingleThreaded, exit, fork, wait};

type Log = Vec<&'static str>;

/// A loop with one source of each kind, and whatever makes them fire.
struct Scene {
    events: EventLoop<Log>,
    tokens: Vec<Token>,
    level: UnixStream,
    edge: UnixStream,
    stream: UnixStream,
    remote: Remote<Log>,
}

impl Scene {
    fn new() -> Self {
        let mut events = EventLoop::new().expect("a loop");
        let (level, level_token) = source(&mut events, "level", Watch::READ);
        let (edge, edge_token) = source(&mut events, "edge", Watch::READ.edge());
        let (ours, stream) = UnixStream::pair().expect("a pair");
        let buffered = events
            .buffered(OwnedFd::from(ours), |io, log: &mut Log, _, event| {
                if event == StreamEvent::Input {
                    log.push("stream");
                    io.consume(usize::MAX);
                    io.write(b"reply");
                }
            })
            .expect("watched");
        let signal = events.signal(Signal::SIGUSR1, |log: &mut Log, _, caught| {
            assert_eq!(caught.sender, std::process::id());
            log.push("signal");
        });
        let periodic = events.every(Duration::from_secs(3600), |_, _| {});
        let remote = events.remote().expect("an eventfd");
        let tokens = vec![level_token, edge_token, buffered, signal.expect("caught"), periodic];
        Self { events, tokens, level, edge, stream, remote }
    }

    /// Nothing fires by itself, and everything when it is made to.
    fn check(&mut self, process: &str) {
        assert_eq!(self.rounds(), [""; 0], "{process}");
        for _ in 0..2 {
            self.level.write_all(b"x").expect("sent");
            self.edge.write_all(b"x").expect("sent");
            self.stream.write_all(b"x").expect("sent");
            raise(Signal::SIGUSR1).expect("sent");
            self.remote.call(|log, _| log.push("remote"));
            // It waits for ever unless another thread wakes it.
            let mut log = Log::new();
            self.events.run_once(&mut log, None).expect("a round");
            log.extend(self.rounds());
            log.sort_unstable();
            assert_eq!(log, ["edge", "level", "remote", "signal", "stream"], "{process}");
            let mut reply = [0; 5];
            self.stream.read_exact(&mut reply).expect("a reply");
        }
        assert_eq!(self.events.stats().stale, 0, "{process}");
    }

    fn rounds(&mut self) -> Log {
        let mut log = Log::new();
        for _ in 0..4 {
            self.events.run_once(&mut log, Some(Duration::ZERO)).expect("a round");
        }
        log
    }
}

fn source(events: &mut EventLoop<Log>, name: &'static str, watch: Watch) -> (UnixStream, Token) {
    let (io, peer) = UnixStream::pair().expect("a pair");
    let call = move |io: &mut UnixStream, log: &mut Log, _: &mut _, _| {
        let count = io.read(&mut [0; 64]).expect("it is readable");
        assert!(count > 0);
        log.push(name);
    };
    let token = events.add(io, watch, call).expect("watched");
    (peer, token)
}

fn child_goes_on(mut scene: Scene) {
    scene.events.after_fork().expect("a set of its own");
    scene.check("the child");
    assert_eq!(scene.events.stats().rebuilt, 1);
    let (mut peer, _) = source(&mut scene.events, "new", Watch::READ);
    for token in std::mem::take(&mut scene.tokens) {
        assert!(scene.events.remove(token));
    }
    peer.write_all(b"x").expect("sent");
    assert_eq!(scene.rounds(), ["new"]);
}

fn main() {
    let scene = std::env::args().nth(1).expect("a scene");
    let mut parent = Scene::new();
    parent.check("the parent, before");
    let proof = SingleThreaded::check().expect("one thread");
    match fork(&proof).expect("a child") {
        Forked::Child => {
            let done =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match &scene[..] {
                    "renewed" => child_goes_on(parent),
                    "dropped" => drop(parent),
                    "left" => std::mem::forget(parent),
                    other => panic!("no scene {other}"),
                }));
            exit(i32::from(done.is_err()));
        }
        Forked::Parent(child) => {
            let (ended, how) = wait().expect("a child");
            assert_eq!(ended, child);
            assert!(how.is_success(), "the child: {how}");
        }
    }
    parent.check("the parent, after");
    assert_eq!(parent.events.stats().rebuilt, 0);
}
