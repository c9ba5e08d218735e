//! `windlass talk` and `windlass time` with servers of datagrams.
//!
//! - Each line is a datagram, and each answer is printed, with foreign servers too.
//! - A server that is not there, or does not answer, is a failure of one line.
//! - The name that a Unix client takes to be answered at is gone afterwards.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread::{self, JoinHandle};

use windlass::sys::signals::FATAL;
use windlass_tests::{Feed, Model, PATIENCE, Program, has, leave_no_core, serve, windlass, within};

/// A server that answers `count` datagrams in capitals.
fn upper(count: usize) -> (String, JoinHandle<Vec<Vec<u8>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let address = format!("udp:{}", socket.local_addr().expect("a name"));
    let serve = move || {
        let mut heard = Vec::new();
        let mut buf = vec![0; 0xffff];
        for _ in 0..count {
            let (len, from) = socket.recv_from(&mut buf).expect("receive");
            heard.push(buf[..len].to_vec());
            socket.send_to(&buf[..len].to_ascii_uppercase(), from).expect("send");
        }
        heard
    };
    (address, thread::spawn(serve))
}

#[test]
fn each_line_is_a_datagram() {
    let (address, server) = upper(4);
    let feed = Feed::Pipe(b"hello\nworld\n\nlast".to_vec());
    let outcome = windlass!("talk", &address).feed(feed).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"HELLO\nWORLD\n\nLAST");
    let heard = server.join().expect("a server");
    assert_eq!(heard, [&b"hello\n"[..], b"world\n", b"\n", b"last"]);
}

/// `socat` as the server of `talk`, and as the client of `serve`.
#[test]
fn socat_is_talked_to_and_talks() {
    if !has("socat") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socat");
    let listen = format!("UNIX-RECVFROM:{},fork", path.display());
    let _socat = Program::new("socat").arg(listen).arg("SYSTEM:tr a-z A-Z").start();
    within(PATIENCE, "socat listens", || path.exists());
    let talk = windlass!("talk", format!("unix-dgram:{}", path.display()));
    let outcome = talk.feed(Feed::Pipe(b"hello".to_vec())).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"HELLO");
    let server = serve!("upper", Model::Epoll).listen("udp:127.0.0.1:0").start();
    let to = server.address().replace("udp:", "UDP4:");
    let feed = Feed::Pipe(b"hello\n".to_vec());
    let socat = Program::new("socat").words("-t 5 -").arg(to).feed(feed).run();
    assert_eq!((socat.code, socat.stdout.as_slice()), (Some(0), &b"HELLO\n"[..]), "{socat}");
}

#[test]
fn the_longest_line_is_one_datagram_and_a_longer_one_is_refused() {
    let (address, server) = upper(1);
    let mut line = vec![b'x'; 65_506];
    line.push(b'\n');
    let outcome = windlass!("talk", &address).feed(Feed::Pipe(line.clone())).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, line.to_ascii_uppercase());
    assert_eq!(server.join().expect("a server"), [line.clone()]);
    // What came before it is sent and answered.
    let (address, server) = upper(2);
    let mut lines = b"one\ntwo\n".to_vec();
    lines.resize(lines.len() + 100_000, b'x');
    let outcome = windlass!("talk", &address).feed(Feed::Pipe(lines)).run();
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "ONE\nTWO\n");
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("a line is longer than a datagram"), "{outcome}");
    server.join().expect("a server");
    let (address, server) = upper(0);
    for more in [1, 100_000] {
        let mut line = vec![b'x'; 65_506 + more];
        line.push(b'\n');
        let outcome = windlass!("talk", &address).feed(Feed::Pipe(line)).run();
        outcome.fails_with(1, &[&address]);
    }
    server.join().expect("a server");
}

#[test]
fn many_lines_are_answered_in_time() {
    const LINES: usize = 500;
    let (address, server) = upper(LINES);
    let text = "a line\n".repeat(LINES);
    let outcome = windlass!("talk", &address).feed(Feed::Pipe(text.clone().into_bytes())).run();
    outcome.succeeds();
    assert_eq!(String::from_utf8(outcome.stdout).expect("text"), text.to_ascii_uppercase());
    server.join().expect("a server");
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let gone = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = format!("udp:{}", gone.local_addr().expect("a name"));
    drop(gone);
    let feed = || Feed::Pipe(b"hello\n".to_vec());
    windlass!("talk", &address).feed(feed()).run().fails_with(1, &[&address, "refused"]);
    windlass!("time", &address).run().fails_with(1, &[&address, "refused"]);
    let nowhere = "unix-dgram:/nowhere/at/all";
    windlass!("talk", nowhere).feed(feed()).run().fails_with(1, &[nowhere, "No such file"]);
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = format!("udp:{}", silent.local_addr().expect("a name"));
    let feed = Feed::Pipe(b"one\ntwo\n".to_vec());
    let outcome = windlass!("talk", &address, "--timeout", "0.1").feed(feed).run();
    outcome.fails_with(1, &["no answer to 2 of 2 datagrams"]);
    windlass!("time", &address, "--timeout", "0.1").run().fails_with(1, &["no answer within"]);
}

#[test]
fn the_time_is_asked_again_when_the_answer_is_lost() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let address = format!("udp:{}", socket.local_addr().expect("a name"));
    let server = thread::spawn(move || {
        let mut buf = [0; 10];
        socket.recv_from(&mut buf).expect("the first question");
        let (len, from) = socket.recv_from(&mut buf).expect("the second");
        assert_eq!(len, 0);
        socket.send_to(b"1795251751\n", from).expect("send");
    });
    let outcome = windlass!("time", &address).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"1795251751\n");
    server.join().expect("a server");
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("read").count()
}

#[test]
fn a_unix_client_leaves_no_name_behind() {
    leave_no_core();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("srv.socket");
    let socket = UnixDatagram::bind(&path).expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let address = format!("unix-dgram:{}", path.display());
    let server = thread::spawn(move || {
        let mut buf = [0; 100];
        let (len, from) = socket.recv_from(&mut buf).expect("receive");
        let path = from.as_pathname().expect("a name");
        socket.send_to(&buf[..len].to_ascii_uppercase(), path).expect("send");
        socket
    });
    let outcome = windlass!("talk", &address).feed(Feed::Pipe(b"hello\n".to_vec())).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"HELLO\n");
    assert_eq!(names(folder.path()), 1);
    let _socket = server.join().expect("a server");
    // Each signal of other programs that ends a process by default.
    for signal in FATAL {
        let fifo = folder.path().join("input");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let both = std::fs::File::options().read(true).write(true).open(&fifo).expect("open");
        std::fs::remove_file(&fifo).expect("remove");
        let talk = windlass!("talk", &address).feed(Feed::File(both)).start();
        // It asks again and again; nothing answers any more.
        let time = windlass!("time", &address).start();
        within(PATIENCE, "both have a name", || names(folder.path()) == 3);
        assert_eq!(talk.end_by(signal), None, "it ends as the signal ends a program");
        assert_eq!(time.end_by(signal), None, "this one too");
        assert_eq!(names(folder.path()), 1);
    }
    // What is sent without an answer takes no name, so that there is none to be left behind.
    let words = "--name Mike --math 1 --chinese 2";
    windlass!("score", "send", &address).words(words).run();
    let read = std::fs::read_dir(folder.path()).expect("read");
    assert_eq!(read.count(), 1);
}
