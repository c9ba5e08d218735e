//! A listener in the loop: libevent's `evconnlistener`.

use windlass_core::time::Wake;

use super::context::Leave;
use super::watch::{Fired, Watch};
use super::{Context, Token};
use crate::addr::Transport;
use crate::drive::{Acceptor, Client};
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::listener::Listener;
use crate::sys::stream::Stream;

/// Why the callback of a listener is called.
#[derive(Debug)]
pub enum Incoming<C = Stream> {
    /// A client: to be buffered, served, handed on, or dropped.
    Client(C),
    /// Descriptors or memory have run out (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`). The clients wait
    /// in the kernel's queue, and the listener rests until something is closed, 100 ms at most. Told
    /// once, however long it lasts.
    Exhausted(Errno),
}

/// Clients accepted before the others have their turn.
const BURST: u32 = 64;

impl<S> Context<S> {
    /// Accepts clients while fewer than `max` streams are open in the loop, and calls back with each.
    /// The others wait in the kernel's queue. [`disarm`](Self::disarm) pauses it,
    /// [`arm`](Self::arm) resumes, [`remove`](Self::remove) closes it.
    ///
    /// # Errors
    /// As [`add`](Self::add); it is a datagram socket.
    pub fn listen(
        &mut self,
        listener: Listener,
        max: usize,
        mut callback: impl FnMut(&mut S, &mut Self, Incoming) + 'static,
    ) -> Result<Token> {
        if listener.transport() == Transport::Datagram {
            let why = "it is a datagram socket: it has no clients to accept";
            return Err(Error::new("accept on", listener.address(), why));
        }
        self.accept_with(Acceptor::new(listener, max), move |state, cx, incoming| {
            let incoming = match incoming {
                Incoming::Client(Client::Stream(stream)) => Incoming::Client(stream),
                Incoming::Client(Client::Port(_)) => return,
                #[cfg(feature = "transfer")]
                Incoming::Client(Client::Transfer { .. }) => return,
                Incoming::Exhausted(errno) => Incoming::Exhausted(errno),
            };
            callback(state, cx, incoming);
        })
    }

    /// As [`listen`](Self::listen), with an acceptor that is there already.
    ///
    /// # Errors
    /// As [`add`](Self::add); the acceptor was closed.
    pub fn accept_with(
        &mut self,
        mut acceptor: Acceptor,
        mut callback: impl FnMut(&mut S, &mut Self, Incoming<Client>) + 'static,
    ) -> Result<Token> {
        let Some(socket) = acceptor.socket() else {
            return Err(Error::new("watch", "a listener", "it was closed"));
        };
        let watched = self.join(&socket, Watch::READ)?;
        let mut resting = false;
        let call = move |state: &mut S, cx: &mut Self, _: Fired| {
            let me = cx.current();
            if std::mem::take(&mut resting) {
                acceptor.closed();
                cx.sources.clear_alarm(me);
                // A listener that was opened stays open.
                let _ = cx.arm(me);
            }
            for _ in 0..BURST {
                // The callback may have paused or removed it, or ended the run.
                if !cx.is_watched(me) || cx.leave == Leave::AtOnce {
                    break;
                }
                let Some(client) = acceptor.accept(cx.now(), cx.streams()) else { break };
                callback(state, cx, Incoming::Client(client));
            }
            if let Some(errno) = acceptor.ran_out() {
                callback(state, cx, Incoming::Exhausted(errno));
            }
            // One that was paused does not rest: only the user arms it again.
            let now = cx.now();
            if cx.is_watched(me) && !acceptor.wants(now, cx.streams()) {
                // Watched, it would be reported in every round.
                resting = true;
                cx.pause(me);
                cx.resting.push(me);
                if let Wake::At(at) = acceptor.wake(now) {
                    cx.sources.set_alarm(me, at);
                }
            }
        };
        Ok(self.add_descriptor(watched, Box::new(call)))
    }
}

#[cfg(test)]
mod tests;
