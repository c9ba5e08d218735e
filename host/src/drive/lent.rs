//! The memory and the patience that a loop lends to the connection whose turn it is.

use std::sync::Arc;

use windlass_core::time::Instant;

use super::transmit::OpenFile;
use crate::sys::root::Root;

/// Buffers for one connection at a time, shared by all connections of a thread.
///
/// An idle connection has none of this: that is why ten thousand of them are cheap.
#[derive(Debug)]
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
}

/// What a read of a file fills. Zeroed pages cost nothing until they are used.
const FILE_BUFFER: usize = 128 * 1024;

/// How long a connection is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Nothing moved for so long, in microseconds: the connection is cut. `None`: never.
    pub idle_us: Option<u64>,
}

impl Patience {
    /// When a connection that last moved at `since` has been idle for too long.
    pub(super) fn until(self, since: Instant) -> Option<Instant> {
        self.idle_us.map(|us| since.after(us))
    }
}

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
        }
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
    /// What the peer had not acknowledged when the socket was full, or patience ended last.
    pub(super) in_flight: Option<u32>,
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
            held.in_flight = None;
            self.0.push(held);
        }
    }
}
