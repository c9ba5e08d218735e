//! The scoreboard of a `prefork` pool: memory that parent and workers share, and a bell for the parent.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use windlass_core::pool::processes::WorkerId;
use windlass_core::pool::scoreboard::{Activity, Line, Report};

use super::Pool;
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::event::Event;
use crate::sys::shared::Shared;

/// A line for each slot, the number of idle workers, and the limits at which a worker rings the bell.
pub(in crate::server) struct Board {
    lines: Shared<Line>,
    /// See [`IDLE`], [`FEW`] and [`MANY`].
    counts: Shared<AtomicI32>,
    bell: Event,
    limits: Pool,
}

/// The index of the number of idle workers. A worker that died may have left it wrong, and each look of the
/// parent corrects it. A hint: use it only to skip a wake-up.
const IDLE: usize = 0;
/// The index of a limit: a worker rings when fewer are idle.
const FEW: usize = 1;
/// The index of a limit: a worker rings when one more than this is idle.
const MANY: usize = 2;

/// The right of a worker to write its line.
pub(in crate::server) struct LineWriter<'a> {
    board: &'a Board,
    line: &'a Line,
    id: WorkerId,
    requests: Cell<u64>,
}

impl Board {
    /// A board with a line for each slot.
    pub(super) fn new(slots: usize, limits: Pool) -> Result<Self> {
        let bell = Event::new().map_err(Error::of("open", "an eventfd"))?;
        let board = Self { lines: Shared::new(slots)?, counts: Shared::new(3)?, bell, limits };
        board.counts[FEW].store(i32::MIN, Ordering::Relaxed);
        board.counts[MANY].store(i32::MAX, Ordering::Relaxed);
        Ok(board)
    }

    /// Takes the line of a worker that begins: it is idle.
    pub(in crate::server) fn enter(&self, id: WorkerId) -> LineWriter<'_> {
        let line = &self.lines[usize::from(id.slot)];
        let writer = LineWriter { board: self, line, id, requests: Cell::new(0) };
        writer.write(Activity::Idle);
        self.counts[IDLE].fetch_add(1, Ordering::AcqRel);
        writer
    }

    /// The parent has heard the bell.
    pub(super) fn silence(&self) {
        self.bell.take();
    }

    /// The last that a worker wrote, if it has written something.
    pub(super) fn report(&self, id: WorkerId) -> Option<Report> {
        self.lines[usize::from(id.slot)].read().filter(|report| report.epoch == id.epoch)
    }

    /// A worker has ended: its line is free.
    pub(super) fn clear(&self, id: WorkerId) {
        self.lines[usize::from(id.slot)].write(&Report::default());
    }

    /// `idle` of `alive` workers are idle: from now on workers ring when that number has to change.
    pub(super) fn set_limits(&self, idle: usize, alive: usize) {
        let Pool { min_spare, max_spare, max_workers, .. } = self.limits;
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        // If there are as many workers as there may be, none can be started when too few are idle.
        let few = if alive < usize::from(max_workers) { i32::from(min_spare) } else { i32::MIN };
        self.counts[FEW].store(few, Ordering::Relaxed);
        self.counts[MANY].store(i32::from(max_spare), Ordering::Relaxed);
        // A worker that counted before this is seen by the next look at the lines; one that counts after it
        // counts by these limits.
        self.counts[IDLE].swap(count(idle), Ordering::AcqRel);
    }

    /// Whether every worker has a client, as far as the workers have written it.
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

impl LineWriter<'_> {
    /// The worker has a client.
    pub(in crate::server) fn busy(&self) {
        self.write(Activity::Busy);
        let idle = self.board.counts[IDLE].fetch_sub(1, Ordering::AcqRel) - 1;
        if idle < self.board.get(FEW) {
            self.board.bell.raise();
        }
    }

    /// The worker has finished with its client.
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
