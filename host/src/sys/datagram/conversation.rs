//! A UDP socket for one peer: a transfer's own socket.
//!
//! ```text
//!   server   bind to the address that was asked ─▶ connect to the client
//!   client   ask ─▶ the first answer, of any port of that host ─▶ connect to it
//! ```
//!
//! Of a connected socket the kernel keeps strangers away, and tells at once that the peer is gone.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, SockaddrStorage, getpeername, sendmsg, sockopt,
};

use super::{Peer, group, new_socket};

/// A UDP socket for one peer.
#[derive(Debug)]
pub struct Conversation {
    fd: OwnedFd,
    peer: SocketAddr,
    is_connected: bool,
    /// The kernel cuts long runs into datagrams (`UDP_SEGMENT`), as far as is known.
    segments: bool,
}

/// What became of a run of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many of the first ones the kernel took.
    pub count: usize,
    /// Why it did not take the next one.
    pub why: Option<Errno>,
}

/// Datagrams of one call at most: `UDP_MAX_SEGMENTS` of the kernel.
const COUNT_MAX: usize = 64;

/// Bytes that the kernel cuts in one call at most: one datagram of UDP, less the longest headers.
const RUN_MAX: usize = 65_535 - 60 - 8;

const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

impl Conversation {
    /// From `at`, the address that the peer asked, and a port of its own where `at` has port 0.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOBUFS`. `EADDRINUSE`: the port is taken. `EADDRNOTAVAIL`: this host does not have
    /// the address any more.
    pub fn with_client(at: SocketAddr, peer: SocketAddr) -> nix::Result<Self> {
        let fd = new_socket(family_of(peer))?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(at))?;
        socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
        Ok(Self { fd, peer, is_connected: true, segments: true })
    }

    /// With a server that answers from any port of its address: the first answer decides.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOBUFS`; no IPv6 on this host.
    pub fn with_server(asked: SocketAddr) -> nix::Result<Self> {
        let fd = new_socket(family_of(asked))?;
        group::only_joined(&fd, family_of(asked))?;
        let this = Self { fd, peer: asked, is_connected: false, segments: true };
        this.tell_errors(true)?;
        Ok(this)
    }

    /// A connected socket that another process passed.
    ///
    /// # Errors
    /// `ENOTCONN`: it is not connected. `EAFNOSUPPORT`: it is none of UDP.
    pub fn passed(fd: OwnedFd) -> nix::Result<Self> {
        let name = getpeername::<SockaddrStorage>(fd.as_raw_fd())?;
        let peer = super::peer::inet(&name).ok_or(Errno::EAFNOSUPPORT)?;
        Ok(Self { fd, peer, is_connected: true, segments: true })
    }

    /// The address of the peer; before its first answer, the one that was asked.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether a datagram from this address is the peer's. The first one of the host that was asked makes it
    /// the peer.
    pub fn is_of_peer(&mut self, from: &Peer) -> bool {
        let Some(from) = from.socket_addr() else { return false };
        if self.is_connected {
            return from == self.peer;
        }
        let connects = from.ip() == self.peer.ip()
            && socket::connect(self.fd.as_raw_fd(), &SockaddrStorage::from(from)).is_ok();
        if connects {
            let _ = self.tell_errors(false);
            (self.peer, self.is_connected) = (from, true);
        }
        connects
    }

    /// Sends datagrams that stand one behind the other in `run`; `ends` says where each of them ends.
    pub fn send(&mut self, run: &[u8], ends: &[usize]) -> Left {
        let mut left = Left { count: 0, why: None };
        while left.count < ends.len() {
            let (begin, rest) = (begin_of(ends, left.count), &ends[left.count..]);
            let sent = match equal(begin, rest) {
                count if count > 1 && self.segments && self.is_connected => {
                    let len = ends[left.count] - begin;
                    let run = &run[begin..rest[count - 1]];
                    match self.send_segments(run, len) {
                        // One that is longer than the link takes, or a device without checksums.
                        Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO | Errno::EOPNOTSUPP) => {
                            self.segments = false;
                            continue;
                        }
                        sent => sent.map(|()| count),
                    }
                }
                _ if rest.len() == 1 || !self.is_connected => {
                    self.send_one(&run[begin..rest[0]]).map(|()| 1)
                }
                _ => self.send_many(run, begin, &rest[..rest.len().min(COUNT_MAX)]),
            };
            match sent {
                Ok(count) => left.count += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Left { why: Some(errno), ..left },
            }
        }
        left
    }

    /// One datagram to an address that is not the peer's.
    pub fn send_to_stranger(&self, datagram: &[u8], to: &Peer) {
        if let Some(to) = to.socket_addr() {
            let to = SockaddrStorage::from(to);
            let _ = socket::sendto(self.fd.as_raw_fd(), datagram, &to, FLAGS);
        }
    }

    /// The error that the network reported last, if there is one.
    pub fn take_error(&self) -> Option<Errno> {
        let error = socket::getsockopt(&self.fd, sockopt::SocketError).unwrap_or(0);
        if !self.is_connected {
            // The kernel keeps a report beside the error, and reports it until it is taken.
            let _ = self.tell_errors(false);
            let _ = self.tell_errors(true);
        }
        (error != 0).then(|| Errno::from_raw(error))
    }

    fn send_one(&self, datagram: &[u8]) -> nix::Result<()> {
        let fd = self.fd.as_raw_fd();
        if self.is_connected {
            return socket::send(fd, datagram, FLAGS).map(drop);
        }
        socket::sendto(fd, datagram, &SockaddrStorage::from(self.peer), FLAGS).map(drop)
    }

    /// One call of the kernel, which cuts `run` into datagrams of `len` bytes.
    fn send_segments(&self, run: &[u8], len: usize) -> nix::Result<()> {
        let len = u16::try_from(len).map_err(|_| Errno::EMSGSIZE)?;
        let cut = [ControlMessage::UdpGsoSegments(&len)];
        let parts = [std::io::IoSlice::new(run)];
        sendmsg::<()>(self.fd.as_raw_fd(), &parts, &cut, FLAGS, None).map(drop)
    }

    /// `sendmmsg(2)`: how many of them left.
    fn send_many(&self, run: &[u8], mut begin: usize, ends: &[usize]) -> nix::Result<usize> {
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; COUNT_MAX];
        for (&end, (vector, header)) in ends.iter().zip(vectors.iter_mut().zip(&mut headers)) {
            let part = &run[begin..end];
            begin = end;
            // The kernel reads from it only.
            let base = part.as_ptr().cast_mut().cast();
            let vector = vector.write(libc::iovec { iov_base: base, iov_len: part.len() });
            // SAFETY: it is numbers and pointers, and all of them may be zero.
            let header = header.write(unsafe { std::mem::zeroed() });
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        let count = ends.len().min(COUNT_MAX) as libc::c_uint;
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        // SAFETY: the first `count` headers were written just now, and what they point to outlives the call.
        let sent = unsafe { libc::sendmmsg(self.fd.as_raw_fd(), headers, count, FLAGS.bits()) };
        Errno::result(sent).map(|sent| sent.unsigned_abs() as usize)
    }

    /// Whether the kernel reports errors of the network before the socket is connected too.
    fn tell_errors(&self, on: bool) -> nix::Result<()> {
        if self.peer.is_ipv4() {
            socket::setsockopt(&self.fd, sockopt::Ipv4RecvErr, &on)
        } else {
            socket::setsockopt(&self.fd, sockopt::Ipv6RecvErr, &on)
        }
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn family_of(at: SocketAddr) -> AddressFamily {
    if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn begin_of(ends: &[usize], nth: usize) -> usize {
    nth.checked_sub(1).map_or(0, |before| ends[before])
}

/// How many of the first datagrams can leave in one run: they have one length, the last one that or less.
fn equal(begin: usize, ends: &[usize]) -> usize {
    let len = ends[0] - begin;
    let mut before = begin;
    for (nth, &end) in ends.iter().enumerate().take(COUNT_MAX) {
        if nth > 0 && (len == 0 || end - before > len || end - begin > RUN_MAX) {
            return nth;
        }
        if end - before < len {
            return nth + 1;
        }
        before = end;
    }
    ends.len().min(COUNT_MAX)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    /// A conversation, and the plain socket at its other end.
    fn pair() -> (Conversation, UdpSocket) {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let at = "127.0.0.1:0".parse().unwrap();
        let ours = Conversation::with_client(at, peer.local_addr().unwrap()).unwrap();
        (ours, peer)
    }

    fn lengths(peer: &UdpSocket, count: usize) -> Vec<usize> {
        let mut buf = vec![0; 70_000];
        (0..count).map(|_| peer.recv(&mut buf).unwrap()).collect()
    }

    #[test]
    fn a_run_leaves_as_its_datagrams_however_they_are_sent() {
        for segments in [true, false] {
            for lens in [&[5][..], &[7, 7, 7, 3], &[7, 9, 9, 9, 2, 9], &[0, 0, 4], &[20_000; 4]] {
                let (mut ours, peer) = pair();
                ours.segments = segments;
                let mut end = 0;
                let ends: Vec<_> = lens.iter().map(|len| (end += len, end).1).collect();
                let left = ours.send(&vec![1; end], &ends);
                assert_eq!(left, Left { count: lens.len(), why: None });
                assert_eq!(lengths(&peer, lens.len()), lens);
            }
        }
    }

    #[test]
    fn runs_of_equal_datagrams() {
        assert_eq!(equal(0, &[5, 10, 15, 17, 22]), 4);
        assert_eq!(equal(3, &[5, 10]), 1);
        assert_eq!(equal(0, &[1; 100].map(|_| 7)), 2, "an empty one ends it");
        let ends: Vec<_> = (1..=100).map(|nth| nth * 1000).collect();
        assert_eq!(equal(0, &ends), 64);
        let ends: Vec<_> = (1..=64).map(|nth| nth * 1432).collect();
        assert_eq!(equal(0, &ends), RUN_MAX / 1432);
    }

    #[test]
    fn a_peer_that_is_gone_is_reported() {
        let (mut ours, peer) = pair();
        drop(peer);
        assert_eq!(ours.send(b"a", &[1]).why, None);
        assert_eq!(ours.take_error(), Some(Errno::ECONNREFUSED));
        assert_eq!(ours.take_error(), None);
        // Before the first answer too.
        let vacant = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut ours = Conversation::with_server(vacant).unwrap();
        assert_eq!(ours.send(b"a", &[1]).why, None);
        assert_eq!(ours.take_error(), Some(Errno::ECONNREFUSED));
        assert_eq!(ours.take_error(), None);
    }

    #[test]
    fn the_first_answer_of_the_host_decides() {
        let (asked, other) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let stranger = Peer::from("127.0.0.2:69".parse::<SocketAddr>().unwrap());
        let mut ours = Conversation::with_server(asked.local_addr().unwrap()).unwrap();
        assert!(!ours.is_of_peer(&stranger));
        let from = other.local_addr().unwrap();
        assert!(ours.is_of_peer(&from.into()));
        assert_eq!(ours.peer(), from);
        assert!(!ours.is_of_peer(&asked.local_addr().unwrap().into()));
        assert_eq!(ours.send(b"a", &[1]).count, 1);
        assert_eq!(other.recv(&mut [0; 9]).unwrap(), 1);
    }
}
