//! Downloads by HTTP while their server is stopped, replaced, or loses workers; how long a connection is
//! kept; what is no file.
//!
//! - A client of a worker that is killed has the beginning of its file, and no other bytes.
//! - A connection may be idle between two requests for longer than a head may take.
//! - Sockets and devices are refused, and a name need not be UTF-8.
//! - A server that stops, reloads or hands over to the next binary sends every file to its end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{self, Mode, SFlag};
use nix::unistd::{Pid, geteuid};
use windlass_tests::web::{Answer, ask};
use windlass_tests::{
    Client, End, Model, PATIENCE, Random, every_concurrent_model, every_model, models, serve,
    supervise, within,
};

every_model!(
    a_stop_lets_a_download_end,
    a_server_that_stops_says_that_the_connection_ends,
    what_is_no_file_is_refused_and_a_name_is_bytes,
    a_slow_body_is_not_waited_for,
);
every_concurrent_model!(a_kept_connection_has_a_limit_of_its_own);
models!(a_killed_worker_sends_no_other_bytes: pool_static PoolStatic, prefork Prefork);
models!(a_reload_and_an_upgrade_let_a_download_end: thread Thread, epoll Epoll, reactor Reactor,
    pool_static PoolStatic, prefork Prefork);

/// More than the buffers of two sockets take.
const SIZE: usize = 16 << 20;

fn content() -> Vec<u8> {
    Random::new(15).bytes(SIZE)
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("image"), content()).expect("write");
    root
}

/// A client in the middle of its download.
fn begin(address: &str) -> Client {
    let mut client = Client::connect(address);
    client.send(b"GET /image HTTP/1.1\r\nHost: a\r\n\r\n");
    within(PATIENCE, "its beginning", || client.has_input());
    client
}

fn is_whole(client: &mut Client) {
    let answer = Answer::read(client, "GET");
    assert_eq!(answer.status, 200);
    assert!(answer.body == content(), "other bytes than those of the file");
}

fn a_stop_lets_a_download_end(model: Model) {
    let root = root();
    let server = serve!("http", model).args(&format!("--root {}", root.path().display())).start();
    let mut client = begin(server.address());
    server.signal(Signal::SIGTERM);
    is_whole(&mut client);
    assert_eq!(client.end(), End::Eof);
    assert_eq!(server.wait().code, Some(0));
}

/// Without that, a client would send its next request into a connection that is closed under it.
fn a_server_that_stops_says_that_the_connection_ends(model: Model) {
    let root = root();
    let args = format!("--root {}", root.path().display());
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let server = serve!("http", model).args(&args).start();
        let mut client = server.connect();
        assert_eq!(ask(&mut client, "HEAD", "/image", &[]).field("Connection"), None);
        server.signal(signal);
        server.until_refused();
        let last = ask(&mut client, "HEAD", "/image", &[]);
        assert_eq!((last.status, last.field("Connection")), (200, Some("close")), "{signal}");
        assert_eq!(client.rest(), b"");
        assert_eq!(server.wait().code, Some(0));
    }
}

fn a_killed_worker_sends_no_other_bytes(model: Model) {
    let root = root();
    let args = format!("--root {}", root.path().display());
    let server = serve!("http", model).args(&args).start();
    let content = content();
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..4).map(|_| begin(server.address())).collect();
        for pid in server.workers() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        for client in &mut clients {
            let answer = Answer::of(&client.whatever_comes());
            assert_eq!(answer.status, 200);
            assert!(answer.body.len() < SIZE, "its worker was not killed");
            assert!(content.starts_with(&answer.body), "other bytes than those of the file");
        }
        // What is left of each is there for the next request.
        let mut again = Client::connect(server.address());
        let part = ask(&mut again, "GET", "/image", &["Range: bytes=-1000", "Connection: close"]);
        assert_eq!((part.status, &part.body[..]), (206, &content[SIZE - 1000..]));
    }
    assert_eq!(server.stop().code, Some(0));
}

