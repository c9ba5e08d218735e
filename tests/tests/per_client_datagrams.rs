//! Limits of one client for messages in datagrams: networks and rates, under every model that serves them.
//!
//! - The client of a datagram is its sender, wherever it was sent to; one that is not served hears nothing.
//! - What is refused is counted, and has its line in the access log.
//! - A client is answered no faster than its rate, and reports, which have no replies, are taken no faster.

use std::fs;
use std::time::Duration;

use windlass_tests::datagrams::{client_at, hears_nothing};
use windlass_tests::{Model, PATIENCE, Server, every_model_of_datagrams, serve, takes, within};

every_model_of_datagrams!(
    messages_are_for_the_clients_that_are_served,
    what_is_refused_has_its_line,
    a_client_is_answered_no_faster_than_its_rate,
    scores_are_of_the_clients_that_are_served,
    scores_are_taken_no_faster_than_the_rate_of_their_client,
);

/// Another client: it has an address of its own.
const OTHER: [u8; 4] = [127, 0, 0, 2];

/// The address of a server of datagrams.
fn at(server: &Server) -> &str {
    server.address().trim_start_matches("udp:")
}

fn messages_are_for_the_clients_that_are_served(model: Model) {
    for service in ["upper", "echo", "time"] {
        let limits = "--allow 127.0.0.0/8 --deny 127.0.0.2";
        let server = serve!(service, model).listen("udp:127.0.0.1:0").args(limits).start();
        let [denied, allowed] = [OTHER, [127, 0, 0, 1]].map(client_at);
        let mut buf = [0; 100];
        for _ in 0..20 {
            denied.send_to(b"denied", at(&server)).expect("send");
            allowed.send_to(b"served", at(&server)).expect("send");
            let len = allowed.recv(&mut buf).expect("a reply");
            assert!(service == "time" || buf[..len].eq_ignore_ascii_case(b"served"));
        }
        hears_nothing(&denied);
        server.logs("refused=");
    }
    let server = serve!("echo", model).listen("udp:127.0.0.1:0").args("--allow 127.0.0.2").start();
    let [allowed, other] = [OTHER, [127, 0, 0, 1]].map(client_at);
    other.send_to(b"other", at(&server)).expect("send");
    allowed.send_to(b"served", at(&server)).expect("send");
    assert_eq!(allowed.recv(&mut [0; 100]).expect("a reply"), 6);
    hears_nothing(&other);
}

fn what_is_refused_has_its_line(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access");
    let args = format!("--deny 127.0.0.2 --client-rate 1024 --access-log {}", log.display());
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").args(&args).start();
    client_at(OTHER).send_to(b"denied", at(&server)).expect("send");
    let client = client_at([127, 0, 0, 1]);
    client.send_to(&[b'a'; 1400], at(&server)).expect("send");
    assert_eq!(client.recv(&mut [0; 2000]).expect("a reply"), 1400);
    // For more than a second it has had its share. On a busy machine that may be over.
    let has = |client: &str, outcome: &str| {
        let lines = fs::read_to_string(&log).unwrap_or_default();
        let is = |line: &str| line.starts_with(client) && line.contains(outcome);
        lines.lines().any(is)
    };
    within(PATIENCE, "the lines", || {
        client.send_to(&[b'a'; 1400], at(&server)).expect("send");
        has("127.0.0.2 ", "\"datagram\" denied 0 ")
            && has("127.0.0.1 ", "\"datagram\" ok 1400 ")
            && has("127.0.0.1 ", "\"datagram\" full 0 ")
    });
}

fn a_client_is_answered_no_faster_than_its_rate(model: Model) {
    let args = "--client-rate 10000";
    let server = serve!("upper", model).listen("udp:127.0.0.1:0").args(args).start();
    let [client, other] = [[127, 0, 0, 1], OTHER].map(client_at);
    let mut buf = [0; 2000];
    takes(400, || {
        for _ in 0..6 {
            client.set_read_timeout(Some(Duration::from_millis(5))).expect("set");
            // Those that come too early have no reply.
            within(PATIENCE, "a reply", || {
                client.send_to(&[b'a'; 1000], at(&server)).expect("send");
                client.recv(&mut buf).is_ok()
            });
            other.send_to(b"another client", at(&server)).expect("send");
            assert_eq!(other.recv(&mut buf).expect("a reply"), 14);
        }
    });
    server.logs("refused=");
}

/// A score of this name.
fn score(name: &str) -> Vec<u8> {
    [b"\0\0\0\x53\0\0\0\x56", name.as_bytes(), b"\0"].concat()
}

/// The client of a score is its sender, wherever it was sent to.
fn scores_are_of_the_clients_that_are_served(model: Model) {
    let args = "--deny 127.0.0.2";
    let server = serve!("score", model).listen("udp:0.0.0.0:0").args(args).start();
    let port = at(&server).rsplit_once(':').expect("a port").1;
    for host in ["127.0.0.1", "127.255.255.255"] {
        let to = format!("{host}:{port}");
        for (own, name) in [(OTHER, "denied"), ([127, 0, 0, 1], "allowed")] {
            let client = client_at(own);
            client.set_broadcast(true).expect("set");
            client.send_to(&score(&format!("{name}-{host}")), &to).expect("send");
        }
        server.logs(&format!("allowed-{host} "));
    }
    server.logs("refused=");
    assert!(!server.stderr().contains("denied-"), "{}", server.stderr());
}

/// It has no replies: what a client sends counts.
fn scores_are_taken_no_faster_than_the_rate_of_their_client(model: Model) {
    let args = "--client-rate 1024";
    let server = serve!("score", model).listen("udp:127.0.0.1:0").args(args).start();
    let client = client_at([127, 0, 0, 1]);
    // Each is half a second of the rate.
    let datagram = score(&"a".repeat(490));
    takes(900, || {
        for count in 1..=3 {
            within(PATIENCE, "a score is taken", || {
                client.send_to(&datagram, at(&server)).expect("send");
                server.stderr().matches("score peer=").count() >= count
            });
        }
    });
    client_at(OTHER).send_to(&score("another"), at(&server)).expect("send");
    server.logs("name=another");
}
