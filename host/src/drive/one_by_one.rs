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
///
/// `K` is kept with each job for as long as it lives: what counts it, for example.
pub struct OneByOne<K = ()> {
    buffers: Buffers,
    whole: Whole<K>,
}

/// Jobs that only repeat their last answer.
struct Whole<K> {
    jobs: Vec<(Job, K)>,
    look_at: Instant,
}

/// How often they are looked at, in microseconds: no client sends again sooner.
const LOOK_EVERY_US: u64 = 200_000;

/// How many there are at most: each has a descriptor.
const WHOLE_MAX: usize = 64;

impl<K> OneByOne<K> {
    /// With these buffers.
    pub fn new(buffers: Buffers) -> Self {
        Self { buffers, whole: Whole { jobs: Vec::new(), look_at: Instant::ZERO } }
    }

    /// The buffers alone.
    pub fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Has a job served by `run`, which gives it turns to its end, or until it [only repeats](Turns::only_repeats) its
    /// last answer.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn serve(
        &mut self,
        job: Job,
        kept: K,
        run: impl FnOnce(&mut dyn Turns, &mut Buffers, &K) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Self { buffers, whole } = self;
        let mut beside = Beside { job, whole };
        let how = run(&mut beside, buffers, &kept);
        let Beside { job, whole } = beside;
        if job.only_repeats() {
            whole.add(job, kept);
        }
        how
    }

    /// The number of jobs that only repeat their last answer.
    pub fn repeating(&self) -> usize {
        self.whole.jobs.len()
    }

    /// It serves no client any more: another one is to [take over](Self::take_over) these.
    pub fn leave(self) -> Vec<(Job, K)> {
        self.whole.jobs
    }

    /// Goes on with jobs that only repeat their last answer.
    pub fn take_over(&mut self, jobs: Vec<(Job, K)>) {
        for (job, kept) in jobs {
            self.whole.add(job, kept);
        }
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

impl<K> Whole<K> {
    fn add(&mut self, job: Job, kept: K) {
        if self.jobs.len() == WHOLE_MAX {
            self.jobs.remove(0);
        }
        self.jobs.push((job, kept));
    }

    fn look_at(&self) -> Option<Instant> {
        Some(self.look_at).filter(|_| !self.jobs.is_empty())
    }

    fn look(&mut self, now: Instant, buffers: &mut Buffers) {
        if self.look_at().is_some_and(|at| at <= now) {
            self.look_at = now.after(LOOK_EVERY_US);
            let mut goes_on =
                |job: &mut Job| !matches!(job.turn(Ready::READ, now, buffers), Next::Closed(_));
            self.jobs.retain_mut(|(job, _)| goes_on(job));
        }
    }
}

/// A job, and those that have turns beside it.
struct Beside<'w, K> {
    job: Job,
    whole: &'w mut Whole<K>,
}

impl<K> Turns for Beside<'_, K> {
    forward!();

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.whole.look(now, buffers);
        self.job.turn(ready, now, buffers)
    }

    fn wait_for_input(&mut self, until: Instant, buffers: &mut Buffers) -> bool {
        // What comes is in the buffers until the next turn: those beside it would take them.
        self.whole.jobs.is_empty() && self.job.wait_for_input(until, buffers)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        self.job.deadline(buffers).into_iter().chain(self.whole.look_at()).min()
    }

    fn only_repeats(&self) -> bool {
        self.job.only_repeats()
    }
}

impl<K> AsFd for Beside<'_, K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.job.as_fd()
    }
}
