//! A UDP socket for one peer: a transfer's own socket.
//!
//! ```text
//!   server   bind to the address that was asked ─▶ the client that asked
//!   client   ask ─▶ the first answer, of any port of that host
//! ```
//!
//! The socket is not connected: the kernel would answer a stranger with an ICMP error, and RFC 1350 has an ERROR
//! for it. So the source of each datagram is compared here, and the network's errors are kept with the address
//! that each is about (`IP_RECVERR`).

use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockaddrStorage, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use windlass_core::time::Instant;
use windlass_core::transfer::REQUEST_COPIES_US;

use super::super::clock;
use super::batch::Batch;
use super::control::{Control, Source, put};
use super::many::send_headers;
use super::{Peer, errors, group, new_socket};
use crate::sys::traffic;

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
    blocking: Blocking,
}

/// Whether a call may wait in the socket for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocking {
    /// Another process has the socket too, or other peers have.
    Never,
    /// No call has waited yet.
    Possible,
    /// The socket blocks for so many microseconds (`SO_RCVTIMEO`).
    Within(u64),
}

/// How its datagrams find the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The peer is known.
    Own,
    /// The first answer of the host decides.
    Asking,
    /// Many peers share the socket. What is sent leaves from the address that was asked.
    Shared(Option<IpAddr>),
}

/// The socket of a conversation, as the acceptor knows it while the conversation lasts.
#[derive(Debug)]
pub struct Line {
    fd: OwnedFd,
    /// The first answer, until the peer has shown that it has it, and when it left last.
    answer: Mutex<Option<(Instant, Box<[u8]>)>>,
}

