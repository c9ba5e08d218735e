//! A UDP socket for one peer: a transfer's own socket.
//!
//! ```text
//!   server   bind to the address that was asked ─▶ connect to the client
//!   client   ask ─▶ the first answer, of any port of that host ─▶ connect to it
//! ```
//!
//! Of a connected socket the kernel keeps strangers away, and tells at once that the peer is gone.

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, SockaddrStorage, getpeername, sendmsg, sockopt,
};

use nix::sys::time::{TimeVal, TimeValLike};
use windlass_core::time::Instant;

use super::{Peer, group, new_socket};

/// A UDP socket for one peer.
#[derive(Debug)]
pub struct Conversation {
    line: Arc<Line>,
    peer: SocketAddr,
    way: Way,
    /// Before the first datagram leaves, the socket is marked.
    marks: bool,
    /// The kernel cuts long runs into datagrams (`UDP_SEGMENT`), as far as is known.
    segments: bool,
}

/// How its datagrams find the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The socket is connected.
    Connected,
    /// The first answer of the host decides.
    Asking,
    /// Many peers share the socket. What is sent leaves from the address that was asked.
    Shared(Option<IpAddr>),
}

/// The socket of a conversation, as the acceptor knows it while the conversation lasts.
#[derive(Debug)]
pub struct Line {
    fd: OwnedFd,
    /// The first answer, until the peer has shown that it has it.
    answer: Mutex<Option<Box<[u8]>>>,
    /// When the peer answered something new, in microseconds.
    moved_us: AtomicU64,
    ended: AtomicBool,
    over: Arc<AtomicBool>,
}

impl Line {
    /// Of a socket.
    pub fn new(fd: OwnedFd) -> Self {
        let (answer, moved_us) = (Mutex::new(None), AtomicU64::new(0));
        Self { fd, answer, moved_us, ended: AtomicBool::new(false), over: Arc::default() }
    }

    /// The peer asked the same again: it gets the same answer, from the same port. False: it has an answer.
    pub fn repeat(&self) -> bool {
        let answer = self.lock();
        if let Some(answer) = &*answer {
            let _ = socket::send(self.fd.as_raw_fd(), answer, FLAGS);
        }
        answer.is_some()
    }

    /// The peer answered something new.
    pub fn note_progress(&self, now: Instant) {
        self.moved_us.store(now.as_micros(), Ordering::Relaxed);
    }

    /// When the peer answered something new, as far as this process knows.
    pub fn moved(&self) -> Instant {
        Instant::from_micros(self.moved_us.load(Ordering::Relaxed))
    }

