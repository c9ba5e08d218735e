//! How requests for transfers are taken, and what serves one.

use std::sync::Arc;

use windlass_core::transfer::Transfer;

use super::service::Offer;
use super::transfers::{Terms, Transfers, is_tftp_request, is_xfer_request};
use crate::drive::Door;

impl Offer {
    /// How requests for transfers are taken, if each has a socket of its own.
    pub(super) fn door(&self) -> Option<Door> {
        let (is_request, transfers): (fn(&[u8]) -> bool, _) = match self {
            Self::Tftp(transfers) => (is_tftp_request, transfers),
            Self::Xfer(transfers) => (is_xfer_request, transfers),
            Self::Limited(limited) => return limited.offer.door(),
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
        };
        // With a single port all that arrives is one client.
        let (ports, peers) = (transfers.terms.ports, Arc::clone(&transfers.peers));
        let door = Door { is_request, ports, peers };
        Some(door).filter(|_| !transfers.terms.single_port)
    }

    pub(super) fn transfers(&self) -> Option<&Transfers> {
        match self {
            Self::Tftp(transfers) | Self::Xfer(transfers) => Some(transfers),
            Self::Limited(limited) => limited.offer.transfers(),
            Self::Time
            | Self::Upper
            | Self::Echo
            | Self::Files(_)
            | Self::Push { .. }
            | Self::Http { .. }
            | Self::Score
            | Self::Custom(_) => None,
            #[cfg(feature = "tls")]
            Self::Secured(..) => None,
        }
    }

    /// What serves one request at a socket with so many bytes of room, and whether it may replace a file.
    pub(super) fn machine(&self, room: usize) -> (Box<dyn Transfer + Send>, bool) {
        match self {
            Self::Tftp(transfers) => (transfers.tftp(room), transfers.terms.overwrite),
            Self::Xfer(transfers) => (transfers.xfer(), false),
            Self::Limited(limited) => limited.offer.machine(room),
            Self::Time
            | Self::Upper
            | Self::Echo
            | Self::Files(_)
            | Self::Push { .. }
            | Self::Http { .. }
            | Self::Score
            | Self::Custom(_) => (Transfers::new(None, Terms::DEFAULT).xfer(), false),
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => offer.machine(room),
        }
    }
}
