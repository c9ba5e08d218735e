//! Services on datagrams under a configuration: with other listeners, through reloads, upgrades and kills.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{
    Feed, Member, Model, PATIENCE, Supervised, every_model_of_datagrams, supervise, windlass,
    within,
};

every_model_of_datagrams!(a_reload_loses_no_datagram);
every_model_of_datagrams!(an_upgrade_loses_no_datagram);
every_model_of_datagrams!(every_service_goes_on_through_reloads_and_an_upgrade);

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

/// Each service at both kinds of addresses, in one configuration: to another model, back, and to the next binary.
fn every_service_goes_on_through_reloads_and_an_upgrade(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let services = ["upper", "echo", "time", "score"];
    let text = |model: Model| {
        let at = |service: &str, address: &str| listener(service, model.name(), address, "");
        let unix = |service: &str| format!("unix-dgram:{}/{service}", folder.path().display());
        let of = |service| at(service, "udp:127.0.0.1:0") + &at(service, &unix(service));
        services.map(of).concat()
    };
    let (mut supervised, members) = supervise!(&text(model)).serving(2 * services.len());
    let asks = |supervised: &Supervised, scores: usize| {
        for Member { service, address, .. } in &members {
            let feed = Feed::Pipe(b"Hello\n".to_vec());
            let talk = || windlass!("talk", address).feed(feed).run().stdout;
            match service.as_str() {
                "upper" => assert_eq!(talk(), b"HELLO\n"),
                "echo" => assert_eq!(talk(), b"Hello\n"),
                "time" => windlass!("time", address).run().succeeds(),
                _ => {
                    let send = windlass!("score", "send", address, "--name", "Mike");
                    send.words("--math 1 --chinese 2").run().succeeds();
                }
            }
        }
        supervised.until_logged("name=Mike math=1 chinese=2", scores);
    };
    asks(&supervised, 2);
    let other = if model == Model::Poll { Model::Epoll } else { Model::Poll };
    for (next, scores) in [(other, 4), (model, 6)] {
        supervised.reload(&text(next));
        asks(&supervised, scores);
    }
    supervised.signal(Signal::SIGUSR2);
    within(PATIENCE, "there is a successor", || !supervised.successors().is_empty());
    asks(&supervised, 8);
    assert_eq!(supervised.wait(), Some(0));
    asks(&supervised, 10);
    for pid in supervised.successors() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let is_empty = || std::fs::read_dir(folder.path()).expect("read").next().is_none();
    within(PATIENCE, "the last one removes the socket files", is_empty);
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
