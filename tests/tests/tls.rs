//! TLS under every model: a service does not know of it, and answers what it answers without it.
//!
//! - Replies, files and pages come whole; the end of each direction is announced (`close_notify`), and half-closes work.
//! - An end without an announcement is a fault, and ends its connection alone.
//! - A handshake has a limit for its whole, and those that never end hold up no other client.
//! - Plain HTTP is told so; other bytes get an alert; a client that takes nothing costs what it costs without TLS.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_core::session::files::Options;
use windlass_tests::web::{Answer, ask};
use windlass_tests::{
    Client, Download, End, Model, PATIENCE, Random, Secured, Server, every_concurrent_model,
    every_model, models, proc, request, serve, services, within,
};

every_model!(
    replies_come_whole_and_both_ends_are_announced,
    pages_and_files_come_whole,
    a_client_that_leaves_without_a_word_is_cut,
    plain_http_is_told_to_use_https,
    the_header_of_a_balancer_comes_before_the_handshake,
    a_client_that_leaves_in_the_handshake_is_let_go,
    no_descriptor_stays_behind,
    a_slow_handshake_ends_at_its_limit,
    a_client_that_speaks_tls_to_a_plain_port_is_answered,
    refusals_arrive_and_their_end_is_announced,
    clients_resume_whichever_process_serves_them,
);
every_concurrent_model!(
    half_handshakes_hold_up_no_one_else,
    a_client_that_never_reads_holds_up_no_one_else,
);
models!(killed_workers_are_replaced: pool_static PoolStatic, prefork Prefork);

fn start(service: &'static str, model: Model, secured: &Secured, options: &str) -> Server {
    serve!(service, model).args(&secured.options()).args(options).start()
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    Random::new(seed).bytes(len)
}

fn replies_come_whole_and_both_ends_are_announced(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    for len in [1, 1000, 16_384, 16_385, 1_000_000] {
        let (mut client, tunnel) = secured.connect(server.address());
        let text = bytes(len as u64, len);
        let reply = client.converse(&text);
        drop(client);
        let ended = tunnel.outcome();
        assert!(reply == text.to_ascii_uppercase(), "{} of {len} bytes: {ended:?}", reply.len());
        ended.expect("announced");
    }
    drop(server);
    let echo = start("echo", model, &secured, "");
    let (mut client, tunnel) = secured.connect(echo.address());
    let text = bytes(2, 100_000);
    assert!(client.converse(&text) == text, "other bytes than those that were sent");
    drop(client);
    tunnel.outcome().expect("announced");
    // A server that speaks first, and ends.
    let time = start("time", model, &secured, "");
    let (mut client, tunnel) = secured.connect(time.address());
    let stamp = client.rest();
    assert!(stamp.ends_with(b"\n") && stamp.len() > 9, "{stamp:?}");
    drop(client);
    tunnel.outcome().expect("announced");
}

fn pages_and_files_come_whole(model: Model) {
    let secured = Secured::new();
    let folder = tempfile::tempdir().expect("a folder");
    let sizes = [0, 1, 1000, 20_000, 3_000_001];
    for size in sizes {
        fs::write(folder.path().join(size.to_string()), bytes(7, size)).expect("write");
    }
    let root = format!("--root {}", folder.path().display());
    let http = start("http", model, &secured, &root);
    let (mut client, tunnel) = secured.connect(http.address());
    for size in sizes {
        let answer = ask(&mut client, "GET", &format!("/{size}"), &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.body == bytes(7, size), "{size} bytes");
        let part = ask(&mut client, "GET", &format!("/{size}"), &["Range: bytes=0-0"]);
        assert_eq!(part.status, if size == 0 { 416 } else { 206 });
    }
    let missing = ask(&mut client, "GET", "/none", &["Connection: close"]);
    assert_eq!(missing.status, 404);
    assert_eq!(client.end(), End::Eof);
    drop(client);
    tunnel.outcome().expect("announced");
    drop(http);

    let files = start("files", model, &secured, &root);
    for size in sizes {
        let mut client = secured.client(files.address());
        client.send(&request(size.to_string().as_bytes(), Options::default()));
        client.finish();
        let download = Download::of(&client.rest());
        assert!(download.whole && download.file == bytes(7, size), "{size} bytes");
    }
}

