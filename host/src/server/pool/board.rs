//! What workers tell without a word: a scoreboard in shared memory, and a bell.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use windlass_core::pool::scoreboard::{Activity, Line, Report};
use windlass_core::pool::supervisor::Worker as Id;

use super::Pool;
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::event::Event;
use crate::sys::shared::Shared;

/// One line for each slot, how many are idle, and when to ring.
pub(in crate::server) struct Board {
    lines: Shared<Line>,
    /// See [`IDLE`], [`FEW`] and [`MANY`].
    counts: Shared<AtomicI32>,
    bell: Event,
    limits: Pool,
}

/// How many workers are idle. A worker that died may have left it wrong; each look puts it right, and
/// nothing is decided by it: it is only good for not ringing.
const IDLE: usize = 0;
/// Ring when fewer are idle.
const FEW: usize = 1;
/// Ring when the first one more is idle.
const MANY: usize = 2;

/// A worker's line.
pub(in crate::server) struct Place<'a> {
    board: &'a Board,
    line: &'a Line,
    id: Id,
    requests: Cell<u64>,
}

impl Board {
    /// A board with so many lines.
    pub(in crate::server) fn new(slots: usize, limits: Pool) -> Result<Self> {
        let bell = Event::new().map_err(Error::of("open", "an eventfd"))?;
        let board = Self { lines: Shared::new(slots)?, counts: Shared::new(3)?, bell, limits };
        board.counts[FEW].store(i32::MIN, Ordering::Relaxed);
        board.counts[MANY].store(i32::MAX, Ordering::Relaxed);
        Ok(board)
    }

    /// The line of a worker that begins, idle.
    pub(in crate::server) fn enter(&self, id: Id) -> Place<'_> {
        let line = &self.lines[usize::from(id.slot)];
        let place = Place { board: self, line, id, requests: Cell::new(0) };
        place.write(Activity::Idle);
        self.counts[IDLE].fetch_add(1, Ordering::AcqRel);
        place
    }

    /// The bell was heard.
    pub(in crate::server) fn heard(&self) {
        self.bell.take();
    }

    /// The last that a worker said of itself, if it has said something.
    pub(in crate::server) fn report(&self, id: Id) -> Option<Report> {
        self.lines[usize::from(id.slot)].read().filter(|report| report.epoch == id.epoch)
    }

    /// A worker is gone: nobody is on its line.
    pub(in crate::server) fn wipe(&self, id: Id) {
        self.lines[usize::from(id.slot)].write(&Report::default());
    }

    /// Of `alive` workers `idle` are: from now on ring when that has to change.
    pub(in crate::server) fn set(&self, idle: usize, alive: usize) {
        let Pool { min_spare, max_spare, max_workers, .. } = self.limits;
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        // With as many as there may be, nothing can be done about too few.
        let few = if alive < usize::from(max_workers) { i32::from(min_spare) } else { i32::MIN };
        self.counts[FEW].store(few, Ordering::Relaxed);
        self.counts[MANY].store(i32::from(max_spare), Ordering::Relaxed);
        // Who counted before this is seen by the next look at the lines; who counts after it counts by
        // these limits.
        self.counts[IDLE].swap(count(idle), Ordering::AcqRel);
    }

    /// Whether every worker has a client, for all that they have said.
    pub(in crate::server) fn is_full(&self) -> bool {
        self.get(IDLE) <= 0
    }

    fn get(&self, which: usize) -> i32 {
        self.counts[which].load(Ordering::Relaxed)
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Place<'_> {
    /// It has a client.
    pub(in crate::server) fn busy(&self) {
        self.write(Activity::Busy);
        let idle = self.board.counts[IDLE].fetch_sub(1, Ordering::AcqRel) - 1;
        if idle < self.board.get(FEW) {
            self.board.bell.raise();
        }
    }

    /// It has none.
    pub(in crate::server) fn idle(&self) {
        self.requests.set(self.requests.get() + 1);
        self.write(Activity::Idle);
        let idle = self.board.counts[IDLE].fetch_add(1, Ordering::AcqRel) + 1;
        if idle - 1 == self.board.get(MANY) {
            self.board.bell.raise();
        }
    }

    fn write(&self, activity: Activity) {
        let (epoch, requests) = (self.id.epoch, self.requests.get());
        self.line.write(&Report { epoch, activity, requests, bytes: 0, since: clock::now() });
    }
}
