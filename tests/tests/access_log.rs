//! The access log: a line for each connection, request or transfer, under every model.
//!
//! - What a client wrote is escaped, bytes are those that left, and a request that is none has its line too.
//! - A file that was renamed is opened again on SIGUSR1, and no line is lost.
//! - A full disk and a folder that is gone: clients are served, and the log of the server says so once.

use std::fs;
use std::io::{Read, Seek};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use nix::sys::signal::Signal;
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::{Offer, TftpGet};
use windlass_tests::transfer::{Memory, Stored, transfer};
use windlass_tests::web::ask;
use windlass_tests::{
    Client, Model, PATIENCE, Random, Server, every_model, every_model_of_datagrams, proc, serve,
    supervise, within,
};

every_model!(
    requests_have_lines,
    connections_have_lines,
    transfers_have_lines,
    an_upload_has_its_line_when_its_file_is_whole,
    lines_may_go_to_standard_error_and_to_the_journal,
    a_disk_that_is_full_costs_lines_and_no_clients,
    a_folder_that_is_gone_is_said_and_lines_go_to_the_file_that_is_open,
    a_file_that_was_renamed_is_opened_again_and_no_line_is_lost,
);
every_model_of_datagrams!(datagrams_have_lines);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(place.0.path().join("root")).expect("mkdir");
        fs::create_dir(place.0.path().join("log")).expect("mkdir");
        fs::write(place.0.path().join("root/file"), Random::new(4).bytes(10_000)).expect("write");
        place
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log/access")
    }

    fn serve(&self, service: &'static str, model: Model, args: &str) -> Server {
        let log = format!("--access-log {} {args}", self.log().display());
        let root = format!("--root {} ", self.0.path().join("root").display());
        match service {
            "http" => serve!("http", model).args(&(root + &log)).start(),
            "tftp" => serve!("tftp", model).listen("udp:127.0.0.1:0").args(&(root + &log)).start(),
            other => serve!(other, model).args(&log).start(),
        }
    }

    /// The lines, once there are so many.
    #[track_caller]
    fn lines(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        within(PATIENCE, "the lines are written", || {
            lines = lines_of(&self.log());
            lines.len() >= count
        });
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// `"REQUEST" OUTCOME BYTES` of a line.
fn said(line: &str) -> String {
    let (_, rest) = line.split_once("] ").expect("a time");
    let end = rest.find(" \"-\" \"-\" ").expect("an end");
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    rest[..end].to_owned()
}

fn requests_have_lines(model: Model) {
    let place = Place::new();
    let server = place.serve("http", model, "");
    let mut client = server.connect();
    let raw = |client: &mut Client, request: &str| {
        client.send(request.as_bytes());
        client.rest().len()
    };
    assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
    assert_eq!(ask(&mut client, "HEAD", "/no%20ne?a=\"", &[]).status, 404);
    let close = "GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\nConnection: close\r\n\r\n";
    let whole = raw(&mut client, close);
    // Another connection may have another process.
    place.lines(3);
    let bad = raw(&mut server.connect(), "GET /\"\\\x1b[2J\x01 HTTP/1.1\r\n\r\n");
    place.lines(4);
    let tls = raw(&mut server.connect(), "\x16\x03\x01\x02");
    let lines = place.lines(5);
    let said: Vec<_> = lines.iter().map(|line| said(line)).collect();
    assert!(said[0].starts_with("\"GET /file HTTP/1.1\" 200 10"), "{said:#?}");
    assert!(said[1].starts_with("\"HEAD /no%20ne?a=\\x22 HTTP/1.1\" 404 "), "{said:#?}");
    assert_eq!(said[2], format!("\"GET /file HTTP/1.1\" 206 {whole}"));
    assert_eq!(said[3], format!("\"GET /\\x22\\x5c\\x1b[2J\\x01 HTTP/1.1\" 400 {bad}"));
    assert_eq!(said[4], format!("\"\\x16\\x03\\x01\\x02\" 400 {tls}"));
    assert!(lines.iter().all(|line| line.contains(" http tcp:127.0.0.1:")), "{lines:#?}");
    assert_eq!(server.stop().code, Some(0));
}

fn connections_have_lines(model: Model) {
    let place = Place::new();
    let server = place.serve("upper", model, "--deny 127.0.0.2");
    let mut client = server.connect();
    client.upper(b"twelve bytes");
    client.ends_with(b"");
    place.lines(1);
    let mut denied = Client::connect_from([127, 0, 0, 2], server.address());
    assert_eq!(denied.rest(), b"");
    let lines = place.lines(2);
    assert_eq!(said(&lines[0]), "\"-\" ok 12");
    assert!(lines[1].starts_with("127.0.0.2 ") && lines[1].contains("\"-\" denied 0 "));
    // The lines of clients that are there when the server stops are not lost either.
    let mut last = server.connect();
    last.upper(b"last");
    server.signal(Signal::SIGTERM);
    last.ends_with(b"");
    assert_eq!(server.wait().code, Some(0));
    assert_eq!(said(&place.lines(3)[2]), "\"-\" ok 4");
}

fn transfers_have_lines(model: Model) {
    let place = Place::new();
    let server = place.serve("tftp", model, "");
    for (name, lines) in [("file", 1), ("none", 2)] {
        let machine = Box::new(TftpGet::new(name.as_bytes(), Offer::NONE, &Timing::CLIENT));
        let _ = transfer(server.address(), machine, Memory::default());
        place.lines(lines);
    }
    let lines = place.lines(2);
    // 20 blocks, each with a head of four bytes; a busy machine sends one again.
    assert!(said(&lines[0]).starts_with("\"get file\" ok 1"), "{lines:#?}");
    assert!(said(&lines[1]).starts_with("\"get none\" refused "), "{lines:#?}");
}

fn an_upload_has_its_line_when_its_file_is_whole(model: Model) {
    let place = Place::new();
    let server = place.serve("tftp", model, "--allow-write");
    let stored = Stored::at(server.address(), "new");
    stored.asking_again(|| {
        let lines = place.lines(1);
        assert!(said(&lines[0]).starts_with("\"put new\" ok "), "{lines:#?}");
        server.logs(&format!("received peer={} name=new bytes=9 ms=", stored.own()));
        stored.is_answered_again();
    });
    // It has no other one.
    let outcome = server.stop();
    assert_eq!((outcome.code, outcome.stderr.matches("received peer=").count()), (Some(0), 1));
    assert_eq!(place.lines(1).len(), 1);
}

fn lines_may_go_to_standard_error_and_to_the_journal(model: Model) {
    // systemd-journald(8) takes the priority from the beginning of a line.
    for (sink, begin) in [("stderr", "127.0.0.1 - - ["), ("journal", "<6>127.0.0.1 - - [")] {
        let server = serve!("upper", model).args(&format!("--access-log {sink}")).start();
        for count in 1..=3 {
            let mut client = server.connect();
            client.upper(b"hello");
            client.ends_with(b"");
            within(PATIENCE, "the line", || {
                let is = |line: &&str| line.starts_with(begin) && line.contains("] \"-\" ok 5 ");
                server.stderr().lines().filter(is).count() == count
            });
        }
    }
}

fn datagrams_have_lines(model: Model) {
    let place = Place::new();
    let args = format!("--access-log {}", place.log().display());
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").args(&args).start();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.connect(server.address().trim_start_matches("udp:")).expect("connect");
    for _ in 0..10 {
        socket.send(b"three").expect("send");
        assert_eq!(socket.recv(&mut [0; 10]).expect("a reply"), 5);
    }
    assert!(place.lines(10).iter().all(|line| said(line) == "\"datagram\" ok 5"));
}

fn a_file_that_was_renamed_is_opened_again_and_no_line_is_lost(model: Model) {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 150;
    let place = Place::new();
    let server = place.serve("http", model, "");
    let old = |nth: usize| place.0.path().join(format!("log/old{nth}"));
    let rotations = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    for _ in 0..REQUESTS {
                        assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
                    }
                })
            })
            .collect();
        let mut nth = 0;
        while nth < 2 || !clients.iter().all(ScopedJoinHandle::is_finished) {
            within(PATIENCE, "the file is there", || place.log().exists());
            fs::rename(place.log(), old(nth)).expect("rename");
            server.signal(Signal::SIGUSR1);
            nth += 1;
        }
        nth
    });
    let count = || {
        let files = (0..rotations).map(old).chain([place.log()]);
        files.map(|path| lines_of(&path).len()).sum::<usize>()
    };
    within(PATIENCE, "all lines", || count() >= CLIENTS * REQUESTS);
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(count(), CLIENTS * REQUESTS);
}

