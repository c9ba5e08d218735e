//! How requests for transfers are taken, and what serves one.

use std::sync::Arc;

use windlass_core::time::Instant;
use windlass_core::transfer::Transfer;

use super::service::Offer;
use super::transfers::{Terms, Transfers, is_tftp_request, is_xfer_request};
use crate::drive::{Door, Exchange};
use crate::sys::datagram::{Conversation, receive_room};

/// What `tftp` and `xfer` have of their own.
pub(super) struct Protocol<'t> {
    pub(super) transfers: &'t Transfers,
    pub(super) is_request: fn(&[u8]) -> bool,
    /// Makes what serves one request at a socket with so many bytes of room.
    make: fn(&Transfers, usize) -> Box<dyn Transfer + Send>,
    /// A client may replace files.
    pub(super) overwrite: bool,
}

impl Offer {
    /// How it serves transfers, if it does.
    pub(super) fn protocol(&self) -> Option<Protocol<'_>> {
        Some(match self {
            Self::Tftp(transfers) => Protocol {
                transfers,
                is_request: is_tftp_request,
                make: Transfers::tftp,
                overwrite: transfers.terms.overwrite,
            },
            Self::Xfer(transfers) => Protocol {
                transfers,
                is_request: is_xfer_request,
                make: |transfers, _| transfers.xfer(),
                overwrite: false,
            },
            Self::Limited(limited) => return limited.offer.protocol(),
            Self::Time
            | Self::Upper
            | Self::Echo
            | Self::Files(_)
            | Self::Push { .. }
            | Self::Http { .. }
            | Self::Score
            | Self::Custom(_) => return None,
            #[cfg(feature = "tls")]
            Self::Secured(..) => return None,
        })
    }

    /// How requests for transfers are taken, if each has a socket of its own.
    pub(super) fn door(&self) -> Option<Door> {
        let Protocol { transfers, is_request, .. } = self.protocol()?;
        // With a single port all that arrives is one client.
        let (ports, peers) = (transfers.terms.ports, Arc::clone(&transfers.peers));
        (!transfers.terms.single_port).then_some(Door { is_request, ports, peers })
    }

    /// Whether clients may send files to the folder, and whether each has a socket that is opened for it.
    #[cfg(feature = "sandbox")]
    pub(super) fn writes_and_opens(&self) -> (bool, bool) {
        let writes = |protocol: Protocol<'_>| protocol.transfers.terms.allow_write;
        (self.protocol().is_some_and(writes), self.door().is_some())
    }

    /// Serves the request of a client at a socket of its own.
    pub(super) fn exchange(
        &self,
        socket: Conversation,
        request: Box<[u8]>,
        now: Instant,
    ) -> Exchange {
        let (machine, protocol) = (self.machine(receive_room(&socket)), self.protocol());
        let overwrite = protocol.as_ref().is_some_and(|protocol| protocol.overwrite);
        let exchange = Exchange::serving(socket, machine, request, overwrite, now);
        match protocol {
            Some(Protocol { transfers, .. }) => exchange.known_to(&transfers.peers),
            None => exchange,
        }
    }

    /// What serves one request at a socket with so many bytes of room.
    pub(super) fn machine(&self, room: usize) -> Box<dyn Transfer + Send> {
        match self.protocol() {
            Some(Protocol { transfers, make, .. }) => make(transfers, room),
            // Every request is refused.
            None => Transfers::new(None, Terms::DEFAULT).xfer(),
        }
    }
}
