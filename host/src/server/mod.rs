//! The servers: one service, one listener, one model of waiting for many clients.
//!
//! Each model is one file that reads like the page of a textbook that teaches it:
//!
//! | model | file | one process waits for | and gives each client |
//! |---|---|---|---|
//! | `iterative` | [`iterative`] | the listener, then the one client | its whole attention |
//! | `fork` | [`fork`] | the listener and its children | a process |
//! | `thread` | [`thread`] | the listener | a thread |
//! | `thread-pool` | [`thread_pool`] | the listener and the queue | a thread of the pool |
//! | `select` | [`select`] | a set of up to 1024 descriptors | a turn |
//! | `poll` | [`poll`] | an array of descriptors | a turn |
//! | `epoll` | [`epoll`] | what the kernel reports, while it lasts | a turn |
//! | `epoll-et` | [`epoll_et`] | what the kernel reports, once | turns until it is drained |
//! | `reactor` | [`reactor`] | what its event loop calls it for | a session in the loop |
//! | `pool-static` | [`pool_static`] | listener, workers, signals | an idle process |
//! | `prefork` | [`prefork`] | workers, signals, a bell | one of the processes that wait for it |
//!
//! No service knows its model and no model knows its service: between them is
//! [`drive`](crate::drive).

mod confine;
mod control;
mod crowd;
mod hub;
mod ready;
mod service;
mod spec;
mod stop;

pub mod epoll;
pub mod epoll_et;
pub mod fork;
pub mod iterative;
pub mod poll;
mod pool;
pub mod pool_static;
pub mod prefork;
pub mod reactor;
pub mod select;
pub mod supervise;
pub mod thread;
pub mod thread_pool;

pub use pool::{Pool, WORKERS_MAX};
pub use service::{Custom, Offer, Service};
pub use spec::{Files, Opened, Place, Spec};
pub use stop::{Stop, StopHandle};
pub use windlass_core::pool::Policy;

pub use crate::drive::REQUEST_MAX_US;

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};

use tracing::{debug, warn};
use windlass_core::fault::Fault;
use windlass_core::time::{Instant, Wake};

use crate::addr::Address;
use crate::drive::{Acceptor, Connection, Lent, Patience, Woken};
use crate::error::Result;
use crate::sys::clock;
use crate::sys::event::Event;
use crate::sys::listener::Listener;
use crate::sys::poll::wait_for_input;
use crate::sys::ready::Interest;
use crate::sys::stream::Stream;
use ready::WhenReady;

/// A model of serving many clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One client after another.
    Iterative,
    /// A process for each client.
    Fork,
    /// A thread for each client.
    Thread,
    /// Clients wait for one of a varying number of threads.
    ThreadPool,
    /// `select(2)`.
    Select,
    /// `poll(2)`.
    Poll,
    /// `epoll(7)`, level-triggered.
    Epoll,
    /// `epoll(7)`, edge-triggered.
    EpollEt,
    /// The event loop of [`crate::reactor`].
    Reactor,
    /// A fixed number of processes; the parent accepts and passes connections.
    PoolStatic,
    /// Processes that all accept on one listener; how many there are follows the load.
    Prefork,
}

impl Model {
    /// All models, in the order in which one learns them.
    pub const ALL: [Self; 11] = [
        Self::Iterative,
        Self::Fork,
        Self::Thread,
        Self::ThreadPool,
        Self::Select,
        Self::Poll,
        Self::Epoll,
        Self::EpollEt,
        Self::Reactor,
        Self::PoolStatic,
        Self::Prefork,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iterative => "iterative",
            Self::Fork => "fork",
            Self::Thread => "thread",
            Self::ThreadPool => "thread-pool",
            Self::Select => "select",
            Self::Poll => "poll",
            Self::Epoll => "epoll",
            Self::EpollEt => "epoll-et",
            Self::Reactor => "reactor",
            Self::PoolStatic => "pool-static",
            Self::Prefork => "prefork",
        }
    }

    /// The part of the process that has the listener, as its title and its log call it.
    pub fn part(self) -> String {
        let parent = if matches!(self, Self::PoolStatic | Self::Prefork) { " parent" } else { "" };
        format!("{}{parent}", self.name())
    }
}

/// The limits of a server. A peer can reach them and cannot pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at a time. The next ones wait in the kernel's queue.
    pub max_connections: usize,
    /// A connection on which nothing moved for so long, in microseconds, is cut. `None`: never.
    pub idle_us: Option<u64>,
    /// A request may take so long as a whole, in microseconds ([`Patience::request_us`]).
    pub request_us: Option<u64>,
    /// Bytes a second that a client takes at least ([`Patience::min_rate`]).
    pub min_rate: Option<NonZeroU32>,
    /// The patience while other clients wait and no worker is free ([`Patience::busy_us`]).
    pub busy_us: Option<u64>,
    /// Threads of the `thread-pool` model.
    pub threads: Policy,
    /// Workers of the process pools.
    pub pool: Pool,
    /// Workers of the process pools can do nothing but serve ([`sys::confine`](crate::sys::confine)), and
    /// children of `fork` gain no privileges.
    pub sandbox: bool,
}

