//! Datagrams sent and listened to: what `score` and `cast` have in common.

pub mod cast;
mod listen;
#[cfg(feature = "cli")]
pub mod score;
mod talk;
pub(super) mod time;

use std::net::SocketAddr;

pub use listen::Listening;
pub use talk::talk;
pub use time::time;

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::connect::resolve_within;
use crate::sys::datagram::{self, Datagrams, group};
use crate::sys::{Errno, clock};

/// How datagrams get where they go.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// The name of the interface that they are sent through.
    pub interface: Option<String>,
    /// Broadcast addresses are allowed.
    pub broadcast: bool,
    /// The time to live, of which each router takes 1. Otherwise that of the system, which is 1 for groups.
    pub ttl: Option<u8>,
}

/// How long a name may take to be resolved, in microseconds.
const RESOLVE_US: u64 = 10_000_000;

/// A socket to send with, and where to.
struct Sender {
    socket: Datagrams,
    /// `None`: it is connected.
    to: Option<SocketAddr>,
    address: Address,
}

impl Sender {
    fn open(address: &Address, route: &Route) -> Result<Self> {
        let deadline = clock::now().after(RESOLVE_US);
        let failed = |errno| Error::new("send to", address, errno);
        let Address::Udp(at) = address else {
            let socket = datagram::connect_to_send(address, deadline)?;
            return Ok(Self { socket, to: None, address: address.clone() });
        };
        // Of several addresses of a name the first: nothing would say which of them heard it.
        let to = resolve_within(at, deadline)?.first().copied();
        let to = to.ok_or_else(|| failed(Errno::EADDRNOTAVAIL))?;
        if to.port() == 0 {
            return Err(Error::new("send to", address, "nothing receives at port 0"));
        }
        if route.ttl == Some(0) && !to.ip().is_multicast() {
            return Err(Error::new("send to", address, "a TTL of 0 is for multicast groups"));
        }
        let socket = datagram::open(to).map_err(failed)?;
        if route.broadcast {
            datagram::allow_broadcast(&socket).map_err(failed)?;
        }
        if let Some(name) = &route.interface {
            let by = |errno| Error::new("send through interface", printable(name), errno);
            if to.ip().is_multicast() {
                let number = group::interface(name).map_err(by)?;
                group::send_by(&socket, to.ip(), number).map_err(by)?;
            } else {
                datagram::bind_to_device(&socket, name).map_err(by)?;
            }
        }
        if let Some(ttl) = route.ttl {
            let set = if to.ip().is_multicast() { group::set_ttl } else { group::set_unicast_ttl };
            set(&socket, to.ip(), ttl).map_err(failed)?;
        }
        Ok(Self { socket, to: Some(to), address: address.clone() })
    }

    /// Sends one datagram. False: there is no room for it now.
    fn try_send(&self, datagram: &[u8]) -> Result<bool> {
        let sent = match self.to {
            Some(to) => self.socket.send_to(datagram, to),
            None => self.socket.send(datagram),
        };
        sent.map_err(|errno| {
            let error = Error::new("send to", &self.address, errno);
            match errno {
                Errno::EACCES => error.and("to send to a broadcast address needs --broadcast"),
                Errno::EMSGSIZE => error.and(format!("it has {} bytes", datagram.len())),
                _ => error,
            }
        })
    }
}

/// When there is no room to send, it is tried again after so many microseconds. The socket may say that it
/// has room while a queue below it is full (`ENOBUFS`).
const NO_ROOM_US: u64 = 1_000;