    /// The peer asks for something else: the conversation ends, in whatever process it is.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = socket::shutdown(self.fd.as_raw_fd(), socket::Shutdown::Both);
    }

    /// The conversation is over, in this process.
    pub fn set_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether it is over, for an acceptor that outlives it. Of another process it does not tell.
    pub fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// Whether this process ended it.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<[u8]>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    fn of(line: Arc<Line>, peer: SocketAddr, way: Way) -> Self {
        Self { line, peer, way, marks: false, segments: true }
    }

    /// By the socket of a port that many peers share; `asked` is the address that this one sent to.
    pub fn at_port(line: Arc<Line>, asked: Option<IpAddr>, peer: SocketAddr) -> Self {
        Self::of(line, peer, Way::Shared(asked))
    }

    /// From `at`, the address that the peer asked, and a port of its own where `at` has port 0.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOBUFS`. `EADDRINUSE`: the port is taken. `EADDRNOTAVAIL`: this host does not have
    /// the address any more.
    pub fn with_client(at: SocketAddr, peer: SocketAddr) -> nix::Result<Self> {
        let fd = new_socket(family_of(peer))?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(at))?;
        socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
        Ok(Self::of(Line::new(fd).into(), peer, Way::Connected))
    }

    /// With a server that answers from any port of its address: the first answer decides.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOBUFS`; no IPv6 on this host.
    pub fn with_server(asked: SocketAddr) -> nix::Result<Self> {
        let fd = new_socket(family_of(asked))?;
        group::only_joined(&fd, family_of(asked))?;
        let this = Self::of(Line::new(fd).into(), asked, Way::Asking);
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
        Ok(Self { marks: true, ..Self::of(Line::new(fd).into(), peer, Way::Connected) })
    }

    /// Whether other peers have the same socket, which another one receives from.
    pub fn is_shared(&self) -> bool {
        matches!(self.way, Way::Shared(_))
    }

    /// The address that the peer asked, of a socket that other peers have too.
    pub fn asked(&self) -> Option<IpAddr> {
        if let Way::Shared(asked) = self.way { asked } else { None }
    }

    /// The socket, for the acceptor.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// This was the first answer, for [`Line::repeat`]; `None`: the peer has it.
    pub fn set_answer(&self, answer: Option<&[u8]>) {
        if !self.is_shared() {
            *self.line.lock() = answer.map(Into::into);
        }
    }

    /// Whether no process has sent anything by it, among those that got the socket passed.
    pub fn is_untouched(&self) -> bool {
        let mark = socket::getsockopt(&self.line.fd, sockopt::ReceiveTimeout);
        mark.is_ok_and(|mark| mark.tv_sec() == 0)
    }

    /// The address of the peer; before its first answer, the one that was asked.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether a datagram from this address is the peer's. The first one of the host that was asked makes it
    /// the peer.
    pub fn is_of_peer(&mut self, from: &Peer) -> bool {
        let Some(from) = from.socket_addr() else { return false };
        if self.way == Way::Connected {
            return from == self.peer;
        }
        let connects = from.ip() == self.peer.ip()
            && socket::connect(self.line.fd.as_raw_fd(), &SockaddrStorage::from(from)).is_ok();
        if connects {
            let _ = self.tell_errors(false);
            (self.peer, self.way) = (from, Way::Connected);
        }
        connects
    }

    /// Sends datagrams that stand one behind the other in `run`; `ends` says where each of them ends.
    pub fn send(&mut self, run: &[u8], ends: &[usize]) -> Left {
        if std::mem::take(&mut self.marks) {
            // The timeout of blocking reads means nothing to a socket that never blocks. It belongs to the
            // socket, so every process that has it can see it.
            let mark = TimeVal::seconds(1);
            let _ = socket::setsockopt(&self.line.fd, sockopt::ReceiveTimeout, &mark);
        }
        let mut left = Left { count: 0, why: None };
        while left.count < ends.len() {
            let (begin, rest) = (begin_of(ends, left.count), &ends[left.count..]);
            let sent = match equal(begin, rest) {
                count if count > 1 && self.segments => {
                    let len = ends[left.count] - begin;
                    let run = &run[begin..rest[count - 1]];
                    match u16::try_from(len)
                        .map_err(|_| Errno::EMSGSIZE)
                        .and_then(|len| self.send_parts(run, Some(len)))
                    {
                        // One that is longer than the link takes, or a device without checksums.
                        Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO | Errno::EOPNOTSUPP) => {
                            self.segments = false;
                            continue;
                        }
                        sent => sent.map(|()| count),
                    }
                }
                _ if rest.len() == 1 || self.way != Way::Connected => {
                    self.send_parts(&run[begin..rest[0]], None).map(|()| 1)
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
            let _ = socket::sendto(self.line.fd.as_raw_fd(), datagram, &to, FLAGS);
        }
    }

    /// The error that the network reported last, if there is one.
    pub fn take_error(&self) -> Option<Errno> {
        let error = socket::getsockopt(&self.line.fd, sockopt::SocketError).unwrap_or(0);
        if self.way == Way::Asking {
            // The kernel keeps a report beside the error, and reports it until it is taken.
            let _ = self.tell_errors(false);
            let _ = self.tell_errors(true);
        }
        (error != 0).then(|| Errno::from_raw(error))
    }

    /// One datagram, or a run that the kernel cuts into datagrams of `len` bytes.
    fn send_parts(&self, run: &[u8], len: Option<u16>) -> nix::Result<()> {
        let fd = self.line.fd.as_raw_fd();
        if self.way == Way::Connected && len.is_none() {
            return socket::send(fd, run, FLAGS).map(drop);
        }
        let to = (self.way != Way::Connected).then(|| SockaddrStorage::from(self.peer));
        let parts = [std::io::IoSlice::new(run)];
        let cut = len.as_ref().map(ControlMessage::UdpGsoSegments);
        let (v4, v6) = match self.asked() {
            Some(IpAddr::V4(ip)) => (Some(source_v4(ip)), None),
            Some(IpAddr::V6(ip)) => (None, Some(source_v6(ip, self.peer))),
            None => (None, None),
        };
        let from = v4.as_ref().map(ControlMessage::Ipv4PacketInfo);
        let from = from.or_else(|| v6.as_ref().map(ControlMessage::Ipv6PacketInfo));
        match (cut, from) {
            (Some(cut), Some(from)) => sendmsg(fd, &parts, &[cut, from], FLAGS, to.as_ref()),
            (Some(one), None) | (None, Some(one)) => {
                sendmsg(fd, &parts, &[one], FLAGS, to.as_ref())
            }
            (None, None) => sendmsg(fd, &parts, &[], FLAGS, to.as_ref()),
        }
        .map(drop)
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
        let sent =
            unsafe { libc::sendmmsg(self.line.fd.as_raw_fd(), headers, count, FLAGS.bits()) };
        Errno::result(sent).map(|sent| sent.unsigned_abs() as usize)
    }

    /// Whether the kernel reports errors of the network before the socket is connected too.
    fn tell_errors(&self, on: bool) -> nix::Result<()> {
        if self.peer.is_ipv4() {
            socket::setsockopt(&self.line.fd, sockopt::Ipv4RecvErr, &on)
        } else {
            socket::setsockopt(&self.line.fd, sockopt::Ipv6RecvErr, &on)
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.fd.as_fd()
    }
}

fn source_v4(ip: Ipv4Addr) -> libc::in_pktinfo {
    let none = libc::in_addr { s_addr: 0 };
    let own = libc::in_addr { s_addr: u32::from(ip).to_be() };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: none }
}

fn source_v6(ip: Ipv6Addr, peer: SocketAddr) -> libc::in6_pktinfo {
    let link = if let SocketAddr::V6(peer) = peer { peer.scope_id() } else { 0 };
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: link }
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
mod tests;
