//! A transfer at a port that many peers share: another one receives for it.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::peers::Peers;
use super::Exchange;
use crate::sys::Errno;
use crate::sys::traffic;

/// Datagrams of one peer that wait for its turn at most.
const HELD_MAX: usize = 256;

impl Exchange {
    /// Other processes see in `peers` that its peer is served.
    #[must_use]
    pub fn known_to(mut self, peers: &Arc<Peers>) -> Self {
        self.link.mark = peers.mark(self.peer());
        self
    }

    /// At a port that many peers share: a datagram of its peer came.
    pub(in super::super) fn deliver(&mut self, datagram: &[u8]) {
        self.link.readable = false;
        traffic::did_receive(datagram.len());
        if self.held.len() < HELD_MAX {
            self.held.push_back(datagram.into());
        }
    }

    /// At such a port: what the network says of what was sent to its peer. It has a turn next.
    pub(in super::super) fn network_said(&mut self, errno: Errno) {
        // A server's is not ended by the others.
        let _ = self.link.network_said(errno);
    }

    /// The address that the peer asked, at such a port.
    pub(in super::super) fn asked(&self) -> Option<IpAddr> {
        self.link.socket.asked()
    }

    /// The request that ended it, once.
    pub(in super::super) fn take_next_request(&mut self) -> Option<Box<[u8]>> {
        self.next_request.take()
    }
}
