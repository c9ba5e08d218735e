//! All transfers of a listener at its own port: one socket, and a table of transfers by peer.
//!
//! ```text
//!   socket ──recvmmsg──▶ peer ──table──▶ its transfer
//!                          └── a request, and there is room: a new one
//! ```
//!
//! For clients behind NAT and for load balancers, which know one port of the server. When the port drains, each
//! transfer gets an inlet of its own ([`Inlets`]), and the port is the next process's.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tracing::warn;
use windlass_core::fault::Fault;
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::Transfer;

use super::buffers::Buffers;
use super::exchange::Exchange;
use super::files::Answer;
use super::gate::Gate;
use super::gated::{Gated, Pass};
use super::inlets::Inlets;
use super::requests::REQUEST_MAX;
use super::rules::RulesId;
use super::table::Table;
use super::turns::{Next, Turns};
use crate::sys::Errno;
use crate::sys::datagram::batch::Batch;
use crate::sys::datagram::{Conversation, Line, take_error};
use crate::sys::listener::Listener;
use crate::sys::ready::{Interest, Ready, Token};
use crate::totals::Count;

/// The transfers at one port.
pub struct SinglePort {
    line: Arc<Line>,
    inlets: Inlets,
    terms: PortTerms,
    transfers: Table<Gated<Box<Exchange>>>,
    peers: HashMap<SocketAddr, Token>,
    /// Those that used up their turn.
    eager: Vec<Token>,
    /// Those that wait until there is room to send.
    blocked: Vec<Token>,
    /// What the loop has reported since the last turn.
    noted: Ready,
    readable: bool,
    drain: Drain,
    rules: RulesId,
    wake: Wake,
}

/// Whether the port is still this process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// The server runs.
    No,
    /// It was told to stop: what has arrived is taken, no more than so many batches.
    LastBatches(u32),
    /// The port is left to another process, if each transfer has an inlet.
    Left,
}

/// How a port serves its transfers.
pub struct PortTerms {
    /// Whether a datagram is a request. Others of unknown peers are dropped.
    pub is_request: fn(&[u8]) -> bool,
    /// Makes what serves one request.
    pub make: Box<dyn Fn() -> Box<dyn Transfer + Send> + Send>,
    /// A client may replace files.
    pub overwrite: bool,
    /// Transfers at once.
    pub max: usize,
    /// Which clients are served.
    pub(crate) gate: Option<Arc<Gate>>,
}

/// The number of batches in one turn.
const BATCHES: usize = 4;

/// The number of batches that are taken from a port before it is left. Its queue has no more as a rule.
const LAST_BATCHES: u32 = 64;

impl SinglePort {
    /// Serves what arrives at `socket`.
    pub fn new(socket: Listener, terms: PortTerms) -> Self {
        socket.keep_errors(true);
        let line = Arc::new(Line::new(socket.into_fd()));
        Self {
            inlets: Inlets::new(Arc::clone(&line)),
            line,
            terms,
            transfers: Table::default(),
            peers: HashMap::new(),
            eager: Vec::new(),
            blocked: Vec::new(),
            noted: Ready::NONE,
            readable: true,
            drain: Drain::No,
            rules: RulesId::default(),
            wake: Wake::Never,
        }
    }

    /// Takes one batch of the port to the transfers of its peers.
    fn receive(&mut self, now: Instant, batch: &mut Batch, buffers: &mut Buffers) {
        match batch.receive(&*self.line) {
            Ok(_) => self.readable = batch.is_full(),
            Err(Errno::EINTR) => return,
            Err(errno) => {
                // Behind an error of the network there may be datagrams.
                self.readable = errno != Errno::EAGAIN;
                self.network_said(now, buffers);
                return;
            }
        }
        self.deliver(now, batch, buffers);
    }

    /// Takes what came for the transfer of one peer.
    fn receive_by_inlet(
        &mut self,
        token: Token,
        now: Instant,
        batch: &mut Batch,
        buffers: &mut Buffers,
    ) {
        let Some(inlet) = self.inlets.get(token) else { return };
        match batch.receive(&inlet) {
            // The first datagrams may be of other peers.
            Ok(_) => self.deliver(now, batch, buffers),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => self.peer_is_gone(token, errno, now, buffers),
        }
    }

