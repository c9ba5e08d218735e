//! The peers that are served, as every process of the server knows them: lines in shared memory.
//!
//! ```text
//!   peer ──hash──▶ a set of lines ──▶ │ peer │ request │ turn │ moved │
//! ```
//!
//! A process that receives a request looks whether its peer is served, and takes a line if it is not. The transfer
//! writes there when it moved. If it dies, it moves no more, and the line is free. If all lines of a set are taken, the
//! one is given away that did not move for the longest time: then a copy of that request may start a transfer again,
//! and no transfer ends by it.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_core::time::Instant;

use crate::sys::shared::Shared;

/// The lines of a server. It has to be made before the first process is forked.
#[derive(Debug)]
pub struct Peers {
    /// `None` if there was no memory: then no peer is known.
    lines: Option<Shared<Line>>,
    hasher: RandomState,
}

/// What is known of one peer.
#[derive(Debug, Default)]
struct Line {
    /// A digest of its address; 0: the line is free.
    peer: AtomicU64,
    /// A digest of its request.
    request: AtomicU64,
    /// How often the line was taken: which transfer it is of.
    turn: AtomicU64,
    /// When it was taken, or the peer last answered something new, in microseconds.
    moved_us: AtomicU64,
}

/// A look at the line of a peer, or at one that it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The number of the line.
    pub(super) index: usize,
    peer: u64,
    request: u64,
    turn: u64,
    /// The peer is served.
    pub(super) is_served: bool,
    /// What it asks is what it is served.
    pub(super) is_same: bool,
    /// When that was begun, or moved last.
    pub(super) moved: Instant,
}

/// The right of a transfer to write to the line of its peer, for as long as no other one has taken it.
#[derive(Debug)]
pub(super) struct Mark {
    peers: Arc<Peers>,
    index: usize,
    peer: u64,
    turn: u64,
}

/// Lines in all, and those that a peer may have. A thousand peers leave no set full, as a rule.
const LINES: usize = 4096;
const WAYS: usize = 4;

impl Peers {
    /// Of a server.
    pub fn new() -> Self {
        Self { lines: Shared::new(LINES).ok(), hasher: RandomState::new() }
    }

    fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// What is known of a peer with this request.
    pub(super) fn look(&self, peer: SocketAddr, request: &[u8]) -> Seen {
        let (peer, request) = (self.digest(peer), self.hasher.hash_one(request));
        let unknown = Line::default();
        let lines = Self::set(peer).filter_map(|index| Some((index, self.lines().get(index)?)));
        let line = lines.min_by_key(|(_, line)| match line.peer.load(Ordering::Acquire) {
            known if known == peer => (0, 0),
            0 => (1, 0),
            _ => (2, line.moved_us.load(Ordering::Relaxed)),
        });
        let (index, line) = line.unwrap_or((0, &unknown));
        let is_served = line.peer.load(Ordering::Acquire) == peer;
        let is_same = is_served && line.request.load(Ordering::Relaxed) == request;
        let moved = Instant::from_micros(line.moved_us.load(Ordering::Relaxed));
        let turn = line.turn.load(Ordering::Relaxed);
        Seen { index, peer, request, turn, is_served, is_same, moved }
    }

    /// Takes the line for a new transfer; the one that had it, if it is the peer's, ends. False: another process
    /// has just taken it, for a copy of the request as a rule.
    pub(super) fn take(&self, seen: &Seen, now: Instant) -> bool {
        let Some(line) = self.lines().get(seen.index) else { return true };
        let (order, turn) = (Ordering::AcqRel, seen.turn);
        if line.turn.compare_exchange(turn, turn + 1, order, Ordering::Relaxed).is_err() {
            return false;
        }
        line.request.store(seen.request, Ordering::Relaxed);
        line.moved_us.store(now.as_micros(), Ordering::Relaxed);
        line.peer.store(seen.peer, Ordering::Release);
        true
    }

    /// It was taken, and there is no transfer.
    pub(super) fn give_back(&self, seen: &Seen) {
        if let Some(line) = self.lines().get(seen.index) {
            line.peer.store(0, Ordering::Release);
        }
    }

