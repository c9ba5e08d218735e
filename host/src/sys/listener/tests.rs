//! Listeners over loopback and Unix sockets, every test on a port, name or folder of its own.

use std::os::fd::IntoRawFd;

use nix::sys::socket::{AddressFamily, SockProtocol, UnixAddr, bind, connect, getsockopt, listen};

use super::file::tests::folder;
use super::*;
use crate::sys::clock;
use crate::sys::poll::{Woken, wait};
use crate::sys::ready::Interest;

pub(super) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// An abstract name that no other process has.
pub(super) fn abstract_name(name: &str) -> Address {
    Address::UnixAbstract(format!("windlass-test-{name}-{}", std::process::id()))
}

pub(super) fn tcp() -> Listener {
    Listener::bind(&address("tcp:127.0.0.1:0"), 16).unwrap()
}

fn port(listener: &Listener) -> u16 {
    match listener.address() {
        Address::Tcp(at) => at.port,
        other => panic!("{other}"),
    }
}

/// Connects to a listener, and what it accepts.
pub(super) fn accepted(listener: &Listener) -> (Stream, Stream) {
    let far = clock::now().after(60_000_000);
    let client = connect::connect(listener.address(), far).unwrap();
    let ready = wait(listener.as_fd(), Interest::READ, None, Some(far));
    assert!(matches!(ready, Woken::Ready(_)), "{ready:?}");
    match listener.accept() {
        Accepted::Stream(stream) => (stream, client),
        other => panic!("{other:?}"),
    }
}

/// Whether it is closed on exec, and whether it never blocks.
pub(super) fn flags(fd: impl AsFd) -> (bool, bool) {
    let of = |what| fcntl(&fd, what).unwrap();
    let closed_on_exec = FdFlag::from_bits_truncate(of(FcntlArg::F_GETFD));
    let status = OFlag::from_bits_truncate(of(FcntlArg::F_GETFL));
    (closed_on_exec.contains(FdFlag::FD_CLOEXEC), status.contains(OFlag::O_NONBLOCK))
}

/// A socket as a parent would hand it down: blocking, and kept on exec.
pub(super) fn foreign(family: AddressFamily, kind: SockType) -> OwnedFd {
    socket::socket(family, kind, SockFlag::empty(), None::<SockProtocol>).unwrap()
}

// TCP.

#[test]
fn port_0_reports_the_real_port() {
    let listener = tcp();
    assert_ne!(port(&listener), 0);
    assert_eq!(listener.address().to_string(), format!("tcp:127.0.0.1:{}", port(&listener)));
    accepted(&listener);
}

#[test]
fn a_name_is_kept_in_the_address() {
    let listener = Listener::bind(&address("tcp:localhost:0"), 16).unwrap();
    assert_eq!(listener.address().to_string(), format!("tcp:localhost:{}", port(&listener)));
    accepted(&listener);
}

#[test]
fn accepted_sockets_inherit_the_options() {
    let listener = tcp();
    assert_eq!(getsockopt(&listener, sockopt::ReuseAddr), Ok(true));
    assert_eq!(getsockopt(&listener, sockopt::TcpNoDelay), Ok(true));
    let (ours, _client) = accepted(&listener);
    assert_eq!(getsockopt(&ours, sockopt::TcpNoDelay), Ok(true));
}

#[test]
fn every_socket_is_closed_on_exec_and_never_blocks() {
    for listen_on in [address("tcp:127.0.0.1:0"), abstract_name("flags")] {
        let listener = Listener::bind(&listen_on, 16).unwrap();
        let (ours, client) = accepted(&listener);
        assert_eq!(flags(&listener), (true, true), "listener on {listen_on}");
        assert_eq!(flags(&ours), (true, true), "accepted on {listen_on}");
        assert_eq!(flags(&client), (true, true), "connected to {listen_on}");
    }
}

