//! Connecting, and turning names into addresses and back.

mod race;
mod resolve;
mod start;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{self, SockaddrStorage, UnixAddr};
use windlass_core::time::Instant;

use self::race::connect_first;
use self::resolve::literal;
pub use self::resolve::resolve_within;
use self::start::new_socket;
pub use self::start::start;
use super::stream::Stream;
use crate::addr::{Address, HostPort, Transport};
use crate::error::{Error, Result};

/// Connects to `address` before `deadline`. A name may have several addresses: the first that answers
/// is taken (`connect/race.rs`). TCP gets `TCP_NODELAY`.
///
/// # Errors
/// Why there is no connection: refused, unreachable, no answer in time; of each address of a name.
pub fn connect(address: &Address, deadline: Instant) -> Result<Stream> {
    match address {
        Address::Tcp(at) => connect_first(resolve_within(at, deadline)?, deadline)
            .map_err(|why| Error::new("connect to", address, why.into_cause())),
        Address::Unix(path) => UnixAddr::new(path)
            .and_then(|at| connect_unix(&at))
            .map_err(Error::of("connect to", address)),
        Address::UnixAbstract(name) => UnixAddr::new_abstract(name.as_bytes())
            .and_then(|at| connect_unix(&at))
            .map_err(Error::of("connect to", address)),
        Address::Udp(_) | Address::UnixDatagram(_) | Address::Fd(_) => {
            Err(Error::new("connect to", address, "this is not the address of a stream"))
        }
    }
}

/// A Unix socket is connected at once or not at all.
fn connect_unix(at: &UnixAddr) -> nix::Result<Stream> {
    let fd = new_socket(at)?;
    match socket::connect(fd.as_raw_fd(), at) {
        Ok(()) => Ok(Stream::new(fd)),
        // A listener with a full backlog answers with an error instead of waiting.
        Err(Errno::EAGAIN) => Err(Errno::ECONNREFUSED),
        Err(errno) => Err(errno),
    }
}

/// Whether a server answers on a Unix socket path; `ECONNREFUSED` when the file is all that is left.
pub(super) fn probe(path: &Path) -> nix::Result<()> {
    let at = UnixAddr::new(path)?;
    let fd = new_socket(&at)?;
    socket::connect(fd.as_raw_fd(), &at)
}

/// The addresses of a host and port to listen on, in the order to try them.
///
/// # Errors
/// The error of the resolver.
pub(super) fn resolve(at: &HostPort) -> Result<Vec<SockaddrStorage>> {
    let found = if let Some(literal) = literal(at)? {
        vec![literal]
    } else {
        let host = (at.host.as_str(), at.port);
        host.to_socket_addrs().map_err(Error::of("resolve", &at.host))?.collect()
    };
    // A socket of IPv6 alone has no IPv4 address, in whatever form it is written.
    let canonical = |at: SocketAddr| match at.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), at.port()),
        IpAddr::V6(_) => at,
    };
    Ok(found.into_iter().map(canonical).map(SockaddrStorage::from).collect())
}

/// The name of an interface; its number, if the interface is gone.
fn zone_name(zone: u32) -> String {
    let name = if_indextoname(zone).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| zone.to_string())
}

/// The address that the name of a socket stands for, if it has one.
pub(super) fn address_of(name: &SockaddrStorage, transport: Transport) -> Option<Address> {
    let inet = |at: SocketAddr| {
        let host = match at {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                format!("{}%{}", v6.ip(), zone_name(v6.scope_id()))
            }
            _ => at.ip().to_string(),
        };
        let at = HostPort { host, port: at.port() };
        match transport {
            Transport::Stream => Address::Tcp(at),
            Transport::Datagram => Address::Udp(at),
        }
    };
    if let Some(v4) = name.as_sockaddr_in() {
        return Some(inet(SocketAddr::V4((*v4).into())));
    }
    if let Some(v6) = name.as_sockaddr_in6() {
        return Some(inet(SocketAddr::V6((*v6).into())));
    }
    let unix = name.as_unix_addr()?;
    match (unix.path(), transport) {
        (Some(path), Transport::Stream) => Some(Address::Unix(path.to_owned())),
        (Some(path), Transport::Datagram) => Some(Address::UnixDatagram(path.to_owned())),
        (None, Transport::Stream) => {
            let name = String::from_utf8_lossy(unix.as_abstract()?).into_owned();
            Some(Address::UnixAbstract(name))
        }
        // It has no form on the command line.
        (None, Transport::Datagram) => None,
    }
}

#[cfg(test)]
mod tests;
