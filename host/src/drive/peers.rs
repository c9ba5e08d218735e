//! The peers that are served, as every process of the server knows them: lines in shared memory.
//!
//! ```text
//!   peer ──hash──▶ a set of lines ──▶ │ peer, request, turn │ moved │
//! ```
//!
//! A process that receives a request looks whether its peer is served, and takes a line if it is not. The transfer
//! writes there when it moved. If it dies, it moves no more, and the line is free. The line of a transfer that is
//! over stays until it is needed, so that a copy of the request that came before, and is received after, is known.
//! If all lines of a set are taken, the one is given away that did not move for the longest time: then a copy of
//! that request may start a transfer again, and no transfer ends by it.

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
    /// A [`Word`]: one exchange of it decides which of several processes has the request.
    word: AtomicU64,
    /// When it was taken, or the peer was last sent something new, in microseconds: of one that is over, this is
    /// before the peer had all.
    moved_us: AtomicU64,
}

/// A digest of the peer, a digest of its request, how often the line was taken, and whether its transfer is over.
/// Of a line that is free only the count is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u64);

/// A look at the line of a peer, or at one that it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The number of the line.
    pub(super) index: usize,
    /// What was there, and what is there when the line is taken.
    found: Word,
    taken: Word,
    /// The peer is served.
    pub(super) is_served: bool,
    /// What it asks is what it is served, or was served last.
    pub(super) is_same: bool,
    /// When that was begun, or moved last.
    pub(super) moved: Instant,
}

/// The right of a transfer to write to the line of its peer, for as long as no other one has taken it.
#[derive(Debug)]
pub(super) struct Mark {
    peers: Arc<Peers>,
    index: usize,
    word: Word,
}

/// Lines in all, and those that a peer may have. A thousand peers leave no set full, as a rule.
const LINES: usize = 4096;
const WAYS: usize = 4;

impl Word {
    const OVER: u64 = 1;
    const TURN: u64 = 0xfff << 1;
    const REQUEST: u64 = 0x7_ffff << 13;
    const PEER: u64 = 0xffff_ffff << 32;

    /// Of this peer and its request, in a line that has this word.
    fn after(found: Self, peer: u64, request: u64) -> Self {
        let turn = (found.0 & Self::TURN).wrapping_add(Self::OVER << 1) & Self::TURN;
        Self(peer | (request & Self::REQUEST) | turn)
    }

    fn freed(self) -> Self {
        Self(self.0 & Self::TURN)
    }

    fn over(self) -> Self {
        Self(self.0 | Self::OVER)
    }

    fn peer(self) -> u64 {
        self.0 & Self::PEER
    }

    fn is_over(self) -> bool {
        self.0 & Self::OVER != 0
    }
}

impl Peers {
    /// Of a server.
    pub fn new() -> Self {
        Self { lines: Shared::new(LINES).ok(), hasher: RandomState::new() }
    }

    fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// What is known of a peer with this request.
    pub(super) fn look(&self, from: SocketAddr, request: &[u8]) -> Seen {
        let ((peer, set), request) = (self.place(from), self.hasher.hash_one(request));
        let lines = set.filter_map(|index| Some((index, self.lines().get(index)?)));
        let lines = lines.map(|(index, line)| {
            let word = Word(line.word.load(Ordering::Acquire));
            (index, word, line.moved_us.load(Ordering::Relaxed))
        });
        let line = lines.min_by_key(|&(_, word, moved_us)| match word {
            known if known.peer() == peer => (0, 0),
            free if free.peer() == 0 => (1, 0),
            other => (if other.is_over() { 2 } else { 3 }, moved_us),
        });
        let (index, found, moved_us) = line.unwrap_or((0, Word(0), 0));
        let taken = Word::after(found, peer, request);
        let is_its = found.peer() == peer;
        Seen {
            index,
            found,
            taken,
            is_served: is_its && !found.is_over(),
            is_same: is_its && (found.0 ^ taken.0) & Word::REQUEST == 0,
            moved: Instant::from_micros(moved_us),
        }
    }

