//! When to accept, and what to do if no descriptor is left.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use tracing::{debug, enabled, info, warn};
use windlass_core::time::{Instant, Wake};

use super::job::Client;
use super::ledger::{Incident, Ledger};
#[cfg(feature = "transfer")]
use super::requests::{Door, Request, Requests};
use crate::addr::{Address, Transport};
use crate::sys::Errno;
use crate::sys::listener::{Accepted, Listener};
use crate::totals::Count;

/// A listener with its limit.
///
/// At the limit, and when descriptors or memory have run out, the listener is not watched: the
/// clients wait in the kernel's queue, and no loop spins on a listener that it cannot serve. The
/// pause ends when a connection is closed, and after 100 ms in any case, because another process may
/// have released what the system lacked.
#[derive(Debug)]
pub struct Acceptor {
    /// `None` once the server drains.
    listener: Option<Listener>,
    max: usize,
    /// Accepting is not tried before this, or until fewer connections are open.
    resume: Option<(Instant, usize)>,
    /// A resource ran out, and the queue has not been empty since; it was logged once.
    exhausted: bool,
    /// The error of the resource that ran out, until the owner of the acceptor asks for it.
    news: Option<Errno>,
    /// Takes the requests of a datagram listener, if each has a socket of its own.
    #[cfg(feature = "transfer")]
    requests: Option<Box<Requests>>,
    /// Where clients are counted.
    ledger: Option<Arc<Ledger>>,
    /// Connections refused since `refused_at`, and when that was last logged.
    refused: u64,
    refused_at: Option<Instant>,
}

/// The longest pause, in microseconds.
const PAUSE_US: u64 = 100_000;

/// Microseconds between two lines about refused connections.
const SAY_EVERY_US: u64 = 1_000_000;

impl Acceptor {
    /// Accepts while fewer than `max` connections are open. Of a datagram socket the one client is all that
    /// arrives there.
    pub fn new(listener: Listener, max: usize) -> Self {
        let max = match listener.transport() {
            Transport::Stream => max,
            Transport::Datagram => 1,
        };
        Self::new_of(Some(listener), max)
    }

    /// Of a datagram listener: takes requests while fewer than `max` are served. Each is a client, with a socket
    /// of its own.
    #[cfg(feature = "transfer")]
    pub fn of_requests(listener: Listener, max: usize, door: Door) -> Self {
        let requests = Some(Box::new(Requests::new(door)));
        Self { requests, ..Self::new_of(Some(listener), max) }
    }

    /// Lets this number of threads take from a datagram socket.
    pub(crate) fn share_among(&mut self, threads: usize) {
        if self.max == 1 && self.transport() == Some(Transport::Datagram) {
            self.max = threads;
        }
    }

    /// What arrives at the listener, unless it was closed.
    pub fn transport(&self) -> Option<Transport> {
        self.listener.as_ref().map(Listener::transport)
    }

    fn new_of(listener: Option<Listener>, max: usize) -> Self {
        Self {
            listener,
            max,
            resume: None,
            exhausted: false,
            news: None,
            #[cfg(feature = "transfer")]
            requests: None,
            ledger: None,
            refused: 0,
            refused_at: None,
        }
    }

    /// Counts there.
    #[must_use]
    pub fn counting(self, ledger: Option<Arc<Ledger>>) -> Self {
        Self { ledger, ..self }
    }

    /// A client was accepted. Lines of processes that have ended are for those that serve the next ones.
    fn count(&self, count: Count) {
        if let Some(ledger) = &self.ledger {
            ledger.add(count, 1);
            ledger.make_room();
        }
    }

