//! Datagram sockets over loopback and Unix sockets: batches, replies, groups, names, and what the kernel drops.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::batch::{Batch, Sent};
use super::{Datagrams, allow_broadcast, bind_to_device, connect, group, open};
use crate::addr::Address;
use crate::sys::listener::Listener;
use crate::sys::{Errno, clock, poll};
use std::os::fd::AsFd;
use windlass_core::time::Instant;

fn port(address: &str) -> (Listener, SocketAddr) {
    let listener = Listener::bind(&address.parse().unwrap(), 1).unwrap();
    let at = listener.address().socket_addr().unwrap();
    (listener, at)
}

fn soon() -> Instant {
    clock::now().after(10_000_000)
}

/// Receives once something is there.
fn receive(batch: &mut Batch, socket: &impl AsFd) -> nix::Result<usize> {
    poll::wait_for_input([Some(socket.as_fd()), None, None], Some(10_000_000));
    batch.receive(socket)
}

/// Sends everything back.
fn reflect(batch: &mut Batch, socket: &impl AsFd) -> Sent {
    for received in batch.iter_mut() {
        let len = received.len;
        received.reply(len);
    }
    batch.reply(socket)
}

#[test]
fn many_datagrams_are_received_and_answered_in_one_call() {
    let (listener, at) = port("udp:127.0.0.1:0");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut batch = Batch::new(8, 100);
    assert_eq!(batch.receive(&listener), Err(Errno::EAGAIN));
    for n in 0..10_u8 {
        client.send_to(&vec![n; usize::from(n)], at).unwrap();
    }
    let mut seen = Vec::new();
    // Few are asked for at first; more, the more there were.
    for (expected, more, bytes) in [(4, true, 6), (6, false, 39)] {
        assert_eq!((batch.receive(&listener), batch.is_full()), (Ok(expected), more));
        for received in batch.iter_mut() {
            assert_eq!(received.peer.socket_addr(), Some(client.local_addr().unwrap()));
            assert!(!received.cut);
            seen.push(received.datagram().to_vec());
        }
        let sent = u64::try_from(expected).unwrap();
        assert_eq!(reflect(&mut batch, &listener), Sent { sent, bytes, ..Sent::default() });
    }
    let expected: Vec<_> = (0..10_u8).map(|n| vec![n; usize::from(n)]).collect();
    assert_eq!(seen, expected);
    let mut buf = [0; 100];
    for expected in expected {
        let len = client.recv(&mut buf).unwrap();
        assert_eq!(&buf[..len], expected);
    }
}

/// The kernel cuts what is sent together: nothing is mixed up, whatever stands between.
#[test]
fn replies_to_one_peer_arrive_one_by_one() {
    let (listener, at) = port("udp:127.0.0.1:0");
    let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    for lens in [[100; 60], std::array::from_fn(|n| [7, 7, 7, 1400, 1400, 1500, 1500, 0, 0][n % 9])]
    {
        let datagrams: Vec<_> = (0..60_u8).map(|n| vec![n; lens[usize::from(n)]]).collect();
        let mut batch = Batch::new(64, 2000);
        let is_of_one = |n: usize| n % 20 < 15;
        for (n, datagram) in datagrams.iter().enumerate() {
            let client = if is_of_one(n) { &one } else { &other };
            client.send_to(datagram, at).unwrap();
        }
        let mut sent = 0;
        while let Ok(count) = batch.receive(&listener) {
            // One of them is not answered.
            for received in batch.iter_mut() {
                let len = received.len;
                if received.datagram().first() != Some(&33) {
                    received.reply(len);
                }
            }
            let replies = batch.reply(&listener);
            assert_eq!((replies.lost, replies.is_full), (0, false));
            sent += replies.sent;
            assert!(replies.sent <= count as u64);
        }
        assert_eq!(sent, 59);
        let mut buf = [0; 2000];
        for (n, datagram) in datagrams.iter().enumerate().filter(|&(n, _)| n != 33) {
            let client = if is_of_one(n) { &one } else { &other };
            let len = client.recv(&mut buf).unwrap();
            assert_eq!(&buf[..len], datagram, "{n}");
        }
    }
}

