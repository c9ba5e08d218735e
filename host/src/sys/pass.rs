//! Passing descriptors to another process: `SCM_RIGHTS` (unix(7), cmsg(3)).
//!
//! ```text
//! sender                               receiver
//!   fd 9 ──▶ { "job 7", fd 9 } ──▶ { "job 7", fd 4 } ──▶ fd 4
//!             another number, the same open file: one offset, one set of flags, one connection
//! ```
//!
//! A descriptor in flight is open: it stays so when the sender closes its own, and is closed when the
//! channel goes before it was received.

use std::io::IoSlice;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrLike,
    SockaddrStorage,
};
use windlass_core::stream::Write;

/// A Unix socket over which messages travel, each with a descriptor or without. It never blocks.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// The result of one [`Channel::recv`].
#[derive(Debug)]
pub enum Received {
    /// A message, and the descriptor that was sent with it, if there was one. The descriptor is
    /// close-on-exec, and closed when it is dropped.
    Message {
        /// Bytes of payload.
        len: usize,
        /// The descriptor.
        fd: Option<OwnedFd>,
    },
    /// A message without the descriptor that was sent with it (`MSG_CTRUNC`): no descriptor is left
    /// below `RLIMIT_NOFILE`, or there was more than one, and then all of them are closed. Only the
    /// sender can help, if it kept its copy; the payload says which one it was.
    Lost {
        /// Bytes of payload.
        len: usize,
    },
    /// The other end is closed.
    Eof,
    /// No message has arrived yet.
    WouldBlock,
}

impl Channel {
    /// A connected pair that keeps messages apart (`SOCK_SEQPACKET`): each is received whole, in the
    /// order in which it was sent, and ends are seen.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (a, b) = socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Self(a), Self(b)))
    }

    /// A channel of a connected Unix socket that another program made. A stream does not keep
    /// messages apart: what was sent before a descriptor may be received in one piece with it, and
    /// what was sent behind it is not.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` for a socket of another family, which would send the bytes, drop the descriptor
    /// and report success; `ENOTSOCK`.
    pub fn of(socket: impl Into<OwnedFd>) -> Result<Self, Errno> {
        let socket = socket.into();
        let name: SockaddrStorage = socket::getsockname(socket.as_raw_fd())?;
        match name.family() {
            Some(AddressFamily::Unix) => Ok(Self(socket)),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// The process that made the pair of which this is an end.
    ///
    /// # Errors
    /// It is no end of a pair.
    #[cfg(feature = "supervise")]
    pub fn maker(&self) -> Result<i32, Errno> {
        socket::getsockopt(&self.0, socket::sockopt::PeerCredentials).map(|it| it.pid())
    }

    /// Sends a message, and a copy of `fd` with it. On a [`pair`](Self::pair) it goes as a whole or
    /// not at all; on a stream perhaps in part, and the descriptor goes with its first byte.
    ///
    /// # Errors
    /// `EINVAL` for an empty message, which would be received as an end. `EMSGSIZE` for one that
    /// fits no buffer. `ETOOMANYREFS`: this user has more descriptors in flight than it may have open.
    /// `EPIPE`, `ECONNRESET`: the other end is closed.
    pub fn send(&self, payload: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<Write, Errno> {
        if payload.is_empty() {
            return Err(Errno::EINVAL);
        }
        let raw = fd.map(|fd| [fd.as_raw_fd()]);
        let rights = raw.as_ref().map(|fds| [ControlMessage::ScmRights(fds)]);
        let control = rights.as_ref().map_or(&[][..], |rights| rights);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let parts = [IoSlice::new(payload)];
        loop {
            return match socket::sendmsg::<()>(self.0.as_raw_fd(), &parts, control, flags, None) {
                Ok(count) => Ok(Write::count(count)),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => Ok(Write::WouldBlock),
                Err(errno) => Err(errno),
            };
        }
    }

    /// Receives a message into `buf`, and at most one descriptor.
    ///
    /// # Errors
    /// `EMSGSIZE`: the message is longer than `buf`; its rest and its descriptor are gone.
    /// `ECONNRESET`: the other end was closed while it had messages to read.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Received, Errno> {
        loop {
            match self.recv_once(buf, libc::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                received => return received,
            }
        }
    }

    /// Makes [`wait`](Self::wait) wait from now on.
    ///
    /// # Errors
    /// `fcntl(2)` has no error for an open socket.
    pub fn block(&self) -> Result<(), Errno> {
        let flags = OFlag::from_bits_retain(fcntl(&self.0, FcntlArg::F_GETFL)?);
        fcntl(&self.0, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
    }

    /// As [`recv`](Self::recv), and waits for a message, in one system call. `WouldBlock` after a
    /// signal; one that comes just before the call does not end the wait.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn wait(&self, buf: &mut [u8]) -> Result<Received, Errno> {
        match self.recv_once(buf, 0) {
            Err(Errno::EINTR) => Ok(Received::WouldBlock),
            received => received,
        }
    }

    /// One `recvmsg(2)`.
    fn recv_once(&self, buf: &mut [u8], flags: i32) -> Result<Received, Errno> {
        debug_assert!(!buf.is_empty(), "whatever came would look like the end");
        let mut control = Control::EMPTY;
        let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: a `msghdr` is numbers and pointers, and all of them may be zero.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = Control::LEN as _;
        let flags = flags | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the message points at the buffer, with its length, and at the control buffer, with a
        // length within its size; all of them outlive the call.
        let count = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, flags) };
        let len = match Errno::result(count) {
            // The length is not negative, because the call succeeded.
            Ok(count) => count.unsigned_abs(),
            Err(Errno::EAGAIN) => return Ok(Received::WouldBlock),
            Err(errno) => return Err(errno),
        };
        // From here on the descriptor is owned, so every return closes it.
        let fd = control.take(message.msg_controllen as usize);
        match message.msg_flags {
            _ if len == 0 => Ok(Received::Eof),
            flags if flags & libc::MSG_TRUNC != 0 => Err(Errno::EMSGSIZE),
            flags if flags & libc::MSG_CTRUNC != 0 => Ok(Received::Lost { len }),
            _ => Ok(Received::Message { len, fd }),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Room for a control message with one descriptor.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: RawFd,
}

impl Control {
    /// `CMSG_LEN`, not `CMSG_SPACE`: in the padding of the latter the kernel finds room for a second
    /// descriptor, which no code would know of.
    const LEN: usize = offset_of!(Self, fd) + size_of::<RawFd>();

    // SAFETY: it is numbers, and all of them may be zero.
    const EMPTY: Self = unsafe { zeroed() };

    /// The descriptor that the kernel put here, when it used `len` bytes.
    fn take(self, len: usize) -> Option<OwnedFd> {
        let header = self.header;
        // In an array both are of the header's type, which differs from one C library to another.
        let [said, whole] = [header.cmsg_len, Self::LEN as _];
        let is_one = len >= Self::LEN
            && said == whole
            && (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        // SAFETY: the kernel opened this descriptor just now, for us alone.
        is_one.then(|| unsafe { OwnedFd::from_raw_fd(self.fd) })
    }
}

// SAFETY: CMSG_LEN is arithmetic.
const _: () =
    assert!(Control::LEN == unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize });

#[cfg(test)]
mod tests;
