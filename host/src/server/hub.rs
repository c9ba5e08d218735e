//! The steps of every event-loop model around its wait: accept, take turns, expire, stop.

use std::iter;
use std::os::fd::BorrowedFd;

use tracing::debug;
use windlass_core::time::Instant;

use super::common::{ACCEPT_BURST, Server};
use crate::drive::{After, Client, Jobs, Reports};
use crate::sys::clock;
use crate::sys::ready::{Interest, Ready, Token};

/// A server and its jobs. The model waits; the hub says for how long, and handles the result.
pub(super) struct Hub {
    pub(super) server: Server,
    pub(super) jobs: Jobs,
    /// The time, as of the last step. Each step reads the clock: the deadlines of its job count
    /// from there, however long the steps of others took.
    pub(super) now: Instant,
    /// Clients that may still be accepted before the next wait.
    burst: u32,
}

impl Hub {
    /// A hub for a wait that reports in this way.
    pub(super) fn new(server: Server, reports: Reports) -> Self {
        let jobs = Jobs::new(server.buffers_for_many(reports));
        Self { server, jobs, now: clock::now(), burst: ACCEPT_BURST }
    }

    /// The number of jobs, without those that only repeat their last answer.
    fn live(&self) -> usize {
        self.jobs.len() - self.jobs.repeating()
    }

    /// Whether the server is done.
    pub(super) fn is_over(&self) -> bool {
        self.server.is_over(self.now, self.live(), self.jobs.repeating())
    }

    /// How long to wait, in microseconds.
    pub(super) fn wait_us(&mut self) -> Option<u64> {
        let wake = self.jobs.wake(self.now);
        wake.min(self.server.acceptor.wake(self.now)).min(self.server.stop.wake()).wait_us(self.now)
    }

    /// Called after the wait.
    pub(super) fn woke(&mut self) {
        self.now = clock::now();
        self.burst = ACCEPT_BURST;
    }

    /// Handles the order to stop.
    pub(super) fn stopping(&mut self) {
        self.now = clock::now();
        self.server.stop.notice(self.now);
        if self.server.stop.is_requested() {
            self.server.acceptor.close();
            self.jobs.drain(self.now);
        }
    }

    /// Whether to watch the listener now.
    pub(super) fn wants_clients(&self) -> bool {
        self.server.acceptor.wants(self.now, self.live())
    }

    /// The next client in the queue, up to a burst of them.
    pub(super) fn accept(&mut self) -> Option<Client> {
        self.burst = self.burst.checked_sub(1)?;
        self.now = clock::now();
        let live = self.live();
        self.server.acceptor.accept(self.now, live)
    }

    /// Adds a client, and gives it its first turn, which may be its only one.
    pub(super) fn open(&mut self, client: Client) -> (Token, After) {
        self.now = clock::now();
        self.jobs.open(self.server.offer.open(client, self.now), self.now)
    }

    /// Gives a job its turn.
    pub(super) fn turn(&mut self, token: Token, ready: Ready) -> After {
        self.now = clock::now();
        let after = self.jobs.turn(token, ready, self.now);
        if let After::Gone(_) = after {
            self.server.acceptor.closed();
        }
        after
    }

    /// Drops a job that the kernel refused to watch.
    pub(super) fn lose(&mut self, token: Token, errno: crate::sys::Errno) {
        debug!(connection = token.index, "lost: {}", errno.desc());
        self.jobs.close(token, self.now);
        self.server.acceptor.closed();
    }

    /// The descriptors that are watched for input from beginning to end.
    pub(super) fn bells(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>)> {
        let stop = (Token::STOP, self.server.stop.socket());
        let helpers = self.jobs.bell().map(|bell| (Token::HELPERS, bell));
        iter::once(stop).chain(helpers)
    }

    /// All descriptors with their interests, for the models that pass them to every wait.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>, Interest)> {
        let listener = self.server.acceptor.socket().filter(|_| self.wants_clients());
        let own = self.bells().chain(listener.map(|listener| (Token::LISTENER, listener)));
        own.map(|(token, fd)| (token, fd, Interest::READ)).chain(self.jobs.iter())
    }
}
