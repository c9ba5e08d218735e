//! Sessions in the loop: [`drive`](crate::drive) does the work, the loop only says when.

use std::time::Duration;

use tracing::debug;
use windlass_core::fault::Fault;
use windlass_core::session::Session;

use super::sources::Source;
use super::watch::micros;
use super::{Context, Token};
use crate::drive::{Job, Next, Rules, RulesId};
use crate::error::{Error, Result};
use crate::sys::ready::Ready;
use crate::sys::stream::Stream;

/// How a job ended.
type Outcome = std::result::Result<(), Fault>;

impl<S> Context<S> {
    /// Runs a session over a stream, to its end. It takes no callback: input goes to the session from
    /// where the kernel put it, replies go out in the same turn. An idle one costs 111 bytes and a
    /// descriptor.
    ///
    /// # Errors
    /// The stream cannot be watched: it is a regular file, or the kernel has no room.
    pub fn serve(&mut self, stream: Stream, session: Box<dyn Session + Send>) -> Result<Token> {
        self.begin_session(stream, session).map(|(token, _)| token)
    }

    /// As [`serve`](Self::serve), and calls when the session is over: how it ended. Nothing is called
    /// if it was removed.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_then(
        &mut self,
        stream: Stream,
        session: Box<dyn Session + Send>,
        ended: impl FnOnce(&mut S, &mut Self, std::result::Result<(), Fault>) + 'static,
    ) -> Result<Token> {
        let (token, over) = self.begin_session(stream, session)?;
        match over {
            Some(how) => self.defer(move |state, cx| ended(state, cx, how)),
            None => {
                self.sources.ended.insert(token, Box::new(ended));
            }
        }
        Ok(token)
    }

    /// Carries a job to its end, as a server's offer opens it and under the rules that it names: a session over
    /// a connection, or a datagram socket and its responder. It takes no callback.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn carry(&mut self, job: Job) -> Result<Token> {
        self.begin(job).map(|(token, _)| token)
    }

    /// The server stops: the datagram sockets of the loop answer what has arrived, and are closed.
    pub fn drain(&mut self) {
        let draining = |(token, source): (Token, &mut Source<S, Self>)| match source {
            Source::Job(job) => job.drain().then_some(token),
            _ => None,
        };
        let ports: Vec<_> = self.sources.table.iter_mut().filter_map(draining).collect();
        for token in ports {
            self.sources.enqueue(token);
        }
    }

    fn begin_session(
        &mut self,
        stream: Stream,
        session: Box<dyn Session + Send>,
    ) -> Result<(Token, Option<Outcome>)> {
        // What is no socket reads short with more behind; a hang-up is what says so.
        let hup = !stream.is_socket();
        let begun = self.begin(Job::stream(stream, session, self.now()))?;
        if hup {
            self.sources.fire(begun.0, Ready { hup, ..Ready::NONE });
        }
        Ok(begun)
    }

    /// The token, and how the job ended if its first turn was its last.
    fn begin(&mut self, job: Job) -> Result<(Token, Option<Outcome>)> {
        let token = self.sources.insert(Source::Job(job));
        let over = self.turn(token);
        if over.is_none()
            && let Some(Source::Job(job)) = self.sources.get(token)
            && let Err(errno) = self.kernel.join_until_closed(token, job)
        {
            self.sources.remove(token);
            return Err(Error::new("watch", "a stream", errno));
        }
        Ok((token, over))
    }

    /// Gives a job its turn. How it ended, if it is over and gone.
    fn turn(&mut self, token: Token) -> Option<Outcome> {
        let now = self.now();
        self.buffers.begin_turn(token);
        let next = self.guarded(token, |cx| match cx.sources.get_mut(token) {
            Some(Source::Job(job)) => Some(job.turn(Ready::NONE, now, &mut cx.buffers)),
            _ => None,
        });
        match next? {
            // Everything is watched, edge-triggered, all the time.
            Next::Wait(_) => {
                let source = self.sources.get(token);
                let only_repeats = matches!(source, Some(Source::Job(job)) if job.only_repeats());
                if let Some(at) = source.and_then(|source| source.deadline(&self.buffers)) {
                    self.sources.table.arm(token, at);
                }
                if only_repeats && self.sources.table.set_aside(token) {
                    self.wake_resting();
                }
                None
            }
            Next::Again => {
                self.sources.enqueue(token);
                None
            }
            Next::Closed(how) => {
                if let Err(fault) = how {
                    debug!(connection = token.index, %fault, "closed");
                }
                self.sources.remove(token);
                self.wake_resting();
                Some(how)
            }
        }
    }

    /// Gives a job its turn, and tells of its end.
    pub(super) fn carry_on(&mut self, state: &mut S, token: Token) {
        if let Some(how) = self.turn(token)
            && let Some(ended) = self.sources.ended.remove(&token)
        {
            self.stats.calls += 1;
            ended(state, self, how);
        }
    }

    /// Rules for one more listener: its limits of time, and where its files are. The first ones, of which
    /// [`RulesId::default`] is the name, hold for what names no others.
    pub fn add_rules(&mut self, rules: Rules) -> RulesId {
        let id = self.buffers.add_rules(rules);
        self.start_helpers();
        id
    }

    /// Connections with a session on which nothing moved for so long are cut. At first none is.
    pub fn set_idle_timeout(&mut self, idle: Option<Duration>) {
        self.change_rules(|rules| rules.limits.idle_us = idle.map(micros));
    }

    /// Changes the rules that hold for what names no others, from the next turn on.
    pub fn change_rules(&mut self, change: impl FnOnce(&mut Rules)) {
        self.buffers.change_rules(RulesId::default(), change);
        self.start_helpers();
    }

    /// Has threads read the files that are not in memory, once there is a folder of files.
    pub(super) fn start_helpers(&mut self) {
        if self.buffers.bell().is_none()
            && let Some(bell) = self.buffers.start_helpers()
            && self.kernel.join_own(Token::HELPERS, &bell, true).is_err()
        {
            // The kernel has no room to watch the bell.
            self.buffers.stop_helpers();
        }
    }

    /// Takes what helpers have done for jobs, each of which has a turn for it.
    pub(super) fn hear_helpers(&mut self) {
        for (token, answer) in self.buffers.answers() {
            if let Some(Source::Job(job)) = self.sources.get_mut(token) {
                job.came(answer);
                self.sources.enqueue(token);
            }
        }
    }

    /// Connections with a session, and transfers, without those that are only [repeating](Self::repeating).
    pub fn connections(&self) -> usize {
        self.sources.jobs - self.repeating()
    }

    /// Transfers with a file that is whole: their last answer is repeated for some seconds, in case it was lost.
    pub fn repeating(&self) -> usize {
        self.sources.table.aside()
    }
}

#[cfg(test)]
mod tests;
