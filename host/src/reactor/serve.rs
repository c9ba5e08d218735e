//! Sessions in the loop: [`drive`](crate::drive) does the work, the loop only says when.

use windlass_core::fault::Fault;
use windlass_core::session::Session;

use super::members::disown;
use super::watch::Priority;
use super::{Context, Token};
use crate::drive::After;
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
        let (token, after) = self.connections.open(stream, session, self.now());
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
