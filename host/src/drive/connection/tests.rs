//! Every rule of a connection, over real sockets and with a time that the test tells. The peer is
//! driven by the same thread and never blocks; a wait for the kernel has a far deadline that no
//! test reaches.

use std::os::fd::AsFd;

use windlass_core::session::{Consumed, Echo, TimeServer, Upper};
use windlass_core::stream::{Read, Write};
use windlass_core::want::Want;
use windlass_core::wire::Stamp;

use super::super::rules::{Rules, TimeLimits};
use super::*;
use crate::addr::Address;
use crate::sys::clock;
use crate::sys::connect::connect;
use crate::sys::listener::{Accepted, Listener};
use crate::sys::poll::{self, PollSet, Woken};
use crate::sys::ready::Token;

mod close_tests;
mod limits_tests;
mod schedule_tests;
mod script_tests;
mod turn_tests;

const T0: Instant = Instant::from_micros(1_000_000);
const SECOND: u64 = 1_000_000;

const READ: Ready = Ready { read: true, ..Ready::NONE };
const WRITE: Ready = Ready { write: true, ..Ready::NONE };
/// Input and the end of it, in one event.
const LAST: Ready = Ready { read: true, hup: true, ..Ready::NONE };

/// How a wait that must succeed is kept from hanging the suite.
fn far() -> Instant {
    clock::now().after(60 * SECOND)
}

/// What the kernel says about a socket right now.
fn look(fd: impl AsFd, interest: Interest) -> Ready {
    match poll::wait(fd.as_fd(), interest, None, Some(Instant::ZERO)) {
        Woken::Ready(ready) => ready,
        Woken::Other | Woken::TimedOut | Woken::Interrupted => Ready::NONE,
    }
}

/// What the kernel says about a socket as soon as it says something.
fn await_ready(fd: impl AsFd, interest: Interest) -> Ready {
    match poll::wait(fd.as_fd(), interest, None, Some(far())) {
        Woken::Ready(ready) => ready,
        other => panic!("the socket is never ready for {interest:?}: {other:?}"),
    }
}

fn unix_pair() -> (Stream, Stream) {
    Stream::pair().unwrap()
}

fn tcp_pair() -> (Stream, Stream) {
    let listener = Listener::bind(&"tcp:127.0.0.1:0".parse::<Address>().unwrap(), 1).unwrap();
    let peer = connect(listener.address(), far()).unwrap();
    await_ready(&listener, Interest::READ);
    match listener.accept() {
        Accepted::Stream(ours) => (ours, peer),
        other => panic!("{other:?}"),
    }
}

/// Bytes in which a lost, doubled or swapped piece shows: the period fits no buffer.
fn pattern(len: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..4099_u32).map(|i| b'a' + (i * i % 26) as u8).collect();
    let mut bytes = block.repeat(len.div_ceil(block.len()));
    bytes.truncate(len);
    bytes
}

/// Rules with these limits.
fn under(limits: TimeLimits) -> Rules {
    Rules { limits, ..Rules::default() }
}

fn buffers(input: usize, output: usize, budget: usize, idle_us: Option<u64>) -> Buffers {
    let limits = TimeLimits { idle_us, ..TimeLimits::default() };
    let mut buffers = Buffers::for_one(under(limits));
    buffers.input = vec![0; input];
    buffers.output = vec![0; output].into_boxed_slice();
    buffers.budget = budget;
    buffers
}

/// How far a peer could read.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// Nothing more has come.
    Silence,
    Eof,
    /// The connection was reset.
    Lost,
}

/// A connection, its loop's memory, its time, and its peer.
struct Rig<S: Session + ?Sized> {
    connection: Connection<S>,
    buffers: Buffers,
    now: Instant,
    peer: Stream,
}

impl<S: Session> Rig<S> {
    fn new(pair: (Stream, Stream), session: S, buffers: Buffers) -> Self {
        let connection = Connection::new(pair.0, Box::new(session), T0);
        Self { connection, buffers, now: T0, peer: pair.1 }
    }

    /// Over a Unix socket, with buffers as in a loop.
    fn plain(session: S) -> Self {
        Self::new(unix_pair(), session, Buffers::for_one(Rules::default()))
    }

    fn turn(&mut self, ready: Ready) -> Next {
        self.connection.turn(ready, self.now, &mut self.buffers)
    }

    fn turn_at(&mut self, us: u64, ready: Ready) -> Next {
        self.now = T0.after(us);
        self.turn(ready)
    }

    fn deadline(&self) -> Option<Instant> {
        self.connection.deadline(&self.buffers)
    }

    /// The peer sends all of `bytes`, which fit, and the kernel has brought them.
    fn say(&mut self, bytes: &[u8]) {
        assert_eq!(self.peer.send([bytes, &[]]), Ok(Write::count(bytes.len())));
        await_ready(&self.connection, Interest::READ);
    }

    /// The peer sends what goes; how much that was.
    fn try_say(&mut self, bytes: &[u8]) -> usize {
        match self.peer.send([bytes, &[]]).unwrap() {
            Write::Moved(n) => n.get(),
            Write::WouldBlock | Write::Nothing | Write::Interrupted => 0,
        }
    }

    /// The peer reads all that is there.
    fn hear(&mut self) -> (Vec<u8>, Heard) {
        hear(&self.peer)
    }

    /// The peer reads until the end.
    fn hear_out(&mut self) -> (Vec<u8>, Heard) {
        let mut all = Vec::new();
        loop {
            await_ready(&self.peer, Interest::READ);
            let (bytes, heard) = self.hear();
            all.extend(bytes);
            if heard != Heard::Silence {
                return (all, heard);
            }
        }
    }