fn a_client_that_leaves_without_a_word_is_cut(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "-vv");
    let mut stream = secured.handshake(server.address(), b"");
    stream.write_all(b"abc").expect("send");
    let mut reply = [0; 3];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"ABC");
    stream.sock.shutdown(Shutdown::Write).expect("shutdown");
    // Nor does the server announce an end that it does not know to be one.
    let end = stream.read(&mut reply).expect_err("no end");
    assert_ne!(end.kind(), ErrorKind::WouldBlock, "nothing moved for {PATIENCE:?}");
    secured.client(server.address()).upper(b"another");
    let stderr = server.stop().stderr;
    assert!(stderr.contains("ended without close_notify"), "{stderr}");
}

fn the_header_of_a_balancer_comes_before_the_handshake(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "--proxy-from 127.0.0.1 --deny 10.0.0.66");
    let header = b"PROXY TCP4 10.0.0.1 192.0.2.1 4711 443\r\n";
    let mut stream = secured.handshake(server.address(), header);
    stream.write_all(b"abc").expect("send");
    let mut reply = [0; 3];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"ABC");
    drop(stream);
    // A handshake without a header is none of a balancer.
    let address = server.address().strip_prefix("tcp:").expect("a TCP address");
    let mut bare = TcpStream::connect(address).expect("connect");
    bare.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let handshake = secured.connection().complete_io(&mut bare);
    handshake.expect_err("no header came");
}

fn plain_http_is_told_to_use_https(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    let is_told = |mut client: Client| {
        let answer = Answer::of(&client.rest());
        assert_eq!(answer.status, 400);
        assert_eq!(answer.field("Content-Length"), Some(&*answer.body.len().to_string()));
        assert!(answer.body.starts_with(b"This port speaks TLS"));
    };
    let request = b"POST / HTTP/1.1\r\nHost: test\r\n\r\n";
    for body in [0, 100_000] {
        let mut client = server.connect();
        client.send(request);
        client.send(&vec![b'x'; body]);
        is_told(client);
    }
    let mut client = server.connect();
    for byte in request {
        // It is told, and closed, before the last one.
        let _ = client.try_send(&[*byte]);
    }
    is_told(client);
    let mut client = server.connect();
    client.send(b"hello, is this TLS?\n");
    let alert = client.rest();
    assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
    secured.client(server.address()).upper(b"another");
}

#[test]
fn plain_http_is_told_by_every_service() {
    let secured = Secured::new();
    let root = tempfile::tempdir().expect("a folder");
    for (service, options) in services(root.path()) {
        let server = start(service, Model::Epoll, &secured, &options);
        let mut client = server.connect();
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(Answer::of(&client.rest()).status, 400, "{service}");
    }
}

/// What a client says first.
fn client_hello(secured: &Secured) -> Vec<u8> {
    let mut hello = Vec::new();
    secured.fresh_connection().write_tls(&mut hello).expect("a hello");
    hello
}

/// `close_notify`, not encrypted.
const CLOSE_NOTIFY: &[u8] = b"\x15\x03\x03\x00\x02\x01\x00";

fn a_client_that_leaves_in_the_handshake_is_let_go(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "-vv");
    let mut client = server.connect();
    client.send(&[&client_hello(&secured), CLOSE_NOTIFY].concat());
    let answer = client.rest();
    assert_eq!(answer.first(), Some(&22), "a handshake: {answer:?}");
    let mut early = server.connect();
    early.send(CLOSE_NOTIFY);
    early.finish();
    early.end();
    secured.client(server.address()).upper(b"another");
    let stderr = server.stop().stderr;
    assert!(stderr.contains("the peer left during the handshake"), "{stderr}");
}

fn a_client_that_speaks_tls_to_a_plain_port_is_answered(model: Model) {
    let secured = Secured::new();
    let root = tempfile::tempdir().expect("a folder");
    for (service, options) in services(root.path()) {
        let server = serve!(service, model).args(&options).start();
        let mut client = server.connect();
        client.send(&client_hello(&secured));
        let mut conn = secured.fresh_connection();
        conn.write_tls(&mut std::io::sink()).expect("a hello");
        // A client of TLS waits for an answer. Only `http` knows that this is none of its own and ends.
        if service != "http" {
            client.finish();
        }
        let answer = client.whatever_comes();
        conn.read_tls(&mut &*answer).expect("room");
        assert!(!answer.is_empty(), "{service} says nothing");
        conn.process_new_packets().expect_err("it is no TLS");
        if service == "http" {
            assert_eq!(Answer::of(&answer).status, 400);
        }
    }
}

