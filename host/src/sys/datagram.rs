//! Datagram sockets: what a socket is told before it is used. [`batch`] moves the datagrams.

pub mod batch;
mod client;
mod control;
#[cfg(feature = "transfer")]
mod conversation;
mod errors;
pub mod group;
#[cfg(feature = "transfer")]
pub mod inlet;
mod many;
mod peer;
pub mod volley;

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrLike,
    SockaddrStorage, sockopt,
};

pub use client::{Datagrams, connect, connect_to_send, open};
#[cfg(feature = "transfer")]
pub use conversation::{Conversation, Left, Line};
#[cfg(feature = "transfer")]
pub use errors::take_error;
pub use peer::Peer;
pub(super) use peer::inet;

/// The longest datagram of UDP over IPv4, in bytes: 65,535 less the headers. IPv6 takes 20 more.
pub const UDP_MAX: usize = 65_507;

/// A datagram socket of a family, nonblocking, close-on-exec.
pub(super) fn new_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(family, SockType::Datagram, flags, None::<SockProtocol>)
}

/// A socket bound to an internet address.
///
/// `shared` sets `SO_REUSEADDR`, so that several programs receive from one group. Without it a second server
/// on a port is an error: with it, the last one would take all that is sent to one host.
pub(super) fn bind_inet(at: &SockaddrStorage, shared: bool) -> nix::Result<OwnedFd> {
    let family = at.family().unwrap_or(AddressFamily::Inet);
    let fd = new_socket(family)?;
    if family == AddressFamily::Inet6 {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if shared {
        socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    socket::bind(fd.as_raw_fd(), at)?;
    prepare(&fd)?;
    group::only_joined(&fd, family)?;
    Ok(fd)
}

/// Each datagram comes with the address that it was sent to, and with the number of those that the kernel had
/// to drop before it.
///
/// Errors of what was sent before are not kept for the socket (`IP_RECVERR`, which another program may have
/// set): a client that is gone is no matter of the others, and the queue of errors would keep a loop awake.
pub(super) fn prepare(fd: &impl AsFd) -> nix::Result<()> {
    tell_destinations(fd, true)?;
    keep_errors(fd, false)?;
    socket::setsockopt(fd, sockopt::RxqOvfl, &1)
}

/// Each datagram comes with the time of its arrival.
///
/// # Errors
/// Those of setsockopt(2).
pub fn tell_times(fd: &impl AsFd) -> nix::Result<()> {
    socket::setsockopt(fd, sockopt::ReceiveTimestampns, &true)
}

/// Whether the network's errors are kept.
pub(super) fn keep_errors(fd: &impl AsFd, on: bool) -> nix::Result<()> {
    match ip_of(fd) {
        Some(IpAddr::V4(_)) => errors::keep(fd, AddressFamily::Inet, on),
        Some(IpAddr::V6(_)) => errors::keep(fd, AddressFamily::Inet6, on),
        None => Ok(()),
    }
}

/// Whether each datagram comes with the address that it was sent to. If not `always`, it does so only where the
/// socket has several addresses: a reply leaves from the only one by itself, and a short answer is cheaper by a
/// twentieth.
pub(super) fn tell_destinations(fd: &impl AsFd, always: bool) -> nix::Result<()> {
    match ip_of(fd) {
        Some(IpAddr::V4(ip)) => {
            let has_several = ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast();
            socket::setsockopt(fd, sockopt::Ipv4PacketInfo, &(always || has_several))
        }
        Some(IpAddr::V6(ip)) => {
            let has_several = ip.is_unspecified() || ip.is_multicast();
            socket::setsockopt(fd, sockopt::Ipv6RecvPacketInfo, &(always || has_several))
        }
        None => Ok(()),
    }
}

/// The internet address that a socket is bound to.
fn ip_of(fd: &impl AsFd) -> Option<IpAddr> {
    let name = socket::getsockname::<SockaddrStorage>(fd.as_fd().as_raw_fd()).ok()?;
    let v4 = name.as_sockaddr_in().map(|at| at.ip().into());
    v4.or_else(|| name.as_sockaddr_in6().map(|at| at.ip().into()))
}

/// Whether something can be sent to this socket: it has a port, or a name.
pub(super) fn is_bound(fd: &impl AsFd) -> bool {
    let Ok(name) = socket::getsockname::<SockaddrStorage>(fd.as_fd().as_raw_fd()) else {
        return false;
    };
    let ports = [
        name.as_sockaddr_in().map(SockaddrIn::port),
        name.as_sockaddr_in6().map(SockaddrIn6::port),
    ];
    let unix = name.as_unix_addr();
    let is_named = unix.is_some_and(|at| at.path().is_some() || at.as_abstract().is_some());
    is_named || ports.into_iter().flatten().any(|port| port != 0)
}

/// Allows to send to broadcast addresses (`SO_BROADCAST`).
///
/// # Errors
/// `setsockopt(2)` has no error for an open datagram socket.
pub fn allow_broadcast(fd: &impl AsFd) -> nix::Result<()> {
    socket::setsockopt(fd, sockopt::Broadcast, &true)
}

/// Sends and receives on one interface only (`SO_BINDTODEVICE`): also where no route leads there.
///
/// # Errors
/// `ENODEV`: there is no such interface. `EPERM`: another was set before, and this process is not root.
pub fn bind_to_device(fd: &impl AsFd, interface: &str) -> nix::Result<()> {
    socket::setsockopt(fd, sockopt::BindToDevice, &interface.into())
}

/// Bytes that the receive buffer of a socket holds, as the kernel counts them.
pub fn receive_room(fd: &impl AsFd) -> usize {
    socket::getsockopt(fd, sockopt::RcvBuf).unwrap_or(0)
}

/// Asks for a receive buffer of this number of bytes, as the kernel counts them, if the socket has fewer. Returns
/// the number that it has then.
pub fn make_receive_room(fd: &impl AsFd, bytes: usize) -> usize {
    if receive_room(fd) < bytes {
        // The kernel doubles it. More than `net.core.rmem_max` is cut to that.
        let _ = socket::setsockopt(fd, sockopt::RcvBuf, &(bytes / 2));
    }
    receive_room(fd)
}

/// Its calls wait, if they do not say that they do not.
pub(super) fn set_blocking(fd: &impl AsFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
}

#[cfg(test)]
mod tests;
