//! What the tests of the loop share: a clock that the test moves, and peers in the same thread.
//!
//! Time stands still unless a test lets it pass, and a pair of Unix sockets delivers in the call that
//! sends. So these tests wait for nothing, and a round does the same each time.

use std::cell::Cell;
use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use windlass_core::time::Instant;

use super::{Buffered, Context, EventLoop, StreamEvent, Token, Watch};
use crate::addr::Address;
use crate::sys::listener::Listener;
use crate::sys::stream::Stream;

/// The state that the callbacks of a test share: what happened, and the tokens.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) log: Vec<String>,
    pub(super) tokens: Vec<Token>,
}

impl Desk {
    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    /// What happened since this was last asked.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.log.iter().filter(|it| *it == what).count()
    }
}

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(1_000_000_000) };
}

fn clock() -> Instant {
    Instant::from_micros(NOW_US.get())
}

/// Moves the clock of this thread's loops.
pub(crate) fn pass(time: Duration) {
    NOW_US.set(NOW_US.get() + time.as_micros() as u64);
}

/// Sets the clock of this thread's loops.
pub(super) fn set_clock(us: u64) {
    NOW_US.set(us);
}

/// A loop with a time that the test sets.
pub(crate) fn frozen<S>() -> EventLoop<S> {
    EventLoop::with_clock(clock).unwrap()
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One round that does not wait; how many calls it made.
pub(super) fn round<S>(events: &mut EventLoop<S>, state: &mut S) -> u64 {
    events.run_once(state, Some(Duration::ZERO)).unwrap()
}

/// Runs rounds until there is nothing to do.
pub(crate) fn pump<S>(events: &mut EventLoop<S>, state: &mut S) {
    let mut quiet = 0;
    for _ in 0..100_000 {
        quiet = if round(events, state) == 0 { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
    }
    panic!("it spins");
}

/// Rounds, with waits, until `done`: for what comes through TCP or from another process.
pub(super) fn until<S>(
    events: &mut EventLoop<S>,
    state: &mut S,
    mut done: impl FnMut(&mut EventLoop<S>, &mut S) -> bool,
) {
    for _ in 0..10_000 {
        if done(events, state) {
            return;
        }
        events.run_once(state, Some(ms(5))).unwrap();
    }
    panic!("it never came");
}

/// The other end of a pair.
#[derive(Debug)]
pub(crate) struct Peer(UnixStream);

/// What a peer sees when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Eof,
    Reset,
}

impl Peer {
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Sends as much as fits.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        match self.0.write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// What has come, and whether that is all there will be.
    pub(crate) fn hear(&mut self) -> (Vec<u8>, End) {
        let (mut all, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return (all, End::Eof),
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (all, End::Open),
                Err(_) => return (all, End::Reset),
            }
        }
    }

    /// The same as text.
    #[cfg(feature = "status")]
    pub(crate) fn hear_text(&mut self) -> (String, End) {
        let (bytes, end) = self.hear();
        (String::from_utf8(bytes).unwrap(), end)
    }

    pub(crate) fn heard(&mut self) -> Vec<u8> {
        self.hear().0
    }

    pub(crate) fn finish(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A socket for the loop, and its peer.
pub(super) fn pair() -> (UnixStream, Peer) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, Peer(theirs))
}

/// The same as a stream.
pub(super) fn stream_pair() -> (Stream, Peer) {
    let (ours, peer) = pair();
    (Stream::from(OwnedFd::from(ours)), peer)
}

/// A listener in the abstract name space, and a way to connect to it.
pub(crate) struct Door(SocketAddr);

impl Door {
    pub(crate) fn open() -> (Listener, Self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("windlass-reactor-{}-{number}", std::process::id());
        let listener = Listener::bind(&Address::UnixAbstract(name.clone()), 128).unwrap();
        (listener, Self(SocketAddr::from_abstract_name(name).unwrap()))
    }

    pub(crate) fn knock(&self) -> Peer {
        let client = UnixStream::connect_addr(&self.0).unwrap();
        client.set_nonblocking(true).unwrap();
        Peer(client)
    }

    pub(crate) fn is_open(&self) -> bool {
        UnixStream::connect_addr(&self.0).is_ok()
    }
}

/// Reads what there is; how many bytes.
pub(super) fn drain(io: &mut UnixStream) -> usize {
    let mut buf = [0; 4096];
    let mut total = 0;
    while let Ok(count @ 1..) = io.read(&mut buf) {
        total += count;
    }
    total
}

/// A source that notes `name` and reads what came.
pub(super) fn named(cx: &mut Context<Desk>, name: &'static str, watch: Watch) -> (Token, Peer) {
    let (io, peer) = pair();
    let token = cx.add(io, watch, move |io, desk, _, _| {
        drain(io);
        desk.note(name);
    });
    (token.unwrap(), peer)
}

/// A stream that notes what it is told, with the input it is told of, and consumes it.
pub(super) fn noted(cx: &mut Context<Desk>, stream: impl Into<Stream>) -> Token {
    let token = cx.buffered(stream, |io, desk: &mut Desk, _, event| note(io, desk, event));
    token.unwrap()
}

/// A loop with one stream, which calls `call`, and its peer.
pub(super) fn streaming(
    call: impl FnMut(&mut Buffered, &mut Desk, &mut Context<Desk>, StreamEvent) + 'static,
) -> (EventLoop<Desk>, Desk, Token, Peer) {
    let (mut events, (stream, peer)) = (frozen(), stream_pair());
    let token = events.buffered(stream, call).unwrap();
    (events, Desk::default(), token, peer)
}

pub(super) fn note(io: &mut Buffered, desk: &mut Desk, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            desk.note(format!("Input {}", String::from_utf8_lossy(io.input())));
            io.consume(usize::MAX);
        }
        event => desk.note(text(event)),
    }
}

/// Text of what `Debug` says.
pub(super) fn text(it: impl Debug) -> String {
    format!("{it:?}")
}
