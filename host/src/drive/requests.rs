//! The requests that arrive at a datagram listener: each one that is new gets a socket of its own.
//!
//! ```text
//!   listener ──▶ datagram ─┬─ no request: dropped
//!                          ├─ the peer asked the same a moment ago: answered again, from the same port
//!                          ├─ the peer asks for something else: its transfer ends
//!                          └─▶ a socket for the peer, bound to the address that was asked
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use windlass_core::time::Instant;

use crate::sys::Errno;
use crate::sys::datagram::batch::Batch;
use crate::sys::datagram::{Conversation, Line};
use crate::sys::listener::Listener;

/// How the requests of a listener are taken.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// Whether a datagram is a request. Others are dropped.
    pub is_request: fn(&[u8]) -> bool,
    /// The ports of transfers, the first and the last; without them the kernel chooses.
    pub ports: Option<(u16, u16)>,
}

/// Takes the requests of one listener.
pub(crate) struct Requests {
    door: Door,
    batch: Batch,
    /// The last request of each peer.
    known: HashMap<SocketAddr, Asked>,
    hasher: RandomState,
    next_port: u16,
}

/// A request of a peer.
struct Asked {
    digest: u64,
    at: Instant,
    line: Weak<Line>,
    /// Its transfer is over, in this process.
    over: Arc<AtomicBool>,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (f.debug_struct("Requests").field("door", &self.door).field("known", &self.known.len()))
            .finish_non_exhaustive()
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
const REQUEST_MAX: usize = 1500;

/// The longest request with the text of an address.
pub(crate) const NOTE_MAX: usize = REQUEST_MAX + 64;

/// Peers that are remembered at most.
const KNOWN_MAX: usize = 4096;

/// A copy of a request is no later than this, in microseconds: as long as the transfer goes on in a process
/// that this one does not see.
const COPY_US: u64 = 1_000_000;

/// Datagrams in a row that are no new request, before other descriptors have their turn.
const PASSED_OVER_MAX: u32 = 64;

impl Requests {
    /// Takes requests in this way.
    pub(crate) fn new(door: Door) -> Self {
        Self {
            door,
            batch: Batch::new(1, REQUEST_MAX),
            known: HashMap::new(),
            hasher: RandomState::new(),
            next_port: 0,
        }
    }

    /// The next request, with a socket for its transfer.
    pub(crate) fn next(&mut self, listener: &Listener, now: Instant) -> Request {
        for _ in 0..PASSED_OVER_MAX {
            match self.batch.receive(listener) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                // `EAGAIN`, or an error of what was sent.
                Err(_) => return Request::Nothing,
            }
            let Some(received) = self.batch.iter_mut().next() else { continue };
            let (cut, asked, peer) = (received.cut, received.asked, *received.peer);
            let request = received.datagram();
            if cut || !(self.door.is_request)(request) {
                continue;
            }
            let digest = self.hasher.hash_one(request);
            let request: Box<[u8]> = request.into();
            let Some(from) = peer.socket_addr() else { continue };
            if self.is_known(from, digest, now) {
                continue;
            }
            match self.open(asked, from) {
                Ok(socket) => {
                    self.remember(
                        from,
                        Asked {
                            digest,
                            at: now,
                            line: Arc::downgrade(socket.line()),
                            over: socket.line().over(),
                        },
                    );
                    return Request::New(socket, request);
                }
                Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                    return Request::Exhausted(errno);
                }
                // All ports are taken, or the address is gone: the peer asks again.
                Err(_) => {}
            }
        }
        Request::Nothing
    }

    /// Whether the peer has asked this before, and is being served. If it asked something else, that ends.
    fn is_known(&mut self, from: SocketAddr, digest: u64, now: Instant) -> bool {
        let Some(before) = self.known.get(&from) else { return false };
        let line = before.line.upgrade();
        if before.digest != digest {
            if let Some(line) = line {
                line.end();
            }
            return false;
        }
        let Some(line) = line else {
            let is_over = before.over.load(Ordering::Relaxed);
            return !is_over && now.since(before.at) < COPY_US;
        };
        if line.repeat(from) || now.since(line.moved().max(before.at)) < COPY_US {
            return true;
        }
        // It has begun anew, in the middle of the transfer.
        line.end();
        false
    }

    fn remember(&mut self, from: SocketAddr, asked: Asked) {
        if self.known.len() >= KNOWN_MAX {
            let now = asked.at;
            let counts = |it: &Asked| it.line.strong_count() > 0 || now.since(it.at) < COPY_US;
            self.known.retain(|_, asked| counts(asked));
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
        }
        self.known.insert(from, asked);
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
