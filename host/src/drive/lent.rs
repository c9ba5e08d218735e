//! The memory and the patience that a loop lends to the connection whose turn it is.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::pace::Pace;
use super::transmit::OpenFile;
use crate::sys::root::Root;

/// Buffers for one connection at a time, shared by all connections of a thread.
///
/// An idle connection has none of this: that is why ten thousand of them are cheap.
pub struct Lent {
    /// What a read fills.
    pub(super) input: Box<[u8]>,
    /// What a session renders into.
    pub(super) output: Box<[u8]>,
    pub(super) spare: Spare,
    pub(super) patience: Patience,
    /// Bytes that a connection may read in one turn before the others have theirs.
    pub(super) budget: usize,
    /// Where files are.
    pub(super) root: Option<Arc<Root>>,
    /// For a loop whose connections keep others from being served.
    crowded: Option<Crowded>,
}

/// What a read of a file fills. Zeroed pages cost nothing until they are used.
const FILE_BUFFER: usize = 128 * 1024;

/// How long a connection is waited for. `None` is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// Nothing moved for so long, in microseconds: the connection is cut.
    pub idle_us: Option<u64>,
    /// A request may take so long as a whole, in microseconds, at most [`REQUEST_MAX_US`]. A conversation
    /// has no requests.
    pub request_us: Option<u64>,
    /// Bytes a second that a peer takes at least while output waits for it. It has `idle_us` in all to
    /// catch up. `None`: one byte within `idle_us` is enough.
    pub min_rate: Option<NonZeroU32>,
    /// The same two limits while other clients wait and nobody is free to serve them, in microseconds.
    /// `None`: no other than at other times.
    pub busy_us: Option<u64>,
}

/// The longest limit of a request: half an hour.
pub const REQUEST_MAX_US: u64 = 1_800_000_000;

/// Whether clients wait that nobody is free to serve.
pub type Crowded = Box<dyn Fn() -> bool>;

impl Lent {
    /// For a loop that serves many connections: reads of 64 KiB, turns of 256 KiB.
    pub fn for_many(patience: Patience) -> Self {
        Self::with(64 * 1024, 16 * 1024, 256 * 1024, patience)
    }

    /// For a thread or process that serves one connection: it has buffers of its own, so less.
    pub fn for_one(patience: Patience) -> Self {
        Self::with(16 * 1024, 4 * 1024, 256 * 1024, patience)
    }

    /// For sessions that send files: those of this folder.
    pub fn set_root(&mut self, root: Option<Arc<Root>>) {
        if root.is_some() && self.input.len() < FILE_BUFFER {
            self.input = vec![0; FILE_BUFFER].into();
        }
        self.root = root;
    }

    fn with(input: usize, output: usize, budget: usize, patience: Patience) -> Self {
        Self {
            // Zeroed pages cost nothing until they are used.
            input: vec![0; input].into_boxed_slice(),
            output: vec![0; output].into_boxed_slice(),
            spare: Spare(Vec::new()),
            patience,
            budget,
            root: None,
            crowded: None,
        }
    }

    /// While `crowded` says so, connections have the patience of a busy server.
    #[must_use]
    pub fn watching(self, crowded: Crowded) -> Self {
        Self { crowded: self.patience.busy_us.and(Some(crowded)), ..self }
    }

    /// Whether connections may have the patience of a busy server.
    pub(super) fn hurries(&self) -> bool {
        self.crowded.is_some()
    }

    /// How often to look whether others wait, in microseconds, if that changes anything.
    pub(super) fn look_every_us(&self) -> Option<u64> {
        self.crowded.as_ref().and(self.patience.busy_us).map(|us| (us / 4).max(1_000))
    }

    /// Whether others wait.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.as_ref().is_some_and(|crowded| crowded())
    }
}

/// What a connection has only at times. What could not be handed on: output that the socket did not
/// take, input that the session did not take. Each is bounded by the buffers it came from, since nothing is read while it is held.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) output: Vec<u8>,
    /// Bytes of `output` that were sent.
    pub(super) sent: usize,
    pub(super) input: Vec<u8>,
    /// What a session sends a part of at a time.
    pub(super) file: Option<OpenFile>,
    /// How the peer keeps up, once the socket was full.
    pub(super) pace: Option<Pace>,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.output.len() && self.input.is_empty() && self.file.is_none()
    }
}

/// Spare backlogs, so that a slow reader costs no allocation after the first.
#[derive(Debug)]
pub(super) struct Spare(
    #[expect(clippy::vec_box, reason = "they move to connections and back")] Vec<Box<Held>>,
);

/// Spare backlogs kept at most. The memory of a crowd of slow readers is given back when they go.
const SPARE_MAX: usize = 16;

impl Spare {
    #[expect(clippy::unnecessary_box_returns, reason = "the box is what moves")]
    pub(super) fn take(&mut self) -> Box<Held> {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give_back(&mut self, held: Option<Box<Held>>) {
        if let Some(mut held) = held
            && self.0.len() < SPARE_MAX
        {
            held.output.clear();
            held.input.clear();
            held.sent = 0;
            held.file = None;
            held.pace = None;
            self.0.push(held);
        }
    }
}