    /// Takes the line for a new transfer; the one that had it, if it is the peer's, ends. False: another process
    /// has just taken it, for a copy of the request as a rule. Look again.
    pub(super) fn take(&self, seen: &Seen, now: Instant) -> bool {
        let Some(line) = self.lines().get(seen.index) else { return true };
        // First: to a process that sees the line taken, it has just moved.
        line.moved_us.store(now.as_micros(), Ordering::Relaxed);
        line.exchange(seen.found, seen.taken)
    }

    /// It was taken, and there is no transfer.
    pub(super) fn give_back(&self, seen: &Seen) {
        if let Some(line) = self.lines().get(seen.index) {
            line.exchange(seen.taken, seen.taken.freed());
        }
    }

    /// The line of a peer, for the transfer that begins. `None`: it was given away.
    pub(super) fn mark(self: &Arc<Self>, peer: SocketAddr) -> Option<Mark> {
        let (peer, mut set) = self.place(peer);
        set.find_map(|index| {
            let word = Word(self.lines().get(index)?.word.load(Ordering::Acquire));
            let is_its = word.peer() == peer && !word.is_over();
            is_its.then(|| Mark { peers: Arc::clone(self), index, word })
        })
    }

    /// The digest of a peer, and its lines.
    fn place(&self, peer: SocketAddr) -> (u64, std::ops::Range<usize>) {
        let hash = self.hasher.hash_one(peer);
        let first = hash as usize % (LINES / WAYS) * WAYS;
        // None is that of a free line.
        ((hash & Word::PEER).max(1 << 32), first..first + WAYS)
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    fn exchange(&self, found: Word, new: Word) -> bool {
        self.word.compare_exchange(found.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl Mark {
    fn line(&self) -> &Line {
        &self.peers.lines()[self.index]
    }

    fn word(&self) -> Word {
        Word(self.line().word.load(Ordering::Acquire))
    }

    /// The peer is sent something new.
    pub(super) fn note_progress(&self, now: Instant) {
        if self.word() == self.word {
            self.line().moved_us.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// Whether the peer has asked for something else.
    pub(super) fn is_replaced(&self) -> bool {
        let word = self.word();
        word.peer() == self.word.peer() && word.over() != self.word.over()
    }

    /// The transfer is over: the same request begins another one.
    pub(super) fn set_over(&self) {
        self.line().exchange(self.word, self.word.over());
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
        let seen = peers.look(at(1), b"a");
        assert!(!seen.is_served && seen.is_same && !mark.is_replaced());
        assert_eq!(seen.moved, Instant::from_micros(9));
        assert!(!peers.look(at(1), b"b").is_same && peers.mark(at(1)).is_none());
        taken(&peers, at(1), b"a", 10);
        assert!(mark.is_replaced() && peers.mark(at(1)).is_some());
    }

    #[test]
    fn of_two_processes_with_copies_of_a_request_one_takes_it() {
        let peers = Peers::new();
        let (one, other) = (peers.look(at(1), b"a"), peers.look(at(1), b"a"));
        assert!(peers.take(&one, Instant::ZERO) && !peers.take(&other, Instant::ZERO));
        peers.give_back(&one);
        let seen = peers.look(at(1), b"a");
        assert!(!seen.is_served && !seen.is_same);
        assert!(!peers.take(&other, Instant::ZERO), "it looked before");
    }

    #[test]
    fn of_many_threads_with_copies_of_a_request_one_takes_it() {
        let peers = Peers::new();
        for nth in 0..500 {
            let request = || {
                let seen = peers.look(at(nth), b"a");
                !seen.is_served && peers.take(&seen, Instant::ZERO)
            };
            let taken = std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| scope.spawn(request));
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{nth}");
        }
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