fn refusals_arrive_and_their_end_is_announced(model: Model) {
    let secured = Secured::new();
    let folder = tempfile::tempdir().expect("a folder");
    let root = format!("--root {}", folder.path().display());
    let server = start("http", model, &secured, &root);
    // More than the sockets hold: to close would destroy the answer.
    let body = bytes(5, 8 << 20);
    let long = "a".repeat(100_000);
    for (head, status) in [
        (format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()), 405),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nLong: {long}\r\n\r\n"), 431),
    ] {
        let (mut client, tunnel) = secured.connect(server.address());
        let sent = [head.as_bytes(), &body].concat();
        let mut sender = client.another();
        let answer = std::thread::scope(|scope| {
            scope.spawn(move || drop(sender.try_send(&sent)));
            Answer::read(&mut client, "GET")
        });
        assert_eq!(answer.status, status);
        assert_eq!(client.end(), End::Eof, "{status}");
        drop(client);
        tunnel.outcome().expect("announced");
    }
}

fn no_descriptor_stays_behind(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    secured.client(server.address()).upper(b"warm");
    let mut client = secured.client(server.address());
    client.upper(b"one");
    let idle = server.own_descriptors();
    if model != Model::Iterative {
        for _ in 0..10 {
            secured.client(server.address()).upper(b"another");
            // A handshake that is not begun, one that is cut, and no handshake.
            drop(server.connect());
            server.connect().send(b"\x16\x03\x01\x02");
            server.connect().send(b"nothing");
        }
    }
    within(PATIENCE, "the sockets are closed", || server.own_descriptors() <= idle);
    client.upper(b"still there");
}

fn half_handshakes_hold_up_no_one_else(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    let half = |_| {
        let mut client = server.connect();
        client.send(b"\x16\x03\x01\x02\x00\x01");
        client
    };
    let halves: Vec<_> = (0..300).map(half).collect();
    for _ in 0..3 {
        secured.client(server.address()).upper(b"served");
    }
    drop(halves);
}

fn a_slow_handshake_ends_at_its_limit(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "--request-timeout 0.5");
    let mut slow = server.connect();
    // A record of 16 KiB, a byte now and then: it is not whole before patience ends.
    slow.send(b"\x16\x03\x01\x40\x00\x01");
    let mut looks = 0_u32;
    within(PATIENCE, "its end", || {
        looks += 1;
        let is_cut = looks.is_multiple_of(20) && slow.try_send(b"\0").is_err();
        is_cut || slow.is_dead() || slow.has_input()
    });
    let mut done = secured.client(server.address());
    done.upper(b"served");
}

fn a_client_that_never_reads_holds_up_no_one_else(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    let mut silent = secured.client(server.address());
    assert!(silent.stuff(300, 64 << 20) < 64 << 20, "it has no room for so much");
    secured.client(server.address()).upper(b"served");
}

fn clients_resume_whichever_process_serves_them(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    for turn in 0..20 {
        let (mut client, tunnel) = secured.connect(server.address());
        client.upper(b"hello");
        client.ends_with(b"");
        assert_eq!(tunnel.outcome().expect("announced").resumed, turn > 0, "connection {turn}");
    }
}

fn killed_workers_are_replaced(model: Model) {
    let secured = Secured::new();
    let server = start("upper", model, &secured, "");
    for turn in 0..3 {
        let (mut open, tunnel) = secured.connect(server.address());
        open.upper(b"open");
        let killed = server.workers();
        for &worker in &killed {
            let _ = kill(Pid::from_raw(worker), Signal::SIGKILL);
        }
        open.end();
        // A connection that was given to two workers that died is closed.
        within(PATIENCE, "they are reaped", || {
            let children = proc::children(server.pid());
            killed.iter().all(|worker| !children.contains(worker))
        });
        tunnel.outcome().expect_err("nothing is announced");
        let (mut client, tunnel) = secured.connect(server.address());
        client.upper(b"served");
        client.ends_with(b"");
        assert!(tunnel.outcome().expect("announced").resumed, "round {turn}");
    }
}
