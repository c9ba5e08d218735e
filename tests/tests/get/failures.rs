//! Servers that stop, send wrong answers, reset, or are silent: one line says why, and no file is left.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};
use windlass_tests::{Program, windlass};

use crate::folder::Folder;
use crate::server::Server;

/// It fails with `words`, whether to standard output, where `came` is all that is there then, or to a
/// file, of which nothing is.
#[track_caller]
fn fails(url: &str, timeout: &str, came: &[u8], words: &[&str]) {
    let mut outcome = windlass!("get", url, "--timeout", timeout).run();
    assert_eq!(outcome.stdout, came, "{url}: {outcome}");
    outcome.stdout.clear();
    outcome.fails_with(1, words);
    outcome.fails_with(1, &[url]);
    let folder = Folder::new();
    let outcome = windlass!("get", url, "--timeout", timeout, "-o", folder.at("file")).run();
    outcome.fails_with(1, words);
    folder.is_empty();
}

/// Long enough for anything but a failure of the test.
const PATIENT: &str = "45";

#[test]
fn a_status_that_is_no_success_writes_nothing() {
    for (status, said) in [
        ("404 Not Found", "404 Not Found"),
        ("500 ", "500"),
        ("304 Not Modified", "304 Not Modified"),
        ("206 Partial Content", "206 Partial Content"),
        ("401 \u{1b}[31mred", r"401 \u{1b}[31mred"),
    ] {
        let server = Server::that_says(format!("HTTP/1.1 {status}\r\n\r\nsorry"));
        fails(&server.url("/x"), PATIENT, b"", &[said]);
    }
}

#[test]
fn a_document_cut_short_is_an_error_in_each_framing() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello";
    for (rest, words) in [
        ("Content-Length: 6\r\n\r\nhello", &["5 of 6 bytes"][..]),
        (chunked, &["after 5 bytes"]),
        (&format!("{chunked}\r\n"), &["after 5 bytes"]),
        (&format!("{chunked}\r\n0\r\n"), &["after 5 bytes"]),
    ] {
        let server = Server::that_says(format!("{head}{rest}"));
        fails(&server.url("/"), PATIENT, b"hello", words);
    }
    for (answer, words) in [
        ("", &["without an answer"][..]),
        ("HTTP/1.1 200", &["12 bytes"]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", &["36 bytes"]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", &["0 of 6 bytes"]),
    ] {
        let server = Server::that_says(answer);
        fails(&server.url("/"), PATIENT, b"", words);
    }
}

#[test]
fn what_is_no_http_is_an_error() {
    // A server that goes on talking is not listened to.
    for (answer, word) in [
        ("SSH-2.0-OpenSSH_9.9\r\n", "not HTTP"),
        ("1795251751\n", "not HTTP"),
        ("HTTP/1.1 OK\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", "lengths"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "protocol"),
    ] {
        let server = Server::start(move |client, _| {
            client.say(answer.as_bytes());
            client.hold();
        });
        fails(&server.url("/"), PATIENT, b"", &[word]);
    }
    let server = Server::that_says(vec![b'x'; 100_000]);
    fails(&server.url("/"), PATIENT, b"", &["not HTTP"]);
    let server = Server::that_says(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(600_000)));
    fails(&server.url("/"), PATIENT, b"", &["524288"]);
}

#[test]
fn a_broken_chunk_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello";
    for rest in ["\r\nx\r\n", "!", "\r\n-1\r\n", "\r\n10000000000000000\r\n"] {
        let server = Server::start(move |client, _| {
            client.say(format!("{head}{rest}").as_bytes());
            client.hold();
        });
        fails(&server.url("/"), PATIENT, b"hello", &["chunk"]);
    }
}

#[test]
fn a_reset_is_an_error_also_where_an_end_would_be_none() {
    for answer in ["", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"] {
        let server = Server::start(move |client, _| {
            client.say(answer.as_bytes());
            client.will_reset();
        });
        fails(&server.url("/"), PATIENT, b"", &["reset"]);
    }
}

#[test]
fn a_silent_server_is_given_up() {
    // Long enough for it to say what it has to say.
    let given_up = |url: &str, came: &str| {
        fails(url, "1.5", came.as_bytes(), &["no byte moved for 1.500 s"]);
    };
    thread::scope(|scope| {
        for (answer, came) in [
            ("", ""),
            ("HTTP/1.1 200 OK\r\n", ""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello"),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"),
        ] {
            let server = Server::start(move |client, _| {
                client.say(answer.as_bytes());
                client.hold();
            });
            scope.spawn(move || given_up(&server.url("/"), came));
        }
        // A connection that is not accepted is a silent connection.
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        given_up(&format!("http://{}/", listener.local_addr().expect("address")), "");
    });
}

