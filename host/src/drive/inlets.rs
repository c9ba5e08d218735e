//! Where the datagrams of a port come from, as one descriptor for its loop.
//!
//! ```text
//!   the socket of the port, of every process that serves there ──┐
//!                                                                ├──▶ a set (epoll) ──▶ loop
//!   an inlet for each transfer of a port that drains ────────────┘
//! ```
//!
//! After a reload and an upgrade two processes have the socket, and each takes datagrams that are for the other. So
//! the one that drains opens a socket for each peer that it still has, and leaves the port to the next one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::sys::Errno;
use crate::sys::datagram::{Line, inlet};
use crate::sys::epoll::Epoll;
use crate::sys::ready::{Interest, Ready, Token};

/// The socket of a port, and those of peers.
pub(super) struct Inlets {
    line: Arc<Line>,
    /// `None`: there was no descriptor for it. Then the port alone is watched.
    set: Option<Epoll>,
    /// What the port is watched for.
    watched: Interest,
    of_peers: HashMap<Token, Arc<OwnedFd>>,
}

impl Inlets {
    pub(super) fn new(line: Arc<Line>) -> Self {
        let mut set = Epoll::new().ok();
        set.take_if(|set| set.add(&line, Interest::READ, Token::LISTENER).is_err());
        Self { line, set, watched: Interest::READ, of_peers: HashMap::new() }
    }

    /// Opens one for a peer. `asked` is the address that it sends to.
    pub(super) fn open(
        &mut self,
        token: Token,
        asked: Option<IpAddr>,
        peer: SocketAddr,
    ) -> Result<(), Errno> {
        let set = self.set.as_ref().ok_or(Errno::EMFILE)?;
        let socket = inlet::open(&self.line, asked, peer)?;
        set.add(&socket, Interest::READ, token)?;
        self.of_peers.insert(token, Arc::new(socket));
        Ok(())
    }

    /// The one of a peer.
    pub(super) fn get(&self, token: Token) -> Option<Arc<OwnedFd>> {
        self.of_peers.get(&token).cloned()
    }

    /// Closes it.
    pub(super) fn close(&mut self, token: Token) {
        self.of_peers.remove(&token);
    }

    pub(super) fn len(&self) -> usize {
        self.of_peers.len()
    }

    /// Watches the port for this. Returns what the loop has to watch the descriptor for.
    pub(super) fn watch(&mut self, port: Interest) -> Interest {
        let Some(set) = &self.set else { return port };
        if self.watched != port && set.modify(&self.line, port, Token::LISTENER).is_ok() {
            self.watched = port;
        }
        Interest::READ
    }

    /// After the loop has reported `ready`: for what the port is ready, and each peer with something in its inlet.
    pub(super) fn ready(&mut self, ready: Ready) -> (Ready, Vec<Token>) {
        // The set is asked only if it can say more than that the port can be read.
        let has_more = self.watched.write || !self.of_peers.is_empty();
        let Some(set) = self.set.as_mut().filter(|_| has_more) else { return (ready, Vec::new()) };
        let (mut port, mut peers) = (Ready::NONE, Vec::new());
        for index in 0..set.wait(Some(0)).unwrap_or(0) {
            match set.event(index) {
                (Token::LISTENER, ready) => port = ready,
                (token, _) => peers.push(token),
            }
        }
        (port, peers)
    }
}

impl AsFd for Inlets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_ref().map_or_else(|| self.line.as_fd(), AsFd::as_fd)
    }
}
