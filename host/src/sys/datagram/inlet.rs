//! A socket that takes what one peer sends to a port that other processes have too.
//!
//! ```text
//!   peer A ──┐
//!   peer B ──┴─▶ port :69 ─┬─ connected to A?  ─▶ inlet, of this process alone
//!                          └─ to no peer       ─▶ the socket of the port, of every process that has it
//! ```
//!
//! The kernel gives a datagram to the socket that fits best (udp(7)): one that is connected to its sender comes
//! before one that is only bound.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockaddrStorage, sockopt};

use super::{inet, make_receive_room, new_socket, receive_room};

/// An inlet for what `peer` sends to `port`. `asked` is the address that it sends to, if that is known.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`. `EACCES`: the port is one for which a process needs `CAP_NET_BIND_SERVICE`.
pub fn open(port: &impl AsFd, asked: Option<IpAddr>, peer: SocketAddr) -> nix::Result<OwnedFd> {
    let at = address_of(port, asked, peer)?;
    let family = if peer.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = new_socket(family)?;
    if peer.is_ipv6() {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    make_receive_room(&fd, receive_room(port));
    // Two sockets at one address have to agree to that; the port agrees for this call only. Until the inlet is
    // connected it takes the datagrams of all peers: the caller has to expect some of others in it.
    let was = socket::getsockopt(port, sockopt::ReuseAddr)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    socket::setsockopt(port, sockopt::ReuseAddr, &true)?;
    let bound = socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(at));
    socket::setsockopt(port, sockopt::ReuseAddr, &was)?;
    bound?;
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
    Ok(fd)
}

/// The address of the port, as its peer knows it.
fn address_of(
    port: &impl AsFd,
    asked: Option<IpAddr>,
    peer: SocketAddr,
) -> nix::Result<SocketAddr> {
    let own = socket::getsockname::<SockaddrStorage>(port.as_fd().as_raw_fd())?;
    let mut at = inet(&own).ok_or(Errno::EAFNOSUPPORT)?;
    if let Some(ip) = asked.filter(|ip| !ip.is_unspecified()) {
        at.set_ip(ip);
    }
    if let (SocketAddr::V6(at), SocketAddr::V6(peer)) = (&mut at, peer) {
        // A link-local address is one of its link.
        at.set_scope_id(peer.scope_id());
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn bound(at: &str) -> UdpSocket {
        let socket = UdpSocket::bind(at).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        socket
    }

    fn takes(fd: &OwnedFd, words: &[u8]) {
        let socket = UdpSocket::from(fd.try_clone().unwrap());
        socket.set_nonblocking(false).unwrap();
        let mut buf = [0; 100];
        let len = socket.recv(&mut buf).unwrap();
        assert_eq!(&buf[..len], words);
    }

    #[test]
    fn an_inlet_takes_what_its_peer_sends_and_nothing_else() {
        for (at, asked) in
            [("127.0.0.1:0", None), ("0.0.0.0:0", Some("127.0.0.2")), ("[::1]:0", None)]
        {
            let (port, is_v4) = (bound(at), !at.starts_with('['));
            let asked: Option<IpAddr> = asked.map(|ip| ip.parse().unwrap());
            let mut to = port.local_addr().unwrap();
            if let Some(ip) = asked {
                to.set_ip(ip);
            }
            let any = if is_v4 { "127.0.0.1:0" } else { "[::1]:0" };
            let (one, two, other) = (bound(any), bound(any), bound(any));
            let inlets =
                [&one, &two].map(|it| open(&port, asked, it.local_addr().unwrap()).unwrap());
            for (peer, words) in [(&other, b"three"), (&one, b"first"), (&two, b"twice")] {
                peer.send_to(words, to).unwrap();
            }
            takes(&inlets[0], b"first");
            takes(&inlets[1], b"twice");
            let mut buf = [0; 100];
            assert_eq!(port.recv(&mut buf).unwrap(), 5);
            assert_eq!(&buf[..5], b"three");
            // Without its inlet, a peer is one of the port again.
            drop(inlets);
            one.send_to(b"again", to).unwrap();
            assert_eq!(port.recv(&mut buf).unwrap(), 5);
            assert_eq!(&buf[..5], b"again");
            // The port is taken for all others.
            assert!(UdpSocket::bind(port.local_addr().unwrap()).is_err());
        }
    }
}