    /// The line of a peer, for the transfer that begins. `None`: it was given away.
    pub(super) fn mark(self: &Arc<Self>, peer: SocketAddr) -> Option<Mark> {
        let peer = self.digest(peer);
        let is_its = |line: &Line| line.peer.load(Ordering::Acquire) == peer;
        let index = Self::set(peer).find(|&index| self.lines().get(index).is_some_and(is_its))?;
        let turn = self.lines()[index].turn.load(Ordering::Relaxed);
        Some(Mark { peers: Arc::clone(self), index, peer, turn })
    }

    fn digest(&self, peer: SocketAddr) -> u64 {
        self.hasher.hash_one(peer) | 1
    }

    fn set(peer: u64) -> std::ops::Range<usize> {
        // The lowest bit is set.
        let first = (peer >> 1) as usize % (LINES / WAYS) * WAYS;
        first..first + WAYS
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Mark {
    fn line(&self) -> &Line {
        &self.peers.lines()[self.index]
    }

    fn is_mine(&self) -> bool {
        self.line().turn.load(Ordering::Acquire) == self.turn
    }

    /// The peer answered something new.
    pub(super) fn note_progress(&self, now: Instant) {
        if self.is_mine() {
            self.line().moved_us.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// Whether the peer has asked for something else.
    pub(super) fn is_replaced(&self) -> bool {
        !self.is_mine() && self.line().peer.load(Ordering::Acquire) == self.peer
    }

    /// The transfer is over: the same request begins another one.
    pub(super) fn set_over(&self) {
        if self.is_mine() {
            self.line().peer.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nth: u16) -> SocketAddr {
        ([127, 0, 0, 1], 1000 + nth).into()
    }

    fn taken(peers: &Peers, peer: SocketAddr, request: &[u8], us: u64) -> Seen {
        let seen = peers.look(peer, request);
        assert!(peers.take(&seen, Instant::from_micros(us)));
        peers.look(peer, request)
    }

    #[test]
    fn a_peer_is_known_until_its_transfer_is_over() {
        let peers = Arc::new(Peers::new());
        assert!(!peers.look(at(1), b"a").is_served);
        assert!(peers.mark(at(1)).is_none());
        let seen = taken(&peers, at(1), b"a", 7);
        assert!(seen.is_served && seen.is_same && !peers.look(at(1), b"b").is_same);
        assert_eq!(seen.moved, Instant::from_micros(7));
        assert!(!peers.look(at(2), b"a").is_served);
        let mark = peers.mark(at(1)).unwrap();
        mark.note_progress(Instant::from_micros(9));
        assert_eq!(peers.look(at(1), b"a").moved, Instant::from_micros(9));
        mark.set_over();
        assert!(!peers.look(at(1), b"a").is_served && !mark.is_replaced());
    }

    #[test]
    fn of_two_processes_with_copies_of_a_request_one_takes_it() {
        let peers = Peers::new();
        let (one, other) = (peers.look(at(1), b"a"), peers.look(at(1), b"a"));
        assert!(peers.take(&one, Instant::ZERO) && !peers.take(&other, Instant::ZERO));
        peers.give_back(&one);
        assert!(!peers.look(at(1), b"a").is_served);
    }

    #[test]
    fn another_request_ends_the_transfer_and_a_full_set_does_not() {
        let peers = Arc::new(Peers::new());
        taken(&peers, at(1), b"a", 0);
        let first = peers.mark(at(1)).unwrap();
        taken(&peers, at(1), b"b", 1);
        let second = peers.mark(at(1)).unwrap();
        assert!(first.is_replaced() && !second.is_replaced());
        // What the first one does now is not seen.
        first.note_progress(Instant::from_micros(50));
        first.set_over();
        assert_eq!(peers.look(at(1), b"b").moved, Instant::from_micros(1));
        for nth in 2..30_000 {
            taken(&peers, at(nth), b"a", 2);
        }
        assert!(!peers.look(at(1), b"b").is_served && !second.is_replaced());
    }
}
