//! Connecting to one of several addresses (RFC 8305, "Happy Eyeballs").
//!
//! ```text
//!  addresses   ──▶ 1st ─ 250 ms ─▶ 2nd ─ 250 ms ─▶ 3rd        the next one at once after a failure
//!                   │               │               │
//!                   ▼               ▼               ▼
//!                 the first that is connected wins, and the others are closed
//! ```
//!
//! No attempt is given up when the next one starts: the slow address may be the only one that works.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use tracing::debug;
use windlass_core::time::Instant;

use super::start::start;
use crate::sys::clock;
use crate::sys::poll::wait_for_output;
use crate::sys::stream::Stream;

/// The Connection Attempt Delay, as RFC 8305 8 recommends it.
const DELAY_US: u64 = 250_000;
/// The least delay there may be (RFC 8305 8).
const DELAY_MIN_US: u64 = 10_000;

/// Addresses that are told of in an error.
const TOLD_MAX: usize = 4;

/// Which address is next, and when.
#[derive(Debug)]
struct Order {
    waiting: VecDeque<SocketAddr>,
    next_at: Instant,
    /// Between two attempts: so short that all are tried before the deadline.
    delay_us: u64,
}

impl Order {
    /// Families alternate, and begin with that of the first address; within a family the order stays,
    /// which is the resolver's (RFC 6724).
    fn new(
        addresses: impl IntoIterator<Item = SocketAddr>,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        let [mut waiting, mut same, mut other] = [const { VecDeque::new() }; 3];
        let mut all = addresses.into_iter().peekable();
        let first_is_v4 = all.peek().is_some_and(SocketAddr::is_ipv4);
        for address in all {
            let family = if address.is_ipv4() == first_is_v4 { &mut same } else { &mut other };
            if !family.contains(&address) {
                family.push_back(address);
            }
        }
        while !(same.is_empty() && other.is_empty()) {
            waiting.extend(same.pop_front());
            waiting.extend(other.pop_front());
        }
        let share_us = deadline.since(now) / (waiting.len() as u64).max(1);
        let delay_us = share_us.clamp(DELAY_MIN_US, DELAY_US);
        Self { waiting, next_at: now, delay_us }
    }

    /// The address to try now, if it is time for one.
    fn due(&mut self, now: Instant) -> Option<SocketAddr> {
        if now < self.next_at {
            return None;
        }
        self.next_at = now.after(self.delay_us);
        self.waiting.pop_front()
    }

    /// An attempt failed: the next one need not wait.
    fn failed(&mut self, now: Instant) {
        self.next_at = now;
    }

    /// When the next attempt may start.
    fn next_at(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next_at)
    }
}

/// Why there is no connection: each address, and what happened there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoneAnswers(Vec<(SocketAddr, Errno)>);

impl NoneAnswers {
    /// The cause for an error: if there was one address, its reason alone.
    pub(super) fn into_cause(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self.0[..] {
            [] => Errno::EADDRNOTAVAIL.into(),
            [(_, errno)] => errno.into(),
            _ => self.into(),
        }
    }
}

impl fmt::Display for NoneAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "none of its {} addresses answers: ", self.0.len())?;
        for (n, (address, errno)) in self.0.iter().take(TOLD_MAX).enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}", address.ip(), errno.desc())?;
        }
        match self.0.len().saturating_sub(TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl std::error::Error for NoneAnswers {}

/// Connects to the first of `addresses` that answers before `deadline`.
pub(super) fn connect_first(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<Stream, NoneAnswers> {
    let mut order = Order::new(addresses, clock::now(), deadline);
    let mut open: Vec<(SocketAddr, Stream)> = Vec::new();
    let mut failed = Vec::new();
    loop {
        let now = clock::now();
        while let Some(address) = order.due(now) {
            debug!(%address, "connecting");
            match start(address) {
                Ok(stream) => open.push((address, stream)),
                Err(errno) => {
                    failed.push((address, errno));
                    order.failed(now);
                }
            }
        }
        if open.is_empty() && order.next_at().is_none() {
            return Err(NoneAnswers(failed));
        }
        // At the deadline they are looked at once more.
        let until = order.next_at().map_or(deadline, |next| next.min(deadline));
        let fds: Vec<_> = open.iter().map(|(_, stream)| stream.as_fd()).collect();
        let ready = wait_for_output(&fds, until);
        for n in ready.into_iter().rev() {
            let (address, stream) = open.swap_remove(n);
            match stream.connected() {
                Ok(()) => return Ok(stream),
                Err(errno) => {
                    failed.push((address, errno));
                    order.failed(clock::now());
                }
            }
        }
        if clock::now() >= deadline {
            let silent = open.into_iter().map(|(address, _)| address);
            let rest = silent.chain(order.waiting).map(|address| (address, Errno::ETIMEDOUT));
            return Err(NoneAnswers(failed.into_iter().chain(rest).collect()));
        }
    }
}

#[cfg(test)]
mod tests;
