//! Buffered streams in the loop: made, connected, found.

use std::net::SocketAddr;
use std::time::Duration;

use super::buffered::{Buffered, Conversation, Stage, StreamCallback, StreamEvent};
use super::sources::Source;
use super::watch::{Watch, micros};
use super::{Context, Token};
use crate::drive::AnyChannel;
#[cfg(feature = "tls")]
use crate::drive::Secured;
use crate::error::{Error, Result};
use crate::sys::connect;
use crate::sys::stream::Stream;
#[cfg(feature = "tls")]
use crate::tls::Trust;

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
        let io = Buffered::new(AnyChannel::Plain(stream.into()), Stage::Open);
        self.add_stream(io, Box::new(callback))
    }

    /// The same over TLS, to a server of this name. Output waits for the end of the handshake; an end of the
    /// stream without `close_notify` is a failure ([`Buffered::failure`]).
    ///
    /// # Errors
    /// As [`add`](Self::add); or no certificate can be for such a name.
    #[cfg(feature = "tls")]
    pub fn secured(
        &mut self,
        stream: Stream,
        (trust, host): (&Trust, &str),
        callback: impl FnMut(&mut Buffered, &mut S, &mut Self, StreamEvent) + 'static,
    ) -> Result<Token> {
        let channel = AnyChannel::Secured(Box::new(Secured::new(stream, trust.connect(host)?)));
        self.add_stream(Buffered::new(channel, Stage::Open), Box::new(callback))
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
        let mut io = Buffered::new(AnyChannel::Plain(stream), Stage::Connecting { until });
        io.readiness.set_writable(false);
        self.add_stream(io, Box::new(callback))
    }

    fn add_stream(&mut self, mut io: Buffered, callback: StreamCallback<S, Self>) -> Result<Token> {
        let watched = self.join(&io.channel, Watch::BOTH.edge())?;
        if watched.is_always_ready() {
            io.readiness.read_short();
        }
        let deadline = io.deadline();
        let conversation = Box::new(Conversation { io, callback });
        let token = self.sources.insert(Source::Stream(watched, Some(conversation)));
        if let Some(at) = deadline {
            self.sources.table.arm(token, at);
        }
        Ok(token)
    }

    /// A buffered stream, to write to it or to change it, from the callback of another source. Its own
    /// callback has it already, and finds none here. What was changed takes effect in this round or
    /// the next.
    pub fn stream(&mut self, token: Token) -> Option<&mut Buffered> {
        let Source::Stream(_, Some(_)) = self.sources.get(token)? else { return None };
        self.sources.enqueue(token);
        let Source::Stream(_, Some(conversation)) = self.sources.get_mut(token)? else {
            return None;
        };
        conversation.io.output.buffer.lend(&mut self.spare);
        Some(&mut conversation.io)
    }
}

#[cfg(test)]
mod connect_tests;
#[cfg(test)]
mod tests;
