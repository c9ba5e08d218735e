//! Behind a balancer: the PROXY protocol, under every model.
//!
//! - The client of the header is the one that limits and logs are about; it comes before TLS.
//! - Checks of a balancer are no faults; a header that is cut, forged, too long or too slow ends its connection.
//! - Each connection is in one counter and in one line of the access log, however early it ends.

use std::fs;

use windlass::client::Observer;
use windlass_tests::web::ask;
use windlass_tests::{Client, Model, PATIENCE, Server, every_model, serve, supervise, within};

every_model!(
    limits_and_logs_are_about_the_client_of_the_header,
    checks_are_no_faults,
    what_is_no_header_ends_the_connection,
    a_header_in_pieces_is_one_and_what_follows_is_the_sessions,
    each_connection_is_counted_once_and_has_a_line,
    a_balancer_may_connect_to_a_unix_socket,
    a_client_that_is_cut_at_the_end_of_a_drain_is_counted,
    peers_of_a_socket_of_both_families_match_ipv4_networks,
);

/// A balancer, and an address that is none.
const BALANCER: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 3];

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 1.
fn line(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.1 4711 80\r\n").into_bytes()
}

/// Version 2.
fn binary(command: u8, family: u8, fields: &[u8]) -> Vec<u8> {
    let len = u16::try_from(fields.len()).expect("it is short").to_be_bytes();
    [SIGNATURE, &[command, family], &len, fields].concat()
}

fn mapped(last: u8) -> Vec<u8> {
    let mut fields = [0; 36];
    fields[10..16].copy_from_slice(&[0xff, 0xff, 10, 0, 0, last]);
    binary(0x21, 0x21, &fields)
}

fn balanced(server: &Server, header: &[u8]) -> Client {
    let mut client = Client::connect_from(BALANCER, server.address());
    client.send(header);
    client
}

fn limits_and_logs_are_about_the_client_of_the_header(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access");
    let args = format!(
        "--proxy-from 127.0.0.1 --deny 10.0.0.66 --max-per-client 1 --access-log {}",
        log.display()
    );
    let server = serve!("upper", model).args(&args).start();
    assert_eq!(balanced(&server, &line("10.0.0.66")).rest(), b"");
    assert_eq!(balanced(&server, &mapped(66)).rest(), b"", "a mapped address is the same");
    let mut one = balanced(&server, &line("10.0.0.1"));
    one.upper(b"of one client");
    if model != Model::Iterative {
        assert_eq!(balanced(&server, &mapped(1)).rest(), b"", "it has its place");
        balanced(&server, &mapped(2)).upper(b"of another");
    }
    one.ends_with(b"");
    let mut stranger = Client::connect_from(STRANGER, server.address());
    // Of an address that is no balancer's it is not a header.
    stranger.send(b"proxy tcp4 ");
    stranger.expect(b"PROXY TCP4 ");
    stranger.ends_with(b"");
    let has = |words: &str| fs::read_to_string(&log).unwrap_or_default().contains(words);
    within(PATIENCE, "the lines", || {
        has("10.0.0.66 - - ") && has("10.0.0.1 - - ") && has("127.0.0.3 - - ") && has("denied")
    });
    assert_eq!(server.stop().code, Some(0));
}

fn checks_are_no_faults(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), b"checked").expect("write");
    let args = format!("-v --proxy-from 127.0.0.0/31 --root {}", folder.path().display());
    let server = serve!("http", model).args(&args).start();
    for header in [
        b"".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(0x20, 0, &[]),
        binary(0x21, 0, &[]),
        line("10.0.0.1"),
    ] {
        let mut check = balanced(&server, &header);
        check.ends_with(b"");
    }
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), binary(0x20, 0x11, &[0; 12]), mapped(1)] {
        let mut client = balanced(&server, &header);
        assert_eq!(ask(&mut client, "GET", "/file", &[]).body, b"checked");
    }
    let log = server.stderr();
    assert!(!log.contains("no PROXY header") && !log.contains("fault"), "{log}");
}