impl Line {
    /// Of a socket.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, answer: Mutex::new(None) }
    }

    /// The same request came again: the peer gets the same answer, from the same port, unless that had just left. False:
    /// it has an answer.
    pub fn repeat(&self, peer: SocketAddr, came: Instant) -> bool {
        let mut answer = self.lock();
        let Some((left, answer)) = &mut *answer else { return false };
        if came.since(*left) >= REQUEST_COPIES_US.into() {
            *left = came;
            let to = SockaddrStorage::from(peer);
            let _ = socket::sendto(self.fd.as_raw_fd(), answer, &to, FLAGS);
        }
        true
    }

    /// The peer asks for something else: the conversation ends, in whatever process has the socket.
    pub fn end(&self) {
        let _ = socket::shutdown(self.fd.as_raw_fd(), socket::Shutdown::Both);
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Box<[u8]>)>> {
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

/// A wait in a socket is no longer than this, in microseconds: then the caller looks at its deadlines.
const WAIT_MAX_US: u64 = 1_000_000;

const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

impl Conversation {
    fn of(line: Arc<Line>, peer: SocketAddr, way: Way) -> Self {
        Self { line, peer, way, marks: false, segments: true, blocking: Blocking::Never }
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
        errors::keep(&fd, family_of(peer), true)?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(at))?;
        let blocking = Blocking::Possible;
        Ok(Self { blocking, ..Self::of(Line::new(fd).into(), peer, Way::Own) })
    }

    /// With a server that answers from any port of its address: the first answer decides.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOBUFS`; no IPv6 on this host.
    pub fn with_server(asked: SocketAddr) -> nix::Result<Self> {
        let fd = new_socket(family_of(asked))?;
        errors::keep(&fd, family_of(asked), true)?;
        group::only_joined(&fd, family_of(asked))?;
        Ok(Self::of(Line::new(fd).into(), asked, Way::Asking))
    }

    /// A socket of [`with_client`](Self::with_client) that another process passed.
    pub fn passed(fd: OwnedFd, peer: SocketAddr) -> Self {
        Self { marks: true, ..Self::of(Line::new(fd).into(), peer, Way::Own) }
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
            *self.line.lock() = answer.map(|answer| (clock::now(), answer.into()));
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

    /// Whether a datagram from this address can be the peer's. Before its first answer each port of the host that was
    /// asked can have it.
    pub fn is_of_peer(&self, from: &Peer) -> bool {
        let Some(from) = from.socket_addr() else { return false };
        match self.way {
            Way::Asking => from.ip() == self.peer.ip(),
            _ => is_same(from, self.peer),
        }
    }

    /// The transfer took a datagram from this address, which [is of the peer](Self::is_of_peer): the first one tells
    /// its port.
    pub fn took_from(&mut self, from: &Peer) {
        if self.way == Way::Asking
            && let Some(from) = from.socket_addr()
        {
            (self.peer, self.way) = (from, Way::Own);
        }
    }

    /// Receives what is there, into `batch`; or one datagram, where no more are expected: that call is a cheaper one.
    ///
    /// # Errors
    /// `EAGAIN`: there is none. What the network says of what was sent to the peer.
    pub fn receive(&self, batch: &mut Batch, one: bool) -> nix::Result<()> {
        loop {
            let received =
                if one { batch.receive_one(self, false) } else { batch.receive(self).map(drop) };
            match received.map_err(|errno| self.about_peer(errno)) {
                Ok(()) => return Ok(()),
                Err(None | Some(Errno::EINTR)) => {}
                Err(Some(errno)) => return Err(errno),
            }
        }
    }

    /// Waits until about `until` for one datagram, and receives it into `batch`: a wait and a receive are one call, as
    /// long as the datagrams come one by one. False: this socket is not to be waited in.
    ///
    /// # Errors
    /// `EAGAIN`, `EINTR`: there is none. What the network says of what was sent to the peer.
    pub fn wait_and_receive(&mut self, batch: &mut Batch, until: Instant) -> nix::Result<bool> {
        let wait_us = until.since(clock::now()).clamp(1, WAIT_MAX_US);
        match self.blocking {
            Blocking::Never => return Ok(false),
            // The kernel counts it in ticks of some milliseconds, so an eighth more is no matter; and as the wait of
            // each round trip is a little different, one call for it serves them all.
            Blocking::Within(us) if (wait_us..=wait_us + wait_us / 4).contains(&us) => {}
            Blocking::Possible | Blocking::Within(_) => {
                let us = wait_us + wait_us / 8;
                let set = self.block_for(us);
                self.blocking = set.map_or(Blocking::Never, |()| Blocking::Within(us));
                if self.blocking == Blocking::Never {
                    return Ok(false);
                }
            }
        }
        match batch.receive_one(self, true) {
            Ok(()) => Ok(true),
            Err(errno) => Err(self.about_peer(errno).unwrap_or(Errno::EINTR)),
        }
    }

    /// The socket blocks for so many microseconds from now on. All other calls say that they do not wait.
    fn block_for(&self, us: u64) -> nix::Result<()> {
        let timeout = TimeVal::microseconds(i64::try_from(us).unwrap_or(i64::MAX));
        socket::setsockopt(&self.line.fd, sockopt::ReceiveTimeout, &timeout)?;
        if self.blocking == Blocking::Possible {
            super::set_blocking(&self.line.fd)?;
        }
        Ok(())
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
            let count = if self.segments { equal(begin, rest) } else { 1 };
            let sent = if count > 1 {
                self.send_as_one(&run[begin..rest[count - 1]], rest[0] - begin).map(|()| count)
            } else if rest.len() == 1 && !self.is_shared() {
                self.send_one(&run[begin..rest[0]]).map(|()| 1)
            } else {
                self.send_many(run, begin, &rest[..rest.len().min(COUNT_MAX)])
            };
            match sent.map_err(|errno| self.about_peer(errno)) {
                Ok(count) => {
                    left.count += count;
                    traffic::did_send(ends[left.count - 1] - begin);
                }
                Err(None | Some(Errno::EINTR)) => {}
                // A part that is longer than the link takes, or a device without checksums.
                Err(Some(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO | Errno::EOPNOTSUPP))
                    if count > 1 =>
                {
                    self.segments = false;
                }
                Err(why) => return Left { why, ..left },
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

    /// What the network said last of what was sent to the peer, if it said anything.
    pub fn take_error(&self) -> Option<Errno> {
        let error = socket::getsockopt(&self.line.fd, sockopt::SocketError).unwrap_or(0);
        self.about_peer(Errno::from_raw(error)).filter(|&errno| errno != Errno::UnknownErrno)
    }

    /// An error of a call may be one of the network, about a datagram that was sent before: then those that were
    /// kept say which. `None`: to a stranger.
    fn about_peer(&self, errno: Errno) -> Option<Errno> {
        if self.is_shared() {
            // Another one takes what was kept. A socket without a peer refuses no datagram itself.
            return Some(errno).filter(|&errno| errno != Errno::ECONNREFUSED);
        }
        let (mut kept, mut found) = (false, None);
        while let Some(report) = errors::take(&self.line.fd) {
            kept = true;
            if report.to.is_some_and(|to| is_same(to, self.peer)) {
                found = found.or(Some(report.errno));
            }
        }
        if kept { found } else { Some(errno) }
    }

    /// One datagram, from the address of the socket.
    fn send_one(&self, datagram: &[u8]) -> nix::Result<()> {
        let to = SockaddrStorage::from(self.peer);
        socket::sendto(self.line.fd.as_raw_fd(), datagram, &to, FLAGS).map(drop)
    }

    /// A run that the kernel cuts into datagrams of `len` bytes.
    fn send_as_one(&self, run: &[u8], len: usize) -> nix::Result<()> {
        let len = u16::try_from(len).map_err(|_| Errno::EMSGSIZE)?;
        let mut control = Control::EMPTY;
        let at = self.source().write(&mut control);
        let control_len = put(&mut control, at, libc::SOL_UDP, libc::UDP_SEGMENT, len);
        let mut to = Peer::from(self.peer);
        let mut vector =
            libc::iovec { iov_base: run.as_ptr().cast_mut().cast(), iov_len: run.len() };
        let header = Self::header(&mut to, &mut vector, (&mut control, control_len));
        // SAFETY: the header points to what outlives the call, and the kernel only reads it.
        let sent =
            unsafe { libc::sendmsg(self.line.fd.as_raw_fd(), &raw const header, FLAGS.bits()) };
        Errno::result(sent).map(drop)
    }

    /// `sendmmsg(2)`: how many of them left.
    fn send_many(&self, run: &[u8], mut begin: usize, ends: &[usize]) -> nix::Result<usize> {
        let mut control = Control::EMPTY;
        let control_len = self.source().write(&mut control);
        let mut to = Peer::from(self.peer);
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; COUNT_MAX];
        for (&end, (vector, header)) in ends.iter().zip(vectors.iter_mut().zip(&mut headers)) {
            let part = &run[begin..end];
            begin = end;
            // The kernel reads from it only.
            let base = part.as_ptr().cast_mut().cast();
            let vector = vector.write(libc::iovec { iov_base: base, iov_len: part.len() });
            let msg_hdr = Self::header(&mut to, vector, (&mut control, control_len));
            header.write(libc::mmsghdr { msg_hdr, msg_len: 0 });
        }
        let count = ends.len().min(COUNT_MAX);
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        // SAFETY: the first `count` headers were written just now, and what they point to outlives the call.
        unsafe { send_headers(&self.line.fd, headers, count, FLAGS.bits()) }
    }

    /// The header of a datagram to the peer.
    fn header(
        to: &mut Peer,
        vector: &mut libc::iovec,
        (control, control_len): (&mut Control, usize),
    ) -> libc::msghdr {
        // SAFETY: it is numbers and pointers, and all of them may be zero.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = (&raw mut to.name).cast();
        header.msg_namelen = to.len;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_controllen = control_len as _;
        if control_len > 0 {
            header.msg_control = control.as_mut_ptr();
        }
        header
    }

    /// The address that its datagrams leave from, where the kernel would choose another one.
    fn source(&self) -> Source {
        let link = if let SocketAddr::V6(peer) = self.peer { peer.scope_id() } else { 0 };
        self.asked().map_or(Source::Any, |ip| Source::of(ip, link))
    }
}

/// Whether both are one address: what the kernel says of a flow does not matter.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
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
