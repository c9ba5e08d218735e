//! Listening sockets: binding, inheriting, and accepting with every error of `accept(2)` handled.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{self, Backlog, SockFlag, SockType, SockaddrStorage, sockopt};
use windlass_core::time::Instant;

use super::connect;
use super::datagram;
use super::poll::{Woken, wait};
use super::ready::{Interest, Ready};
use super::stream::Stream;
use super::user::User;
use crate::addr::{Address, HostPort, Transport};
use crate::error::{Error, Result};

/// A socket at which clients arrive, nonblocking: a stream socket that listens, or a datagram socket that
/// is bound.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    transport: Transport,
    address: Address,
    owner: Owner,
    /// The socket file to remove at the end.
    owned_path: Option<OwnedPath>,
    /// The multicast group of a datagram socket.
    membership: Option<Membership>,
    /// Addresses of the name in `address` on which it does not listen.
    unserved: Vec<Address>,
}

/// Which process may shut the socket down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Ours,
    /// The old binary of this program serves on it until this one does, and goes on if this one fails.
    OldBinary,
    /// Another process opened it, and may go on with it.
    Other,
}

/// No process has this id.
const NO_PID: u32 = 0;

/// The result of one [`Listener::accept`].
#[derive(Debug)]
pub enum Accepted {
    /// A connection.
    Stream(Stream),
    /// It is a datagram socket: one client receives all that arrives at it.
    Datagrams,
    /// No client is waiting.
    Empty,
    /// A connection is waiting and there is no descriptor or memory for it (`EMFILE`, `ENFILE`,
    /// `ENOBUFS`, `ENOMEM`). It stays in the queue: wait until something is closed.
    Exhausted(Errno),
    /// A process that shares the listener has shut it down: no client can connect any more.
    Closed,
}

