//! What stands between the clients of a listener and its offer, if not all clients are served alike.

use std::sync::Arc;

use windlass_core::responder::{Responder, Response};
use windlass_core::time::Instant;

use crate::drive::{Client, Gate, Pass};
use crate::sys::datagram::Peer;

/// What a client comes through the gate with. `has_word`: its service can refuse a request.
pub(super) fn pass(gate: &Arc<Gate>, client: &Client, has_word: bool, now: Instant) -> Pass {
    let (address, has_word) = match client {
        Client::Stream(stream) => (stream.peer_address(), has_word),
        #[cfg(feature = "transfer")]
        Client::Transfer { socket, .. } => (Some(socket.peer()), true),
        // Each of its datagrams has a client of its own.
        Client::Port(_) => (None, false),
    };
    Pass::of(gate, address.map(|address| address.ip()), has_word, now)
}

/// Answers the clients that a gate lets in, no faster than they may be sent replies.
pub(super) struct Answers {
    pub(super) gate: Arc<Gate>,
    pub(super) inner: Box<dyn Responder<Peer> + Send>,
}

impl Responder<Peer> for Answers {
    fn datagram(&mut self, now: Instant, from: &Peer, buf: &mut [u8], len: usize) -> Response {
        let Some(address) = from.socket_addr().map(|address| address.ip()) else {
            return self.inner.datagram(now, from, buf, len);
        };
        if !self.gate.lets_ask(now, address) {
            return Response::NoReply;
        }
        let response = self.inner.datagram(now, from, buf, len);
        if let Response::Reply(bytes) = response {
            self.gate.did_reply(now, address, bytes);
        }
        response
    }
}