#[test]
fn an_empty_queue_is_no_error() {
    assert!(matches!(tcp().accept(), Accepted::Empty));
}

#[test]
fn a_client_that_gave_up_while_it_waited_does_no_harm() {
    let listener = tcp();
    let far = clock::now().after(60_000_000);
    drop(connect::connect(listener.address(), far).unwrap());
    let (ours, client) = accepted(&listener);
    // The first in the queue may be the one that is gone.
    let ours = if ours.peer() == name_of(&client) {
        ours
    } else {
        match listener.accept() {
            Accepted::Stream(ours) => ours,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ours.peer(), name_of(&client));
}

pub(super) fn name_of(stream: &Stream) -> Option<SockaddrStorage> {
    socket::getsockname(stream.as_fd().as_raw_fd()).ok()
}

#[test]
fn an_address_in_use_is_named() {
    let listener = tcp();
    let error = Listener::bind(listener.address(), 16).unwrap_err();
    let expected = format!("listen on {}: Address already in use", listener.address());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_address_of_another_server_is_named() {
    // TEST-NET-1 (RFC 5737): no host has it.
    let error = Listener::bind(&address("tcp:192.0.2.1:0"), 16).unwrap_err();
    assert!(error.to_string().starts_with("listen on tcp:192.0.2.1:0: "), "{error}");
}

/// None where this host has no IPv6.
fn ipv6(text: &str) -> Option<Listener> {
    match Listener::bind(&address(text), 16) {
        Ok(listener) => Some(listener),
        Err(error) => {
            let why = error.to_string();
            assert!(
                why.contains("Address family not") || why.contains("assign requested"),
                "{why}"
            );
            None
        }
    }
}

#[test]
fn the_wildcards_of_ipv4_and_ipv6_have_one_port_side_by_side() {
    let Some(six) = ipv6("tcp:[::]:0") else { return };
    let port = port(&six);
    // Another process may have the port for IPv4.
    let Ok(four) = Listener::bind(&address(&format!("tcp:0.0.0.0:{port}")), 16) else { return };
    for (listener, client) in [(&six, "[::1]"), (&four, "127.0.0.1")] {
        let at = address(&format!("tcp:{client}:{port}"));
        let _client = connect::connect(&at, clock::now().after(60_000_000)).unwrap();
        assert!(matches!(listener.accept(), Accepted::Stream(_)), "{client}");
    }
    drop(six);
    assert!(ipv6(&format!("tcp:[::]:{port}")).is_some(), "in the other order");
}

#[test]
fn the_addresses_of_a_name_that_are_not_served_are_known() {
    let at = HostPort { host: "localhost".to_owned(), port: 0 };
    let found = connect::resolve(&at).unwrap();
    let listener = Listener::bind(&Address::Tcp(at), 16).unwrap();
    assert_eq!(listener.unserved().len(), found.len() - 1);
    let socket = listener.socket_address().unwrap();
    assert!(!listener.unserved().contains(&socket), "{socket}");
    assert!(tcp().unserved().is_empty());
}

// Inherited descriptors.

#[test]
fn a_listening_socket_is_inherited() {
    let socket = foreign(AddressFamily::Inet, SockType::Stream);
    let any = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
    bind(socket.as_raw_fd(), &SockaddrStorage::from(any)).unwrap();
    listen(&socket, Backlog::MAXCONN).unwrap();
    let raw = socket.into_raw_fd();
    let listener = Listener::bind(&Address::Fd(raw), 16).unwrap();
    assert_eq!(listener.as_fd().as_raw_fd(), raw);
    assert_ne!(port(&listener), 0);
    assert_eq!(flags(&listener), (true, true));
    let (ours, _client) = accepted(&listener);
    assert_eq!(getsockopt(&ours, sockopt::TcpNoDelay), Ok(true));
    assert_eq!(flags(&ours), (true, true));
}

#[test]
fn the_file_of_an_inherited_socket_stays() {
    let (_folder, path, address) = folder();
    let socket = foreign(AddressFamily::Unix, SockType::Stream);
    bind(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&socket, Backlog::MAXCONN).unwrap();
    let listener = Listener::bind(&Address::Fd(socket.into_raw_fd()), 16).unwrap();
    assert_eq!(*listener.address(), address);
    accepted(&listener);
    drop(listener);
    assert!(path.exists());
}

/// What a descriptor is refused with. It stays open: it is still the caller's.
fn refused(fd: &OwnedFd) -> String {
    let raw = fd.as_raw_fd();
    let error = Listener::bind(&Address::Fd(raw), 16).unwrap_err().to_string();
    assert!(fcntl(fd, FcntlArg::F_GETFD).is_ok(), "it was closed");
    error.strip_prefix(&format!("inherit fd:{raw}: ")).unwrap().to_owned()
}

#[test]
fn a_descriptor_that_is_no_socket_is_refused() {
    let file = OwnedFd::from(tempfile::tempfile().unwrap());
    assert_eq!(refused(&file), "it is not a socket");
    let (pipe, _) = nix::unistd::pipe().unwrap();
    assert_eq!(refused(&pipe), "it is not a socket");
}

#[test]
fn a_socket_at_which_nothing_arrives_is_refused() {
    let unbound = "it is bound to no address";
    assert_eq!(refused(&foreign(AddressFamily::Inet, SockType::Datagram)), unbound);
    assert_eq!(refused(&foreign(AddressFamily::Unix, SockType::Datagram)), unbound);
    let connected = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect("127.0.0.1:9").unwrap();
    assert_eq!(refused(&OwnedFd::from(connected)), "it is connected to one client");
    let expected = "it is neither a listening stream socket nor a datagram socket";
    assert_eq!(refused(&foreign(AddressFamily::Inet, SockType::Stream)), expected);
    let packets = foreign(AddressFamily::Unix, SockType::SeqPacket);
    let name =
        UnixAddr::new_abstract(format!("windlass-test-{}", std::process::id()).as_bytes()).unwrap();
    bind(packets.as_raw_fd(), &name).unwrap();
    listen(&packets, Backlog::MAXCONN).unwrap();
    assert_eq!(refused(&packets), expected);
    let client = foreign(AddressFamily::Unix, SockType::SeqPacket);
    connect(client.as_raw_fd(), &name).unwrap();
    assert_eq!(refused(&client), expected);
}

#[test]
fn a_closed_descriptor_is_refused() {
    // Above every limit, so that no other test opens it meanwhile.
    let error = Listener::bind(&Address::Fd(RawFd::MAX), 16).unwrap_err();
    assert_eq!(error.to_string(), format!("inherit fd:{}: Bad file number", RawFd::MAX));
}

#[test]
fn the_standard_descriptors_are_refused() {
    for raw in 0..=2 {
        let error = Listener::bind(&Address::Fd(raw), 16).unwrap_err();
        let why = "descriptors 0 to 2 are standard input, output and error";
        assert_eq!(error.to_string(), format!("inherit fd:{raw}: {why}"));
    }
}

#[test]
fn an_accept_queue_can_be_looked_at() {
    let listener = tcp();
    let copy = listener.share().unwrap();
    assert_eq!(copy.accept_queue(), Some(AcceptQueue { waiting: 0, limit: 16 }));
    let far = clock::now().after(60_000_000);
    let _client = connect::connect(listener.address(), far).unwrap();
    let ready = wait(listener.as_fd(), Interest::READ, None, Some(far));
    assert!(matches!(ready, Woken::Ready(_)), "{ready:?}");
    assert_eq!(copy.accept_queue().map(|queue| queue.waiting), Some(1));
    let unix = Listener::bind(&abstract_name("queue-of-unix"), 16).unwrap();
    assert_eq!(unix.accept_queue(), None);
}
