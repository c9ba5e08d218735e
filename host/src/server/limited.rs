//! What stands between the clients of a listener and its offer, if not all clients are served alike.

use std::net::SocketAddr;
use std::sync::Arc;

use windlass_core::time::Instant;

use super::service::{Limited, Offer};
use super::web::Ending;
use crate::drive::{AccessLog, Admission, Announced, Client, Gate, Gated, Job, Pass, Visit};
use crate::error::Result;

impl Offer {
    /// The same to the clients that `terms` admit. Clients of `before`, an earlier offer at the same listener, are
    /// counted on.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn limited(
        self,
        terms: Admission,
        log: Option<Arc<AccessLog>>,
        before: Option<&Self>,
    ) -> Result<Self> {
        let before = before.and_then(|offer| match offer {
            Self::Limited(limited) => Some(&*limited.gate),
            _ => None,
        });
        let gate = Arc::new(Gate::new(terms, log, before)?);
        let last = Arc::new(self.clone().ending(Ending::Always));
        Ok(Self::Limited(Limited { gate, offer: Arc::new(self), last }))
    }

    /// Its access log.
    pub(super) fn access_log(&self) -> Option<&Arc<AccessLog>> {
        if let Self::Limited(limited) = self { limited.gate.log() } else { None }
    }
}

impl Limited {
    pub(super) fn open(&self, client: Client, now: Instant) -> Job {
        if let Client::Port(socket) = client {
            return self.offer.port(socket, Some(&self.gate));
        }
        let address = client.address();
        match client {
            Client::Stream(stream)
                if self.gate.is_of_balancer(&stream, address.map(|it| it.ip())) =>
            {
                let limited = self.clone();
                let make = move |stream, client: Option<SocketAddr>, now| {
                    limited.admit(Client::Stream(stream), client.or(address), now)
                };
                let visit = self.gate.log().map(|log| Box::new(Visit::new(log, address, now)));
                Job::Announced(Box::new(Announced::new(stream, Box::new(make), visit, now)))
            }
            client => self.admit(client, address, now),
        }
    }

    /// A client with this address comes.
    fn admit(&self, client: Client, peer: Option<SocketAddr>, now: Instant) -> Job {
        // A transfer can always be refused.
        let has_word = !matches!(client, Client::Stream(_)) || self.offer.refuses_requests();
        let pass = Pass::of(&self.gate, peer.map(|it| it.ip()), has_word, now);
        let offer = if let Pass::Refused { .. } = pass { &self.last } else { &self.offer };
        let gated = Gated::new(offer.open(client, now), pass, peer);
        Job::Gated(Box::new(gated.noted(self.gate.log(), now)))
    }
}
