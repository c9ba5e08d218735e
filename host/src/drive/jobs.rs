//! All jobs of an event loop, and the memory that it lends them.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use tracing::debug;
use windlass_core::fault::Fault;
use windlass_core::time::{Instant, Wake};

use super::access_log;
use super::buffers::{Buffers, Reports};
use super::files::Answer;
use super::job::Job;
use super::table::{Entry, Table};
use super::turns::Next;
use crate::sys::ready::{Interest, Ready, Token};

/// All jobs of one loop. Callers hold tokens; a token that is late for its job has no effect.
pub struct Jobs {
    /// For each job, the interest of its last turn.
    table: Table<Job, Interest>,
    buffers: Buffers,
    /// Answers of helpers for jobs that will have a turn.
    answers: VecDeque<(Token, Answer)>,
}

/// What the caller has to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum After {
    /// Nothing: its interest is unchanged.
    Same,
    /// Change its interest to this.
    Changed(Interest),
    /// Give it another turn after the others.
    Again,
    /// It ended in this way and was removed.
    Gone(Result<(), Fault>),
}

impl Jobs {
    /// An empty table; jobs will have turns with `buffers`. Helpers read the files that they send.
    pub fn new(mut buffers: Buffers) -> Self {
        buffers.start_helpers();
        Self { table: Table::default(), buffers, answers: VecDeque::new() }
    }

    /// What is to be watched as [`Token::HELPERS`], if files are sent.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.buffers.bell()
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Those of them that only repeat their last answer.
    pub fn repeating(&self) -> usize {
        self.table.aside()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a job and gives it its first turn, which may also be its last.
    pub fn open(&mut self, job: Job, now: Instant) -> (Token, After) {
        let token = self.table.insert(job, Interest::NONE);
        (token, self.turn(token, Ready::NONE, now))
    }

    /// Notes an event for a later turn. Returns true if that turn was not promised
    /// before: then the caller has to give it.
    pub fn note(&mut self, token: Token, ready: Ready) -> bool {
        let Some(job) = self.table.get_mut(token) else {
            self.rung(token);
            return false;
        };
        job.note(ready);
        self.table.promise(token)
    }

    /// Gives a job its turn.
    pub fn turn(&mut self, token: Token, ready: Ready, now: Instant) -> After {
        self.table.take_turn(token);
        self.buffers.begin_turn(token);
        let Some(Entry { thing: job, mark, .. }) = self.table.entry(token) else {
            self.rung(token);
            return After::Same;
        };
        let mut next = job.turn(ready, now, &mut self.buffers);
        if next == Next::Again && self.buffers.reports == Reports::WhileReady {
            next = job.rest().map_or(Next::Again, Next::Wait);
        }
        match next {
            Next::Wait(interest) => {
                let was = std::mem::replace(mark, interest);
                let only_repeats = job.only_repeats();
                if let Some(at) = job.deadline(&self.buffers) {
                    self.table.arm(token, at);
                }
                if only_repeats {
                    self.table.set_aside(token);
                }
                if was == interest { After::Same } else { After::Changed(interest) }
            }
            Next::Again => After::Again,
            Next::Closed(how) => {
                if let Err(fault) = how {
                    debug!(connection = token.index, %fault, "closed");
                }
                self.table.remove(token);
                After::Gone(how)
            }
        }
    }

    /// Takes the answers of the helpers, if their bell has rung.
    fn rung(&mut self, token: Token) {
        if token == Token::HELPERS {
            self.answers.extend(self.buffers.answers());
        }
    }

    /// The server stops: ports answer what has arrived, and are gone.
    pub fn drain(&mut self, now: Instant) {
        let draining = |(token, job): (Token, &mut Job)| job.drain().then_some(token);
        let ports: Vec<_> = self.table.iter_mut().filter_map(draining).collect();
        for token in ports {
            while self.turn(token, Ready::NONE, now) == After::Again {}
        }
    }

    /// Closes a job at once.
    pub fn close(&mut self, token: Token, now: Instant) {
        if let Some(mut job) = self.table.remove(token) {
            job.given_up(Fault::Aborted, now, &self.buffers);
        }
    }

    /// A job with a deadline or a file that has come, if there is one: give it a turn. Ask until
    /// `None`.
    pub fn expired(&mut self, now: Instant) -> Option<Token> {
        while let Some((token, answer)) = self.answers.pop_front() {
            if let Some(job) = self.table.get_mut(token) {
                job.came(answer);
                return Some(token);
            }
        }
        let due = self.table.expired(now, |job| job.deadline(&self.buffers));
        due.map(|(token, _)| token)
    }

    /// When to ask for [`expired`](Self::expired) next.
    pub fn wake(&mut self, now: Instant) -> Wake {
        // The loop waits next.
        access_log::flush();
        self.table.wake(now, |job| job.deadline(&self.buffers))
    }

    /// The socket of a job.
    pub fn socket(&self, token: Token) -> Option<BorrowedFd<'_>> {
        self.table.get(token).map(AsFd::as_fd)
    }

    /// Every job and its interest: `select` and `poll` need them for each wait.
    pub fn iter(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>, Interest)> {
        self.table.iter().map(|(token, job, &interest)| (token, job.as_fd(), interest))
    }
}

// 64 bytes here, 32 for the boxed session and 16 for a deadline: 112 for an idle connection.
const _: () = assert!(Table::<Job, Interest>::SLOT_SIZE <= 64);

#[cfg(test)]
mod tests;
