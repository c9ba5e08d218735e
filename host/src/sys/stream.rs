//! A stream of bytes: a connected socket, TCP or Unix, or a pipe, a terminal, a file. It never blocks.
//!
//! A socket is told with each call not to block and not to raise SIGPIPE, and needs nothing else. What
//! is not a socket answers such a call with `ENOTSOCK`, and is then read and written as a file; so a
//! stream needs no mark of its kind, and ten thousand of them are four bytes each.

use std::fs::{self, File};
use std::io::{IoSlice, IsTerminal};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, Shutdown, SockaddrLike, SockaddrStorage, sockopt,
};
use nix::sys::stat::{self, SFlag};
use nix::unistd;
use windlass_core::stream::{Read, Write};
use windlass_core::time::Instant;

use super::datagram::inet;
use super::poll::{Woken, wait};
use super::ready::Interest;
use super::traffic;

/// A stream of bytes. Dropping it closes this end.
#[derive(Debug)]
pub struct Stream(OwnedFd);

/// The peer's address of so many bytes, by `SO_PEERNAME`.
fn name_of_peer(fd: RawFd, size: usize) -> Option<SockaddrStorage> {
    // SAFETY: it is numbers, and all of them may be zero.
    let mut name: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let (to, mut len) = ((&raw mut name).cast(), size as libc::socklen_t);
    // SAFETY: the buffer outlives the call, and has room for `len` bytes.
    let done =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERNAME, to, &raw mut len) };
    // SAFETY: the kernel wrote an address of this length there.
    let name = || unsafe { SockaddrStorage::from_raw((&raw const name).cast(), Some(len)) };
    (done == 0 && len as usize == size).then(name).flatten()
}

/// How bytes are sent: without waiting, and without SIGPIPE.
const SEND: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

impl Stream {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A stream of any descriptor: a socket, a pipe, a FIFO, a terminal, a regular file.
    ///
    /// `O_NONBLOCK` belongs to the open file, which other processes may share: standard input is the
    /// shell's too. So it is not set, and not trusted where it is set: another process may clear it. A
    /// pipe or a terminal is opened anew instead (`/proc/self/fd`), which makes an open file of our own.
    /// Where that is refused, and for a regular file, and for a FIFO that is read, each call is made
    /// only when `poll(2)` says that it will not block.
    pub fn of(fd: impl Into<OwnedFd>) -> Self {
        let fd = fd.into();
        Self(reopened(&fd).unwrap_or(fd))
    }

    /// A stream of a socket that was passed here by another process of ours.
    pub fn of_socket(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Whether it is a socket. Other files have no half-close, and a short read of them does not
    /// mean that no more bytes wait.
    pub fn is_socket(&self) -> bool {
        socket::getsockopt(&self.0, sockopt::SockType).is_ok()
    }

    /// Whether it was opened for writing alone. To read it is an error, not an end.
    pub fn is_write_only(&self) -> bool {
        let flags = fcntl(&self.0, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        flags.is_ok_and(|flags| flags & OFlag::O_ACCMODE == OFlag::O_WRONLY)
    }

    /// Whether it is a Unix socket. A read of one stops short behind a descriptor that came with the
    /// bytes, with more behind.
    pub fn is_unix(&self) -> bool {
        let name = socket::getsockname::<SockaddrStorage>(self.0.as_raw_fd());
        name.is_ok_and(|name| name.family() == Some(AddressFamily::Unix))
    }

    /// The result of a nonblocking `connect(2)`, once the socket is writable.
    ///
    /// # Errors
    /// Why it could not connect.
    pub fn connected(&self) -> Result<(), Errno> {
        match socket::getsockopt(&self.0, sockopt::SocketError)? {
            0 => Ok(()),
            errno => Err(Errno::from_raw(errno)),
        }
    }

    /// Makes one `recv(2)`, or one `read(2)` if it is not a socket.
    ///
    /// # Errors
    /// `ECONNRESET` and its kin: the connection is lost.
    pub fn recv(&self, buf: &mut [u8]) -> Result<Read, Errno> {
        let received = match socket::recv(self.0.as_raw_fd(), buf, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::ENOTSOCK) => self.read_file(buf),
            received => received,
        };
        match received {
            Ok(count) => {
                traffic::did_receive(count);
                Ok(Read::count(count))
            }
            Err(Errno::EINTR) => Ok(Read::Interrupted),
            Err(Errno::EAGAIN) => Ok(Read::WouldBlock),
            Err(errno) => Err(errno),
        }
    }

    /// As [`recv`](Self::recv) of a socket, and leaves the bytes where they are.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn peek(&self, buf: &mut [u8]) -> Result<Read, Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
        match socket::recv(self.0.as_raw_fd(), buf, flags) {
            Ok(count) => Ok(Read::count(count)),
            Err(Errno::EINTR) => Ok(Read::Interrupted),
            Err(Errno::EAGAIN) => Ok(Read::WouldBlock),
            Err(errno) => Err(errno),
        }
    }

