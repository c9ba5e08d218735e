//! Sockets of clients: one that talks to one peer, and one that sends to anything.

use std::fs::remove_file;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockaddrStorage, UnixAddr};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use windlass_core::time::Instant;

use super::{errors, group, new_socket};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::sys::connect::resolve_within;

/// A socket that sends and receives datagrams, one in each call. Dropping it closes it, and removes the
/// socket file that it made to be answered at.
#[derive(Debug)]
pub struct Datagrams {
    fd: OwnedFd,
    /// The file of this end, a Unix socket.
    own: Option<PathBuf>,
}

/// A socket that talks to the peer at `address` alone: what others send does not arrive, and a peer that is
/// not there is an error.
///
/// The socket of a Unix peer has a name of its own, beside the peer's, so that it can be answered. A program
/// that a signal may end has to drop it first.
///
/// # Errors
/// The name is unknown; nothing is at the path; it is not the address of a datagram socket.
pub fn connect(address: &Address, deadline: Instant) -> Result<Datagrams> {
    let mut socket = connect_to_send(address, deadline)?;
    if let Address::UnixDatagram(path) = address {
        socket.name(path).map_err(Error::of("take a name to be answered at beside", address))?;
    }
    Ok(socket)
}

/// A socket that sends to the peer at `address`; of a Unix peer there is no answer.
///
/// # Errors
/// As [`connect`].
pub fn connect_to_send(address: &Address, deadline: Instant) -> Result<Datagrams> {
    let failed = |errno| Error::new("connect to", address, errno);
    let fd = match address {
        Address::Udp(at) => {
            let mut why = Errno::EADDRNOTAVAIL;
            let mut found = resolve_within(at, deadline)?.into_iter();
            let fd = found.find_map(|at| connect_inet(at).map_err(|errno| why = errno).ok());
            fd.ok_or_else(|| failed(why))?
        }
        Address::UnixDatagram(path) => connect_unix(path).map_err(failed)?,
        Address::Tcp(_) | Address::Unix(_) | Address::UnixAbstract(_) | Address::Fd(_) => {
            let why = "this is not the address of a datagram socket";
            return Err(Error::new("connect to", address, why));
        }
    };
    Ok(Datagrams { fd, own: None })
}

/// A socket that sends to any address of the family of `to`.
///
/// # Errors
/// `EMFILE`, `ENFILE`; no IPv6 on this host.
pub fn open(to: SocketAddr) -> nix::Result<Datagrams> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = new_socket(family)?;
    group::only_joined(&fd, family)?;
    Ok(Datagrams { fd, own: None })
}

fn connect_inet(at: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = new_socket(family)?;
    errors::keep(&fd, family, true)?;
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(at))?;
    Ok(fd)
}

fn connect_unix(path: &Path) -> nix::Result<OwnedFd> {
    let fd = new_socket(AddressFamily::Unix)?;
    socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

impl Datagrams {
    /// Takes a name beside the peer's, which is at `path`.
    ///
    /// An address in the abstract name space needs no file and no cleaning up, but an answer to it passes no
    /// border of network namespaces, and a server in another one could not answer.
    fn name(&mut self, path: &Path) -> nix::Result<()> {
        for nth in 0..u16::MAX {
            let (own, at) = name_beside(path, nth)?;
            match socket::bind(self.fd.as_raw_fd(), &at) {
                Ok(()) => {
                    self.own = Some(own.clone());
                    // The server may be of another user. It is connected: nothing else can send to it.
                    let mode = Mode::from_bits_truncate(0o666);
                    return fchmodat(AT_FDCWD, &own, mode, FchmodatFlags::FollowSymlink);
                }
                // Left behind by a process of the same id that was killed.
                Err(Errno::EADDRINUSE) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Sends one datagram to the peer that it is connected to. False: there is no room for it now.
    ///
    /// # Errors
    /// `ECONNREFUSED`: the peer is not there. `EMSGSIZE`: it is longer than a datagram can be.
    pub fn send(&self, datagram: &[u8]) -> nix::Result<bool> {
        is_sent(|| socket::send(self.fd.as_raw_fd(), datagram, FLAGS))
    }

    /// Sends one datagram to `to`. False: there is no room for it now.
    ///
    /// # Errors
    /// `EACCES`: a broadcast address, and broadcast is not allowed. `ENETUNREACH`: no route. `EMSGSIZE`.
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> nix::Result<bool> {
        let to = SockaddrStorage::from(to);
        is_sent(|| socket::sendto(self.fd.as_raw_fd(), datagram, &to, FLAGS))
    }

    /// Receives one datagram; `None` when there is none. One that is longer than `buf` is cut.
    ///
    /// # Errors
    /// `ECONNREFUSED`: what was sent before did not find the peer.
    pub fn receive(&self, buf: &mut [u8]) -> nix::Result<Option<usize>> {
        match socket::recv(self.fd.as_raw_fd(), buf, MsgFlags::MSG_DONTWAIT) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

impl Datagrams {
    /// An error of sending or receiving, with what the network says about it: which host does not know the way,
    /// how long a packet may be.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        let peer = socket::getpeername::<SockaddrStorage>(self.fd.as_raw_fd()).ok();
        let v4 = peer.as_ref().and_then(|at| at.as_sockaddr_in().map(|at| at.ip().into()));
        let v6 = || peer.as_ref().and_then(|at| at.as_sockaddr_in6().map(|at| at.ip().into()));
        let peer = v4.or_else(v6);
        // The error is of the first of them.
        let mut reports = std::iter::from_fn(|| errors::take(self));
        let report = reports.next().and_then(|report| report.beyond(peer));
        match report {
            Some(report) => error.and(report),
            None => error,
        }
    }
}

/// A name that begins with the peer's. If the peer's is nearly as long as a name may be, one in the same folder.
fn name_beside(path: &Path, nth: u16) -> nix::Result<(PathBuf, UnixAddr)> {
    let end = format!(".{}.{nth}", std::process::id());
    let mut long = path.as_os_str().to_owned();
    long.push(&end);
    let named = |own: PathBuf| UnixAddr::new(&own).map(|at| (own, at));
    named(long.into()).or_else(|_| named(path.with_file_name(end)))
}

const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// A datagram leaves whole, or not at all.
fn is_sent(send: impl Fn() -> nix::Result<usize>) -> nix::Result<bool> {
    loop {
        match send() {
            Ok(_) => return Ok(true),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            let _ = remove_file(own);
        }
    }
}