#[test]
fn a_datagram_that_is_too_long_is_marked_and_the_longest_is_whole() {
    let (listener, at) = port("udp:127.0.0.1:0");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(&[7; 101], at).unwrap();
    let mut batch = Batch::new(4, 100);
    assert_eq!(receive(&mut batch, &listener), Ok(1));
    let cut = batch.iter_mut().map(|it| (it.len, it.cut)).collect::<Vec<_>>();
    assert_eq!(cut, [(100, true)]);

    let longest = vec![b'x'; super::UDP_MAX];
    client.send_to(&longest, at).unwrap();
    let mut batch = Batch::new(4, 0xffff);
    assert_eq!(receive(&mut batch, &listener), Ok(1));
    assert_eq!(reflect(&mut batch, &listener).sent, 1);
    let mut buf = vec![0; 0xffff];
    assert_eq!(client.recv(&mut buf).unwrap(), super::UDP_MAX);
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    for (wildcard, asked) in
        [("udp:0.0.0.0:0", ["127.0.0.2", "127.3.4.5"]), ("udp:[::]:0", ["::1", "::1"])]
    {
        let (listener, at) = port(wildcard);
        let mut batch = Batch::new(4, 100);
        for ip in asked {
            let ip: IpAddr = ip.parse().unwrap();
            let any = if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = UdpSocket::bind(any).unwrap();
            let asked = SocketAddr::new(ip, at.port());
            client.send_to(b"hi", asked).unwrap();
            assert_eq!(receive(&mut batch, &listener), Ok(1));
            assert_eq!(reflect(&mut batch, &listener).sent, 1);
            let mut buf = [0; 10];
            assert_eq!(client.recv_from(&mut buf).unwrap(), (2, asked));
        }
    }
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let (listener, at) = port("udp:127.0.0.1:0");
    nix::sys::socket::setsockopt(&listener, nix::sys::socket::sockopt::RcvBuf, &1).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut batch = Batch::new(64, 2000);
    let (mut sent, mut received) = (0, 0);
    while batch.overflow() == 0 {
        assert!(sent < 10_000, "nothing was dropped");
        for _ in 0..100 {
            client.send_to(&[1; 1500], at).unwrap();
            sent += 1;
        }
        while let Ok(count) = batch.receive(&listener) {
            received += count;
        }
    }
    assert!(received < sent);
}

