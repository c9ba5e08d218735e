//! Services on datagrams, under every model that can, over UDP and Unix sockets.
//!
//! - Every combination works, or is refused with its reason and exit code 2.
//! - A reply leaves from the address that was asked; the longest is whole, a longer question is dropped.
//! - A client that is gone, a flood and bytes of any kind hurt no other client.
//! - A stop answers what has arrived; a socket that was passed, and one under a configuration, is served.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use windlass_tests::{
    Feed, Model, PATIENCE, Random, Server, every_model, every_model_of_datagrams, models, serve,
    windlass, within,
};

every_model!(every_service_is_answered_or_refused);

/// A service, a question, and its answer, if there is one.
type Case = (&'static str, &'static [u8], Option<&'static [u8]>);

const SERVICES: [Case; 4] = [
    ("upper", b"hello, world 1\n", Some(b"HELLO, WORLD 1\n")),
    ("echo", b"\0\xffany bytes", Some(b"\0\xffany bytes")),
    ("time", b"", Some(b"")),
    ("score", b"\0\0\0\x53\0\0\0\x56Mike\0", None),
];

#[track_caller]
fn logs(server: &Server, words: &str) {
    within(PATIENCE, words, || server.stderr().contains(words));
}

fn has_no_datagrams(model: Model) -> bool {
    matches!(model, Model::Fork | Model::Thread | Model::PoolStatic)
}

/// A client of either kind of socket.
enum Client {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Client {
    /// `own` is the path that a Unix client is answered at.
    fn of(address: &str, own: &Path) -> Self {
        if let Some(at) = address.strip_prefix("udp:") {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
            socket.connect(at).expect("connect");
            socket.set_read_timeout(Some(PATIENCE)).expect("set");
            return Self::Udp(socket);
        }
        let path = address.strip_prefix("unix-dgram:").expect("a path");
        let socket = UnixDatagram::bind(own).expect("bind");
        socket.connect(path).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Self::Unix(socket)
    }

    fn send(&self, bytes: &[u8]) {
        let sent = match self {
            Self::Udp(socket) => socket.send(bytes),
            Self::Unix(socket) => socket.send(bytes),
        };
        assert_eq!(sent.expect("send"), bytes.len());
    }

    fn receive(&self) -> Vec<u8> {
        let mut buf = vec![0; 0xffff];
        let len = match self {
            Self::Udp(socket) => socket.recv(&mut buf),
            Self::Unix(socket) => socket.recv(&mut buf),
        };
        buf.truncate(len.expect("an answer"));
        buf
    }
}

fn every_service_is_answered_or_refused(model: Model) {
    for (service, question, answer) in SERVICES {
        let folder = tempfile::tempdir().expect("a folder");
        let unix = format!("unix-dgram:{}/socket", folder.path().display());
        for address in ["udp:127.0.0.1:0", &unix] {
            if has_no_datagrams(model) {
                let outcome = windlass!("serve", service, "--model", model.name())
                    .words("--listen")
                    .arg(address)
                    .run();
                outcome.fails_with(
                    2,
                    &[address, model.name(), service, "on datagrams has no connections"],
                );
                continue;
            }
            let server = serve!(service, model).listen(address).start();
            let client = Client::of(server.address(), &folder.path().join("client"));
            for _ in 0..3 {
                client.send(question);
                match (service, answer) {
                    ("time", _) => {
                        let stamp = String::from_utf8(client.receive()).expect("digits");
                        let seconds: u64 = stamp.trim_end().parse().expect("a stamp");
                        assert!(seconds > 1_700_000_000, "{stamp:?}");
                    }
                    (_, Some(answer)) => assert_eq!(client.receive(), answer),
                    (_, None) => {}
                }
            }
            if service == "score" {
                logs(&server, "name=Mike math=83 chinese=86");
            }
            drop(client);
            let _ = std::fs::remove_file(folder.path().join("client"));
            assert_eq!(server.stop().code, Some(0));
            assert!(!folder.path().join("socket").exists(), "the socket file is gone");
        }
        for address in ["tcp:127.0.0.1:0", "unix:/tmp/never"] {
            if service == "score" {
                let outcome =
                    windlass!("serve", "score", "--model", model.name(), "--listen", address).run();
                outcome.fails_with(2, &[address, "score is served on datagrams"]);
            }
        }
    }
}

every_model_of_datagrams!(a_reply_leaves_from_the_address_that_was_asked);

fn a_reply_leaves_from_the_address_that_was_asked(model: Model) {
    for (wildcard, asked) in
        [("udp:0.0.0.0:0", &["127.0.0.2", "127.9.9.9"][..]), ("udp:[::]:0", &["::1"])]
    {
        let server = serve!("upper", model).listen(wildcard).start();
        let port = port_of(&server);
        for ip in asked {
            let to = SocketAddr::new(ip.parse().expect("an address"), port);
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = UdpSocket::bind(any).expect("bind");
            client.set_read_timeout(Some(PATIENCE)).expect("set");
            client.send_to(b"hi", to).expect("send");
            let mut buf = [0; 10];
            assert_eq!(client.recv_from(&mut buf).expect("an answer"), (2, to));
        }
    }
}

fn port_of(server: &Server) -> u16 {
    let address = server.address();
    let (_, port) = address.rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}

every_model_of_datagrams!(the_longest_is_whole_and_a_longer_one_is_dropped);

fn the_longest_is_whole_and_a_longer_one_is_dropped(model: Model) {
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").start();
    let client = Client::of(server.address(), Path::new(""));
    let longest = Random::new(12).bytes(65_507);
    client.send(&longest);
    assert_eq!(client.receive(), longest.to_ascii_uppercase());
    client.send(b"");
    assert_eq!(client.receive(), b"");
    // Unix datagrams may be longer than the buffer.
    let folder = tempfile::tempdir().expect("a folder");
    let unix = format!("unix-dgram:{}/socket", folder.path().display());
    let server = serve!("echo", model).listen(unix).start();
    let client = Client::of(server.address(), &folder.path().join("client"));
    client.send(&vec![7; 65_536]);
    client.send(b"short");
    assert_eq!(client.receive(), b"short");
    logs(&server, "too_long=1");
}

every_model_of_datagrams!(a_client_that_is_gone_hurts_no_other);

fn a_client_that_is_gone_hurts_no_other(model: Model) {
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").start();
    let good = Client::of(server.address(), Path::new(""));
    let at: SocketAddr = server.address()["udp:".len()..].parse().expect("an address");
    let mut random = Random::new(17);
    for round in 0..200 {
        // It closes before its answer comes, and the answer draws an ICMP error.
        let gone = UdpSocket::bind("127.0.0.1:0").expect("bind");
        gone.send_to(&random.bytes(round), at).expect("send");
        drop(gone);
        if round % 10 == 0 {
            good.send(b"still there");
            assert_eq!(good.receive(), b"STILL THERE");
        }
    }
}

models!(errors_that_a_passed_socket_kept_wake_no_loop: iterative Iterative, select Select, poll Poll,
    epoll Epoll, epoll_et EpollEt, reactor Reactor, prefork Prefork);

/// The program that passed the socket asked for errors (`IP_RECVERR`). While there are any the socket is ready.
fn errors_that_a_passed_socket_kept_wake_no_loop(model: Model) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    setsockopt(&socket, sockopt::Ipv4RecvErr, &true).expect("ask for errors");
    let gone = UdpSocket::bind("127.0.0.1:0").expect("bind").local_addr().expect("a name");
    for _ in 0..3 {
        // The second one is told of the first.
        let _ = socket.send_to(b"before", gone);
    }
    let server = serve!("upper", model).inherit(socket).start();
    let at: SocketAddr = server.address()["udp:".len()..].parse().expect("an address");
    for _ in 0..10 {
        let gone = UdpSocket::bind("127.0.0.1:0").expect("bind");
        gone.send_to(b"gone", at).expect("send");
    }
    let good = Client::of(server.address(), Path::new(""));
    good.send(b"still there");
    assert_eq!(good.receive(), b"STILL THERE");
    let before = server.cpu_time();
    // Not to wait for something: a second of being idle is what is measured.
    thread::sleep(Duration::from_secs(1));
    let used = server.cpu_time().saturating_sub(before);
    assert!(used < Duration::from_millis(500), "{used:?} in a second without anything to do");
}

/// No state of a client is kept: ten thousand of them cost what one does.
#[test]
fn a_flood_from_ten_thousand_addresses_leaves_memory_as_it_is() {
    let server = serve!("echo", Model::Epoll).listen("udp:127.0.0.1:0").start();
    let at: SocketAddr = server.address()["udp:".len()..].parse().expect("an address");
    let flood = |addresses: u32| {
        for n in 0..addresses {
            let ip = Ipv4Addr::from(0x7f01_0001 + n);
            let client = UdpSocket::bind((ip, 0)).expect("bind");
            client.set_read_timeout(Some(PATIENCE)).expect("set");
            client.send_to(b"flood", at).expect("send");
            let mut buf = [0; 10];
            assert_eq!(client.recv(&mut buf).expect("an answer"), 5);
        }
    };
    flood(200);
    let before = server.private_memory();
    flood(10_000);
    let grown = server.private_memory().saturating_sub(before);
    assert!(grown < 256 * 1024, "{grown} bytes more");
}

every_model!(a_stop_answers_what_has_arrived);

fn a_stop_answers_what_has_arrived(model: Model) {
    if has_no_datagrams(model) {
        return;
    }
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").start();
    let client = Client::of(server.address(), Path::new(""));
    client.send(b"first");
    assert_eq!(client.receive(), b"FIRST");
    // Stopped as a process, it finds them when it goes on, together with the signal.
    server.signal_group(Signal::SIGSTOP);
    for n in 0..100 {
        client.send(format!("line {n}").as_bytes());
    }
    server.signal(Signal::SIGTERM);
    server.signal_group(Signal::SIGCONT);
    // Several threads or processes answer in any order.
    let mut answers: Vec<_> = (0..100).map(|_| client.receive()).collect();
    answers.sort_unstable();
    let mut expected: Vec<_> = (0..100).map(|n| format!("LINE {n}").into_bytes()).collect();
    expected.sort_unstable();
    assert_eq!(answers, expected);
    assert_eq!(server.wait().code, Some(0));
}

#[test]
fn what_is_about_connections_is_refused() {
    for words in [
        "--max-connections 5",
        "--idle-timeout 5",
        "--backlog 5",
        "--min-rate 5",
        "--request-timeout 5",
    ] {
        let serve = windlass!("serve", "upper", "--listen", "udp:127.0.0.1:0").words(words);
        let option = words.split(' ').next().expect("an option");
        serve.run().fails_with(2, &[option, "datagrams"]);
    }
    let pool = windlass!("serve", "upper", "--model", "thread-pool", "--listen", "udp:127.0.0.1:0");
    pool.words("--queue 5").run().fails_with(2, &["--queue", "datagrams"]);
    let group = windlass!("serve", "upper", "--listen", "tcp:127.0.0.1:0", "--group", "239.0.0.2");
    group.run().fails_with(2, &["--group", "udp:"]);
    for (listen, group, why) in [
        ("udp:127.0.0.1:0", "127.0.0.1", "not the address of a multicast group"),
        ("udp:0.0.0.0:0", "ff02::1", "not of the same version of IP"),
        ("udp:239.77.1.9:0", "239.77.1.8", "another group"),
    ] {
        let serve = windlass!("serve", "score", "--listen", listen, "--group", group);
        serve.arg("--check").run().fails_with(2, &["--group", group, why]);
    }
    let files = windlass!("serve", "files", "--root", "/", "--listen", "udp:127.0.0.1:0");
    files.run().fails_with(2, &["files is served on streams"]);
}

#[test]
fn a_socket_that_was_passed_is_served() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let at = socket.local_addr().expect("a name");
    let server = serve!("upper", Model::Epoll).inherit(socket).start();
    assert_eq!(server.address(), format!("udp:{at}"));
    let client = Client::of(server.address(), Path::new(""));
    client.send(b"passed");
    assert_eq!(client.receive(), b"PASSED");
}