    /// One `send(2)`, or one `sendmsg(2)` when both parts have bytes; one `write(2)` of the first of
    /// them to what is no socket. `parts` are not all empty.
    ///
    /// # Errors
    /// `EPIPE`, `ECONNRESET` and their kin: the connection is lost.
    pub fn send(&self, parts: [&[u8]; 2]) -> Result<Write, Errno> {
        let fd = self.0.as_raw_fd();
        let sent = match parts {
            [only, []] | [[], only] => socket::send(fd, only, SEND),
            [first, then] => {
                let parts = [IoSlice::new(first), IoSlice::new(then)];
                socket::sendmsg::<()>(fd, &parts, &[], SEND, None)
            }
        };
        let sent = match (sent, parts) {
            (Err(Errno::ENOTSOCK), [[], only] | [only, _]) => self.write_file(only),
            (sent, _) => sent,
        };
        outcome(sent)
    }

    /// One `sendmsg(2)` of all parts, to a socket.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `ENOTSOCK`.
    #[cfg(feature = "tls")]
    pub(crate) fn send_parts(&self, parts: &[IoSlice<'_>]) -> Result<Write, Errno> {
        outcome(socket::sendmsg::<()>(self.0.as_raw_fd(), parts, &[], SEND, None))
    }

    /// Whether no byte was read from this TCP connection or written to it: all that came still waits
    /// in the kernel. Then another process can serve it as if it had just been accepted. False where
    /// that cannot be known: a Unix socket keeps no count.
    pub fn is_untouched(&self) -> bool {
        // linux/tcp.h; `libc::tcp_info` ends before these.
        const STATE: usize = 0;
        const RECEIVED: usize = 128;
        const SENT: usize = 200;
        const CLOSE_WAIT: u8 = 8;
        let mut info = [0_u8; 232];
        let mut len = info.len() as libc::socklen_t;
        let (fd, to) = (self.0.as_raw_fd(), info.as_mut_ptr().cast());
        // SAFETY: the buffer outlives the call, and its length is its own.
        let done =
            unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut len) };
        // A kernel before 4.19 does not count what was sent.
        if done != 0 || (len as usize) < SENT + 8 {
            return false;
        }
        let count = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&info[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        let mut waiting: libc::c_int = 0;
        // SAFETY: FIONREAD writes one integer, which outlives the call.
        let asked = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut waiting) };
        // The end of the stream counts as a byte received, and is none that waits.
        let end = u64::from(info[STATE] == CLOSE_WAIT);
        let waiting = u64::from(waiting.unsigned_abs());
        asked == 0 && count(SENT) == 0 && count(RECEIVED) == waiting + end
    }

    /// Bytes that were sent and that the peer has not acknowledged, or not read from a Unix socket
    /// (`SIOCOUTQ`). `None` if it is not a socket.
    pub fn unsent(&self) -> Option<u32> {
        let mut left: libc::c_int = 0;
        // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes one integer, which outlives the call.
        let asked = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) };
        (asked == 0).then_some(left.unsigned_abs())
    }

    /// `shutdown(SHUT_WR)`: the peer sees the end of our output. A connection that is already gone
    /// needs no shutdown, so there is no error.
    pub fn shutdown_write(&self) {
        let _ = socket::shutdown(self.0.as_raw_fd(), Shutdown::Write);
    }

    /// `shutdown(SHUT_RDWR)`: both ends see the end, also processes with a copy of the descriptor.
    pub fn shutdown_both(&self) {
        let _ = socket::shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }

    /// The peer's internet address, if it has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        inet(&self.peer()?)
    }

    /// The peer's address.
    pub fn peer(&self) -> Option<SockaddrStorage> {
        let fd = self.0.as_raw_fd();
        socket::getpeername(fd).ok().or_else(|| {
            // `getpeername(2)` has forgotten it when the connection was reset. This option has not, and takes no
            // more room than the address needs.
            let sizes = [size_of::<libc::sockaddr_in6>(), size_of::<libc::sockaddr_in>()];
            sizes.into_iter().find_map(|size| name_of_peer(fd, size))
        })
    }

    fn read_file(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        if !self.is_nonblocking()? && !self.is_ready(Interest::READ) {
            return Err(Errno::EAGAIN);
        }
        unistd::read(&self.0, buf)
    }

    fn write_file(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.is_nonblocking()? {
            return unistd::write(&self.0, bytes);
        }
        // Writing to a regular file does not block. Nor does writing to the devices that are
        // memory, such as `/dev/null` (major number 1).
        let stat = stat::fstat(&self.0)?;
        let kind = SFlag::from_bits_retain(stat.st_mode) & SFlag::S_IFMT;
        let is_memory = kind == SFlag::S_IFCHR && stat::major(stat.st_rdev) == 1;
        if kind == SFlag::S_IFREG || is_memory {
            return unistd::write(&self.0, bytes);
        }
        if !self.is_ready(Interest::WRITE) {
            return Err(Errno::EAGAIN);
        }
        // pipe(7): a pipe that is ready takes this number of bytes without blocking.
        unistd::write(&self.0, &bytes[..bytes.len().min(libc::PIPE_BUF)])
    }

    fn is_nonblocking(&self) -> Result<bool, Errno> {
        let flags = OFlag::from_bits_retain(fcntl(&self.0, FcntlArg::F_GETFL)?);
        Ok(flags.contains(OFlag::O_NONBLOCK))
    }

    fn is_ready(&self, interest: Interest) -> bool {
        matches!(wait(self.as_fd(), interest, None, Some(Instant::ZERO)), Woken::Ready(_))
    }

    /// A connected pair of Unix stream sockets, for tests and examples.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let (a, b) = socket::socketpair(
            AddressFamily::Unix,
            socket::SockType::Stream,
            None,
            socket::SockFlag::SOCK_CLOEXEC | socket::SockFlag::SOCK_NONBLOCK,
        )?;
        Ok((Self(a), Self(b)))
    }
}