fn what_is_no_header_ends_the_connection(model: Model) {
    let server = serve!("upper", model).args("--proxy-from 127.0.0.1").start();
    for bytes in [
        b"no header at all".to_vec(),
        b"PROXY TCP4 10.0.0.1 10.0.0.2 4711\r\n".to_vec(),
        b"PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        // Version 2 that goes on as version 1.
        [SIGNATURE, b"PROXY UNKNOWN\r\n"].concat(),
        binary(0x31, 0x11, &[0; 12]),
        binary(0x21, 0x11, &[0; 4]),
        binary(0x21, 0x11, &[0; 2000]),
    ] {
        assert_eq!(balanced(&server, &bytes).rest(), b"", "{bytes:?}");
    }
    // Cut by its end, and never complete, however slowly it goes on.
    balanced(&server, b"PROXY TCP4 10.0").ends_with(b"");
    let mut slow = balanced(&server, b"PROXY UNKNOWN ");
    let mut looks = 0;
    within(PATIENCE, "its time ends", || {
        looks += 1;
        if looks % 100 == 0 {
            let _ = slow.try_send(b"x");
        }
        slow.has_input()
    });
    slow.end();
    balanced(&server, &line("10.0.0.1")).upper(b"others are served");
}

fn a_header_in_pieces_is_one_and_what_follows_is_the_sessions(model: Model) {
    let args = "--proxy-from 127.0.0.1 --deny 10.0.0.66";
    let server = serve!("upper", model).args(args).start();
    for header in [line("10.0.0.1"), mapped(1)] {
        let mut client = Client::connect_from(BALANCER, server.address());
        for byte in &header {
            client.send(&[*byte]);
        }
        client.upper(b"in pieces");
        client.ends_with(b"");
        let mut client = balanced(&server, &[&header[..], b"at once"].concat());
        client.expect(b"AT ONCE");
        client.ends_with(b"");
        // A second header, of either version, is none.
        for second in [line("10.0.0.66"), mapped(66)] {
            let mut client = balanced(&server, &[&header[..], &second].concat());
            client.expect(&second.to_ascii_uppercase());
            client.ends_with(b"");
        }
    }
    assert_eq!(server.stop().code, Some(0));
}

