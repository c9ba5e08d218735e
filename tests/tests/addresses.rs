//! All addresses of a name: at the first one nobody answers, and the server is at the second.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};
use windlass_tests::{Model, Outcome, Program, Server, serve, skipped};

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
