//! In place of a service where it cannot be served.

use windlass_core::fault::Fault;
use windlass_core::responder::{Responder, Response};
use windlass_core::session::{Consumed, Out, Session};
use windlass_core::time::Instant;
use windlass_core::want::Want;

use crate::sys::datagram::Peer;

/// What a service is where it cannot be served ([`Service::misfit`](super::Service::misfit)): a server refuses to start before it meets
/// a client.
pub(super) struct Misfit;

impl Session for Misfit {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        Want::done(Ok(()))
    }

    fn abort(&mut self, _: Fault) {}
}

impl Responder<Peer> for Misfit {
    fn datagram(&mut self, _: Instant, _: &Peer, _: &mut [u8], _: usize) -> Response {
        Response::NoReply
    }
}
