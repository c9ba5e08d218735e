//! All transfers of a listener at its own port: one socket, and a table of transfers by peer.
//!
//! ```text
//!   socket ──recvmmsg──▶ peer ──table──▶ its transfer
//!                          └── a request, and there is room: a new one
//! ```
//!
//! For clients behind NAT and for load balancers, which know one port of the server.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use windlass_core::fault::Fault;
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::Transfer;

use super::buffers::Buffers;
use super::exchange::Exchange;
use super::files::Answer;
use super::gate::Gate;
use super::gated::{Gated, Pass};
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
    terms: PortTerms,
    transfers: Table<Gated<Box<Exchange>>>,
    peers: HashMap<SocketAddr, Token>,
    /// Those that used up their turn.
    eager: Vec<Token>,
    /// Those that wait until there is room to send.
    blocked: Vec<Token>,
    readable: bool,
    draining: bool,
    rules: RulesId,
    wake: Wake,
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

impl SinglePort {
    /// Serves what arrives at `socket`.
    pub fn new(socket: Listener, terms: PortTerms) -> Self {
        socket.keep_errors(true);
        Self {
            line: Arc::new(Line::new(socket.into_fd())),
            terms,
            transfers: Table::default(),
            peers: HashMap::new(),
            eager: Vec::new(),
            blocked: Vec::new(),
            readable: true,
            draining: false,
            rules: RulesId::default(),
            wake: Wake::Never,
        }
    }

    /// Takes one batch to the transfers of its peers.
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
            let Some(&token) = self.peers.get(&peer) else { continue };
            if let Some(exchange) = self.transfers.get_mut(token) {
                exchange.job_mut().network_said(errno);
                self.give_turn(token, now, buffers);
            }
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
        if self.draining || self.transfers.len() >= self.terms.max {
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
                if let Some(at) = exchange.deadline(buffers) {
                    self.transfers.arm(token, at);
                }
            }
            Next::Again => self.eager.push(token),
            Next::Closed(_) => {
                let exchange = exchange.job_mut();
                let (peer, asked) = (exchange.peer(), exchange.asked());
                let next = exchange.take_next_request();
                self.transfers.remove(token);
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
        for _ in 0..BATCHES {
            if self.readable {
                self.receive(now, &mut batch, buffers);
            }
        }
        buffers.give_back_batch(batch);
        while let Some((token, _)) = self.transfers.expired(now, |it| it.deadline(buffers)) {
            self.give_turn(token, now, buffers);
        }
        self.wake = self.transfers.wake(now, |it| it.deadline(buffers));
    }
}

impl Turns for SinglePort {
    fn note(&mut self, ready: Ready) {
        self.readable |= ready.read || ready.dead;
        if ready.write || ready.dead {
            for token in std::mem::take(&mut self.blocked) {
                if let Some(exchange) = self.transfers.get_mut(token) {
                    exchange.note(Ready { write: true, ..Ready::NONE });
                    self.eager.push(token);
                }
            }
        }
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.note(ready);
        self.work(now, buffers);
        if self.draining && self.transfers.is_empty() {
            return Next::Closed(Ok(()));
        }
        if self.readable || !self.eager.is_empty() {
            Next::Again
        } else {
            Next::Wait(Interest { read: true, write: !self.blocked.is_empty() })
        }
    }

    fn rest(&mut self) -> Option<Interest> {
        // There is room as a rule.
        Some(Interest { read: true, write: true })
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

    /// Transfers go on to their end, and no other begins.
    fn drain(&mut self) -> bool {
        self.draining = true;
        true
    }

    fn abort(&mut self, _: Fault) {
        self.draining = true;
        self.transfers = Table::default();
    }
}

impl AsFd for SinglePort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}