impl Listener {
    /// Whether connections or datagrams arrive at it.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    fn of(fd: OwnedFd, address: Address, owner: Owner) -> Self {
        let transport = transport_of(&fd).unwrap_or(Transport::Stream);
        let (owned_path, membership, unserved) = (None, None, Vec::new());
        Self { fd, transport, address, owner, owned_path, membership, unserved }
    }

    /// Takes over the listening socket that was passed as descriptor `raw`.
    fn inherit(raw: RawFd) -> Result<Self> {
        let address = Address::Fd(raw);
        let refuse = |why: &'static str| Error::new("inherit", Address::Fd(raw), why);
        if raw <= 2 {
            return Err(refuse("descriptors 0 to 2 are standard input, output and error"));
        }
        // SAFETY: only looked at here, and only if it is open; owned further down.
        let seen = unsafe { BorrowedFd::borrow_raw(raw) };
        fcntl(seen, FcntlArg::F_GETFD).map_err(Error::of("inherit", &address))?;
        let listens = socket::getsockopt(&seen, sockopt::AcceptConn)
            .map_err(|_| refuse("it is not a socket"))?;
        let is_connected = socket::getpeername::<SockaddrStorage>(raw).is_ok();
        match transport_of(&seen) {
            Some(Transport::Stream) if listens => {}
            Some(Transport::Datagram) if is_connected => {
                return Err(refuse("it is connected to one client"));
            }
            Some(Transport::Datagram) if datagram::is_bound(&seen) => {}
            Some(Transport::Datagram) => return Err(refuse("it is bound to no address")),
            Some(Transport::Stream) | None => {
                return Err(refuse(
                    "it is neither a listening stream socket nor a datagram socket",
                ));
            }
        }
        // SAFETY: it is open, and not ours yet: the command line takes inherited descriptors before
        // it opens any, and each number once.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        set_flags(&fd).map_err(Error::of("inherit", &address))?;
        let mut listener = Self::of(fd, address, Owner::Other);
        if let Some(real) = listener.socket_address() {
            listener.address = real;
        }
        if matches!(listener.address, Address::Tcp(_)) {
            let _ = socket::setsockopt(&listener.fd, sockopt::TcpNoDelay, &true);
        }
        if listener.transport == Transport::Datagram {
            // Another program made the socket, and may not have set these options. A Unix socket does not have them.
            let _ = datagram::prepare(&listener.fd);
        }
        Ok(listener)
    }

    /// The address, with the real port. If a name was given, it has the name.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Further addresses of the name that was given. It does not listen there: a socket has one address.
    pub fn unserved(&self) -> &[Address] {
        &self.unserved
    }

    /// The address of the socket itself, without a name.
    pub fn socket_address(&self) -> Option<Address> {
        let name = socket::getsockname::<SockaddrStorage>(self.fd.as_raw_fd());
        name.ok().and_then(|name| connect::address_of(&name, self.transport))
    }

    /// From now on this process may shut the socket down, and removes the socket file, if there is one.
    pub fn adopt(&mut self) {
        if self.owner == Owner::OldBinary {
            self.owner = Owner::Ours;
        }
        if let Some(owned) = &mut self.owned_path {
            owned.owner = std::process::id();
        }
    }

    /// Whether it was opened by this program, and not by its parent process.
    pub fn is_own(&self) -> bool {
        self.owner != Owner::Other
    }

    /// Whether it was taken over and not adopted.
    pub fn is_of_old_binary(&self) -> bool {
        self.owner == Owner::OldBinary
    }

    /// Of a datagram socket with one address: whether each datagram comes with the address that it was sent to.
    /// One that answers from this socket does not need it. It holds for every process that shares the socket.
    pub fn tell_destinations(&self, always: bool) {
        if self.transport == Transport::Datagram {
            // As it was, if it fails: that is slower, and not wrong.
            let _ = datagram::tell_destinations(&self.fd, always);
        }
    }

    /// Of a datagram socket: prepares it to be received from and nothing else, by one thread that waits in
    /// [`Batch::wait_and_receive`](super::datagram::batch::Batch::wait_and_receive). It has `room` bytes for what
    /// waits, or what `net.core.rmem_max` allows.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn prepare_to_listen(&self, room: usize) -> Result<()> {
        // Nothing is answered, so no address to answer from is needed.
        self.tell_destinations(false);
        datagram::make_receive_room(&self.fd, room);
        datagram::set_blocking(&self.fd).map_err(Error::of("listen on", &self.address))
    }

    /// Of a datagram socket: a thread that waits for a datagram returns from that, at once and from now on.
    pub fn stop_receiving(&self) {
        // Not connected: it is an error, and done.
        let _ = socket::shutdown(self.fd.as_raw_fd(), socket::Shutdown::Read);
    }

    /// Of a datagram socket: whether the network's errors are kept for `datagram::take_error`. They have to be
    /// taken then, or every wait for the socket returns at once. It holds for every process that shares the socket.
    pub fn keep_errors(&self, on: bool) {
        if self.transport == Transport::Datagram {
            // Without them a peer that is gone is given up by a timer.
            let _ = datagram::keep_errors(&self.fd, on);
        }
    }

    /// Closes this process's copy, and leaves the socket file, because another process goes on with it.
    pub fn give_up(mut self) {
        self.owned_path = None;
    }

    /// The socket alone, for one that serves on it. Its file, if it has one, is for the holder of the original.
    pub fn into_fd(mut self) -> OwnedFd {
        (self.owned_path, self.membership, self.unserved) = (None, None, Vec::new());
        self.address = Address::Fd(self.fd.as_raw_fd());
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more, and its other fields own nothing.
        unsafe { std::ptr::read(&raw const this.fd) }
    }

    /// In a forked child that exits soon: closes its copy of the socket and frees nothing, since
    /// each page that is written to would be copied first.
    pub fn close_copy(self) {
        let _ = nix::unistd::close(self.fd.as_raw_fd());
        std::mem::forget(self);
    }

    /// Stops listening, in every process that shares the listener: connections are refused, and a
    /// process that waits for a client is told. A listener that another process may go on with is
    /// not shut down: one that was passed, or taken over and not adopted yet.
    pub fn close_everywhere(&self) {
        if self.owner == Owner::Ours && self.transport == Transport::Stream {
            let _ = socket::shutdown(self.fd.as_raw_fd(), socket::Shutdown::Both);
        }
        self.remove_file();
    }

    /// The accept queue now. A Unix socket does not report it.
    pub fn accept_queue(&self) -> Option<AcceptQueue> {
        // SAFETY: it is numbers, and all of them may be zero.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        let (fd, to) = (self.fd.as_raw_fd(), (&raw mut info).cast());
        // SAFETY: the buffer outlives the call, and its length is its own.
        let done =
            unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut len) };
        // For a listener these two fields are the length of its accept queue and its limit
        // (tcp_get_info() in the kernel).
        (done == 0).then_some(AcceptQueue { waiting: info.tcpi_unacked, limit: info.tcpi_sacked })
    }

    /// Whether a connection waits to be accepted.
    pub fn has_client(&self) -> bool {
        matches!(
            wait(self.fd.as_fd(), Interest::READ, None, Some(Instant::ZERO)),
            Woken::Ready(Ready { read: true, dead: false, .. })
        )
    }

    /// Accepts one connection. A client that gave up while it waited (`ECONNABORTED`, or an error of
    /// its network) is skipped.
    pub fn accept(&self) -> Accepted {
        loop {
            if let Some(accepted) = self.try_accept() {
                return accepted;
            }
        }
    }

    /// One `accept4(2)`, which does not block. `None`: a signal came, or the client has left.
    ///
    /// `accept4` has no flag that makes one call nonblocking: it goes by `O_NONBLOCK`, which belongs to
    /// the open file description. Every holder can change it: a service manager, a program that the
    /// descriptor was passed to, an older binary. So the flag is checked before each call. A holder that
    /// clears it between the check and the call, while the queue is empty, delays this process until the
    /// next client or signal; nothing shorter than a system call can hit that window.
    fn try_accept(&self) -> Option<Accepted> {
        if self.transport == Transport::Datagram {
            return Some(Accepted::Datagrams);
        }
        // Neither call fails with a descriptor that this struct owns.
        let _ = keep_nonblocking(&self.fd);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        match socket::accept4(self.fd.as_raw_fd(), flags) {
            Ok(fd) => {
                // SAFETY: accept4 made this descriptor just now, for us alone.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                Some(Accepted::Stream(Stream::new(fd)))
            }
            Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                Some(Accepted::Exhausted(errno))
            }
            Err(Errno::EINTR | Errno::ECONNABORTED) => None,
            // accept(2): errors of the waiting connection's network are reported here, to be
            // treated like EAGAIN.
            Err(
                Errno::EAGAIN
                | Errno::ENETDOWN
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
                | Errno::EPERM,
            ) => Some(Accepted::Empty),
            Err(Errno::EINVAL) => Some(Accepted::Closed),
            // EBADF, ENOTSOCK: not with a descriptor that this struct owns.
            Err(errno) => Some(Accepted::Exhausted(errno)),
        }
    }

    /// Gives the socket file to `user`, which may then connect to it; and remove it, where the folder
    /// allows that to the owner of a file. Without one it is this process's user's again. `access` says
    /// which other users may connect.
    ///
    /// # Errors
    /// The file is not ours any more, or this process may not.
    pub fn give_to(&self, user: Option<&User>, access: Access) -> Result<()> {
        self.owned_path.as_ref().map_or(Ok(()), |file| file.give_to(user, access))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listener {
    fn remove_file(&self) {
        if let Some(file) = &self.owned_path {
            file.remove();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

/// The length of an accept queue, and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptQueue {
    /// Connections that wait.
    pub waiting: u32,
    /// The backlog, limited by the kernel.
    pub limit: u32,
}

fn transport_of(fd: &impl AsFd) -> Option<Transport> {
    match socket::getsockopt(fd, sockopt::SockType) {
        Ok(SockType::Stream) => Some(Transport::Stream),
        Ok(SockType::Datagram) => Some(Transport::Datagram),
        Ok(_) | Err(_) => None,
    }
}

fn set_flags(fd: &OwnedFd) -> std::result::Result<(), Errno> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    keep_nonblocking(fd)
}

/// Sets `O_NONBLOCK` if it is not set.
fn keep_nonblocking(fd: &OwnedFd) -> std::result::Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

mod bind;
mod file;
mod group;
mod last;
mod member;
mod queue;
mod shared;
pub use file::Access;
use file::OwnedPath;
pub use group::Group;
use group::Membership;
pub use queue::Queue;
#[cfg(test)]
mod tests;
