//! A client with a limit on every wait.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, setsockopt, sockopt,
};
use windlass::addr::Address;

use crate::PATIENCE;

/// A connected client. Whatever does not happen within [`PATIENCE`] is a failure of the test; the
/// calls that begin with `try_` report every other failure instead of being one.
#[derive(Debug)]
pub struct Client(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed or half-closed it.
    Eof,
    /// It was reset.
    Reset,
}

impl Client {
    /// Connects to an address as the command line writes it.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connect to {address}: {error}"))
    }

    /// Connects, or says why not.
    ///
    /// # Errors
    /// What `connect(2)` says.
    pub fn try_connect(address: &str) -> io::Result<Self> {
        let socket = match address.parse::<Address>().map_err(io::Error::other)? {
            Address::Tcp(at) => {
                let mut all = (at.host.as_str(), at.port).to_socket_addrs()?;
                let one = all.next().ok_or(ErrorKind::NotFound)?;
                Socket::tcp(TcpStream::connect_timeout(&one, PATIENCE)?)?
            }
            Address::Unix(path) => Socket::unix(&SocketAddr::from_pathname(path)?)?,
            Address::UnixAbstract(name) => Socket::unix(&SocketAddr::from_abstract_name(name)?)?,
            other => panic!("{other} is not the address of a stream"),
        };
        Ok(Self(socket))
    }

    /// Connects to an IPv4 address from another address of this host.
    #[track_caller]
    pub fn connect_from(source: [u8; 4], address: &str) -> Self {
        let at: SocketAddrV4 = address.trim_start_matches("tcp:").parse().expect("an IPv4 address");
        let (family, kind) = (AddressFamily::Inet, SockType::Stream);
        let fd = socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        let from = SocketAddrV4::new(source.into(), 0);
        socket::bind(fd.as_raw_fd(), &SockaddrIn::from(from)).expect("bind");
        socket::connect(fd.as_raw_fd(), &SockaddrIn::from(at)).expect("connect");
        Self(Socket::tcp(fd.into()).expect("options"))
    }

    /// The other end of a socket that is connected.
    #[track_caller]
    pub fn of(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self(Socket::Unix(stream))
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("send: {error}"));
    }

    /// Sends bytes of which the last is urgent (TCP only).
    #[track_caller]
    pub fn send_urgent(&mut self, bytes: &[u8]) {
        let sent = socket::send(self.0.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_OOB);
        assert_eq!(sent, Ok(bytes.len()));
    }

    /// Sends all of `bytes`, or says why not.
    ///
    /// # Errors
    /// What `send(2)` says.
    #[track_caller]
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).map_err(not_hung)
    }

    /// Reads as many bytes as `expected` has; they are to be the same.
    #[track_caller]
    pub fn expect(&mut self, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        self.try_read(&mut bytes).unwrap_or_else(|error| panic!("receive: {error}"));
        assert_same(&bytes, expected);
    }

    /// Fills `bytes`, or says why not.
    ///
    /// # Errors
    /// What `recv(2)` says, or an early end.
    #[track_caller]
    pub fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(bytes).map_err(not_hung)
    }

    /// Sends `bytes` and receives their capitals.
    #[track_caller]
    pub fn upper(&mut self, bytes: &[u8]) {
        self.send(bytes);
        self.expect(&bytes.to_ascii_uppercase());
    }

    /// Like [`upper`](Self::upper), or says why not.
    ///
    /// # Errors
    /// What the system calls say.
    #[track_caller]
    pub fn try_upper(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.try_send(bytes)?;
        let mut reply = vec![0; bytes.len()];
        self.try_read(&mut reply)?;
        assert_same(&reply, &bytes.to_ascii_uppercase());
        Ok(())
    }

    /// Half-closes: the server sees the end of what we send.
    pub fn finish(&mut self) {
        // A connection that the server has reset meanwhile has no direction left to close.
        let _ = match &self.0 {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Everything up to the end, which is to be a clean one.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes).map_err(not_hung);
        end.unwrap_or_else(|error| panic!("after {} bytes: {error}", bytes.len()));
        bytes
    }

    /// Everything up to the end, clean or not.
    pub fn whatever_comes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // What was read before an error is there.
        let _ = self.0.read_to_end(&mut bytes).map_err(not_hung);
        bytes
    }

    /// Half-closes, and gets `expected` and then a clean end.
    #[track_caller]
    pub fn ends_with(&mut self, expected: &[u8]) {
        self.finish();
        assert_same(&self.rest(), expected);
    }

    /// Reads what still comes and throws it away; how it ended.
    #[track_caller]
    pub fn end(&mut self) -> End {
        match io::copy(&mut self.0, &mut io::sink()).map_err(not_hung) {
            Ok(_) => End::Eof,
            Err(_) => End::Reset,
        }
    }

    /// Sends `bytes` in a thread of its own while it reads the replies: everything up to the end.
    #[track_caller]
    pub fn converse(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut sender = self.another();
        thread::scope(|scope| {
            scope.spawn(move || {
                sender.send(bytes);
                sender.finish();
            });
            self.rest()
        })
    }

    /// Sends `bytes` and reads only when it cannot send, so that at any time the server owes as
    /// much as the sockets can hold. What it read meanwhile.
    #[track_caller]
    pub fn send_reluctantly(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut received = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        while !bytes.is_empty() {
            self.0.set_nonblocking(true);
            let sent = self.0.write(bytes);
            self.0.set_nonblocking(false);
            match sent {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let count = self.0.read(&mut piece).map_err(not_hung);
                    let count = count.unwrap_or_else(|error| panic!("receive: {error}"));
                    assert!(count > 0, "an end while {} bytes are not sent", bytes.len());
                    received.extend_from_slice(&piece[..count]);
                }
                Err(error) => panic!("send: {error}"),
            }
        }
        received
    }

    /// Sends until nothing more is taken for `quiet` milliseconds, and reads nothing; at most
    /// `most` bytes. How many went.
    pub fn stuff(&mut self, quiet: u16, most: usize) -> usize {
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        self.0.set_nonblocking(true);
        while sent < most {
            match self.0.write(&piece) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.poll(PollFlags::POLLOUT, quiet).is_empty() {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        self.0.set_nonblocking(false);
        sent
    }

    /// Whether something can be read now, the end included.
    pub fn has_input(&self) -> bool {
        self.poll(PollFlags::POLLIN, 0u8).intersects(PollFlags::POLLIN | PollFlags::POLLHUP)
    }

    /// Whether the connection is dead in both directions.
    pub fn is_dead(&self) -> bool {
        self.poll(PollFlags::empty(), 0u8).intersects(PollFlags::POLLERR | PollFlags::POLLHUP)
    }

    /// Ends the connection by a reset. (A Unix socket has none; its peer sees an end.)
    pub fn reset(self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let _ = setsockopt(&self.0, sockopt::Linger, &linger);
    }

    /// A second handle of the same connection, for another thread.
    #[must_use]
    pub fn another(&self) -> Self {
        let socket = match &self.0 {
            Socket::Tcp(stream) => stream.try_clone().map(Socket::Tcp),
            Socket::Unix(stream) => stream.try_clone().map(Socket::Unix),
        };
        Self(socket.expect("dup"))
    }

    fn poll(&self, flags: PollFlags, ms: impl Into<PollTimeout>) -> PollFlags {
        let mut fds = [PollFd::new(self.0.as_fd(), flags)];
        nix::poll::poll(&mut fds, ms).expect("poll");
        fds[0].revents().unwrap_or(PollFlags::empty())
    }
}

/// An error of the connection is a result; the end of patience is a failure.
#[track_caller]
fn not_hung(error: io::Error) -> io::Error {
    let hung = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!hung, "nothing moved for {PATIENCE:?}");
    error
}

/// Compares, and does not print megabytes when it fails.
#[track_caller]
pub(crate) fn assert_same(found: &[u8], expected: &[u8]) {
    let at = found.iter().zip(expected).position(|(a, b)| a != b);
    let (got, want) = (found.len(), expected.len());
    assert!(at.is_none(), "byte {} of {want} differs; {got} bytes came", at.unwrap_or(0));
    assert_eq!(got, want, "number of bytes");
}

impl Socket {
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Tcp(stream))
    }

    fn unix(at: &SocketAddr) -> io::Result<Self> {
        let stream = UnixStream::connect_addr(at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Unix(stream))
    }

    fn set_nonblocking(&self, on: bool) {
        match self {
            Socket::Tcp(stream) => stream.set_nonblocking(on),
            Socket::Unix(stream) => stream.set_nonblocking(on),
        }
        .expect("fcntl");
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buf),
            Socket::Unix(stream) => stream.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(buf),
            Socket::Unix(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
