//! The socket of a client, and the beginning of its connection.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, sockopt,
};

use crate::sys::stream::Stream;

/// Begins to connect to a TCP address and does not wait: the socket becomes writable when it is
/// connected, and reports an error when it cannot be.
///
/// # Errors
/// What `connect(2)` says at once: `EADDRNOTAVAIL` when all local ports are taken.
pub fn start(address: SocketAddr) -> nix::Result<Stream> {
    let at = SockaddrStorage::from(address);
    let fd = new_socket(&at)?;
    match socket::connect(fd.as_raw_fd(), &at) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(Stream::new(fd)),
        Err(errno) => Err(errno),
    }
}

/// A stream socket for an address like `at`.
pub(super) fn new_socket<A: SockaddrLike>(at: &A) -> nix::Result<OwnedFd> {
    let family = at.family().unwrap_or(AddressFamily::Inet);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(family, SockType::Stream, flags, None::<SockProtocol>)?;
    if family != AddressFamily::Unix {
        socket::setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    }
    Ok(fd)
}