impl Default for Limits {
    /// No limit to connections but the system's, a minute of patience, and confined workers.
    fn default() -> Self {
        Self {
            max_connections: usize::MAX,
            idle_us: Some(60_000_000),
            request_us: Some(30_000_000),
            min_rate: NonZeroU32::new(100),
            busy_us: Some(1_000_000),
            threads: Policy::default(),
            pool: Pool::default(),
            sandbox: true,
        }
    }
}

/// A service on a listener, before it runs under a model.
#[derive(Debug)]
pub struct Server {
    acceptor: Acceptor,
    offer: Offer,
    limits: Limits,
    stop: Stop,
    /// The socket to answer on when asked for the state, if the model can.
    control: Option<Listener>,
    when_ready: WhenReady,
    /// Connections taken since the last look at the other descriptors.
    in_a_row: u32,
}

/// Connections accepted before the server looks at anything else.
const ACCEPT_BURST: u32 = 64;

impl Server {
    /// A server that offers a service to whoever connects to `listener`, until `stop` says so.
    pub fn new(listener: Listener, offer: impl Into<Offer>, limits: Limits, stop: Stop) -> Self {
        Self {
            acceptor: Acceptor::new(listener, limits.max_connections),
            offer: offer.into(),
            limits,
            stop,
            control: None,
            when_ready: WhenReady::default(),
            in_a_row: 0,
        }
    }

    /// Answers on `listener` with the state of the server ([`crate::status`]). Of the models, the process
    /// pools do; the others close it.
    #[must_use]
    pub fn with_control(mut self, listener: Listener) -> Self {
        self.control = Some(listener);
        self
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> Option<&Address> {
        self.acceptor.address()
    }

    /// Serves until it is told to stop and has drained.
    ///
    /// # Errors
    /// A system call without which the model cannot go on. Nothing that a peer does is an error.
    pub fn run(self, model: Model) -> Result<()> {
        match model {
            Model::Iterative => iterative::serve(self),
            Model::Fork => fork::serve(self),
            Model::Thread => thread::serve(self),
            Model::ThreadPool => thread_pool::serve(self),
            Model::Select => select::serve(self),
            Model::Poll => poll::serve(self),
            Model::Epoll => epoll::serve(self),
            Model::EpollEt => epoll_et::serve(self),
            Model::Reactor => reactor::serve(self),
            Model::PoolStatic => pool_static::serve(self),
            Model::Prefork => prefork::serve(self),
        }
    }

    fn patience(&self) -> Patience {
        let Limits { idle_us, request_us, min_rate, busy_us, .. } = self.limits;
        Patience { idle_us, request_us, min_rate, busy_us }
    }

    /// Buffers for one connection.
    fn lend_one(&self) -> Lent {
        self.offer.equip(Lent::for_one(self.patience()))
    }

    /// Buffers for all connections of a loop.
    fn lend_many(&self) -> Lent {
        self.offer.equip(Lent::for_many(self.patience()))
    }

    fn open(&self, stream: Stream) -> Connection {
        Connection::new(stream, self.offer.open(), clock::now())
    }

    /// For the models that block at the listener: the next client, or `None` when there is
    /// something else to look at: a stop, a child, the bell, a time that came.
    fn next_client(&mut self, live: usize, bell: Option<&Event>, wake: Wake) -> Option<Stream> {
        let now = clock::now();
        let wanted = self.acceptor.wants(now, live);
        if self.in_a_row < ACCEPT_BURST
            && let Some(stream) = self.acceptor.accept(now, live)
        {
            self.in_a_row += 1;
            return Some(stream);
        }
        if wanted && !self.acceptor.wants(now, live) {
            // Something ran out just now: the caller may want to hear when a connection ends.
            return None;
        }
        // After a burst there may be more clients, so only look.
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

    /// For a model with one connection at a time: waits for it, and minds the stop meanwhile.
    fn wait_for(
        &mut self,
        socket: BorrowedFd<'_>,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Woken {
        let woken = self.stop.wait(socket, interest, deadline);
        if self.stop.is_requested() {
            self.acceptor.close();
        }
        woken
    }

    /// In a forked child: closes what is the parent's.
    fn leave_to_parent(self) {
        drop(self.stop);
        self.acceptor.leave_to_parent();
    }

    /// Whether the next step waits for a connection to end, with `live` of them open.
    fn awaits_an_end(&self, live: usize) -> bool {
        self.stop.is_requested() || !self.acceptor.wants(clock::now(), live)
    }

    /// Whether it has been told to stop and the last connection is done, or out of time.
    fn is_over(&self, now: Instant, live: usize) -> bool {
        let over = self.stop.is_over(now, live);
        if over && live > 0 {
            warn!(connections = live, "stopped before they were done");
        }
        over
    }
}

/// Says in the log how a connection ended.
fn log_end(how: std::result::Result<(), Fault>) {
    if let Err(fault) = how {
        debug!(%fault, "connection closed");
    }
}
