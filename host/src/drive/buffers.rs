//! The memory that a loop lends to a connection for its turn.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use tracing::warn;
use windlass_core::file::Refusal;

use super::backlog::Spare;
use super::digested::Digested;
use super::files::{Answer, FILE_BUFFER};
use super::helpers::Helpers;
use super::kept::Kept;
#[cfg(feature = "transfer")]
use super::layout::Layout;
use super::rules::{Rules, RulesId, TimeLimits};
use super::tally::Tally;
use crate::sys::datagram::batch::Batch;
use crate::sys::ready::Token;
use crate::totals::Count;

/// Buffers for one connection at a time, shared by all connections of a thread, and the rules
/// of its listeners.
///
/// An idle connection has no buffer, so ten thousand of them are cheap.
pub struct Buffers {
    /// The read buffer. It is empty while it is lent to a buffered stream.
    pub(super) input: Vec<u8>,
    /// The buffer that a session renders into.
    pub(super) output: Box<[u8]>,
    pub(super) spare: Spare,
    /// Small files that were sent lately.
    pub(super) kept: Kept,
    /// Digests of files that were computed lately.
    pub(super) digested: Digested,
    /// For datagrams that are received together; there once any are.
    batch: Option<Batch>,
    /// For datagrams of a transfer that leave together.
    #[cfg(feature = "transfer")]
    pub(super) layout: Layout,
    /// Bytes that a connection may read in one turn before the others have theirs.
    pub(super) budget: usize,
    pub(super) rules: Vec<Rules>,
    /// For each of them, where this thread counts.
    pub(super) tallies: Vec<Tally>,
    pub(super) reports: Reports,
    /// Bytes of one call at most, for a connection with a rate.
    pub(super) most: usize,
    /// Files are refused for this reason: the client of this turn has as much as it may have.
    pub(super) refusal: Option<Refusal>,
    /// The address of the client of this turn, if it came through a gate: a balancer may have named it.
    pub(super) client: Option<SocketAddr>,
    /// For a loop that must not wait for a file.
    pub(super) helpers: Option<Helpers<Answer>>,
    /// For a loop with connections that keep others from being served.
    overload: Option<Overload>,
}

/// Bytes of one read, in a loop that serves many.
pub(crate) const READ_SIZE: usize = 64 * 1024;

/// Bytes that a connection may read in one turn before the others have theirs.
pub(crate) const BUDGET: usize = 256 * 1024;

/// Datagrams that are received together.
const BATCH: usize = 64;

/// The longest datagram, in bytes.
const DATAGRAM_MAX: usize = 65_535;

/// How the wait of a loop reports a ready connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reports {
    /// As long as it is ready: level-triggered. A job that used up its budget waits like any other, and is
    /// reported again at once ([`Turns::rest`](super::Turns::rest)).
    WhileReady,
    /// When it becomes ready: edge-triggered. Bytes that a turn leaves need another turn.
    OnChange,
}

/// Whether clients wait while no worker is free.
pub type Overload = Box<dyn Fn() -> bool>;

impl Buffers {
    /// For a loop that serves many connections: reads of 64 KiB, turns of 256 KiB. `rules` are its first.
    pub fn for_many(rules: Rules, reports: Reports) -> Self {
        Self::with(READ_SIZE, 16 * 1024, rules, reports)
    }

    /// For a thread or process that serves one connection: it has its own buffers, so they are smaller.
    pub fn for_one(rules: Rules) -> Self {
        Self::with(16 * 1024, 4 * 1024, rules, Reports::OnChange)
    }

    fn with(input: usize, output: usize, rules: Rules, reports: Reports) -> Self {
        let mut buffers = Self {
            // Zeroed pages cost nothing until they are used.
            input: vec![0; input],
            output: vec![0; output].into_boxed_slice(),
            spare: Spare::default(),
            kept: Kept::default(),
            digested: Digested::default(),
            batch: None,
            #[cfg(feature = "transfer")]
            layout: Layout::default(),
            budget: BUDGET,
            rules: Vec::new(),
            tallies: Vec::new(),
            reports,
            most: usize::MAX,
            refusal: None,
            client: None,
            helpers: None,
            overload: None,
        };
        buffers.add_rules(rules);
        buffers
    }

    /// While `overload` says that clients wait, the time limits of a busy server apply.
    #[must_use]
    pub fn watching(self, overload: Overload) -> Self {
        let matters = self.rules.iter().any(|rules| rules.limits.busy_us.is_some());
        Self { overload: matters.then_some(overload), ..self }
    }

    /// Rules for one more listener, of at most 65,536 in a loop; the last of them holds for those after it.
    pub fn add_rules(&mut self, rules: Rules) -> RulesId {
        let id = RulesId(u16::try_from(self.rules.len()).unwrap_or(u16::MAX));
        self.rules.truncate(usize::from(u16::MAX));
        self.tallies.truncate(usize::from(u16::MAX));
        self.tallies.push(Tally::new(rules.ledger.clone()));
        self.rules.push(rules);
        self.make_room_for_files();
        id
    }