/// Else a rotation would not free the disk.
#[test]
fn no_process_keeps_a_file_that_was_renamed() {
    let place = Place::new();
    let server = place.serve("http", Model::Prefork, "");
    let mut client = server.connect();
    assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
    place.lines(1);
    let old = place.0.path().join("log/old");
    fs::rename(place.log(), &old).expect("rename");
    let has_old = |pid: i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|it| fs::read_link(it.path()).ok()).any(|path| path == old)
    };
    let holders = || {
        let first = server.parent();
        let mut all = vec![first];
        for child in proc::children(first) {
            all.push(child);
            all.extend(proc::children(child));
        }
        all.into_iter().filter(|&pid| has_old(pid)).count()
    };
    assert_eq!(holders(), 1, "the process that writes");
    server.signal(Signal::SIGUSR1);
    within(PATIENCE, "it is closed", || holders() == 0);
    assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
    place.lines(1);
}

fn a_disk_that_is_full_costs_lines_and_no_clients(model: Model) {
    let args = "--access-log /dev/full";
    let server = serve!("upper", model).args(args).start();
    for _ in 0..5 {
        let mut client = server.connect();
        client.upper(b"served");
        client.ends_with(b"");
    }
    let words = "No space left on device; clients are served, and lines are lost";
    within(PATIENCE, words, || server.stderr().contains(words));
    server.connect().upper(b"served");
    assert_eq!(server.stderr().matches(words).count(), 1, "{}", server.stderr());
}

