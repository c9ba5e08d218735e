//! Datagrams, as they arrive at a worker that accepts by itself.

use crate::drive::{Client, Port};
#[cfg(feature = "transfer")]
use crate::drive::{Request, Requests};
use crate::error::Result;
use crate::server::Offer;
use crate::sys::listener::Listener;

/// What a worker does with the datagrams of its listener.
pub(in crate::server) enum Arriving {
    /// It answers what it receives.
    Port(Box<Port>),
    /// Each request is a client, with a socket of its own.
    #[cfg(feature = "transfer")]
    Requests(Requests),
}

/// What has arrived.
#[cfg_attr(not(feature = "transfer"), expect(dead_code, reason = "there are ports alone"))]
pub(in crate::server) enum Arrived<'a> {
    /// A client.
    Client(Client),
    /// Datagrams to answer.
    Datagrams(&'a mut Port),
    /// Nothing, or another worker was faster.
    Nothing,
    /// No descriptor or memory is left for a client.
    NoResources,
}

impl Arriving {
    /// At this listener, for this offer.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(in crate::server) fn at(listener: &Listener, offer: &Offer) -> Result<Self> {
        #[cfg(feature = "transfer")]
        if let Some(door) = offer.door() {
            return Ok(Self::Requests(Requests::new(door)));
        }
        Ok(Self::Port(Box::new(offer.answering_port(listener.share()?))))
    }

    /// Looks what has arrived.
    pub(in crate::server) fn next(&mut self, listener: &Listener) -> Arrived<'_> {
        #[cfg(not(feature = "transfer"))]
        let _ = listener;
        match self {
            Self::Port(port) => Arrived::Datagrams(port),
            #[cfg(feature = "transfer")]
            Self::Requests(requests) => match requests.next(listener, crate::sys::clock::now()) {
                Request::New(socket, request) => {
                    Arrived::Client(Client::Transfer { socket, request })
                }
                Request::Nothing => Arrived::Nothing,
                Request::Exhausted(_) => Arrived::NoResources,
            },
        }
    }

    /// The port, if it is one.
    #[cfg_attr(
        not(feature = "transfer"),
        expect(clippy::unnecessary_wraps, reason = "with transfers it may be none")
    )]
    pub(in crate::server) fn port(&mut self) -> Option<&mut Port> {
        match self {
            Self::Port(port) => Some(port),
            #[cfg(feature = "transfer")]
            Self::Requests(_) => None,
        }
    }
}
