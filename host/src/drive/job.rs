//! Jobs: the one kind of thing that every server model serves.
//!
//! ```text
//!   acceptor ──▶ Client ──▶ queue, worker's order, child process ──▶ offer ──▶ Job ──▶ turns, to its end
//! ```
//!
//! No model looks inside a client or a job: a client over another transport is another variant here.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[cfg(feature = "tls")]
use tracing::warn;
use windlass_core::responder::Responder;
use windlass_core::session::Session;
use windlass_core::time::Instant;

use super::announced::Announced;
use super::connection::Connection;
#[cfg(feature = "transfer")]
use super::exchange::Exchange;
use super::gated::Gated;
use super::linger;
use super::port::Port;
use super::rules::RulesId;
#[cfg(feature = "tls")]
use super::secured::Secured;
#[cfg(feature = "transfer")]
use super::single_port::SinglePort;
use super::turns::Turns;
#[cfg(feature = "transfer")]
use crate::sys::datagram::Conversation;
use crate::sys::datagram::Peer;
use crate::sys::listener::Listener;
use crate::sys::stream::Stream;
#[cfg(feature = "tls")]
use crate::tls::Credentials;

/// An accepted client, until a model serves it.
#[derive(Debug)]
pub enum Client {
    /// A connection.
    Stream(Stream),
    /// All that arrives at a datagram socket.
    Port(Listener),
    /// A datagram that asks for a transfer, and a socket for it.
    #[cfg(feature = "transfer")]
    Transfer {
        /// Of the client alone.
        socket: Conversation,
        /// The datagram.
        request: Box<[u8]>,
    },
}

/// A client that is being served: a model gives it turns, or waits for it, until it is over.
pub enum Job {
    /// A connection and its session.
    Stream(Connection),
    /// A connection of a balancer, which says which client it is of.
    Announced(Box<Announced<Self>>),
    /// A connection or a transfer that came through a gate.
    Gated(Box<Gated<Self>>),
    /// A TLS connection and its session.
    #[cfg(feature = "tls")]
    Secured(Box<Connection<dyn Session + Send, Secured>>),
    /// A datagram socket and its responder.
    Port(Box<Port>),
    /// A transfer and its socket.
    #[cfg(feature = "transfer")]
    Transfer(Box<Exchange>),
    /// A datagram socket, and all transfers at it.
    #[cfg(feature = "transfer")]
    SinglePort(Box<SinglePort>),
}

impl Client {
    /// A client that another process of this server accepted and passed to this one, with what
    /// [`note`](Self::note) said of it.
    pub(crate) fn passed(fd: OwnedFd, note: &[u8]) -> Option<Self> {
        if note.is_empty() {
            return Some(Self::Stream(Stream::of_socket(fd)));
        }
        #[cfg(feature = "transfer")]
        {
            let end = note.iter().position(|&byte| byte == 0)?;
            let peer = std::str::from_utf8(&note[..end]).ok()?.parse().ok()?;
            let socket = Conversation::passed(fd, peer);
            Some(Self::Transfer { socket, request: note[end + 1..].into() })
        }
        #[cfg(not(feature = "transfer"))]
        None
    }

    /// What a process needs beside the descriptor that is passed: of a transfer, the address of the client as
    /// text, a NUL, and the request.
    pub(crate) fn note(&self) -> Vec<u8> {
        match self {
            Self::Stream(_) | Self::Port(_) => Vec::new(),
            #[cfg(feature = "transfer")]
            Self::Transfer { socket, request } => {
                [socket.peer().to_string().as_bytes(), b"\0", request].concat()
            }
        }
    }

    /// Whether it can be served by another process as if it had just been accepted.
    pub(crate) fn is_untouched(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_untouched(),
            Self::Port(_) => true,
            #[cfg(feature = "transfer")]
            Self::Transfer { socket, .. } => socket.is_untouched(),
        }
    }

    /// Its internet address, if it has one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Stream(stream) => stream.peer_address(),
            // Each of its datagrams has a client of its own.
            Self::Port(_) => None,
            #[cfg(feature = "transfer")]
            Self::Transfer { socket, .. } => Some(socket.peer()),
        }
    }

    /// Ends the connection of a client that is not served, as cleanly as possible. The client is
    /// dropped next.
    pub(super) fn turn_away(&self) {
        match self {
            Self::Stream(stream) => linger::leave(stream),
            Self::Port(_) => {}
            // It asks again.
            #[cfg(feature = "transfer")]
            Self::Transfer { .. } => {}
        }
    }
}

impl Job {
    /// A connection and its session, under the first rules of its loop.
    pub fn stream(stream: Stream, session: Box<dyn Session + Send>, now: Instant) -> Self {
        Self::Stream(Connection::new(stream, session, now))
    }

    /// A TLS connection and its session, at the beginning of its handshake.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(
        stream: Stream,
        credentials: &Credentials,
        session: Box<dyn Session + Send>,
        now: Instant,
    ) -> Self {
        match credentials.accept() {
            Ok(conn) => {
                let channel = Secured::new(stream, conn);
                Self::Secured(Box::new(Connection::new(channel, session, now)))
            }
            Err(error) => {
                warn!("begin a handshake: {error}; the connection is closed");
                // No byte of the session can leave it.
                stream.shutdown_both();
                Self::stream(stream, session, now)
            }
        }
    }

    /// A datagram socket and its responder.
    pub fn port(socket: Listener, responder: Box<dyn Responder<Peer> + Send>) -> Self {
        Self::Port(Box::new(Port::new(socket, responder)))
    }

    /// A transfer and its socket.
    #[cfg(feature = "transfer")]
    pub fn transfer(exchange: Exchange) -> Self {
        Self::Transfer(Box::new(exchange))
    }

    /// Whether it is a port, which never ends by itself.
    pub fn is_port(&self) -> bool {
        matches!(self, Self::Port(_))
    }

    /// A job under the rules of its listener.
    #[must_use]
    pub fn under(mut self, rules: RulesId) -> Self {
        self.set_rules(rules);
        self
    }
}

impl Deref for Job {
    type Target = dyn Turns;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Stream(connection) => connection,
            Self::Announced(announced) => &**announced,
            Self::Gated(gated) => &**gated,
            #[cfg(feature = "tls")]
            Self::Secured(connection) => &**connection,
            Self::Port(port) => &**port,
            #[cfg(feature = "transfer")]
            Self::Transfer(exchange) => &**exchange,
            #[cfg(feature = "transfer")]
            Self::SinglePort(port) => &**port,
        }
    }
}

impl DerefMut for Job {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Stream(connection) => connection,
            Self::Announced(announced) => &mut **announced,
            Self::Gated(gated) => &mut **gated,
            #[cfg(feature = "tls")]
            Self::Secured(connection) => &mut **connection,
            Self::Port(port) => &mut **port,
            #[cfg(feature = "transfer")]
            Self::Transfer(exchange) => &mut **exchange,
            #[cfg(feature = "transfer")]
            Self::SinglePort(port) => &mut **port,
        }
    }
}

impl AsFd for Job {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(stream) => stream.as_fd(),
            Self::Port(socket) => socket.as_fd(),
            #[cfg(feature = "transfer")]
            Self::Transfer { socket, .. } => socket.as_fd(),
        }
    }
}
