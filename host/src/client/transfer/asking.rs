//! A client's transfer as a source of an event loop: how long its server may take for the first answer, and what the
//! user is told when it failed.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::Fault;
use windlass_core::file::Storage;
use windlass_core::time::Instant;
use windlass_core::transfer::Transfer;

use super::said::Shown;
use crate::drive::{Buffers, Exchange, Next, Reports, Rules, Turns};
use crate::error::Error;
use crate::reactor::{Context, Event, Token, Watch};
use crate::status::brief;
use crate::sys::clock;
use crate::sys::datagram::Conversation;
use crate::sys::ready::Ready;

/// A transfer that was asked for, and the memory for its turns.
pub(in crate::client) struct Asking<M: Transfer + ?Sized> {
    exchange: Exchange<M>,
    buffers: Buffers,
    /// The server has to answer until then, which is so long.
    until: Instant,
    span_us: u64,
}

impl<M: Transfer + ?Sized> Asking<M> {
    /// With the server of this socket, which has to answer until then.
    pub(in crate::client) fn new(socket: Conversation, machine: Box<M>, until: Instant) -> Self {
        let now = clock::now();
        Self {
            exchange: Exchange::asking(socket, machine, now),
            buffers: Buffers::for_many(Rules::default(), Reports::WhileReady),
            until,
            span_us: until.since(now),
        }
    }

    pub(in crate::client) fn machine(&self) -> &M {
        self.exchange.machine()
    }

    /// Whether the server has sent anything.
    pub(in crate::client) fn is_answered(&self) -> bool {
        self.exchange.is_answered()
    }

    /// Moves what it can now.
    pub(in crate::client) fn turn(&mut self, event: Event, storage: &mut dyn Storage) -> Next {
        let now = clock::now();
        let ready = if let Event::Ready(ready) = event { ready } else { Ready::NONE };
        match self.exchange.turn_with(storage, ready, now, &mut self.buffers) {
            Next::Wait(_) if !self.is_answered() && self.until <= now => {
                Next::Closed(Err(Fault::TimedOut { waited_us: self.span_us }))
            }
            next => next,
        }
    }

    /// Waits in the loop for its next turn, as the source `server`, and no longer than until `timer`.
    pub(in crate::client) fn wait<S>(
        &self,
        next: Next,
        cx: &mut Context<S>,
        [server, timer]: [Token; 2],
    ) {
        let Next::Wait(interest) = next else { return cx.activate(server) };
        // It is watched already, for one thing more or less.
        let _ = cx.watch(server, Watch::of(interest));
        let limit = Some(self.until).filter(|_| !self.is_answered());
        match self.exchange.deadline(&self.buffers).into_iter().chain(limit).min() {
            Some(at) => cx.arm_at(timer, at),
            None => cx.disarm(timer),
        }
    }

    /// The error of a transfer that is over with `fault`: what the peer said, and what else came.
    pub(in crate::client) fn error(
        &self,
        op: &'static str,
        target: impl fmt::Display,
        fault: Fault,
    ) -> Error {
        let told = self.exchange.told();
        let error = match (&told.said, told.errno) {
            (Some(said), _) => {
                Error::new(op, target, format!("the server refused: {}", Shown(said)))
            }
            (None, Some(errno)) => Error::new(op, target, errno),
            (None, None) if !self.is_answered() => {
                let (peer, span) = (self.exchange.peer(), brief(self.span_us));
                Error::new(op, target, format!("no answer from {peer} within {span}"))
            }
            (None, None) => Error::new(op, target, fault),
        };
        let error = match told.stranger {
            Some(stranger) => error.and(format!("another host answered: {}", stranger.ip())),
            None => error,
        };
        match told.malformed {
            0 => error,
            n => error.and(format!("{n} datagrams were not of the protocol")),
        }
    }
}

impl<M: Transfer + ?Sized> AsFd for Asking<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.as_fd()
    }
}
