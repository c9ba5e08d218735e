//! What every event-loop model does around its wait: accept, take turns, expire, stop.

use std::os::fd::BorrowedFd;

use tracing::debug;
use windlass_core::time::Instant;

use super::common::{ACCEPT_BURST, Server};
use crate::drive::{After, Connections};
use crate::error::Result;
use crate::sys::clock;
use crate::sys::ready::{Interest, Ready, Token};
use crate::sys::stream::Stream;

/// A server and its connections. The model waits; the hub says for how long, and does what the
/// wait found.
pub(super) struct Hub {
    server: Server,
    connections: Connections,
    /// The time, as of the last step. Each step reads it: what its connection may wait for counts from
    /// there, however long the steps of others took.
    now: Instant,
    /// Connections that may still be accepted before the next wait.
    burst: u32,
}

impl Hub {
    /// For a wait that reports a change once.
    pub(super) fn edge_triggered(server: Server) -> Self {
        let connections = Connections::new(server.lend_many());
        Self { server, connections, now: clock::now(), burst: ACCEPT_BURST }
    }

    /// For a wait that reports what is ready for as long as it is.
    pub(super) fn level_triggered(server: Server) -> Self {
        let hub = Self::edge_triggered(server);
        Self { connections: hub.connections.level_triggered(), ..hub }
    }

    /// Whether the server is done.
    pub(super) fn is_over(&self) -> bool {
        self.server.is_over(self.now, self.connections.len())
    }

    /// The model waits for everything that it has to: the server can serve.
    pub(super) fn is_ready(&mut self) -> Result<()> {
        self.server.when_ready.come()
    }

    /// How long to wait, in microseconds.
    pub(super) fn wait_us(&self) -> Option<u64> {
        let wake = self.connections.wake();
        wake.min(self.server.acceptor.wake(self.now)).min(self.server.stop.wake()).wait_us(self.now)
    }

    /// The wait is over.
    pub(super) fn woke(&mut self) {
        self.now = clock::now();
        self.burst = ACCEPT_BURST;
    }

    /// The descriptor that tells it to stop. When it is readable, [`stopping`](Self::stopping).
    pub(super) fn stop_socket(&self) -> BorrowedFd<'_> {
        self.server.stop.socket()
    }

    /// Takes note of a request to stop.
    pub(super) fn stopping(&mut self) {
        self.now = clock::now();
        self.server.stop.notice(self.now);
        if self.server.stop.is_requested() {
            self.server.acceptor.close();
        }
    }

    /// The listener, unless the server drains.
    pub(super) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.server.acceptor.socket()
    }

    /// Whether to watch the listener now.
    pub(super) fn wants_clients(&self) -> bool {
        self.server.acceptor.wants(self.now, self.connections.len())
    }

    /// The next client in the queue, up to a burst of them.
    pub(super) fn accept(&mut self) -> Option<Stream> {
        self.burst = self.burst.checked_sub(1)?;
        self.now = clock::now();
        self.server.acceptor.accept(self.now, self.connections.len())
    }

    /// Turns a client away.
    pub(super) fn refuse(&mut self, stream: &Stream, why: &str) {
        self.server.acceptor.refuse(stream, why, self.now);
    }

    /// Takes a client in, and gives it its first turn, which may be all it needs.
    pub(super) fn open(&mut self, stream: Stream) -> (Token, After) {
        self.now = clock::now();
        let session = self.server.offer.open();
        self.connections.open(stream, session, self.now)
    }

    /// Takes note of an event; whether to give the connection a turn for it.
    pub(super) fn note(&mut self, token: Token, ready: Ready) -> bool {
        self.connections.note(token, ready)
    }

    /// Gives a connection its turn.
    pub(super) fn turn(&mut self, token: Token, ready: Ready) -> After {
        self.now = clock::now();
        let after = self.connections.turn(token, ready, self.now);
        if let After::Gone(_) = after {
            self.server.acceptor.closed();
        }
        after
    }

    /// A connection that cannot be watched is given up: the kernel refused to.
    pub(super) fn lose(&mut self, token: Token, errno: crate::sys::Errno) {
        debug!(connection = token.index, "lost: {}", errno.desc());
        self.connections.close(token);
        self.server.acceptor.closed();
    }

    /// The next connection whose time has come.
    pub(super) fn expired(&mut self) -> Option<Token> {
        self.connections.expired(self.now)
    }

    /// The socket of a connection.
    pub(super) fn socket(&self, token: Token) -> Option<BorrowedFd<'_>> {
        self.connections.socket(token)
    }

    /// Everything that is watched and what for, for the models that say so anew for every wait.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>, Interest)> {
        let listener = self.listener().filter(|_| self.wants_clients());
        let own = [
            Some((Token::STOP, self.stop_socket(), Interest::READ)),
            listener.map(|listener| (Token::LISTENER, listener, Interest::READ)),
        ];
        own.into_iter().flatten().chain(self.connections.iter())
    }
}