/// The result of a nonblocking write.
pub(super) fn outcome(sent: Result<usize, Errno>) -> Result<Write, Errno> {
    match sent {
        Ok(count) => {
            traffic::did_send(count);
            Ok(Write::count(count))
        }
        Err(Errno::EINTR) => Ok(Write::Interrupted),
        Err(Errno::EAGAIN) => Ok(Write::WouldBlock),
        Err(errno) => Err(errno),
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// As [`Stream::of`].
macro_rules! from {
    ($($owner:ty),+ $(,)?) => {$(
        impl From<$owner> for Stream {
            fn from(owner: $owner) -> Self {
                Self::of(owner)
            }
        }
    )+};
}

from!(
    OwnedFd,
    File,
    std::io::PipeReader,
    std::io::PipeWriter,
    std::net::TcpStream,
    std::os::unix::net::UnixStream,
    std::process::ChildStdin,
    std::process::ChildStdout,
    std::process::ChildStderr,
);

/// A pipe or a terminal, opened once more: an open file of our own, nonblocking. `None` for what
/// cannot be or must not be: a regular file's offset belongs to every process that shares it, and a
/// FIFO that is opened without a writer does not tell its end until one has come and left.
fn reopened(fd: &OwnedFd) -> Option<OwnedFd> {
    let kind = File::from(fd.try_clone().ok()?).metadata().ok()?.file_type();
    if !kind.is_fifo() && !fd.is_terminal() {
        return None;
    }
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).ok()?);
    let mode = flags & OFlag::O_ACCMODE;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    if kind.is_fifo() && mode == OFlag::O_RDONLY && has_name(&path) {
        return None;
    }
    File::options()
        .read(mode != OFlag::O_WRONLY)
        .write(mode != OFlag::O_RDONLY)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .ok()
        .map(OwnedFd::from)
}

/// Whether the pipe that `link` leads to is a FIFO. The link of a pipe without a name is
/// `pipe:[inode]`.
fn has_name(link: &str) -> bool {
    !fs::read_link(link).is_ok_and(|to| to.as_os_str().as_bytes().starts_with(b"pipe:["))
}

#[cfg(test)]
mod tests;
