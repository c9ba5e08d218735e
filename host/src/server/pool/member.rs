//! A worker, from the parent's side.

use std::rc::Rc;

use windlass_core::pool::scoreboard::Activity;
use windlass_core::pool::supervisor::{Event, Supervisor, Worker as Id};
use windlass_core::time::Instant;

use super::board::Board;
use crate::reactor::Token;
use crate::sys::pass::Channel;
use crate::sys::process::Child;

/// A process, and how it is heard.
pub(super) struct Member {
    pub(super) id: Id,
    pub(super) child: Child,
    pub(super) channel: Rc<Channel>,
    pub(super) channel_source: Token,
    /// What the supervisor was told of its line on the scoreboard.
    told: Line,
    /// Connections that it finished, as far as the parent knows.
    pub(super) requests: u64,
    /// Since when it does what it does.
    pub(super) since: Instant,
}

/// What a worker's line says.
#[derive(Clone, Copy, Default)]
struct Line {
    busy: bool,
    /// Connections that it has finished.
    requests: u64,
}

impl Member {
    pub(super) fn new(
        id: Id,
        child: Child,
        channel: Rc<Channel>,
        channel_source: Token,
        since: Instant,
    ) -> Self {
        Self { id, child, channel, channel_source, told: Line::default(), requests: 0, since }
    }

    /// Tells the supervisor what has changed on its line. Connections that came and went unseen are
    /// told as one: it proves the worker, whose death is then no sign of a crash loop.
    pub(super) fn tell<const N: usize>(
        &mut self,
        board: &Board,
        supervisor: &mut Supervisor<N, N>,
        now: Instant,
    ) {
        let Some(is) = Line::of(board, self.id) else { return };
        let was = std::mem::replace(&mut self.told, is);
        let mut tell = |busy| {
            let event = if busy { Event::Busy(self.id) } else { Event::Idle(self.id) };
            supervisor.handle(event, now);
        };
        let mut busy = was.busy;
        if is.requests != was.requests {
            if !busy {
                tell(true);
            }
            tell(false);
            busy = false;
        }
        if is.busy != busy {
            tell(is.busy);
        }
    }

    /// Whether the supervisor knows what it does.
    pub(super) fn is_told(&self, board: &Board) -> bool {
        Line::of(board, self.id).is_none_or(|is| is.busy == self.told.busy)
    }
}

impl Line {
    /// None: it has not begun, or is just being written.
    fn of(board: &Board, worker: Id) -> Option<Self> {
        let report = board.report(worker)?;
        Some(Self { busy: report.activity == Activity::Busy, requests: report.requests })
    }
}