    /// The peer sends and does not read, until nothing moves any more.
    fn flood(&mut self) -> Vec<u8> {
        let bytes = pattern(64 << 20);
        let (mut sent, mut next) = (0, self.turn(Ready::NONE));
        loop {
            let moved = self.try_say(&bytes[sent..bytes.len().min(sent + 100_000)]);
            sent += moved;
            let ready = match next {
                Next::Wait(interest) => look(&self.connection, interest),
                Next::Again => Ready::NONE,
                Next::Closed(how) => panic!("closed: {how:?}"),
            };
            if ready.any() || next == Next::Again {
                next = self.turn(ready);
            } else if moved == 0 {
                assert_eq!(next, Next::Wait(Interest::WRITE), "nothing moves and it reads on");
                return bytes[..sent].to_vec();
            }
        }
    }

    /// A level-triggered loop and a peer that sends `rest`, half-closes and reads to the end.
    fn converse(&mut self, mut rest: &[u8]) -> (Vec<u8>, Result<(), Fault>) {
        const OURS: Token = Token { index: 0, generation: 0 };
        const PEER: Token = Token { index: 1, generation: 0 };
        let (mut heard, mut next) = (Vec::new(), self.turn(Ready::NONE));
        if rest.is_empty() {
            self.peer.shutdown_write();
        }
        let how = loop {
            let interest = match next {
                Next::Wait(interest) => interest,
                Next::Again => Interest::READ,
                Next::Closed(how) => break how,
            };
            let mut set = PollSet::new();
            set.add(self.connection.as_fd(), interest, OURS);
            let write = !rest.is_empty();
            set.add(self.peer.as_fd(), Interest { read: true, write }, PEER);
            let count = set.wait(Some(60 * SECOND)).unwrap();
            assert_ne!(count, 0, "nothing moves: {next:?}, {} bytes heard", heard.len());
            for (token, ready) in set.ready(count) {
                if token == OURS {
                    next = self.turn(ready);
                    continue;
                }
                if ready.write {
                    let moved = self.try_say(&rest[..rest.len().min(100_000)]);
                    rest = &rest[moved..];
                    if moved > 0 && rest.is_empty() {
                        self.peer.shutdown_write();
                    }
                }
                let (bytes, _) = self.hear();
                heard.extend(bytes);
            }
        };
        heard.extend(self.hear().0);
        (heard, how)
    }

    /// Bytes that are backlog because the peer does not take them.
    fn held_output(&self) -> usize {
        self.connection.outlet.backlog.as_ref().map_or(0, |backlog| backlog.output.len())
    }

    /// Memory in the backlog.
    fn held_capacity(&self) -> usize {
        let backlog = self.connection.outlet.backlog.as_ref();
        backlog.map_or(0, |backlog| backlog.output.capacity() + backlog.input.capacity())
    }
}

fn hear(peer: &Stream) -> (Vec<u8>, Heard) {
    let (mut all, mut buf) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match peer.recv(&mut buf) {
            Ok(Read::Moved(n)) => all.extend_from_slice(&buf[..n.get()]),
            Ok(Read::Interrupted) => {}
            Ok(Read::WouldBlock) => return (all, Heard::Silence),
            Ok(Read::Eof) => return (all, Heard::Eof),
            Err(_) => return (all, Heard::Lost),
        }
    }
}

/// A session with answers that are written in the test, and a record of its calls.
struct Script {
    want: Want,
    on_input: fn(&mut Script, &mut [u8], &mut Out<'_>) -> Consumed,
    on_eof: fn(&mut Script),
    on_space: fn(&mut Script, &mut Out<'_>),
    on_tick: fn(&mut Script, Instant),
    /// Input that it took.
    seen: Vec<u8>,
    /// Bytes it has still to render, and what it wants then.
    owed: Vec<u8>,
    then: Want,
    inputs: usize,
    spaces: usize,
    ticks: Vec<Instant>,
    aborted: Option<Fault>,
}

impl Default for Script {
    /// Takes everything, says nothing, and is done at the end of the stream.
    fn default() -> Self {
        Self {
            want: Want::READ,
            on_input: |script, bytes, _| {
                script.seen.extend_from_slice(bytes);
                Consumed::bytes(bytes.len())
            },
            on_eof: |script| script.want = Want::done(Ok(())),
            on_space: |_, _| {},
            on_tick: |_, _| {},
            seen: Vec::new(),
            owed: Vec::new(),
            then: Want::READ,
            inputs: 0,
            spaces: 0,
            ticks: Vec::new(),
            aborted: None,
        }
    }
}

impl Script {
    /// Renders `owed`, then wants `then`: to read.
    fn recital(owed: Vec<u8>) -> Self {
        Self {
            want: Want::WRITE,
            owed,
            on_space: |script, out| {
                let n = out.put(&script.owed);
                script.owed.drain(..n);
                if script.owed.is_empty() {
                    script.want = script.then;
                }
            },
            ..Self::default()
        }
    }
}

impl Session for Script {
    fn input(&mut self, _: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed {
        assert!(!bytes.is_empty(), "empty input");
        assert!(self.want.read, "input that was not wanted");
        self.inputs += 1;
        (self.on_input)(self, bytes, out)
    }

    fn eof(&mut self, _: Instant) {
        (self.on_eof)(self);
    }

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        assert!(out.room() > 0, "room without room");
        self.spaces += 1;
        (self.on_space)(self, out);
    }

    fn tick(&mut self, now: Instant) {
        self.ticks.push(now);
        (self.on_tick)(self, now);
    }

    fn want(&self) -> Want {
        self.want
    }

    fn abort(&mut self, why: Fault) {
        self.aborted = Some(why);
        self.want = Want::done(Err(why));
    }
}
