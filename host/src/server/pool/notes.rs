//! The notes that the parent of a pool has about each worker.

use windlass_core::pool::processes::{Event, WorkerId};
use windlass_core::pool::scoreboard::Activity;
use windlass_core::time::Instant;

use super::board::Board;

/// The parent's notes of one worker.
#[derive(Clone, Copy)]
pub(in crate::server) struct Notes {
    /// The worker's line, as far as the core has been told of it.
    told: Line,
    /// Connections that it finished, as far as the parent knows.
    pub(super) requests: u64,
    /// Since when it is in its present state.
    pub(super) since: Instant,
    /// It serves no client any more, and only repeats last answers.
    pub(super) only_repeats: bool,
}

/// A worker's line on the scoreboard.
#[derive(Clone, Copy, Default)]
struct Line {
    busy: bool,
    /// Connections that it has finished.
    requests: u64,
}

impl Notes {
    pub(super) fn new(now: Instant) -> Self {
        Self { told: Line::default(), requests: 0, since: now, only_repeats: false }
    }

    /// The worker is in another state from now on, and has finished `finished` more connections.
    pub(super) fn mark(&mut self, finished: u64, now: Instant) {
        self.requests += finished;
        self.since = now;
    }

    /// What has changed on the line of worker `id` since the last call. Connections that came and went
    /// meanwhile are told as one: it proves the worker, and its death is then no sign of a crash loop.
    pub(super) fn changes(&mut self, board: &Board, id: WorkerId) -> [Option<Event>; 3] {
        let Some(is) = Line::of(board, id) else { return [None; 3] };
        let was = std::mem::replace(&mut self.told, is);
        let (busy, idle) = (Some(Event::Busy(id)), Some(Event::Idle(id)));
        match (was.busy, is.requests != was.requests, is.busy) {
            (false, true, true) => [busy, idle, busy],
            (false, true, false) => [busy, idle, None],
            (true, true, true) => [idle, busy, None],
            (true, true | false, false) => [idle, None, None],
            (false, false, true) => [busy, None, None],
            (false, false, false) | (true, false, true) => [None; 3],
        }
    }

    /// Whether the core knows what worker `id` does.
    pub(super) fn are_true(&self, board: &Board, id: WorkerId) -> bool {
        Line::of(board, id).is_none_or(|is| is.busy == self.told.busy)
    }
}

impl Line {
    /// None: the worker has not begun, or is just writing.
    fn of(board: &Board, id: WorkerId) -> Option<Self> {
        let report = board.report(id)?;
        Some(Self { busy: report.activity == Activity::Busy, requests: report.requests })
    }
}
