//! Sessions in the loop: [`drive`](crate::drive) does the work, the loop only says when.

use std::num::NonZeroU32;
use std::time::Duration;

use windlass_core::fault::Fault;
use windlass_core::session::Session;

use super::members::disown;
use super::watch::{Priority, micros};
use super::{Context, Token};
use crate::drive::{After, Job, REQUEST_MAX_US, Rules, RulesId};
use crate::error::{Error, Result};
use crate::sys::ready::Ready;
use crate::sys::stream::Stream;

impl<S> Context<S> {
    /// Runs a session over a stream, to its end. It takes no callback: input goes to the session from
    /// where the kernel put it, replies go out in the same turn. An idle one costs 121 bytes and a
    /// descriptor.
    ///
    /// # Errors
    /// The stream cannot be watched: it is a regular file, or the kernel has no room.
    pub fn serve(&mut self, stream: Stream, session: Box<dyn Session + Send>) -> Result<Token> {
        self.begin(stream, session).map(|(token, _)| token)
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
        let (token, over) = self.begin(stream, session)?;
        match over {
            Some(how) => self.defer(move |state, cx| ended(state, cx, how)),
            None => {
                self.ended.insert(token, Box::new(ended));
            }
        }
        Ok(token)
    }

    /// The token, and how the session ended if its first turn was its last.
    fn begin(
        &mut self,
        stream: Stream,
        session: Box<dyn Session + Send>,
    ) -> Result<(Token, Option<std::result::Result<(), Fault>>)> {
        // What is no socket reads short with more behind; a hang-up is what says so.
        let hup = !stream.is_socket();
        let now = self.now();
        let (token, after) = self.connections.open(Job::stream(stream, session, now), now);
        if let After::Gone(how) = after {
            self.freed();
            return Ok((token, Some(how)));
        }
        if let Some(socket) = self.connections.socket(token) {
            if let Err(errno) = self.epoll.add_edge(socket, token) {
                self.connections.close(token);
                return Err(Error::new("watch", "a stream", errno));
            }
            disown(&mut self.owners, &socket);
        }
        let note = Ready { hup, ..Ready::NONE };
        if (hup || after == After::Again) && self.connections.note(token, note) {
            self.queues[Priority::Normal as usize].push_back(token);
        }
        Ok((token, None))
    }

    /// Connections with a session on which nothing moved for so long are cut. At first none is.
    pub fn set_idle_timeout(&mut self, idle: Option<Duration>) {
        self.change_rules(|rules| rules.limits.idle_us = idle.map(micros));
    }

    /// A session's request may take so long as a whole, at most half an hour; one that takes longer is
    /// cut, however often a byte of it comes. At first there is no limit.
    pub fn set_request_timeout(&mut self, request: Option<Duration>) {
        let request_us = request.map(|limit| micros(limit).min(REQUEST_MAX_US));
        self.change_rules(|rules| rules.limits.request_us = request_us);
    }

    /// The peer of a session takes at least so many bytes a second of the output that waits for it, or is
    /// cut after the idle timeout. At first one byte within the idle timeout is enough.
    pub fn set_min_rate(&mut self, bytes_per_second: Option<NonZeroU32>) {
        self.change_rules(|rules| rules.limits.min_rate = bytes_per_second);
    }

    pub(super) fn change_rules(&mut self, change: impl FnOnce(&mut Rules)) {
        self.connections.buffers_mut().change_rules(RulesId::default(), change);
    }

    /// Connections with a session.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Removes a connection, whatever its session was about.
    pub(super) fn hang_up(&mut self, token: Token) -> bool {
        let there = self.connections.socket(token).is_some();
        if there {
            self.connections.close(token);
            self.ended.remove(&token);
            self.freed();
        }
        there
    }
}

#[cfg(test)]
mod tests;
