//! A datagram socket in the loop: what arrives comes in batches, and is answered in place.

use super::watch::Watch;
use super::{Context, Event, Token};
use crate::addr::Transport;
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::datagram::batch::{Batch, Sent};
use crate::sys::listener::Listener;

/// Datagrams that arrived together. Replies are sent when the callback returns.
#[derive(Debug)]
pub struct Datagrams<'l> {
    /// The socket.
    pub socket: &'l mut Listener,
    /// The datagrams: [`Batch::iter_mut`] walks over them.
    pub batch: &'l mut Batch,
    /// How the replies to the batch before were sent.
    pub sent: Sent,
    /// An error of the network, about something that was sent before; the batch is empty then.
    pub error: Option<Errno>,
}

impl<S> Context<S> {
    /// Receives what arrives at a datagram socket, up to 64 datagrams for each call, in memory that all
    /// sources of the loop share; the replies that the callback names leave together, each from the address
    /// that was asked. (libevent has no counterpart.)
    ///
    /// A service that answers each datagram by itself is a [`Responder`] and needs no callback:
    /// [`carry`](Self::carry) with [`Job::port`](crate::drive::Job::port).
    ///
    /// # Errors
    /// As [`add`](Self::add); it is a stream socket.
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use windlass::reactor::EventLoop;
    /// use windlass::sys::listener::Listener;
    ///
    /// let socket = Listener::bind(&"udp:127.0.0.1:0".parse()?, 0)?;
    /// # let at = socket.address().socket_addr();
    /// let mut events = EventLoop::new()?;
    /// events.datagrams(socket, |datagrams, bytes: &mut usize, cx| {
    ///     for received in datagrams.batch.iter_mut() {
    ///         *bytes += received.len;
    ///         let len = received.len;
    ///         received.buf[..len].reverse();
    ///         received.reply(len);
    ///     }
    ///     cx.exit();
    /// })?;
    /// # let client = UdpSocket::bind("127.0.0.1:0")?;
    /// # client.send_to(b"abc", at.expect("numeric"))?;
    /// let mut bytes = 0;
    /// events.run(&mut bytes)?;
    /// assert_eq!(bytes, 3);
    /// # let mut buf = [0; 8];
    /// # assert_eq!((client.recv(&mut buf)?, &buf[..3]), (3, &b"cba"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`Responder`]: windlass_core::responder::Responder
    pub fn datagrams(
        &mut self,
        socket: Listener,
        mut callback: impl FnMut(&mut Datagrams<'_>, &mut S, &mut Self) + 'static,
    ) -> Result<Token> {
        if socket.transport() != Transport::Datagram {
            let why = "it is a stream socket: its clients are accepted";
            return Err(Error::new("receive datagrams on", socket.address(), why));
        }
        let (mut sent, mut unsent) = (Sent::default(), None::<Batch>);
        self.add(socket, Watch::READ, move |socket, state, cx, event| {
            if event == Event::TimedOut {
                return;
            }
            // While there is no room for replies, nothing is received.
            if let Some(mut batch) = unsent.take() {
                sent = sent.and(batch.reply(socket));
                if sent.is_full {
                    unsent = Some(batch);
                    return;
                }
                cx.buffers.give_back_batch(batch);
                let _ = cx.watch(cx.current(), Watch::READ);
                return;
            }
            // A call that panics keeps the batch, and the next one makes another.
            let mut batch = cx.buffers.take_batch();
            let error = match batch.receive(socket) {
                Ok(_) => None,
                Err(Errno::EAGAIN | Errno::EINTR) => return cx.buffers.give_back_batch(batch),
                Err(errno) => Some(errno),
            };
            let mut datagrams = Datagrams { socket, batch: &mut batch, sent, error };
            callback(&mut datagrams, state, cx);
            sent = batch.reply(socket);
            if sent.is_full && cx.watch(cx.current(), Watch::WRITE).is_ok() {
                unsent = Some(batch);
            } else {
                cx.buffers.give_back_batch(batch);
            }
        })
    }
}

#[cfg(test)]
mod tests;
