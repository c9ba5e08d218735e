//! Listeners on addresses: their sockets are made, bound, and told to listen.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage,
    UnixAddr, sockopt,
};

use super::file::{Access, bind_path};
use super::{Listener, Owner};
use crate::addr::{Address, HostPort};
use crate::error::{Error, Result};
use crate::sys::connect::{self, resolve};
use crate::sys::datagram;

impl Listener {
    /// Listens on `address`, with up to `backlog` finished connections waiting to be accepted (the
    /// kernel caps it at `net.core.somaxconn`).
    ///
    /// TCP gets `SO_REUSEADDR`, and `TCP_NODELAY`, which accepted sockets inherit. A listener on an IPv6
    /// address takes no IPv4 connections (`IPV6_V6ONLY`), so `0.0.0.0:P` and `[::]:P` go side by side. A
    /// Unix socket file that no server answers on is replaced; one that a server answers on is in use.
    ///
    /// A datagram socket is bound. Of it the kernel tells where each datagram was sent to, and of the groups
    /// that other programs joined it hears nothing.
    ///
    /// # Errors
    /// The call that failed, with the address and the reason.
    pub fn bind(address: &Address, backlog: u32) -> Result<Self> {
        Self::bind_with(address, backlog, Access::default())
    }

    /// As [`bind`](Self::bind); the file of a Unix socket has `access` before anything can connect.
    ///
    /// # Errors
    /// As [`bind`](Self::bind); this process may not set the owner or the mode.
    pub fn bind_with(address: &Address, backlog: u32, access: Access) -> Result<Self> {
        let backlog =
            Backlog::new(i32::try_from(backlog).unwrap_or(i32::MAX)).unwrap_or(Backlog::MAXCONN);
        match address {
            Address::Tcp(at) => Self::bind_inet(address, at, |at| bind_stream(at, backlog)),
            Address::Udp(at) => Self::bind_inet(address, at, |at| datagram::bind_inet(at, false)),
            Address::Unix(path) => Self::bind_path(address, path, Some(backlog), access),
            Address::UnixDatagram(path) => Self::bind_path(address, path, None, access),
            Address::UnixAbstract(name) => {
                let at = UnixAddr::new_abstract(name.as_bytes())
                    .map_err(Error::of("listen on", address))?;
                let fd = bind_stream(&at, backlog).map_err(Error::of("listen on", address))?;
                Ok(Self::of(fd, address.clone(), Owner::Ours))
            }
            Address::Fd(fd) => Self::inherit(*fd),
        }
    }

    /// A stream socket with a backlog, or without one a datagram socket.
    fn bind_path(
        address: &Address,
        path: &Path,
        backlog: Option<Backlog>,
        access: Access,
    ) -> Result<Self> {
        let family = AddressFamily::Unix;
        let fd = if backlog.is_some() { new_socket(family) } else { datagram::new_socket(family) };
        let fd = fd.map_err(Error::of("listen on", address))?;
        let file = bind_path(&fd, address, path, backlog, access)?;
        let mut listener = Self::of(fd, address.clone(), Owner::Ours);
        listener.owned_path = Some(file);
        Ok(listener)
    }

    pub(super) fn bind_inet(
        address: &Address,
        at: &HostPort,
        bind: impl Fn(&SockaddrStorage) -> nix::Result<OwnedFd>,
    ) -> Result<Self> {
        let failed = |errno| Error::new("listen on", address, errno);
        let (mut bound, mut unserved, mut why) = (None, Vec::new(), Errno::EADDRNOTAVAIL);
        for candidate in resolve(at)? {
            if bound.is_none() {
                match bind(&candidate) {
                    Ok(fd) => {
                        bound = Some(fd);
                        continue;
                    }
                    // This host does not have the address. Any other error, such as an address in
                    // use, is final.
                    Err(errno @ (Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT)) => why = errno,
                    Err(errno) => return Err(failed(errno)),
                }
            }
            unserved.push(candidate);
        }
        let fd = bound.ok_or_else(|| failed(why))?;
        let mut listener = Self::of(fd, address.clone(), Owner::Ours);
        if let Some(real) = listener.socket_address() {
            listener.address.set_port_of(&real);
        }
        let unserved = unserved.iter().filter_map(|at| connect::address_of(at, listener.transport));
        listener.unserved = unserved.collect();
        Ok(listener)
    }
}

fn new_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(family, SockType::Stream, flags, None::<SockProtocol>)
}

fn bind_stream<A: SockaddrLike>(at: &A, backlog: Backlog) -> nix::Result<OwnedFd> {
    let family = at.family().unwrap_or(AddressFamily::Inet);
    let fd = new_socket(family)?;
    if family == AddressFamily::Inet6 {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if family != AddressFamily::Unix {
        socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        socket::setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    }
    socket::bind(fd.as_raw_fd(), at)?;
    socket::listen(&fd, backlog)?;
    Ok(fd)
}