/// The group is the address itself.
#[test]
fn the_address_of_a_group_is_joined() {
    let server =
        serve!("score", Model::Epoll).listen("udp:239.77.2.2:0").args("--interface lo").start();
    let send = windlass!("score", "send", server.address(), "--name", "Mike");
    send.words("--math 1 --chinese 2 --interface lo --ttl 0").run().succeeds();
    logs(&server, "name=Mike math=1 chinese=2");
}

/// What a name would do to a terminal, or to a reader of lines, it does not do to the log.
#[test]
fn no_name_breaks_a_line_of_the_log() {
    let shown = r#""a\\u{1b}[2J\\n INFO \"x\" \\u{202e}""#;
    for (format, name) in [("text", format!("name={shown}")), ("json", format!("\"name\":{shown}"))]
    {
        let server = serve!("score", Model::Epoll).listen("udp:127.0.0.1:0");
        let server = server.args(&format!("--log-format {format}")).start();
        let send = windlass!("score", "send", server.address(), "--name");
        let send = send.arg("a\u{1b}[2J\n INFO \"x\" \u{202e}");
        send.words("--math 1 --chinese 2").run().succeeds();
        logs(&server, &name);
    }
}

/// A server that is too slow says so, and how many were lost.
#[test]
fn what_the_kernel_dropped_is_in_the_log() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    setsockopt(&socket, sockopt::RcvBuf, &1).expect("take room");
    let server = serve!("upper", Model::Epoll).inherit(socket).start();
    let client = Client::of(server.address(), Path::new(""));
    server.signal_group(Signal::SIGSTOP);
    for _ in 0..100 {
        client.send(&[b'x'; 1000]);
    }
    server.signal_group(Signal::SIGCONT);
    // The number comes with the next one that is not dropped.
    within(PATIENCE, "it is told", || {
        client.send(b"next");
        server
            .stderr()
            .contains("datagrams were dropped malformed=0 too_long=0 refused=0 lost=0 overflow=")
    });
}