    /// Moves the listener to a new acceptor, for another loop. This one is closed.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let taken = Self::new_of(self.listener.take(), self.max).counting(self.ledger.clone());
        #[cfg(feature = "transfer")]
        let taken = Self { requests: self.requests.take(), ..taken };
        taken
    }

    /// The listener itself, unless it was closed.
    pub fn into_listener(self) -> Option<Listener> {
        self.listener
    }

    /// Its address, unless it was closed.
    pub fn address(&self) -> Option<&Address> {
        self.listener.as_ref().map(Listener::address)
    }

    /// The listening socket, unless it was closed.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Whether to watch the listener, with `live` connections open.
    pub fn wants(&self, now: Instant, live: usize) -> bool {
        let rested = self.resume.is_none_or(|(at, full)| at <= now || live < full);
        self.listener.is_some() && live < self.max && rested
    }

    /// When the pause ends; never if there is none. `accept(2)` needs a descriptor before it
    /// looks whether a client waits, so a pause may begin and end with an empty queue.
    pub fn wake(&self, now: Instant) -> Wake {
        self.resume.filter(|&(at, _)| at > now).map_or(Wake::Never, |(at, _)| Wake::At(at))
    }

    /// The next connection, if one may be accepted and one waits.
    pub fn accept(&mut self, now: Instant, live: usize) -> Option<Client> {
        if !self.wants(now, live) {
            return None;
        }
        match self.listener.as_ref()?.accept() {
            Accepted::Stream(stream) => {
                self.resume = None;
                self.count(Count::Accepted);
                if enabled!(tracing::Level::DEBUG) {
                    let peer = stream.peer().map(|peer| peer.to_string()).unwrap_or_default();
                    debug!(peer, live = live + 1, "accepted");
                }
                Some(Client::Stream(stream))
            }
            #[cfg(feature = "transfer")]
            Accepted::Datagrams if self.requests.is_some() => self.next_request(now, live),
            Accepted::Datagrams => {
                let socket = self.listener.as_ref()?.share();
                if socket.is_err() {
                    self.pause("accept", Errno::EMFILE, now, live);
                }
                socket.ok().map(Client::Port)
            }
            Accepted::Empty => {
                self.resume = None;
                if std::mem::take(&mut self.exhausted) {
                    info!(live, "clients are accepted again");
                }
                None
            }
            Accepted::Exhausted(errno) => {
                self.pause("accept", errno, now, live);
                None
            }
            Accepted::Closed => {
                if self.listener.as_ref().is_some_and(Listener::is_own) {
                    warn!("another process has shut the listener down: no more clients");
                } else {
                    // The process that gave it has stopped, and so may this one, by a signal that comes next.
                    info!("the listener was shut down: no more clients");
                }
                self.close();
                None
            }
        }
    }

    #[cfg(feature = "transfer")]
    fn next_request(&mut self, now: Instant, live: usize) -> Option<Client> {
        match self.requests.as_mut()?.next(self.listener.as_ref()?, now) {
            Request::New(socket, request) => {
                self.resume = None;
                self.count(Count::Accepted);
                debug!(peer = %socket.peer(), live = live + 1, "a request");
                Some(Client::Transfer { socket, request })
            }
            Request::Nothing => {
                self.resume = None;
                self.exhausted = false;
                None
            }
            Request::Exhausted(errno) => {
                self.pause("open a socket for a transfer", errno, now, live);
                None
            }
        }
    }

    /// A resource ran out while a client was added: `op` failed.
    #[cold]
    #[inline(never)]
    pub fn pause(&mut self, op: &str, errno: Errno, now: Instant, live: usize) {
        self.resume = Some((now.after(PAUSE_US), live));
        if !std::mem::replace(&mut self.exhausted, true) {
            self.news = Some(errno);
            warn!(live, "{op}: {}; clients wait until a connection is closed", errno.desc());
        }
    }

    /// The resource that ran out since the last call: once for each time that one did, however many
    /// clients wait.
    pub fn ran_out(&mut self) -> Option<Errno> {
        self.news.take()
    }

    /// A connection was closed: there may be room again.
    pub fn closed(&mut self) {
        self.resume = None;
    }

    /// Closes the connection of a client that cannot be served, which is dropped next. The client
    /// sees a clean end.
    #[cold]
    #[inline(never)]
    pub fn refuse(&mut self, client: &Client, why: &str, now: Instant) {
        client.turn_away();
        self.count(Count::Unserved);
        if let Some(ledger) = &self.ledger {
            ledger.remember(&Incident::of_client(Count::Unserved, now, client.address(), 0));
        }
        self.refused += 1;
        if self.refused_at.is_none_or(|at| now.since(at) >= SAY_EVERY_US) {
            self.refused_at = Some(now);
            warn!(refused = std::mem::take(&mut self.refused), "refused: {why}");
        }
    }

    /// In a forked child, which does not listen.
    pub fn leave_to_parent(self) {
        if let Some(listener) = self.listener {
            listener.close_copy();
        }
    }

    /// Stops listening: from now on connections are refused.
    pub fn close(&mut self) {
        self.listener = None;
        self.resume = None;
    }
}

#[cfg(test)]
mod tests;
