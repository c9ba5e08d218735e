//! Requests, and every way to find the end of an answer.

use std::net::{Ipv6Addr, SocketAddrV6, TcpListener};
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn6, bind, socket};
use windlass_tests::{skipped, windlass};

use crate::folder::Folder;
use crate::server::{Server, answer_with};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\nhello\r\n1;x=y\r\n,\r\n6 \r\n world\r\n0\r\nTrailer: x\r\n\r\n";
const CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhello, world";
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world";

#[test]
fn the_request_is_exact() {
    let server = Server::that_says(LENGTH);
    windlass!("get", server.url("/a%20b/c?d=e&f#g")).run().succeeds();
    let expected = format!(
        "GET /a%20b/c?d=e&f HTTP/1.1\r\nHost: {}\r\nUser-Agent: windlass/{}\r\nAccept: */*\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
        server.address(),
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(server.request(), expected);
}

#[test]
fn every_framing_arrives_in_one_piece_and_byte_by_byte() {
    for answer in [LENGTH, CHUNKED, CLOSE] {
        for spelled in [false, true] {
            let server = Server::start(move |client, _| {
                if spelled {
                    client.spell(answer.as_bytes());
                } else {
                    client.say(answer.as_bytes());
                }
            });
            let outcome = windlass!("get", server.url("/")).run();
            outcome.succeeds();
            assert_eq!(outcome.stdout, b"hello, world", "{answer:?}, spelled: {spelled}");
            let folder = Folder::new();
            windlass!("get", server.url("/"), "-o", folder.at("file")).run().succeeds();
            folder.has_only("file", b"hello, world");
        }
    }
}

#[test]
fn an_empty_document_is_an_empty_file() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let server = Server::that_says(answer);
        let outcome = windlass!("get", server.url("/")).run();
        outcome.succeeds();
        assert!(outcome.stdout.is_empty(), "{answer:?}");
        let folder = Folder::new();
        windlass!("get", server.url("/"), "-o", folder.at("file")).run().succeeds();
        folder.has_only("file", b"");
    }
}

/// The server keeps the connection open, and it is over all the same.
#[test]
fn the_end_is_the_end_of_the_document() {
    for answer in [LENGTH, CHUNKED, "HTTP/1.1 204 No Content\r\n\r\n"] {
        for surplus in ["", "HTTP/1.1 500 Not requested\r\n\r\n"] {
            let server = Server::start(move |client, _| {
                client.say(format!("{answer}{surplus}").as_bytes());
                client.hold();
            });
            let outcome = windlass!("get", server.url("/")).run();
            outcome.succeeds();
            let expected = if answer.contains("204") { "" } else { "hello, world" };
            assert_eq!(outcome.stdout, expected.as_bytes());
        }
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let server = Server::that_says(format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{LENGTH}"));
    let outcome = windlass!("get", server.url("/")).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"hello, world");
}

/// Each of a name's addresses is tried in turn: on one of these two no server listens.
#[test]
fn the_next_address_is_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    // Bound, so that no other program has it. Without IPv6 no program has it either.
    let other = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    if let Ok(other) = &other {
        let at = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0));
        let _ = bind(other.as_raw_fd(), &at);
    }
    let server = Server::on(listener, |client, _| client.say(LENGTH.as_bytes()));
    let outcome = windlass!("get", format!("http://localhost:{port}/")).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"hello, world");
    assert!(server.request().contains(&format!("\r\nHost: localhost:{port}\r\n")));
}

#[test]
fn an_ipv6_address_is_in_brackets() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return skipped("no IPv6");
    };
    let server = Server::on(listener, |client, _| client.say(&answer_with(b"six")));
    let outcome = windlass!("get", server.url("/")).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"six");
    let host = format!("\r\nHost: {}\r\n", server.address());
    assert!(host.contains("[::1]:") && server.request().contains(&host));
}