    fn deliver(&mut self, now: Instant, batch: &mut Batch, buffers: &mut Buffers) {
        let mut touched: Vec<Token> = Vec::new();
        for received in batch.iter_mut() {
            let Some(peer) = received.peer.socket_addr() else { continue };
            let known = self.peers.get(&peer).copied();
            let token = match known.filter(|&token| self.transfers.get(token).is_some()) {
                Some(token) => {
                    if let Some(exchange) = self.transfers.get_mut(token) {
                        exchange.job_mut().deliver(received.datagram());
                    }
                    Some(token)
                }
                None if received.len > REQUEST_MAX => None,
                None if !(self.terms.is_request)(received.datagram()) => None,
                None => {
                    let request = received.datagram().into();
                    self.open((peer, received.asked), request, now, buffers)
                }
            };
            if let Some(token) = token.filter(|token| touched.last() != Some(token)) {
                touched.push(token);
            }
        }
        for token in touched {
            self.give_turn(token, now, buffers);
        }
    }

    /// A peer that is gone frees its place at once.
    fn network_said(&mut self, now: Instant, buffers: &mut Buffers) {
        while let Some((errno, peer)) = take_error(&*self.line) {
            if let Some(&token) = self.peers.get(&peer) {
                self.peer_is_gone(token, errno, now, buffers);
            }
        }
    }

    fn peer_is_gone(&mut self, token: Token, errno: Errno, now: Instant, buffers: &mut Buffers) {
        if let Some(exchange) = self.transfers.get_mut(token) {
            exchange.job_mut().network_said(errno);
            self.give_turn(token, now, buffers);
        }
    }

    /// Begins a transfer, if there is room for it. Without an answer the client asks again.
    fn open(
        &mut self,
        (peer, asked): (SocketAddr, Option<IpAddr>),
        request: Box<[u8]>,
        now: Instant,
        buffers: &Buffers,
    ) -> Option<Token> {
        let live = self.transfers.len() - self.transfers.aside();
        if self.drain == Drain::Left || live >= self.terms.max {
            return None;
        }
        buffers.tally(self.rules).add(Count::Accepted, 1);
        let socket = Conversation::at_port(Arc::clone(&self.line), asked, peer);
        let (machine, overwrite) = ((self.terms.make)(), self.terms.overwrite);
        let exchange = Exchange::serving(socket, machine, request, overwrite, now);
        let pass = self
            .terms
            .gate
            .as_ref()
            .map_or(Pass::Free, |gate| Pass::of(gate, Some(peer.ip()), true, now));
        let log = self.terms.gate.as_ref().and_then(|gate| gate.log());
        let mut exchange = Gated::new(Box::new(exchange), pass, Some(peer)).noted(log, now);
        exchange.set_rules(self.rules);
        let token = self.transfers.insert(exchange, ());
        self.peers.insert(peer, token);
        if self.drain != Drain::No {
            // What cannot have one shares the port.
            let _ = self.inlets.open(token, asked, peer);
        }
        Some(token)
    }

    fn give_turn(&mut self, token: Token, now: Instant, buffers: &mut Buffers) {
        let Some(exchange) = self.transfers.get_mut(token) else { return };
        let mark = |part, answer| Answer::OfPart(part, Box::new(answer));
        buffers.helpers.iter_mut().for_each(|helpers| helpers.part = Some((token, mark)));
        let next = exchange.turn(Ready::NONE, now, buffers);
        buffers.helpers.iter_mut().for_each(|helpers| helpers.part = None);
        match next {
            Next::Wait(interest) => {
                if interest.write && !self.blocked.contains(&token) {
                    self.blocked.push(token);
                }
                let only_repeats = exchange.only_repeats();
                if let Some(at) = exchange.deadline(buffers) {
                    self.transfers.arm(token, at);
                }
                if only_repeats {
                    self.transfers.set_aside(token);
                }
            }
            Next::Again => self.eager.push(token),
            Next::Closed(_) => {
                let exchange = exchange.job_mut();
                let (peer, asked) = (exchange.peer(), exchange.asked());
                let next = exchange.take_next_request();
                self.transfers.remove(token);
                self.inlets.close(token);
                self.peers.remove(&peer);
                // The peer begins anew: a device that has rebooted.
                if let Some(token) =
                    next.and_then(|next| self.open((peer, asked), next, now, buffers))
                {
                    self.give_turn(token, now, buffers);
                }
            }
        }
    }

