//! A connected stream socket, TCP or Unix. It never blocks and never raises SIGPIPE.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, MsgFlags, Shutdown, SockaddrStorage};
use windlass_core::stream::{Read, Write};

/// A connected stream socket. Dropping it closes the connection.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// One `recv(2)`.
    ///
    /// # Errors
    /// `ECONNRESET` and its kin: the connection is lost.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Read, Errno> {
        match socket::recv(self.0.as_raw_fd(), buf, MsgFlags::MSG_DONTWAIT) {
            Ok(count) => Ok(Read::count(count)),
            Err(Errno::EINTR) => Ok(Read::Interrupted),
            Err(Errno::EAGAIN) => Ok(Read::WouldBlock),
            Err(errno) => Err(errno),
        }
    }

    /// One `send(2)`, or one `sendmsg(2)` when both parts have bytes. `parts` are not all empty.
    ///
    /// # Errors
    /// `EPIPE`, `ECONNRESET` and their kin: the connection is lost.
    pub fn send(&self, parts: [&[u8]; 2]) -> Result<Write, Errno> {
        const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);
        let fd = self.0.as_raw_fd();
        let sent = match parts {
            [only, []] | [[], only] => socket::send(fd, only, FLAGS),
            [first, then] => {
                let parts = [IoSlice::new(first), IoSlice::new(then)];
                socket::sendmsg::<()>(fd, &parts, &[], FLAGS, None)
            }
        };
        match sent {
            Ok(count) => Ok(Write::count(count)),
            Err(Errno::EINTR) => Ok(Write::Interrupted),
            Err(Errno::EAGAIN) => Ok(Write::WouldBlock),
            Err(errno) => Err(errno),
        }
    }

    /// `shutdown(SHUT_WR)`: the peer sees the end of our output. A connection that is already gone
    /// needs no shutdown, so there is no error.
    pub fn shutdown_write(&self) {
        let _ = socket::shutdown(self.0.as_raw_fd(), Shutdown::Write);
    }

    /// `shutdown(SHUT_RDWR)`: both ends see the end, also those who hold a copy of the descriptor.
    pub fn shutdown_both(&self) {
        let _ = socket::shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }

    /// The peer's address, for the log.
    pub fn peer(&self) -> Option<SockaddrStorage> {
        socket::getpeername(self.0.as_raw_fd()).ok()
    }

    /// A connected pair of Unix stream sockets, for tests and examples.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let (a, b) = socket::socketpair(
            socket::AddressFamily::Unix,
            socket::SockType::Stream,
            None,
            socket::SockFlag::SOCK_CLOEXEC | socket::SockFlag::SOCK_NONBLOCK,
        )?;
        Ok((Self(a), Self(b)))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
