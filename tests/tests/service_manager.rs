//! Service managers: descriptors that are not listeners, and every kind of notification socket.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use windlass_tests::{Client, PATIENCE, supervise, unique, within};

const ANY: &str = "tcp:127.0.0.1:0";

fn listener(address: &str, more: &str) -> String {
    format!("[[listener]]\nservice = 'upper'\nlisten = '{address}'\n{more}\n")
}

/// `OpenFile=` passes files; a socket unit passes FIFOs, datagram sockets and more.
#[test]
fn a_descriptor_that_is_no_listener_is_a_warning_until_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("mkfifo");
    let both = File::options().read(true).write(true).open(&fifo).expect("open");
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", socket.local_addr().expect("an address"));
    let others: [OwnedFd; 4] = [
        UdpSocket::bind("127.0.0.1:0").expect("bind").into(),
        both.into(),
        File::open("/dev/null").expect("open").into(),
        UnixDatagram::unbound().expect("a socket").into(),
    ];
    let start = |text: &str, names: &str| {
        let mut start = supervise!(text).env("LISTEN_FDNAMES", names);
        for other in &others {
            start = start.activate(other.try_clone().expect("dup"));
        }
        start.activate(socket.try_clone().expect("dup"))
    };
    // The socket unit's name is that of all its sockets.
    let by_name = listener("tcp:127.0.0.1:1", "name = 'web'");
    for text in [listener(&address, ""), by_name] {
        let (supervised, members) = start(&text, "web:web:file:web:web").serving(1);
        assert_eq!(members[0].address, address);
        Client::connect(&address).upper(b"hello");
        supervised.until_logged("was passed and is not used", 3);
        supervised.until_logged("was passed, and nothing is configured to be served there", 1);
        let pid = supervised.pid();
        let is_open = |path: &Path| {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
            open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|it| it == path))
        };
        within(PATIENCE, "what is not used is closed", || !is_open(&fifo));
        assert_eq!(supervised.stop(), Some(0));
    }
    let by_name = listener("tcp:127.0.0.1:1", "name = 'file'");
    for (text, why) in [
        (listener("fd:4", ""), "inherit fd:4: it is not a socket"),
        (by_name, "inherit fd:5: it is not a socket"),
        (
            listener("fd:3", "model = 'fork'"),
            "serve on fd:3: fork gives a process to each connection",
        ),
        (listener("fd:6", ""), "inherit fd:6: it is bound to no address"),
    ] {
        let mut supervised = start(&text, "web:web:file:web:web").start();
        assert_eq!(supervised.wait(), Some(1), "{text}");
        supervised.until_logged(why, 1);
    }
}

#[test]
fn a_service_manager_has_a_path_or_an_abstract_name() {
    let name = unique("notify");
    let at = SocketAddr::from_abstract_name(&name).expect("an address");
    let manager = UnixDatagram::bind_addr(&at).expect("bind");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let start = supervise!(&listener(ANY, "")).env("NOTIFY_SOCKET", format!("@{name}"));
    let (supervised, _) = start.serving(1);
    let mut buf = [0; 512];
    let count = manager.recv(&mut buf).expect("it is told something");
    assert!(buf[..count].starts_with(b"READY=1\n"), "{:?}", &buf[..count]);
    assert_eq!(supervised.stop(), Some(0));
}

/// CID 1 is this machine, and nothing listens there; where there is no vsock, it cannot be reached either.
#[test]
fn a_service_manager_that_cannot_be_reached_is_a_warning() {
    for to in ["vsock-stream:1:1", "vsock:4294967295:1", "/no/such/socket", "relative"] {
        let (supervised, members) =
            supervise!(&listener(ANY, "")).env("NOTIFY_SOCKET", to).serving(1);
        supervised.until_logged(&format!("notify {to}: "), 1);
        Client::connect(&members[0].address).upper(b"hello");
        assert_eq!(supervised.stop(), Some(0));
    }
}