    fn work(&mut self, now: Instant, buffers: &mut Buffers) {
        for token in std::mem::take(&mut self.eager) {
            self.give_turn(token, now, buffers);
        }
        let mut batch = buffers.take_batch();
        self.look(now, &mut batch, buffers);
        for _ in 0..BATCHES {
            if self.readable {
                self.receive(now, &mut batch, buffers);
                self.count_last_batches();
            }
        }
        buffers.give_back_batch(batch);
        while let Some((token, _)) = self.transfers.expired(now, |it| it.deadline(buffers)) {
            self.give_turn(token, now, buffers);
        }
        self.wake = self.transfers.wake(now, |it| it.deadline(buffers));
    }
}

impl SinglePort {
    /// Looks where the datagrams are, after the loop has reported some.
    fn look(&mut self, now: Instant, batch: &mut Batch, buffers: &mut Buffers) {
        let noted = std::mem::replace(&mut self.noted, Ready::NONE);
        if !noted.any() {
            return;
        }
        let (port, peers) = self.inlets.ready(noted);
        // Errors are kept by the port for all.
        self.readable |= (port.read && !self.is_left()) || port.dead;
        if port.write || port.dead {
            for token in std::mem::take(&mut self.blocked) {
                if let Some(exchange) = self.transfers.get_mut(token) {
                    exchange.note(Ready { write: true, ..Ready::NONE });
                    self.give_turn(token, now, buffers);
                }
            }
        }
        for token in peers {
            self.receive_by_inlet(token, now, batch, buffers);
        }
    }

    /// While a transfer has no inlet, the port is read for it.
    fn is_left(&self) -> bool {
        self.drain == Drain::Left && self.inlets.len() >= self.transfers.len()
    }

    fn count_last_batches(&mut self) {
        if let Drain::LastBatches(left) = self.drain {
            let left = if self.readable { left.saturating_sub(1) } else { 0 };
            self.drain = if left > 0 { Drain::LastBatches(left) } else { Drain::Left };
        }
    }

    fn interest(&self, write: bool) -> Interest {
        Interest { read: !self.is_left(), write }
    }
}

impl Turns for SinglePort {
    fn note(&mut self, ready: Ready) {
        self.noted |= ready;
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.note(ready);
        self.work(now, buffers);
        if self.drain == Drain::Left && self.transfers.is_empty() {
            return Next::Closed(Ok(()));
        }
        if self.readable || !self.eager.is_empty() {
            Next::Again
        } else {
            Next::Wait(self.inlets.watch(self.interest(!self.blocked.is_empty())))
        }
    }

    fn rest(&mut self) -> Option<Interest> {
        // There is room as a rule.
        Some(self.inlets.watch(self.interest(true)))
    }

    fn deadline(&self, _: &Buffers) -> Option<Instant> {
        match self.wake {
            Wake::Now => Some(Instant::ZERO),
            Wake::At(at) => Some(at),
            Wake::Never => None,
        }
    }

    fn look_every_us(&self, _: &Buffers) -> Option<u64> {
        None
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
    }

    fn came(&mut self, answer: Answer) {
        if let Answer::OfPart(token, answer) = answer
            && let Some(exchange) = self.transfers.get_mut(token)
        {
            exchange.came(*answer);
            self.eager.push(token);
        }
    }

    /// What has arrived is taken. Transfers go on to their end, and no other begins.
    fn drain(&mut self) -> bool {
        if self.drain != Drain::No {
            return true;
        }
        (self.drain, self.readable) = (Drain::LastBatches(LAST_BATCHES), true);
        let mut failed = None;
        for (token, exchange) in self.transfers.iter_mut() {
            let exchange = exchange.job_mut();
            let opened = self.inlets.open(token, exchange.asked(), exchange.peer());
            failed = opened.err().or(failed);
        }
        if let Some(errno) = failed {
            let why = errno.desc();
            warn!(
                "transfers share the port with the next process, and datagrams are lost: open a socket for each: {why}"
            );
        }
        true
    }

    fn only_repeats(&self) -> bool {
        self.drain == Drain::Left && self.transfers.aside() == self.transfers.len()
    }

    fn abort(&mut self, _: Fault) {
        self.drain = Drain::Left;
        self.transfers = Table::default();
    }
}

impl AsFd for SinglePort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inlets.as_fd()
    }
}