fn a_folder_that_is_gone_is_said_and_lines_go_to_the_file_that_is_open(model: Model) {
    let place = Place::new();
    let server = place.serve("http", model, "");
    let mut client = server.connect();
    assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
    place.lines(1);
    let open = fs::File::open(place.log()).expect("it is there");
    fs::remove_dir_all(place.0.path().join("log")).expect("remove");
    server.signal(Signal::SIGUSR1);
    let words = "it is written to the file that was open before";
    within(PATIENCE, words, || server.stderr().contains(words));
    assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
    // It has no name any more.
    within(PATIENCE, "the line", || {
        let mut text = String::new();
        (&open).rewind().expect("seek");
        (&open).read_to_string(&mut text).expect("read");
        text.lines().count() == 2
    });
    fs::create_dir(place.0.path().join("log")).expect("mkdir");
    server.signal(Signal::SIGUSR1);
    within(PATIENCE, "the file is there again", || place.log().exists());
    assert_eq!(ask(&mut client, "GET", "/file", &[]).status, 200);
    place.lines(1);
    drop(client);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn listeners_of_a_configuration_write_to_one_file_in_json() {
    let place = Place::new();
    let listener = |service: &str, model: &str| {
        format!(
            "[[listener]]\nservice = \"{service}\"\nmodel = \"{model}\"\nlisten = \"tcp:127.0.0.1:0\"\n\
             access-log = \"{}\"\naccess-log-format = \"json\"\n",
            place.log().display()
        )
    };
    let text = listener("upper", "prefork") + &listener("echo", "epoll");
    let (server, members) = supervise!(&text).serving(2);
    let visit = || {
        for member in &members {
            let mut client = Client::connect(&member.address);
            client.send(b"ABC");
            client.ends_with(b"ABC");
        }
    };
    visit();
    place.lines(2);
    fs::rename(place.log(), place.0.path().join("log/old")).expect("rename");
    server.signal(Signal::SIGUSR1);
    // Each listener has a writer, and the first of them makes the file.
    within(PATIENCE, "both listeners opened the file again", || {
        server.stderr().matches("the access log was opened again").count() == members.len()
    });
    visit();
    for line in place.lines(2) {
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((value["outcome"].as_str(), value["bytes"].as_u64()), (Some("ok"), Some(3)));
        let listener = value["listener"].as_str().expect("a listener");
        assert!(members.iter().any(|it| listener.ends_with(&it.address)), "{line}");
    }
    assert_eq!(server.stop(), Some(0));
}
