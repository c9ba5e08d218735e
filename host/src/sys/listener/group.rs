//! A datagram socket that is a member of a multicast group.

use std::fmt;
use std::net::IpAddr;
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