#[test]
fn a_group_is_served() {
    let args = "--group 239.77.2.1 --interface lo";
    for model in [Model::Iterative, Model::Prefork] {
        let server = serve!("score", model).listen("udp:0.0.0.0:0").args(args).start();
        let to = format!("udp:239.77.2.1:{}", port_of(&server));
        let send = windlass!("score", "send", to, "--name", "Mike");
        let outcome = send.words("--math 1 --chinese 2 --interface lo --ttl 0").run();
        assert_eq!(outcome.stdout, b"OK\n");
        logs(&server, "name=Mike math=1 chinese=2");
        assert_eq!(server.stop().code, Some(0));
    }
}

models!(workers_that_are_killed_are_replaced: prefork Prefork);

fn workers_that_are_killed_are_replaced(model: Model) {
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").start();
    let client = Client::of(server.address(), Path::new(""));
    for round in 0..20 {
        for worker in server.workers() {
            let _ = kill(Pid::from_raw(worker), Signal::SIGKILL);
        }
        within(PATIENCE, "there are new workers", || !server.workers().is_empty());
        // The one that was killed may have had the question.
        let text = format!("round {round}");
        let answered = (0..100).any(|_| {
            client.send(text.as_bytes());
            let Client::Udp(socket) = &client else { return false };
            socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
            let mut buf = [0; 100];
            socket.recv(&mut buf).is_ok()
        });
        assert!(answered);
        let Client::Udp(socket) = &client else { return };
        // Late answers to questions that were asked again.
        socket.set_nonblocking(true).expect("set");
        while socket.recv(&mut [0; 100]).is_ok() {}
        socket.set_nonblocking(false).expect("set");
    }
}

#[test]
fn talk_and_time_are_answered() {
    let server = serve!("upper", Model::Reactor).listen("udp:127.0.0.1:0").start();
    let text = "a line\n".repeat(300);
    let talk = windlass!("talk", server.address()).feed(Feed::Pipe(text.clone().into_bytes()));
    let outcome = talk.run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, text.to_ascii_uppercase().into_bytes());
    let server = serve!("time", Model::Select).listen("udp:127.0.0.1:0").start();
    windlass!("time", server.address()).run().succeeds();
}
