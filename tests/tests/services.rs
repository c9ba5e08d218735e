//! The services `upper`, `echo` and `time`, under every model, over every stream transport.
//!
//! - TCP over IPv4 and IPv6, Unix sockets by path and by abstract name.
//! - Every byte value; one byte at a time; pieces of every size; several clients at once.
//! - A listener that was inherited.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use windlass_tests::{
    Client, Model, Random, every_concurrent_model, every_model, serve, skipped, unique,
};

every_model!(
    upper_is_served_on_every_transport,
    echo_is_served_on_every_transport,
    time_is_served_on_every_transport,
    every_byte_value_has_its_reply,
    one_byte_at_a_time_is_as_good_as_all_at_once,
    pieces_of_any_size_make_the_same_transcript,
    an_inherited_listener_is_served,
);
every_concurrent_model!(several_clients_are_served_at_once);

/// An address for each transport, in `folder` where it is a file.
fn transports(folder: &tempfile::TempDir) -> Vec<String> {
    let mut all = vec![
        "tcp:127.0.0.1:0".to_owned(),
        format!("unix:{}", folder.path().join("socket").display()),
        format!("unix:@{}", unique("service")),
    ];
    if TcpListener::bind("[::1]:0").is_ok() {
        all.push("tcp:[::1]:0".to_owned());
    } else {
        skipped("no ::1");
    }
    all
}

fn on_every_transport(service: &'static str, model: Model, check: impl Fn(&mut Client)) {
    let folder = tempfile::tempdir().expect("a folder");
    for transport in transports(&folder) {
        let server = serve!(service, model).listen(&transport).start();
        let scheme = transport.trim_end_matches('0');
        assert!(server.address().starts_with(scheme), "{} for {transport}", server.address());
        for _ in 0..3 {
            check(&mut server.connect());
        }
    }
}

fn upper_is_served_on_every_transport(model: Model) {
    on_every_transport("upper", model, |client| {
        client.upper(b"Hello, w\xf6rld\n");
        client.upper(b"again");
        client.ends_with(b"");
    });
}

fn echo_is_served_on_every_transport(model: Model) {
    on_every_transport("echo", model, |client| {
        client.send(b"Hello, w\xf6rld\n");
        client.expect(b"Hello, w\xf6rld\n");
        client.send(b"\0again");
        client.ends_with(b"\0again");
    });
}

fn time_is_served_on_every_transport(model: Model) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    on_every_transport("time", model, |client| {
        let before = now();
        // The server may have written its stamp when it accepted, a moment before.
        let stamp = String::from_utf8(client.rest()).expect("digits");
        let seconds: u64 = stamp.strip_suffix('\n').expect("a line").parse().expect("digits");
        assert!((before - 60..=now()).contains(&seconds), "{stamp}");
    });
}

fn all_bytes() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

fn every_byte_value_has_its_reply(model: Model) {
    let server = serve!("upper", model).start();
    let mut client = server.connect();
    client.upper(&all_bytes());
    client.ends_with(b"");
    let server = serve!("echo", model).start();
    let mut client = server.connect();
    client.send(&all_bytes());
    client.ends_with(&all_bytes());
}

fn one_byte_at_a_time_is_as_good_as_all_at_once(model: Model) {
    let server = serve!("upper", model).start();
    let mut client = server.connect();
    for byte in all_bytes() {
        client.upper(&[byte]);
    }
    for byte in all_bytes() {
        client.send(&[byte]);
    }
    client.ends_with(&all_bytes().to_ascii_uppercase());
}

fn pieces_of_any_size_make_the_same_transcript(model: Model) {
    let server = serve!("upper", model).start();
    let mut random = Random::new(1);
    let pieces: Vec<_> = (0..300)
        .map(|number| {
            // From single bytes to more than any buffer of the server.
            let most = [3, 300, 5_000, 100_000][number % 4];
            let size = random.up_to(most);
            random.bytes(size)
        })
        .collect();
    let mut client = server.connect();
    let mut sender = client.another();
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in &pieces {
                sender.send(piece);
            }
            sender.finish();
        });
        let expected = pieces.concat().to_ascii_uppercase();
        let received = client.rest();
        assert_eq!(received.len(), expected.len());
        assert!(received == expected, "other bytes than expected");
    });
}

fn several_clients_are_served_at_once(model: Model) {
    let server = serve!("upper", model).start();
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for round in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("client {number} round {round}").as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate().rev() {
            client.expect(format!("CLIENT {number} ROUND {round}").as_bytes());
        }
    }
    for client in &mut clients {
        client.ends_with(b"");
    }
}

/// As socket activation does it. The address in the `listening` line is the socket's own.
fn an_inherited_listener_is_served(model: Model) {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", tcp.local_addr().expect("address"));
    let server = serve!("upper", model).inherit(tcp).start();
    assert_eq!(server.address(), address);
    server.connect().upper(b"over tcp");

    let name = unique("inherited");
    let at = SocketAddr::from_abstract_name(&name).expect("a name");
    let server =
        serve!("upper", model).inherit(UnixListener::bind_addr(&at).expect("bind")).start();
    assert_eq!(server.address(), format!("unix:@{name}"));
    server.connect().upper(b"over unix");
}
