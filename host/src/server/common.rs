//! The parts that every model uses: a service on a listener, its limits, and its stop.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tracing::{debug, warn};
use windlass_core::fault::Fault;
use windlass_core::pool::Policy;
use windlass_core::time::{Instant, Wake};

use super::pool::Pool;
use super::ready::WhenReady;
use super::service::Offer;
use super::stop::Stop;
use super::web::Ending;
use crate::addr::Address;
use crate::drive::{Acceptor, Buffers, Client, Ledger, Reports, Rules, TimeLimits, Woken};
use crate::error::Result;
use crate::sys::clock;
use crate::sys::event::Event;
use crate::sys::listener::Listener;
use crate::sys::poll::wait_for_input;
use crate::sys::ready::Interest;

/// The limits of a server. A peer can reach them but not exceed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at a time. Further clients wait in the accept queue.
    pub max_connections: usize,
    /// The time limits of a connection.
    pub time: TimeLimits,
    /// Threads of the `thread-pool` model.
    pub threads: Policy,
    /// Workers of the process pools.
    pub pool: Pool,
    /// Workers of the process pools can only serve ([`sys::confine`](crate::sys::confine)), and
    /// children of `fork` gain no privileges.
    #[cfg(feature = "sandbox")]
    pub sandbox: bool,
}

impl Default for Limits {
    /// No limit on connections except that of the system, an idle timeout of a minute, and confined
    /// workers.
    fn default() -> Self {
        Self {
            max_connections: usize::MAX,
            time: TimeLimits {
                idle_us: Some(60_000_000),
                request_us: Some(30_000_000),
                min_rate: NonZeroU32::new(100),
                busy_us: Some(1_000_000),
            },
            threads: Policy::default(),
            pool: Pool::default(),
            #[cfg(feature = "sandbox")]
            sandbox: true,
        }
    }
}

/// A service on a listener, before it runs under a model.
#[derive(Debug)]
pub struct Server {
    pub(super) acceptor: Acceptor,
    pub(super) offer: Offer,
    pub(super) limits: Limits,
    pub(super) stop: Stop,
    /// The control socket, if the model has one.
    pub(super) control: Option<Listener>,
    pub(super) when_ready: WhenReady,
    /// Where clients are counted.
    pub(super) ledger: Option<Arc<Ledger>>,
    /// Connections accepted since the other descriptors were examined.
    in_a_row: u32,
}

/// Connections accepted before the server examines its other descriptors.
pub(super) const ACCEPT_BURST: u32 = 64;

impl Server {
    /// A server that offers a service to every client of `listener`, until `stop` says so.
    ///
    /// A datagram socket is served too, if the service and the model can ([`Offer::misfit`]).
    pub fn new(
        listener: Listener,
        offer: impl Into<Offer>,
        limits: Limits,
        mut stop: Stop,
    ) -> Self {
        let mut offer = offer.into();
        stop.log_to(offer.access_log().cloned().into_iter().collect());
        if offer.announces_ends()
            && let Some(flag) = stop.flag()
        {
            offer = offer.ending(Ending::Once(flag));
        }
        #[cfg(feature = "tls")]
        stop.renew(offer.credentials().cloned());
        listener.tell_destinations(!offer.answers_from_its_port());
        // The last process that served at this socket may have asked for them.
        listener.keep_errors(false);
        Self {
            acceptor: offer.acceptor(listener, limits.max_connections),
            offer,
            limits,
            stop,
            control: None,
            when_ready: WhenReady::default(),
            ledger: None,
            in_a_row: 0,
        }
    }

    /// Answers on `listener` with the state of the server ([`crate::status`]). Of the models the process pools
    /// do that, and the others close it: for them a supervisor can answer ([`supervise`](super::supervise)).
    #[cfg(feature = "status")]
    #[must_use]
    pub fn with_control(mut self, listener: Listener) -> Self {
        self.control = Some(listener);
        self
    }

