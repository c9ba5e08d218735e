//! Connections made, refused and given up, over loopback and Unix sockets.

use nix::sys::socket::{SockaddrLike, bind, getsockname, getsockopt, sockopt};
use windlass_core::stream::Write;

use std::os::fd::{AsFd, OwnedFd};

use super::*;
use crate::sys::clock;
use crate::sys::listener::Listener;
use crate::sys::poll::{Woken, wait};
use crate::sys::ready::{Interest, Ready};

fn far() -> Instant {
    clock::now().after(60_000_000)
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A TCP address that is taken and refuses every client: bound, and not listening.
fn deaf() -> (OwnedFd, Address) {
    let any = SockaddrStorage::from("127.0.0.1:0".parse::<SocketAddr>().unwrap());
    let fd = new_socket(&any).unwrap();
    bind(fd.as_raw_fd(), &any).unwrap();
    let name = getsockname::<SockaddrStorage>(fd.as_raw_fd()).unwrap();
    (fd, address_of(&name, Transport::Stream).unwrap())
}

fn socket_address(address: &Address) -> SocketAddr {
    match address {
        Address::Tcp(at) => at.to_string().parse().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_connection_is_made_without_delay() {
    let listener = Listener::bind(&address("tcp:127.0.0.1:0"), 1).unwrap();
    let stream = connect(listener.address(), far()).unwrap();
    assert_eq!(getsockopt(&stream, sockopt::TcpNoDelay), Ok(true));
    assert_eq!(stream.send([b"x", &[]]), Ok(Write::count(1)));
}

#[test]
fn a_refusal_names_the_address() {
    let (_fd, address) = deaf();
    let error = connect(&address, far()).unwrap_err();
    assert_eq!(error.to_string(), format!("connect to {address}: Connection refused"));
}

#[test]
fn a_unix_name_without_a_server_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Address::Unix(folder.path().join("socket"));
    let error = connect(&nowhere, far()).unwrap_err();
    assert_eq!(error.to_string(), format!("connect to {nowhere}: No such file or directory"));
    let missing = address("unix:@windlass-test-missing");
    let error = connect(&missing, far()).unwrap_err();
    assert_eq!(error.to_string(), format!("connect to {missing}: Connection refused"));
}

#[test]
fn no_answer_ends_at_the_deadline() {
    let listener = Listener::bind(&address("tcp:127.0.0.1:0"), 0).unwrap();
    // One waits in the queue, which is then full: the kernel drops the next one.
    let _queued = connect(listener.address(), far()).unwrap();
    let ready = wait(listener.as_fd(), Interest::READ, None, Some(far()));
    assert!(matches!(ready, Woken::Ready(_)));
    let error = connect(listener.address(), clock::now().after(20_000)).unwrap_err();
    let expected = format!("connect to {}: Connection timed out", listener.address());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_unknown_host_is_named() {
    // RFC 6761: this name never resolves.
    let error = connect(&address("tcp:unknown.invalid:1"), far()).unwrap_err();
    assert!(error.to_string().starts_with("resolve unknown.invalid: "), "{error}");
}

#[test]
fn only_streams_are_connected_to() {
    for text in ["udp:127.0.0.1:1", "unix-dgram:/nowhere", "fd:3"] {
        let error = connect(&address(text), far()).unwrap_err();
        let expected = format!("connect to {text}: this is not the address of a stream");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_connection_that_is_begun_becomes_writable() {
    let listener = Listener::bind(&address("tcp:127.0.0.1:0"), 1).unwrap();
    let stream = start(socket_address(listener.address())).unwrap();
    let woken = wait(stream.as_fd(), Interest::WRITE, None, Some(far()));
    assert_eq!(woken, Woken::Ready(Ready { write: true, ..Ready::NONE }));
    assert_eq!(stream.send([b"x", &[]]), Ok(Write::count(1)));
}

#[test]
fn a_connection_that_is_begun_and_refused_reports_an_error() {
    let (_fd, address) = deaf();
    let stream = start(socket_address(&address)).unwrap();
    let woken = wait(stream.as_fd(), Interest::WRITE, None, Some(far()));
    assert!(matches!(woken, Woken::Ready(Ready { dead: true, .. })), "{woken:?}");
    assert_eq!(stream.recv(&mut [0]), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_zone_is_an_interface() {
    let scope = |zone: &str| {
        let host = format!("fe80::1%{zone}");
        let found = resolve(&HostPort { host, port: 7 }).map_err(|error| error.to_string())?;
        Ok(found[0].as_sockaddr_in6().unwrap().scope_id())
    };
    assert_eq!((scope("lo"), scope("1")), (Ok(1), Ok(1)));
    let error: String = scope("no-such-link").unwrap_err();
    assert_eq!(error, "resolve fe80::1%no-such-link: No such device");
}

#[test]
fn socket_names_print_as_addresses() {
    for text in ["tcp:127.0.0.1:80", "tcp:[::1]:80"] {
        let name = SockaddrStorage::from(socket_address(&address(text)));
        assert_eq!(address_of(&name, Transport::Stream), Some(address(text)));
    }
    // The first interface of every host.
    let Address::Tcp(of_a_link) = address("tcp:[fe80::1%lo]:80") else { panic!("tcp") };
    let names: Vec<_> = resolve(&of_a_link)
        .unwrap()
        .iter()
        .filter_map(|name| address_of(name, Transport::Stream))
        .collect();
    assert_eq!(names, [address("tcp:[fe80::1%lo]:80")]);
    for text in ["unix:/some/path", "unix:@some-name"] {
        let at = match address(text) {
            Address::Unix(path) => UnixAddr::new(&path),
            Address::UnixAbstract(name) => UnixAddr::new_abstract(name.as_bytes()),
            other => panic!("{other}"),
        };
        let at = at.unwrap();
        // SAFETY: the pointer and the length are those of one address.
        let name = unsafe { SockaddrStorage::from_raw(at.as_ptr().cast(), Some(at.len())) };
        assert_eq!(name.and_then(|name| address_of(&name, Transport::Stream)), Some(address(text)));
    }
}
