//! A datagram socket that is a member of a multicast group.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use nix::errno::Errno;

use crate::printable::printable;
use crate::sys::datagram::group::interface;

/// A multicast group, on an interface or on the one that the route to the group leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its address.
    pub address: IpAddr,
    /// The name of the interface.
    pub interface: Option<String>,
}

/// The group of a socket, and the interface on which it joined.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) group: Group,
    pub(super) joined: Option<NonZeroU32>,
}

impl Group {
    /// Why a socket at `own` cannot be a member. `None`: nothing is against it, as far as the two addresses tell.
    pub fn misfit(&self, own: Option<SocketAddr>) -> Option<&'static str> {
        let own = own.map(|at| at.ip());
        if !self.address.is_multicast() {
            Some("it is not the address of a multicast group")
        } else if own.is_some_and(|ip| ip.is_ipv4() != self.address.is_ipv4()) {
            Some("the group and the address are not of the same version of IP")
        } else if own.is_some_and(|ip| ip.is_multicast() && ip != self.address) {
            Some(
                "the address is that of another group, and a socket receives only what is sent to its address",
            )
        } else {
            None
        }
    }

    /// The number of its interface.
    pub(super) fn number(&self) -> Result<Option<NonZeroU32>, Errno> {
        self.interface.as_deref().map(interface).transpose()
    }
}

/// `239.0.0.2 on eth0`
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match &self.interface {
            Some(name) => write!(f, " on {}", printable(name)),
            None => Ok(()),
        }
    }
}
