//! Buffered streams in the loop: made, connected, found.

use std::net::SocketAddr;
use std::time::Duration;

use super::buffered::{Buffered, Stage, StreamEvent};
use super::conversation::{Conversation, StreamCallback};
use super::slots::{Handler, Kind};
use super::watch::{Fired, Watch, micros};
use super::{Context, Token};
use crate::error::{Error, Result};
use crate::sys::connect;
use crate::sys::stream::Stream;

impl<S> Context<S> {
    /// Reads and writes `stream` through buffers, and calls back with what happens
    /// (`bufferevent_socket_new`). It can be any stream: a socket, a pipe, a terminal, a regular file.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn buffered(
        &mut self,
        stream: impl Into<Stream>,
        callback: impl FnMut(&mut Buffered, &mut S, &mut Self, StreamEvent) + 'static,
    ) -> Result<Token> {
        let io = Buffered::new(stream.into(), Stage::Open);
        self.converse(io, Box::new(callback))
    }

    /// Connects to `address` without waiting (`bufferevent_socket_connect`), for at most `timeout`.
    /// The first event is [`StreamEvent::Connected`] or [`StreamEvent::Failed`]. Output may be
    /// written at once.
    ///
    /// # Errors
    /// What `connect(2)` says at once, with the address.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        timeout: Option<Duration>,
        callback: impl FnMut(&mut Buffered, &mut S, &mut Self, StreamEvent) + 'static,
    ) -> Result<Token> {
        let stream = connect::start(address).map_err(Error::of("connect to", address))?;
        let until = timeout.map(|timeout| self.next().after(micros(timeout)));
        let mut io = Buffered::new(stream, Stage::Connecting { until });
        io.readiness.writable = false;
        self.converse(io, Box::new(callback))
    }

    fn converse(&mut self, io: Buffered, callback: StreamCallback<S>) -> Result<Token> {
        let mut conversation = Box::new(Conversation { io, callback });
        let watch = Watch::BOTH.edge();
        let token = self.open_source(Kind::Buffered, watch, &conversation.io.stream)?;
        self.buffered += 1;
        if let Some(at) = conversation.io.deadline() {
            self.deadlines.set(token.place(), at);
        }
        if let Some(source) = self.slots.get_mut(token) {
            if source.always {
                conversation.io.readiness.read_short();
            }
            source.handler = Handler::Buffered(conversation);
        }
        self.settle(token);
        Ok(token)
    }

    /// A buffered stream, to write to it or to change it, from the callback of somebody else. Its own
    /// callback has it already, and finds none here. What was changed takes effect in this round or
    /// the next.
    pub fn stream(&mut self, token: Token) -> Option<&mut Buffered> {
        let Handler::Buffered(_) = self.slots.get(token)?.handler else { return None };
        self.enqueue(token, Fired::NOTHING);
        match &mut self.slots.get_mut(token)?.handler {
            Handler::Buffered(conversation) => {
                let io = &mut conversation.io;
                io.output.lend(&mut self.spare);
                Some(io)
            }
            Handler::Callback(_) | Handler::Away => None,
        }
    }
}

#[cfg(test)]
mod connect_tests;
#[cfg(test)]
mod tests;
