//! What the network says about datagrams that were sent (`IP_RECVERR`, ip(7)): an ICMP message, or a limit of
//! this host.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
#[cfg(feature = "transfer")]
use nix::sys::socket::{self, sockopt};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage};

use super::group::set;
use super::peer::Peer;

/// Keeps such messages for the socket until they are [taken](take), or not. Without it a connected socket
/// hears only that the port is closed, and not that no route leads there.
pub(super) fn keep(fd: &impl AsFd, family: AddressFamily, on: bool) -> nix::Result<()> {
    match family {
        AddressFamily::Inet => set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, &i32::from(on)),
        AddressFamily::Inet6 => set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &i32::from(on)),
        _ => Ok(()),
    }
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// What it means.
    pub(super) errno: Errno,
    /// Where the datagram was sent to.
    pub(super) to: Option<SocketAddr>,
    /// The host that says so; `None`: this one.
    pub(super) by: Option<IpAddr>,
    /// The longest packet that the path takes, in bytes, if it is about that.
    pub(super) mtu: Option<u32>,
}

/// Room for `sock_extended_err` and the address behind it.
const CONTROL: usize = 256;

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// The next message that was kept.
pub(super) fn take(fd: &impl AsFd) -> Option<Report> {
    let mut control = Control([0; CONTROL]);
    let mut to = Peer::UNNAMED;
    // SAFETY: it is numbers and pointers, and all of them may be zero.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut to.name).cast();
    header.msg_namelen = Peer::ROOM;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header points to a name and to control data that outlive the call, and to nothing else.
    let received = unsafe { libc::recvmsg(fd.as_fd().as_raw_fd(), &raw mut header, flags) };
    Errno::result(received).ok()?;
    to.len = header.msg_namelen.min(Peer::ROOM);
    // SAFETY: the kernel filled the control data, and the header says how much.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !next.is_null() {
        // SAFETY: it is within the control data.
        let (level, kind) = unsafe { ((*next).cmsg_level, (*next).cmsg_type) };
        if matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            // SAFETY: such a part holds this struct, and an address behind it.
            return Some(unsafe { read(to.socket_addr(), libc::CMSG_DATA(next).cast()) });
        }
        // SAFETY: both are of this header.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    None
}

/// An error of the network that was kept, and where the datagram was sent to that it is about.
#[cfg(feature = "transfer")]
pub fn take_error(fd: &impl AsFd) -> Option<(Errno, SocketAddr)> {
    // The next call would report the last one once more.
    let _ = socket::getsockopt(fd, sockopt::SocketError);
    let mut reports = std::iter::from_fn(|| take(fd));
    reports.find_map(|report| Some((report.errno, report.to?)))
}

/// # Safety
/// It is what the kernel wrote behind the header of such a message.
unsafe fn read(to: Option<SocketAddr>, error: *const libc::sock_extended_err) -> Report {
    // SAFETY: the kernel wrote all of it, and as long an address as any behind it, or one of no family.
    let (kept, offender) = unsafe {
        let offender = error.add(1).cast::<libc::sockaddr>();
        (error.read_unaligned(), SockaddrStorage::from_raw(offender, None))
    };
    let errno = Errno::from_raw(kept.ee_errno.cast_signed());
    let v4 = offender.as_ref().and_then(|at| at.as_sockaddr_in().map(|at| at.ip().into()));
    let v6 = || offender.as_ref().and_then(|at| at.as_sockaddr_in6().map(|at| at.ip().into()));
    let mtu = (errno == Errno::EMSGSIZE).then_some(kept.ee_info);
    Report { errno, to, by: v4.or_else(v6), mtu }
}

impl Report {
    /// What it adds to the error of a socket with this peer.
    pub(super) fn beyond(self, peer: Option<IpAddr>) -> Option<String> {
        match (self.by.filter(|&by| Some(by) != peer), self.mtu) {
            (Some(by), None) => Some(format!("{by} says so")),
            (Some(by), Some(mtu)) => Some(format!("{by} says that the path takes {mtu} bytes")),
            (None, Some(mtu)) => Some(format!("the path takes {mtu} bytes")),
            (None, None) => None,
        }
    }
}
