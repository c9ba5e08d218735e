//! Serves one client after another, and beside each those that have all they asked for.
//!
//! ```text
//!   job ──serve──▶ whole: its last answer is repeated for some seconds ──▶ over
//!                    └── meanwhile the next job is served, or waited for
//! ```
//!
//! The end of a file that a client sends is acknowledged, and the acknowledgement may be lost: a client with a timer
//! of 5 s asks for it after that time. A worker that waited so long for it would serve no other client meanwhile.

use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::Fault;
use windlass_core::time::{Instant, Wake};

use super::buffers::Buffers;
use super::files::Answer;
use super::job::Job;
use super::rules::RulesId;
use super::turns::{Next, Turns, forward};
use crate::sys::clock;
use crate::sys::ready::{Interest, Ready};

/// The buffers of a thread or process that serves one client after another.
pub struct OneByOne {
    buffers: Buffers,
    whole: Whole,
}

/// Jobs that only repeat their last answer.
#[derive(Default)]
struct Whole {
    jobs: Vec<Job>,
    look_at: Instant,
}

/// How often they are looked at, in microseconds: no client sends again sooner.
const LOOK_EVERY_US: u64 = 200_000;

/// How many there are at most: each has a descriptor.
const WHOLE_MAX: usize = 64;

impl OneByOne {
    /// With these buffers.
    pub fn new(buffers: Buffers) -> Self {
        Self { buffers, whole: Whole::default() }
    }

    /// The buffers alone.
    pub fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Has a job served to its end by `run`, which gives it turns.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn serve(
        &mut self,
        job: Job,
        run: impl FnOnce(&mut dyn Turns, &mut Buffers) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Self { buffers, whole } = self;
        let mut beside = Beside { job, whole };
        let how = run(&mut beside, buffers);
        let Beside { job, whole } = beside;
        if job.only_repeats() {
            if whole.jobs.len() == WHOLE_MAX {
                whole.jobs.remove(0);
            }
            whole.jobs.push(job);
        }
        how
    }

    /// When to [`look`](Self::look) next.
    pub fn wake(&self) -> Wake {
        self.whole.look_at().map_or(Wake::Never, Wake::At)
    }

    /// Repeats the answers that were asked for again.
    pub fn look(&mut self) {
        self.whole.look(clock::now(), &mut self.buffers);
    }
}

impl Whole {
    fn look_at(&self) -> Option<Instant> {
        Some(self.look_at).filter(|_| !self.jobs.is_empty())
    }

    fn look(&mut self, now: Instant, buffers: &mut Buffers) {
        if self.look_at().is_some_and(|at| at <= now) {
            self.look_at = now.after(LOOK_EVERY_US);
            self.jobs
                .retain_mut(|job| !matches!(job.turn(Ready::READ, now, buffers), Next::Closed(_)));
        }
    }
}

/// A job, and those that have turns beside it.
struct Beside<'w> {
    job: Job,
    whole: &'w mut Whole,
}

impl Turns for Beside<'_> {
    forward!();

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.whole.look(now, buffers);
        match self.job.turn(ready, now, buffers) {
            Next::Wait(_) if self.job.only_repeats() => Next::Closed(Ok(())),
            next => next,
        }
    }

    fn wait_for_input(&mut self, until: Instant, buffers: &mut Buffers) -> bool {
        // What comes is in the buffers until the next turn: those beside it would take them.
        self.whole.jobs.is_empty() && self.job.wait_for_input(until, buffers)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        self.job.deadline(buffers).into_iter().chain(self.whole.look_at()).min()
    }
}

impl AsFd for Beside<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.job.as_fd()
    }
}