#[test]
fn a_peer_that_is_not_there_is_an_error_of_a_connected_socket_alone() {
    let (listener, at) = port("udp:127.0.0.1:0");
    drop(listener);
    let gone = Address::Udp(format!("127.0.0.1:{}", at.port()).parse().unwrap());
    let client = connect(&gone, soon()).unwrap();
    assert_eq!(client.send(b"hello"), Ok(true));
    poll::wait_for_input([Some(client.as_fd()), None, None], Some(10_000_000));
    assert_eq!(client.receive(&mut [0; 10]), Err(Errno::ECONNREFUSED));

    let client = open(at).unwrap();
    for _ in 0..3 {
        assert_eq!(client.send_to(b"hello", at), Ok(true));
    }
    assert_eq!(client.receive(&mut [0; 10]), Ok(None));
    let long = client.send_to(&vec![0; super::UDP_MAX + 1], at);
    assert_eq!(long, Err(Errno::EMSGSIZE));
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_unix_client_is_answered_at_a_name_of_its_own() {
    let folder = Folder::new("datagram-client");
    let address = Address::UnixDatagram(folder.0.join("srv.socket"));
    assert!(connect(&address, soon()).unwrap_err().to_string().contains("No such file"));
    let listener = Listener::bind(&address, 1).unwrap();
    let client = connect(&address, soon()).unwrap();
    let other = connect(&address, soon()).unwrap();
    assert_eq!(folder.names().len(), 3);
    let mut batch = Batch::new(4, 100);
    for (client, text) in [(&client, b"one"), (&other, b"two")] {
        assert_eq!(client.send(text), Ok(true));
        assert_eq!(receive(&mut batch, &listener), Ok(1));
        for received in batch.iter_mut() {
            assert!(received.peer.to_string().contains("srv.socket."), "{}", received.peer);
        }
        assert_eq!(reflect(&mut batch, &listener).sent, 1);
        let mut buf = [0; 10];
        assert_eq!(client.receive(&mut buf), Ok(Some(3)));
        assert_eq!(&buf[..3], text);
    }
    drop((client, other));
    assert_eq!(folder.names(), ["srv.socket"]);
    // One without a name is heard, and cannot be answered.
    let unnamed = UnixDatagram::unbound().unwrap();
    unnamed.send_to(b"hi", folder.0.join("srv.socket")).unwrap();
    assert_eq!(receive(&mut batch, &listener), Ok(1));
    assert_eq!(
        batch.iter_mut().map(|it| it.peer.to_string()).collect::<String>(),
        "an unnamed socket"
    );
    assert_eq!(reflect(&mut batch, &listener), Sent::default());
    drop(listener);
    assert!(folder.names().is_empty());
}

/// A name of 107 bytes has no room for more behind it (unix(7)).
#[test]
fn a_client_of_a_server_with_the_longest_name_is_answered() {
    let folder = Folder::new("datagram-long");
    let name = "s".repeat(106 - folder.0.as_os_str().len());
    let address = Address::UnixDatagram(folder.0.join(&name));
    let listener = Listener::bind(&address, 1).unwrap();
    let clients = [connect(&address, soon()).unwrap(), connect(&address, soon()).unwrap()];
    assert_eq!(folder.names().len(), 3);
    let mut batch = Batch::new(4, 100);
    for client in &clients {
        assert_eq!(client.send(b"one"), Ok(true));
        assert_eq!(receive(&mut batch, &listener), Ok(1));
        assert_eq!(reflect(&mut batch, &listener).sent, 1);
        assert_eq!(client.receive(&mut [0; 10]), Ok(Some(3)));
    }
    drop(clients);
    assert_eq!(folder.names(), [name]);
}

#[test]
fn a_stale_socket_file_is_replaced_and_one_in_use_is_not() {
    let folder = Folder::new("datagram-stale");
    let path = folder.0.join("srv.socket");
    drop(UnixDatagram::bind(&path).unwrap());
    let address = Address::UnixDatagram(path);
    let _listener = Listener::bind(&address, 1).unwrap();
    let error = Listener::bind(&address, 1).unwrap_err().to_string();
    assert!(error.ends_with("Address already in use"), "{error}");
}

#[test]
fn groups_and_interfaces_that_are_none_are_named() {
    let (listener, _) = port("udp:0.0.0.0:0");
    let loopback = Some(group::interface("lo").unwrap());
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(group::interface("windlass-none"), Err(Errno::ENODEV));
    assert_eq!(group::join(&listener, ip("127.0.0.1"), loopback), Err(Errno::EINVAL));
    let nowhere = std::num::NonZeroU32::new(999_999);
    assert_eq!(group::join(&listener, ip("239.0.0.2"), nowhere), Err(Errno::ENODEV));
    assert_eq!(group::join(&listener, ip("239.0.0.2"), loopback), Ok(()));
    assert_eq!(group::join(&listener, ip("239.0.0.2"), loopback), Err(Errno::EADDRINUSE));
    assert_eq!(group::leave(&listener, ip("239.0.0.2"), loopback), Ok(()));
    assert_eq!(bind_to_device(&listener, "windlass-none"), Err(Errno::ENODEV));
}

fn sender(to: SocketAddr) -> Datagrams {
    let sender = open(to).unwrap();
    let loopback = group::interface("lo").unwrap();
    group::send_by(&sender, to.ip(), loopback).unwrap();
    group::set_ttl(&sender, to.ip(), 0).unwrap();
    sender
}

// IPv6 has no route to groups on loopback: tests/ has it between hosts.
#[test]
fn only_the_group_that_was_joined_is_heard() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let [joined, other] = ["239.77.0.1", "239.77.0.2"].map(ip);
    let loopback = Some(group::interface("lo").unwrap());
    let (listener, at) = port("udp:0.0.0.0:0");
    group::join(&listener, joined, loopback).unwrap();
    // This host is in the other group too, by a socket of its own.
    let (elsewhere, _) = port("udp:0.0.0.0:0");
    group::join(&elsewhere, other, loopback).unwrap();
    for (to, text) in [(other, "not this"), (joined, "this")] {
        let to = SocketAddr::new(to, at.port());
        assert_eq!(sender(to).send_to(text.as_bytes(), to), Ok(true), "{to}");
    }
    let mut batch = Batch::new(4, 100);
    assert_eq!(receive(&mut batch, &listener), Ok(1));
    assert_eq!(batch.iter_mut().next().unwrap().datagram(), b"this");
    // The reply goes to the sender alone, from an address of this host.
    assert_eq!(reflect(&mut batch, &listener).sent, 1);
}

#[test]
fn broadcast_takes_leave() {
    let to: SocketAddr = "127.255.255.255:9".parse().unwrap();
    let sender = open(to).unwrap();
    assert_eq!(sender.send_to(b"all", to), Err(Errno::EACCES));
    allow_broadcast(&sender).unwrap();
    assert_eq!(sender.send_to(b"all", to), Ok(true));
}