    /// Counts its clients in `ledger`, which a process that outlives it can read.
    #[must_use]
    pub fn counting(mut self, ledger: Arc<Ledger>) -> Self {
        self.acceptor = self.acceptor.counting(Some(Arc::clone(&ledger)));
        self.ledger = Some(ledger);
        self
    }

    /// Calls `ready` once the server can take a client: it watches the listener, and its first
    /// thread or worker is there. An error of the call ends the server.
    #[must_use]
    pub fn when_ready(mut self, call: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        self.when_ready = WhenReady::call(call);
        self
    }

    /// The address of the listener, with the real port.
    pub fn address(&self) -> Option<&Address> {
        self.acceptor.address()
    }

    /// The limits of its clients.
    pub(super) fn rules(&self) -> Rules {
        Rules { ledger: self.ledger.clone(), ..self.offer.rules(self.limits.time) }
    }

    /// Buffers for all clients of a loop with a wait that reports as said.
    pub(super) fn buffers_for_many(&self, reports: Reports) -> Buffers {
        Buffers::for_many(self.rules(), reports)
    }

    /// For the models that block at the listener: the next client, or `None` if there is
    /// something else to do: a stop, a child, the bell, a deadline.
    pub(super) fn next_client(
        &mut self,
        live: usize,
        bell: Option<&Event>,
        wake: Wake,
    ) -> Option<Client> {
        let now = clock::now();
        let wanted = self.acceptor.wants(now, live);
        if self.in_a_row < ACCEPT_BURST
            && let Some(client) = self.acceptor.accept(now, live)
        {
            self.in_a_row += 1;
            return Some(client);
        }
        if wanted && !self.acceptor.wants(now, live) {
            // A resource ran out: the caller may have to be told when a connection ends.
            return None;
        }
        // After a burst there may be more clients, so do not wait.
        let wake = if self.in_a_row == ACCEPT_BURST { Wake::Now } else { wake };
        self.in_a_row = 0;
        let listener = self.acceptor.socket().filter(|_| self.acceptor.wants(now, live));
        let bell_socket = bell.map(AsFd::as_fd);
        let wake = wake.min(self.acceptor.wake(now)).min(self.stop.wake());
        let watched = [Some(self.stop.socket()), bell_socket, listener];
        let [stop, bell_rang, _] = wait_for_input(watched, wake.wait_us(now));
        if stop {
            self.stop.notice(clock::now());
        }
        if bell_rang {
            bell.map(Event::take);
            self.acceptor.closed();
        }
        if self.stop.is_requested() {
            self.acceptor.close();
        }
        None
    }

    /// For a model with one connection at a time: waits for it, and handles the stop meanwhile.
    pub(super) fn wait_for(
        &mut self,
        socket: BorrowedFd<'_>,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Woken {
        let running = !self.stop.is_requested();
        let woken = self.stop.wait(socket, interest, deadline);
        if self.stop.is_requested() {
            self.acceptor.close();
            if running && !matches!(woken, Woken::Cut) {
                return Woken::Drain;
            }
        }
        woken
    }

    /// In a forked child: closes the descriptors of the parent.
    pub(super) fn leave_to_parent(self) {
        drop(self.stop);
        self.acceptor.leave_to_parent();
    }

    /// Whether the next step waits for a connection to end, with `live` of them open.
    pub(super) fn awaits_an_end(&self, live: usize) -> bool {
        self.stop.is_requested() || !self.acceptor.wants(clock::now(), live)
    }

    /// Whether the server was told to stop, and the last connection is done or out of time. Those that only repeat
    /// their last answer are not among the `live` ones.
    pub(super) fn is_over(&self, now: Instant, live: usize, repeating: usize) -> bool {
        let over = self.stop.is_over(now, live, repeating);
        if over && live > 0 {
            warn!(connections = live, "the server ends before its connections");
        }
        over
    }
}

/// Logs how a connection ended.
pub(super) fn log_end(how: std::result::Result<(), Fault>) {
    if let Err(fault) = how {
        debug!(%fault, "connection closed");
    }
}
