//! Services on datagrams under a configuration: with other listeners, through reloads, upgrades and kills.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{Model, PATIENCE, models, supervise, windlass, within};

models!(a_reload_loses_no_datagram: iterative Iterative, thread_pool ThreadPool, select Select, poll Poll,
    epoll Epoll, epoll_et EpollEt, reactor Reactor, prefork Prefork);
models!(an_upgrade_loses_no_datagram: iterative Iterative, epoll Epoll, reactor Reactor, prefork Prefork);

fn listener(service: &str, model: &str, address: &str, more: &str) -> String {
    let head = format!("[[listener]]\nservice = '{service}'\nmodel = '{model}'\n");
    format!("{head}listen = '{address}'\n{more}\n")
}

fn client(address: &str) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    client.connect(address.strip_prefix("udp:").expect("udp")).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    client
}

/// Each of them has an answer, however often the process changes meanwhile.
fn ask(client: &UdpSocket, count: u32) {
    let mut buf = [0; 100];
    for n in 0..count {
        let text = format!("line {n}");
        client.send(text.as_bytes()).expect("send");
        let len = client.recv(&mut buf).expect("an answer");
        assert_eq!(&buf[..len], text.to_ascii_uppercase().as_bytes());
    }
}

fn a_reload_loses_no_datagram(model: Model) {
    let text = |model: &str| listener("upper", model, "udp:127.0.0.1:0", "");
    let (supervised, members) = supervise!(&text(model.name())).serving(1);
    let address = members[0].address.clone();
    let client = client(&address);
    ask(&client, 10);
    // Another process takes the socket over, each time.
    for round in 0..6 {
        let other = if model == Model::Poll { Model::Epoll } else { Model::Poll };
        let next = if round % 2 == 0 { other } else { model };
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&client, 300));
            supervised.reload(&text(next.name()));
            asking.join().expect("answers");
        });
        supervised.until_logged("the port is closed", 1);
    }
    assert_eq!(supervised.stop(), Some(0));
}

fn an_upgrade_loses_no_datagram(model: Model) {
    let text = listener("upper", model.name(), "udp:127.0.0.1:0", "");
    let (mut supervised, members) = supervise!(&text).serving(1);
    let client = client(&members[0].address);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&client, 2_000));
        supervised.signal(Signal::SIGUSR2);
        within(PATIENCE, "there is a successor", || !supervised.successors().is_empty());
        asking.join().expect("answers");
    });
    assert_eq!(supervised.wait(), Some(0));
    ask(&client, 100);
    for pid in supervised.successors() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

#[test]
fn a_process_that_is_killed_is_replaced_and_the_socket_stays() {
    let text = listener("upper", "epoll", "udp:127.0.0.1:0", "")
        + &listener("score", "iterative", "udp:127.0.0.1:0", "")
        + &listener("upper", "epoll", "tcp:127.0.0.1:0", "");
    let (supervised, members) = supervise!(&text).serving(3);
    let of = |service: &str| {
        members.iter().find(|it| it.service == service && it.address.starts_with("udp:"))
    };
    let upper = of("upper").expect("it is there");
    let client = client(&upper.address);
    ask(&client, 10);
    kill(Pid::from_raw(upper.pid), Signal::SIGKILL).expect("kill");
    // Asked while there is no process: the socket is the supervisor's, and the next process answers.
    ask(&client, 10);
    let score = &of("score").expect("it is there").address;
    let send = windlass!("score", "send", score, "--name", "Mike");
    assert_eq!(send.words("--math 1 --chinese 2").run().stdout, b"OK\n");
    supervised.until_logged("name=Mike math=1 chinese=2", 1);
    assert_eq!(supervised.stop(), Some(0));
}

#[test]
fn sockets_of_datagrams_are_passed_by_a_service_manager() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = format!("udp:{}", socket.local_addr().expect("a name"));
    let text = listener("upper", "epoll", "udp:127.0.0.1:1", "name = 'web'")
        + &listener("upper", "epoll", "tcp:127.0.0.1:1", "name = 'web'");
    let stream = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    // One name for both: each entry gets the socket of its kind.
    let start = supervise!(&text).env("LISTEN_FDNAMES", "web:web");
    let start = start.activate(stream).activate(socket.try_clone().expect("dup"));
    let (supervised, members) = start.serving(2);
    assert!(members.iter().any(|it| it.address == address), "{members:?}");
    ask(&client(&address), 10);
    assert_eq!(supervised.stop(), Some(0));
    // It stays open with the one that passed it.
    let asked = client(&address);
    asked.send(b"later").expect("send");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    assert_eq!(socket.recv(&mut [0; 10]).expect("it came"), 5);
}

/// The socket file goes on with the next process, and with the next binary.
#[test]
fn a_unix_datagram_socket_stays_through_reloads_and_upgrades() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let address = format!("unix-dgram:{}", path.display());
    let text = |service: &str| listener(service, "epoll", &address, "");
    let (mut supervised, _) = supervise!(&text("upper")).serving(1);
    let client = UnixDatagram::bind(folder.path().join("client")).expect("bind");
    client.connect(&path).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    let asks = |expected: &[u8]| {
        let mut buf = [0; 100];
        client.send(b"hello").expect("send");
        let len = client.recv(&mut buf).expect("an answer");
        assert_eq!(&buf[..len], expected);
    };
    asks(b"HELLO");
    supervised.reload(&text("echo"));
    supervised.until_logged("the port is closed", 1);
    asks(b"hello");
    supervised.signal(Signal::SIGUSR2);
    within(PATIENCE, "there is a successor", || !supervised.successors().is_empty());
    assert_eq!(supervised.wait(), Some(0));
    asks(b"hello");
    assert!(path.exists());
    for pid in supervised.successors() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    within(PATIENCE, "the last one takes it away", || !path.exists());
}