fn a_reload_and_an_upgrade_let_a_download_end(model: Model) {
    let root = root();
    let text = |more: &str| {
        let (model, root) = (model.name(), root.path().display());
        format!(
            "[[listener]]\nservice = 'http'\nmodel = '{model}'\nlisten = 'tcp:127.0.0.1:0'\n\
             root = '{root}'\n{more}\n"
        )
    };
    let (mut supervised, members) = supervise!(&text("")).serving(1);
    let address = &members[0].address;
    let mut reloaded = begin(address);
    supervised.reload(&text("index = true"));
    supervised.until_logged("was replaced", 1);
    let mut upgraded = begin(address);
    supervised.signal(Signal::SIGUSR2);
    supervised.until_logged("the new binary was started", 1);
    is_whole(&mut reloaded);
    is_whole(&mut upgraded);
    drop((reloaded, upgraded));
    assert_eq!(supervised.wait(), Some(0));
    let mut next = Client::connect(address);
    assert_eq!(ask(&mut next, "HEAD", "/", &["Connection: close"]).status, 200);
}

/// The time for a head begins with its first byte, and a connection that had an answer may be idle for longer.
fn a_kept_connection_has_a_limit_of_its_own(model: Model) {
    let root = root();
    let queues = matches!(model, Model::ThreadPool | Model::PoolStatic | Model::Prefork);
    let calm = if queues { "--busy-timeout 0" } else { "" };
    let serve = |limit: &str| {
        let args = format!("--root {} {limit} {calm}", root.path().display());
        serve!("http", model).args(&args).start()
    };
    let server = serve("--request-timeout 0.3");
    let mut kept = server.connect();
    for round in 0..2 {
        assert_eq!(ask(&mut kept, "HEAD", "/image", &[]).status, 200, "round {round}");
        // So long it was idle.
        let mut slow = server.connect();
        slow.send(b"GET / HTTP/1.1\r\n");
        assert_eq!(Answer::read(&mut slow, "GET").status, 408);
    }
    kept.send(b"GET / HTTP/1.1\r\n");
    assert_eq!(Answer::read(&mut kept, "GET").status, 408);
    let server = serve("--idle-timeout 0.3");
    let mut idle = server.connect();
    assert_eq!(ask(&mut idle, "HEAD", "/image", &[]).status, 200);
    assert_eq!(idle.rest(), b"");
}

/// As a name of its own, and as the page of a folder.
fn what_is_no_file_is_refused_and_a_name_is_bytes(model: Model) {
    let root = root();
    let at = |name: &[u8]| root.path().join(OsStr::from_bytes(name));
    fs::create_dir(at(b"page")).expect("mkdir");
    let sockets = [b"socket".as_slice(), b"page/index.html"];
    let _bound = sockets.map(|name| UnixListener::bind(at(name)).expect("bind"));
    fs::write(at(b"\xff\xfe"), "bytes").expect("write");
    let args = format!("--root {}", root.path().display());
    let server = serve!("http", model).args(&args).start();
    let mut client = server.connect();
    for (path, status) in [("/socket", 403), ("/page/", 403), ("/socket/", 404)] {
        assert_eq!(ask(&mut client, "GET", path, &[]).status, status, "{path}");
    }
    assert_eq!(ask(&mut client, "GET", "/%ff%FE", &[]).body, b"bytes");
    if geteuid().is_root() {
        let null = stat::makedev(1, 3);
        let made = stat::mknod(&at(b"null"), SFlag::S_IFCHR, Mode::S_IRUSR, null);
        // A container may not have devices.
        if made.is_ok() {
            fs::create_dir(at(b"device")).expect("mkdir");
            fs::rename(at(b"null"), at(b"device/index.html")).expect("rename");
            for path in ["/device/index.html", "/device/"] {
                assert_eq!(ask(&mut client, "GET", path, &[]).status, 403, "{path}");
            }
        }
    }
    client.ends_with(b"");
}

/// Its refusal is there at once, and then it is listened to for a while, whatever it says.
fn a_slow_body_is_not_waited_for(model: Model) {
    let root = root();
    let args = format!("--root {}", root.path().display());
    let server = serve!("http", model).args(&args).start();
    let mut slow = server.connect();
    slow.send(b"POST /image HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(Answer::read(&mut slow, "POST").status, 405);
    within(PATIENCE, "its end", || slow.try_send(b"x").is_err() || slow.is_dead());
    let mut next = server.connect();
    assert_eq!(ask(&mut next, "HEAD", "/image", &["Connection: close"]).status, 200);
}