/// The timeout is for each silence, and not for the whole.
#[test]
fn a_slow_server_is_not_given_up() {
    let server = Server::start(|client, _| {
        client.say(b"HTTP/1.1 200 OK\r\n\r\n");
        for _ in 0..8 {
            client.say(b"x");
            // The pace: twice the timeout in all.
            thread::sleep(Duration::from_millis(500));
        }
    });
    let outcome = windlass!("get", server.url("/"), "--timeout", "2").run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"xxxxxxxx");
}

/// A server that sends the beginning of a document, and then a byte now and then, for as long as it can.
fn trickles(beginning: &'static [u8]) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let accepts = listener.try_clone().expect("dup");
    thread::spawn(move || {
        for mut client in accepts.incoming().flatten() {
            thread::spawn(move || {
                let mut sent = client.write_all(beginning);
                while sent.is_ok() {
                    // The pace.
                    thread::sleep(Duration::from_millis(50));
                    sent = client.write_all(b"x");
                }
            });
        }
    });
    listener
}

const HTTP: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
/// A file of 256 bytes, in one frame.
const FILES: &[u8] = b"\0\0\0\x0ename\0size\x00256\0\0\0\x01\0";

/// A trickle begins each timeout anew.
#[test]
fn a_trickle_is_given_up() {
    for (scheme, beginning) in [("http", HTTP), ("files", FILES)] {
        let server = trickles(beginning);
        let url = format!("{scheme}://{}/name", server.local_addr().expect("an address"));
        for (limit, words) in [
            (&["--max-time", "0.5", "--timeout", PATIENT][..], &["0.5 s", "--max-time"][..]),
            (&["--min-rate", "1000", "--timeout", "0.5"], &["1000 bytes a second", "--min-rate"]),
        ] {
            let folder = Folder::new();
            let get = limit.iter().fold(windlass!("get", &url), Program::arg);
            let outcome = get.arg("-o").arg(folder.at("file")).run();
            outcome.fails_with(1, words);
            outcome.fails_with(1, &[&url]);
        }
    }
}

/// A reader that takes nothing holds up what is whole already.
#[test]
fn the_time_for_all_of_it_includes_the_output() {
    let body = "x".repeat(200_000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = Server::that_says(head + &body);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let get = windlass!("get", server.url("/"), "--max-time", "0.5", "--timeout", PATIENT);
    let outcome = get.output(File::from(OwnedFd::from(writer))).run();
    outcome.fails_with(1, &["--max-time"]);
    drop(reader);
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    // Bound, so no other program has it, and no program listens.
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let bound = bound.expect("socket");
    bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("bind");
    let address = getsockname::<SockaddrIn>(bound.as_raw_fd()).expect("getsockname").to_string();
    let outcome = windlass!("get", format!("http://{address}/x")).run();
    outcome.fails_with(1, &["connect to", &address, "refused"]);

    // A queue that is full: the next client is not answered.
    listen(&bound, Backlog::new(0).expect("a backlog")).expect("listen");
    let parsed = address.parse().expect("an address");
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&parsed, Duration::from_millis(300)) {
        queue.push(stream);
    }
    let outcome = windlass!("get", format!("http://{address}/x"), "--timeout", "0.3").run();
    outcome.fails_with(1, &["connect to", &address, "timed out"]);

    // A label has at most 63 bytes (RFC 1035), so no resolver is asked.
    let name = format!("{}.example", "x".repeat(64));
    let outcome = windlass!("get", format!("http://{name}/")).run();
    outcome.fails_with(1, &["resolve", &name]);
}

#[test]
fn wrong_usage_is_2() {
    for (line, words) in [
        ("get", &["URL"][..]),
        ("get localhost", &["localhost"]),
        ("get https://localhost:0/", &["port"]),
        ("get gopher://localhost/x", &["begins with http://"]),
        ("get http://", &["host"]),
        ("get http:///x", &["host"]),
        ("get files://u:p@localhost/", &["user"]),
        ("get http://localhost:0/", &["port"]),
        ("get http://localhost:65536/", &["port"]),
        ("get http://local^host/", &["not a URL"]),
        ("get http://localhost/ -o", &["--output"]),
        ("get http://localhost/ extra", &["extra"]),
        ("get http://localhost/ --timeout soon", &["--timeout", "soon"]),
        ("get http://localhost/ --max-time 0", &["--max-time", "0"]),
        ("get -O http://localhost/", &["http://localhost/", "-o"]),
        ("get -O -o x http://localhost/x", &["--output"]),
    ] {
        let outcome = windlass!().words(line).run();
        assert!(outcome.stderr.starts_with("windlass: "), "{line}: {outcome}");
        outcome.fails_with(2, words);
    }
}
