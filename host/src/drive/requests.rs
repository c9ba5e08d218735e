//! The requests that arrive at a datagram listener: each one that is new gets a socket of its own.
//!
//! ```text
//!   listener ──▶ datagram ─┬─ no request: dropped
//!                          ├─ the peer asked the same a moment ago: answered again, from the same port
//!                          ├─ the peer asks for something else: its transfer ends
//!                          └─▶ a socket for the peer, bound to the address that was asked
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Weak};

use windlass_core::time::Instant;

use super::peers::{Peers, Seen};
use crate::sys::Errno;
use crate::sys::clock::Calendar;
use crate::sys::datagram::batch::Batch;
use crate::sys::datagram::{Conversation, Line, tell_times};
use crate::sys::listener::Listener;

/// How the requests of a listener are taken.
#[derive(Debug, Clone)]
pub struct Door {
    /// Whether a datagram is a request. Others are dropped.
    pub is_request: fn(&[u8]) -> bool,
    /// The ports of transfers, the first and the last; without them the kernel chooses.
    pub ports: Option<(u16, u16)>,
    /// The peers that are served, by any process.
    pub peers: Arc<Peers>,
}

/// Takes the requests of one listener.
pub(crate) struct Requests {
    door: Door,
    batch: Batch,
    /// The socket that this process opened for the peer of each line of `peers`.
    sockets: Vec<Weak<Line>>,
    next_port: u16,
    /// The listener tells when each request came.
    tells_times: bool,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("door", &self.door).finish_non_exhaustive()
    }
}

/// What came of a look at the listener.
pub(crate) enum Request {
    /// A new one.
    New(Conversation, Box<[u8]>),
    /// There is none.
    Nothing,
    /// There is no descriptor or memory for one.
    Exhausted(Errno),
}

/// The longest request, in bytes.
pub(super) const REQUEST_MAX: usize = 1500;

/// The longest request with the text of an address.
pub(crate) const NOTE_MAX: usize = REQUEST_MAX + 64;

/// While a transfer has moved in this time, in microseconds, its request is a copy that the network kept back.
const COPY_US: u64 = 1_000_000;

/// Datagrams in a row that are no new request, before other descriptors have their turn.
const PASSED_OVER_MAX: u32 = 64;

impl Requests {
    /// Takes requests in this way.
    pub(crate) fn new(door: Door) -> Self {
        Self {
            door,
            batch: Batch::new(1, REQUEST_MAX),
            sockets: Vec::new(),
            next_port: 0,
            tells_times: false,
        }
    }

    /// The next request, with a socket for its transfer.
    pub(crate) fn next(&mut self, listener: &Listener, now: Instant) -> Request {
        if !std::mem::replace(&mut self.tells_times, true) {
            // Without the times a copy that is late may start a transfer.
            let _ = tell_times(listener);
        }
        for _ in 0..PASSED_OVER_MAX {
            match self.batch.receive(listener) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                // `EAGAIN`, or an error of what was sent.
                Err(_) => return Request::Nothing,
            }
            let Some(received) = self.batch.iter_mut().next() else { continue };
            let (cut, asked, came) = (received.cut, received.asked, received.came);
            let peer = *received.peer;
            let request = received.datagram();
            if cut || !(self.door.is_request)(request) {
                continue;
            }
            let request: Box<[u8]> = request.into();
            let Some(from) = peer.socket_addr() else { continue };
            let peers = Arc::clone(&self.door.peers);
            let Some(seen) = self.take(from, &request, (came, now)) else { continue };
            // What it was served ends: at once in this process, and in another one at its next turn.
            if let Some(socket) = self.socket(&seen) {
                socket.end();
            }
            match self.open(asked, from) {
                Ok(socket) => {
                    if self.sockets.len() <= seen.index {
                        self.sockets.resize(seen.index + 1, Weak::new());
                    }
                    self.sockets[seen.index] = Arc::downgrade(socket.line());
                    return Request::New(socket, request);
                }
                Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                    peers.give_back(&seen);
                    return Request::Exhausted(errno);
                }
                // All ports are taken, or the address is gone: the peer asks again.
                Err(_) => peers.give_back(&seen),
            }
        }
        Request::Nothing
    }

    /// Takes the line of the peer. `None`: the request is a copy.
    fn take(
        &self,
        from: SocketAddr,
        request: &[u8],
        (came, now): (Option<Calendar>, Instant),
    ) -> Option<Seen> {
        loop {
            let seen = self.door.peers.look(from, request);
            if seen.is_same && self.is_copy(from, &seen, (came, now)) {
                return None;
            }
            // Each time that it fails, another process has taken the line.
            if self.door.peers.take(&seen, now) {
                return Some(seen);
            }
        }
    }

    /// Whether a request that is the same as the last one is a copy of it. If nothing moves there, the peer has
    /// begun anew. If the transfer is over, it is a copy that came before the peer could know that.
    fn is_copy(
        &self,
        from: SocketAddr,
        seen: &Seen,
        (came, now): (Option<Calendar>, Instant),
    ) -> bool {
        if !seen.is_served {
            return came.is_some_and(|came| came.monotonic() < seen.moved);
        }
        let came = came.map_or(now, |came| came.monotonic());
        let is_repeated = || self.socket(seen).is_some_and(|socket| socket.repeat(from, came));
        is_repeated() || now.since(seen.moved) < COPY_US
    }

    /// The socket that the peer has, if this process opened it.
    fn socket(&self, seen: &Seen) -> Option<Arc<Line>> {
        self.sockets.get(seen.index).filter(|_| seen.is_served).and_then(Weak::upgrade)
    }

    fn open(&mut self, asked: Option<IpAddr>, from: SocketAddr) -> Result<Conversation, Errno> {
        let at = |port| match (asked, from) {
            (Some(ip), SocketAddr::V4(_)) => SocketAddr::new(ip, port),
            // The address of a link needs the link.
            (Some(IpAddr::V6(ip)), SocketAddr::V6(from)) => {
                SocketAddrV6::new(ip, port, 0, from.scope_id()).into()
            }
            (Some(_) | None, SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, port).into(),
            (None, SocketAddr::V4(_)) => (Ipv4Addr::UNSPECIFIED, port).into(),
        };
        let Some((first, last)) = self.door.ports else {
            return Conversation::with_client(at(0), from);
        };
        let count = u32::from(last - first) + 1;
        let mut why = Errno::EADDRINUSE;
        for _ in 0..count {
            let port = first + self.next_port;
            self.next_port = if port == last { 0 } else { self.next_port + 1 };
            match Conversation::with_client(at(port), from) {
                Err(Errno::EADDRINUSE) => why = Errno::EADDRINUSE,
                opened => return opened,
            }
        }
        Err(why)
    }
}
