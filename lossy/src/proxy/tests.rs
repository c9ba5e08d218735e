//! Real sockets through the proxy.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::{Counts, Lossy, Path};

/// A socket with a limit on its waits.
fn socket(at: &str) -> UdpSocket {
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
    socket
}

fn hears(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buf = [0; 2048];
    let (len, from) = socket.recv_from(&mut buf).unwrap();
    (buf[..len].to_vec(), from)
}

#[test]
fn a_server_has_as_many_ports_as_it_uses() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let (server, client) = (socket(host), socket(host));
        let at = server.local_addr().unwrap();
        let lossy = Lossy::start(host, at, 1, [Path::PERFECT; 2]).unwrap();
        client.send_to(b"request", lossy.address()).unwrap();
        let (_, from) = hears(&server);
        // The port that was asked answers, and two others.
        let mut doors = vec![];
        for from_server in [&server, &socket(host), &socket(host)] {
            from_server.send_to(b"answer", from).unwrap();
            let (_, door) = hears(&client);
            assert!(!doors.contains(&door), "{door} is of another port too");
            doors.push(door);
            // What the client sends there arrives at that port, from the same address as the request.
            client.send_to(b"more", door).unwrap();
            assert_eq!(hears(from_server), (b"more".to_vec(), from));
        }
        assert_eq!(doors[0], lossy.address());
    }
}

#[test]
fn each_client_is_another_one_for_the_server() {
    let (server, clients) = (socket("127.0.0.1:0"), ["127.0.0.1:0"; 3].map(socket));
    let lossy =
        Lossy::start("127.0.0.1:0", server.local_addr().unwrap(), 1, [Path::PERFECT; 2]).unwrap();
    for (nth, client) in clients.iter().enumerate() {
        client.send_to(&[nth as u8], lossy.address()).unwrap();
    }
    for _ in &clients {
        let (bytes, from) = hears(&server);
        server.send_to(&bytes, from).unwrap();
    }
    for (nth, client) in clients.iter().enumerate() {
        assert_eq!(hears(client), (vec![nth as u8], lossy.address()));
    }
}

#[test]
fn what_is_late_is_overtaken_and_copies_are_counted() {
    let server = socket("127.0.0.1:0");
    let late = Duration::from_millis(50);
    let there = Path { duplicate: 1000, reorder: 1000, late, ..Path::PERFECT };
    let paths = [there, Path { lose: &[2], ..Path::PERFECT }];
    let lossy = Lossy::start("127.0.0.1:0", server.local_addr().unwrap(), 1, paths).unwrap();
    let client = socket("127.0.0.1:0");
    client.send_to(b"1", lossy.address()).unwrap();
    client.send_to(b"2", lossy.address()).unwrap();
    let came = [(); 4].map(|()| hears(&server));
    assert_eq!(came.clone().map(|(bytes, _)| bytes[0]), *b"1122");
    for word in [b"a", b"b", b"c"] {
        server.send_to(word, came[0].1).unwrap();
    }
    assert_eq!([(); 2].map(|()| hears(&client).0[0]), *b"ac");
    let counts = [Counts { sent: 2, lost: 0, doubled: 2 }, Counts { sent: 3, lost: 1, doubled: 0 }];
    assert_eq!(lossy.counts(), counts);
}