fn each_connection_is_counted_once_and_has_a_line(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let args = format!(
        "--proxy-from 127.0.0.1 --deny 10.0.0.66 --control {} --access-log {}",
        path("control").display(),
        path("access").display()
    );
    let server = serve!("upper", model).args(&args).start();
    let close = |header: &[u8]| balanced(&server, header).ends_with(b"");
    // A check without a header, and those with one: the balancer is the client.
    close(b"");
    close(b"PROXY UNKNOWN\r\n");
    close(&binary(0x20, 0, &[]));
    close(&binary(0x21, 0, &[]));
    // Cut, and none.
    close(b"PROXY TCP4 10.0");
    for bytes in [
        &b"no header"[..],
        b"PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n",
        &[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        &[SIGNATURE, b"PROXY UNKNOWN\r\n"].concat(),
        &binary(0x31, 0x11, &[0; 12]),
    ] {
        assert_eq!(balanced(&server, bytes).rest(), b"", "{bytes:?}");
    }
    let mut observer = Observer::new(&path("control"));
    let mut totals = || observer.ask(1_000_000).expect("it answers").0.totals;
    let reset = balanced(&server, b"PROXY ");
    // Of a connection that is reset before, no system call tells the peer.
    within(PATIENCE, "it is looked at", || totals().begun == 11);
    reset.reset();
    // Not whole in time.
    assert_eq!(balanced(&server, b"PROXY UNK").rest(), b"");
    assert_eq!(balanced(&server, &line("10.0.0.66")).rest(), b"");
    let mut client = balanced(&server, &line("10.0.0.1"));
    client.upper(b"served");
    client.ends_with(b"");
    let mut stranger = Client::connect_from(STRANGER, server.address());
    stranger.send(b"proxy");
    stranger.expect(b"PROXY");
    stranger.ends_with(b"");
    within(PATIENCE, "all have ended", || totals().ended() == 15);
    let totals = totals();
    let ends = [totals.checked, totals.served, totals.malformed, totals.reset, totals.timed_out];
    assert_eq!((ends, totals.denied), ([1, 5, 6, 1, 1], 1), "{totals:?}");
    assert_eq!((totals.accepted, totals.duration.count()), (15, 15));
    let mut lines = String::new();
    within(PATIENCE, "the lines", || {
        lines = fs::read_to_string(path("access")).unwrap_or_default();
        lines.lines().count() >= 15
    });
    for (client, outcome, count) in [
        ("127.0.0.1", "check", 1),
        ("127.0.0.1", "ok", 3),
        ("127.0.0.1", "truncated", 1),
        ("127.0.0.1", "malformed", 5),
        ("127.0.0.1", "reset", 1),
        ("127.0.0.1", "timeout", 1),
        ("10.0.0.66", "denied", 1),
        ("10.0.0.1", "ok", 1),
        ("127.0.0.3", "ok", 1),
    ] {
        let is = |line: &&str| {
            line.starts_with(&format!("{client} - - [")) && line.contains(&format!("\" {outcome} "))
        };
        assert_eq!(lines.lines().filter(is).count(), count, "{client} {outcome}:\n{lines}");
    }
    assert_eq!(server.stop().code, Some(0));
}

fn a_balancer_may_connect_to_a_unix_socket(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access");
    let args = format!(
        "--proxy-from unix --deny 10.0.0.66 --max-per-client 1 --access-log {}",
        log.display()
    );
    // The same options for two listeners: at the one of TCP no client is a balancer.
    let serve = serve!("upper", model).listen(format!("unix:{}/socket", folder.path().display()));
    let server = serve.listen("tcp:127.0.0.1:0").args(&args).start();
    let member = |kind: &str| {
        let is_it = |address: &&String| address.starts_with(kind);
        server.members().iter().map(|it| &it.address).find(is_it).expect("it listens")
    };
    let balanced = |header: &[u8]| {
        let mut client = Client::connect(member("unix:"));
        client.send(header);
        client
    };
    assert_eq!(balanced(&line("10.0.0.66")).rest(), b"", "it is denied");
    assert_eq!(balanced(b"no header at all").whatever_comes(), b"");
    let mut one = balanced(&line("10.0.0.1"));
    one.upper(b"of one client");
    if model != Model::Iterative {
        assert_eq!(balanced(&mapped(1)).rest(), b"", "it has its place");
        balanced(&line("10.0.0.2")).upper(b"of another");
    }
    one.ends_with(b"");
    let mut own = balanced(&binary(0x20, 0, &[]));
    own.upper(b"the balancer's own");
    own.ends_with(b"");
    let mut other = Client::connect(member("tcp:"));
    other.send(b"proxy ");
    other.expect(b"PROXY ");
    other.ends_with(b"");
    let has = |words: &str| fs::read_to_string(&log).unwrap_or_default().contains(words);
    within(PATIENCE, "the lines", || has("10.0.0.66 - - ") && has("10.0.0.1 - - "));
    assert_eq!(server.stop().code, Some(0));
}

/// At such a socket, which another program opened, the kernel names a peer `::ffff:127.0.0.1`.
fn peers_of_a_socket_of_both_families_match_ipv4_networks(model: Model) {
    let both = std::net::TcpListener::bind("[::]:0").expect("bind");
    let at = format!("tcp:127.0.0.1:{}", both.local_addr().expect("a port").port());
    let args = "--proxy-from 127.0.0.1 --deny 127.0.0.2,10.0.0.66";
    let server = serve!("upper", model).inherit(both).args(args).start();
    let from = |own, bytes: &[u8]| {
        let mut client = Client::connect_from(own, &at);
        client.send(bytes);
        client
    };
    assert_eq!(Client::connect_from([127, 0, 0, 2], &at).rest(), b"", "it is denied");
    assert_eq!(from(BALANCER, &line("10.0.0.66")).rest(), b"", "the client of the header is");
    let mut client = from(BALANCER, &line("10.0.0.1"));
    client.upper(b"of the balancer");
    client.ends_with(b"");
    from(STRANGER, b"proxy").ends_with(b"PROXY");
    assert_eq!(server.stop().code, Some(0));
}

/// A reload replaces the process, and the counters stay.
fn a_client_that_is_cut_at_the_end_of_a_drain_is_counted(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = format!("unix:{}/monitor", folder.path().display());
    let text = |idle: u32| {
        format!(
            "monitor = '{monitor}'\ndrain = 0.1\n[[listener]]\nservice = 'upper'\nmodel = '{}'\n\
             listen = 'tcp:127.0.0.1:0'\nproxy-from = '127.0.0.1'\nidle-timeout = {idle}\n",
            model.name()
        )
    };
    let (supervised, members) = supervise!(&text(60)).serving(1);
    let mut client = Client::connect(&members[0].address);
    client.send(&line("10.0.0.1"));
    client.upper(b"hello");
    supervised.reload(&text(70));
    client.end();
    // One that is in a process of its own ends with the process.
    let how = match model {
        Model::Fork | Model::PoolStatic | Model::Prefork => "lost",
        _ => "aborted",
    };
    within(PATIENCE, "it is counted", || {
        let mut asking = Client::connect(&monitor);
        let document = ask(&mut asking, "GET", "/metrics", &[]).body;
        let document = String::from_utf8(document).expect("text");
        let mut ended =
            document.lines().filter(|it| it.starts_with("windlass_clients_ended_total{"));
        ended.any(|it| it.contains(&format!("\"{how}\"")) && it.ends_with(" 1"))
    });
}
