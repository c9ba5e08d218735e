//! Addresses that clients connect to.
//!
//! - All addresses of a name are tried: no server answers at the first one, and the server is at
//!   the second.
//! - A link-local address with its zone.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};
use windlass_tests::{Model, Outcome, Program, Server, serve, skipped, windlass};

/// A port of 127.0.0.1 where the kernel drops what comes, since the queue of the listener is full. It is
/// silent as long as this lives.
struct Silent {
    port: u16,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        listen(&listener, Backlog::new(0).expect("a backlog")).expect("listen");
        let address = listener.local_addr().expect("an address");
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(stream);
        }
        Self { port: address.port(), _listener: listener, _queue: queue }
    }
}

/// Runs `windlass` where the name `two` has the addresses 127.0.0.1 and 127.0.0.2, in this order.
fn with_two_addresses(words: &str) -> Option<Outcome> {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root can mount a file of names");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 two\n127.0.0.2 two\n").expect("write");
    let script = format!(
        "mount --bind '{}' /etc/hosts && exec '{}' {words}",
        hosts.display(),
        env!("CARGO_BIN_EXE_windlass-under-test"),
    );
    Some(Program::new("unshare").words("-m sh -c").arg(script).run())
}

fn at(service: &'static str, silent: &Silent, args: &str) -> Server {
    let address = format!("tcp:127.0.0.2:{}", silent.port);
    serve!(service, Model::Epoll).listen(address).args(args).start()
}

#[test]
fn every_client_comes_to_the_second_address() {
    let silent = Silent::new();
    let port = silent.port;
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, b"content").expect("write");
    for (service, args, words) in [
        ("time", String::new(), format!("time tcp:two:{port}")),
        ("time", String::new(), format!("talk tcp:two:{port}")),
        ("files", format!("--push {}", file.path().display()), format!("get files://two:{port}/")),
    ] {
        let _server = at(service, &silent, &args);
        let Some(outcome) = with_two_addresses(&words) else { return };
        outcome.succeeds();
        assert!(!outcome.stdout.is_empty(), "{words}: {outcome:?}");
    }
}

#[test]
fn the_deadline_is_for_all_addresses_and_the_error_tells_of_each() {
    let silent = Silent::new();
    let words = format!("time tcp:two:{} --timeout 0.5", silent.port);
    let Some(outcome) = with_two_addresses(&words) else { return };
    outcome.fails_with(
        1,
        &["none of its 2 addresses answers: ", "127.0.0.1: Connection timed out", "127.0.0.2: "],
    );
}

/// A link-local address of this host, and its interface by name and number.
fn link_local() -> Option<(Ipv6Addr, String, u32)> {
    let all = fs::read_to_string("/proc/net/if_inet6").ok()?;
    let mut all = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = all.find(|fields| fields[0].starts_with("fe80"))?;
    let address = Ipv6Addr::from(u128::from_str_radix(found[0], 16).ok()?);
    Some((address, found[5].to_owned(), u32::from_str_radix(found[1], 16).ok()?))
}

#[test]
fn a_zone_says_on_which_link_and_is_not_sent() {
    let Some((address, name, number)) = link_local() else {
        return skipped("this host has no link-local address");
    };
    let listener = TcpListener::bind(SocketAddrV6::new(address, 0, 0, number)).expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let zones = [format!("%{name}"), format!("%25{name}"), format!("%{number}")];
    let asked = zones.len();
    let server = thread::spawn(move || {
        let ask = || {
            let (mut client, _) = listener.accept().expect("accept");
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") {
                client.read_exact(&mut byte).expect("a request");
                asked.extend(byte);
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").expect("answer");
            String::from_utf8(asked).expect("text")
        };
        (0..asked).map(|_| ask()).collect::<Vec<_>>()
    });
    for zone in zones {
        let outcome = windlass!("get", format!("http://[{address}{zone}]:{port}/")).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"hello");
    }
    for request in server.join().expect("the server") {
        assert!(request.contains(&format!("Host: [{address}]:{port}\r\n")), "{request}");
    }
    let none = windlass!("get", format!("http://[{address}%no-such-link]:{port}/")).run();
    none.fails_with(1, &["%no-such-link"]);
}