    /// The rules of a listener.
    pub fn rules(&self, id: RulesId) -> &Rules {
        &self.rules[usize::from(id.0)]
    }

    /// Where the jobs of a listener are counted.
    pub(super) fn tally(&self, id: RulesId) -> &Tally {
        &self.tallies[usize::from(id.0)]
    }

    /// A client of the loop's first listener was accepted.
    pub(crate) fn count_accepted(&self) {
        self.tally(RulesId::default()).add(Count::Accepted, 1);
    }

    /// The rules of a listener, to change them: for its connections from their next turn on.
    pub fn change_rules(&mut self, id: RulesId, change: impl FnOnce(&mut Rules)) {
        if let Some(rules) = self.rules.get_mut(usize::from(id.0)) {
            change(rules);
            if !self.tallies[usize::from(id.0)].is_of(rules.ledger.as_ref()) {
                self.tallies[usize::from(id.0)] = Tally::new(rules.ledger.clone());
            }
        }
        self.make_room_for_files();
    }

    /// Whether files are sent at all.
    fn has_root(&self) -> bool {
        self.rules.iter().any(|rules| rules.root.is_some())
    }

    fn make_room_for_files(&mut self) {
        if self.has_root() && self.input.len() < FILE_BUFFER {
            self.input = vec![0; FILE_BUFFER];
        }
    }

    /// Makes the read buffer at least as large as that of a loop.
    pub(super) fn make_room(&mut self) {
        if self.input.len() < READ_SIZE {
            self.input = vec![0; READ_SIZE];
        }
    }

    /// The read buffer, with room for blocks of a file.
    #[cfg(feature = "transfer")]
    pub(super) fn file_input(&mut self) -> &mut Vec<u8> {
        if self.input.len() < FILE_BUFFER {
            self.input = vec![0; FILE_BUFFER];
        }
        &mut self.input
    }

    /// The read buffer. A call that panicked may have kept it.
    pub(crate) fn input(&mut self) -> &mut Vec<u8> {
        if self.input.is_empty() {
            self.input = vec![0; READ_SIZE];
            self.make_room_for_files();
        }
        &mut self.input
    }

    /// Lends the read buffer to a stream, which keeps the bytes that its callback leaves.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(self.input())
    }

    /// Takes it back.
    pub(crate) fn give_back_input(&mut self, input: Vec<u8>) {
        self.input = input;
    }

    /// From now on helpers read what is not in the page cache, if files are sent at all. Their bell is to be
    /// watched as [`Token::HELPERS`]. Without helpers, a read of a file blocks.
    pub(crate) fn start_helpers(&mut self) -> Option<BorrowedFd<'_>> {
        if self.helpers.is_none() && self.has_root() {
            let helpers = Helpers::new().inspect_err(|errno| {
                warn!("open an eventfd: {}; files are read by the event loop", errno.desc());
            });
            self.helpers = helpers.ok();
        }
        self.bell()
    }

    /// Files are read by the loop itself.
    pub(crate) fn stop_helpers(&mut self) {
        self.helpers = None;
    }

    /// Is readable when helpers have answered.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.helpers.as_ref().map(Helpers::bell)
    }

    /// What helpers have answered, and to which jobs. Each of these has a turn then.
    pub(crate) fn answers(&self) -> Vec<(Token, Answer)> {
        self.helpers.as_ref().map(Helpers::answers).unwrap_or_default()
    }

    /// A job has its turn.
    pub(crate) fn begin_turn(&mut self, token: Token) {
        if let Some(helpers) = &mut self.helpers {
            helpers.current = token;
        }
    }

    /// Room for datagrams: the longest there are.
    pub(super) fn batch(&mut self) -> &mut Batch {
        self.batch.get_or_insert_with(|| Batch::new(BATCH, DATAGRAM_MAX))
    }

    /// Lends it to a callback.
    pub(crate) fn take_batch(&mut self) -> Batch {
        self.batch.take().unwrap_or_else(|| Batch::new(BATCH, DATAGRAM_MAX))
    }

    /// Takes it back.
    pub(crate) fn give_back_batch(&mut self, batch: Batch) {
        self.batch = Some(batch);
    }

    /// Whether the time limits of a busy server may apply.
    pub(super) fn hurries(&self) -> bool {
        self.overload.is_some()
    }

    /// How often to check whether other clients wait, in microseconds, if that has an effect.
    pub(super) fn look_every_us(&self, limits: &TimeLimits) -> Option<u64> {
        self.overload.as_ref().and(limits.busy_us).map(|us| (us / 4).max(1_000))
    }

    /// Whether other clients wait.
    pub(super) fn is_overloaded(&self) -> bool {
        self.overload.as_ref().is_some_and(|overload| overload())
    }
}
