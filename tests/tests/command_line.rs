//! Errors of the command line: one line, and an exit code.
//!
//! - 2 for wrong usage, before anything is opened.
//! - 1 for an operation that failed.
//! - `windlass time` with servers of other protocols.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use windlass_tests::{Feed, Model, serve, unique, windlass};

/// A wrong command line, and words that its complaint contains.
#[track_caller]
fn refused(code: i32, line: &str, words: &[&str]) {
    let outcome = windlass!().words(line).run();
    assert!(outcome.stderr.starts_with("windlass: "), "{line}: {outcome}");
    outcome.fails_with(code, words);
}

#[test]
fn wrong_usage_is_2_and_names_what_is_wrong() {
    for (line, words) in [
        // Commands and their arguments.
        ("frobnicate", &["frobnicate"][..]),
        ("time", &["ADDRESS"]),
        ("talk", &["ADDRESS"]),
        ("time tcp:localhost:1 extra", &["extra"]),
        ("--frobnicate", &["--frobnicate"]),
        // Services, models, options.
        ("serve frobnicate", &["frobnicate"]),
        ("serve upper --model frobnicate", &["frobnicate", "--model"]),
        ("serve upper --model", &["--model"]),
        ("serve upper --frobnicate", &["--frobnicate"]),
        ("serve upper --max-connections 0", &["--max-connections", "0"]),
        ("serve upper --max-connections many", &["--max-connections", "many"]),
        ("serve upper --idle-timeout soon", &["--idle-timeout", "soon"]),
        ("serve upper --idle-timeout -1", &["invalid value '-1' for '--idle-timeout"]),
        ("serve upper --max-connections -1", &["'--max-connections <N>': -1 is not in"]),
        ("serve upper --grace nan", &["--grace", "nan"]),
        ("serve upper --backlog 0", &["--backlog", "0"]),
        ("serve upper --backlog 99999999999", &["--backlog"]),
        // What does not go together.
        ("serve --listen tcp:127.0.0.1:0", &["SERVICE"]),
        ("serve --model epoll", &["SERVICE"]),
        ("serve upper --model epoll --min-threads 2", &["--min-threads", "epoll"]),
        ("serve upper --model poll --max-threads 2", &["--max-threads", "poll"]),
        ("serve upper --model fork --queue 2", &["--queue", "fork"]),
        (
            "serve upper --model thread-pool --min-threads 4 --max-threads 2",
            &["--min-threads 4", "--max-threads 2"],
        ),
        ("serve upper --model prefork --control /tmp/x", &["--control", "one listener", "3"]),
        ("serve --control /tmp/x", &["SERVICE"]),
        ("serve --config x --root y", &["'--config <FILE>' cannot be used with '--root <DIR>';"]),
        ("serve --root=y --config=x", &["'--config <FILE>' cannot be used with '--root <DIR>';"]),
        ("serve upper --config x", &["'--config <FILE>' cannot be used with '[SERVICE]';"]),
        ("status", &["PATH"]),
        ("top x --interval 0", &["--interval", "0.1"]),
        ("serve upper --model fork --listen udp:127.0.0.1:0", &["udp:127.0.0.1:0", "datagram"]),
        (
            "serve upper --model thread --listen unix-dgram:/tmp/x",
            &["unix-dgram:/tmp/x", "datagram"],
        ),
        // Addresses.
        ("serve upper --listen 127.0.0.1:80", &["127.0.0.1:80"]),
        ("serve upper --listen http:localhost:80", &["http:localhost:80"]),
        ("serve upper --listen tcp:localhost", &["tcp:localhost", "port"]),
        ("serve upper --listen tcp:localhost:65536", &["tcp:localhost:65536", "port"]),
        ("serve upper --listen tcp::80", &["tcp::80", "host"]),
        ("serve upper --listen tcp:::1:80", &["tcp:::1:80", "brackets"]),
        ("serve upper --listen unix:", &["unix:", "path"]),
        ("serve upper --listen unix:@", &["unix:@", "path"]),
        ("serve upper --listen fd:x", &["fd:x", "descriptor"]),
        ("serve upper --listen fd:-1", &["fd:-1", "descriptor"]),
        ("time localhost:80", &["localhost:80"]),
        ("talk tcp:localhost:http", &["tcp:localhost:http", "port"]),
        ("time tcp:localhost:1 --timeout never", &["--timeout", "never"]),
    ] {
        refused(2, line, words);
    }
    let long = format!("unix:{}", "x".repeat(108));
    refused(2, &format!("serve upper --listen {long}"), &["107"]);
    refused(2, &format!("status {long}"), &["107"]);
}

#[test]
fn what_cannot_be_done_is_1_and_names_the_address_and_the_reason() {
    // Bound, so no other program has it, and no program listens.
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let bound = bound.expect("socket");
    bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("bind");
    let closed = getsockname::<SockaddrIn>(bound.as_raw_fd()).expect("getsockname");
    let closed = format!("tcp:{closed}");
    let missing = format!("unix:@{}", unique("missing"));
    // A label has at most 63 bytes (RFC 1035), so no resolver is asked.
    let name = format!("tcp:{}.example:80", "x".repeat(64));
    for (line, words) in [
        (format!("time {closed}"), [&*closed, "refused"]),
        (format!("talk {closed}"), [&*closed, "refused"]),
        (format!("time {missing}"), [&*missing, "refused"]),
        (format!("talk {missing}"), [&*missing, "refused"]),
        ("time unix:/no/such/socket".to_owned(), ["unix:/no/such/socket", "No such file"]),
        (format!("time {name}"), ["resolve", &name[4..20]]),
        (format!("serve upper --listen {name}"), ["resolve", &name[4..20]]),
        ("time udp:127.0.0.1:1".to_owned(), ["udp:127.0.0.1:1", "refused"]),
        ("talk fd:0".to_owned(), ["fd:0", "stream"]),
        ("serve upper --listen fd:0".to_owned(), ["fd:0", "standard input"]),
        ("serve upper --listen fd:999".to_owned(), ["fd:999", "Bad file"]),
        // TEST-NET-1 (RFC 5737) is the address of no host.
        ("serve upper --listen tcp:192.0.2.1:0".to_owned(), ["tcp:192.0.2.1:0", "assign"]),
    ] {
        refused(1, &line, &words);
    }
}

#[test]
fn a_port_in_use_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", listener.local_addr().expect("address"));
    refused(1, &format!("serve upper --listen {address}"), &[&address, "in use"]);
    // Also when another listener of the same group could be opened.
    let both = format!("serve upper --listen tcp:127.0.0.1:0 --listen {address}");
    refused(1, &both, &[&address, "in use"]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (line, word) in [
        ("--help", "serve"),
        ("help", "serve"),
        ("serve --help", "--max-connections"),
        ("time --help", "--timeout"),
        ("--version", env!("CARGO_PKG_VERSION")),
        ("serve --version", env!("CARGO_PKG_VERSION")),
    ] {
        let outcome = windlass!().words(line).run();
        outcome.succeeds();
        let text = String::from_utf8(outcome.stdout).expect("text");
        assert!(text.contains(word), "{line}: {text}");
    }
}

#[test]
fn every_command_knows_its_version() {
    for command in [
        "",
        "serve",
        "time",
        "talk",
        "get",
        "status",
        "top",
        "fifo",
        "fifo read",
        "bench",
        "man",
        "completions",
    ] {
        let outcome = windlass!().words(&format!("{command} --version")).run();
        outcome.succeeds();
        let said = String::from_utf8(outcome.stdout).expect("text");
        assert!(said.trim_end().ends_with(env!("CARGO_PKG_VERSION")), "{command}: {said}");
    }
}

#[test]
fn shells_complete_its_command_lines() {
    for (shell, word) in [
        ("bash", "complete -F _windlass"),
        ("zsh", "#compdef windlass"),
        ("fish", "complete -c windlass"),
    ] {
        let outcome = windlass!("completions", shell).run();
        outcome.succeeds();
        let script = String::from_utf8(outcome.stdout).expect("text");
        assert!(script.contains(word) && script.contains("idle-timeout"), "{shell}");
    }
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    windlass!("completions", "bash").output(full).run().fails_with(1, &["standard output"]);
    windlass!("completions", "csh").run().fails_with(2, &["csh"]);
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let outcome = windlass!("man").run();
    outcome.succeeds();
    assert!(String::from_utf8_lossy(&outcome.stdout).contains(".TH windlass 1"), "{outcome}");
    let folder = tempfile::tempdir().expect("a folder");
    windlass!("man", folder.path()).run().succeeds();
    for page in ["windlass", "windlass-serve", "windlass-get", "windlass-fifo-read", "windlass-man"]
    {
        let page = std::fs::read_to_string(folder.path().join(format!("{page}.1")));
        assert!(page.expect("a page").contains(".SH SYNOPSIS"));
    }
    windlass!("man", "/no/such/folder").run().fails_with(1, &["/no/such/folder", "No such file"]);
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    windlass!("man").output(full).run().fails_with(1, &["standard output"]);
}

/// A file to push says which service is meant.
#[test]
fn without_a_service_it_serves_each_of_them() {
    let outcome = windlass!("serve", "--root", "/", "--check").run();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let text = String::from_utf8(outcome.stdout).expect("text");
    let services: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix("would serve ").expect("a listener").rsplit_once(' '))
        .map(|place| place.expect("a model").0)
        .collect();
    let expected = [
        "tcp:127.0.0.1:2333 time",
        "tcp:127.0.0.1:9527 upper",
        "unix:@windlass-upper upper",
        "udp:127.0.0.1:9527 upper",
        "tcp:127.0.0.1:7007 echo",
        "tcp:127.0.0.1:2334 files",
        "tcp:127.0.0.1:8080 http",
        "udp:127.0.0.1:2334 xfer",
        "udp:127.0.0.1:6969 tftp",
        "udp:127.0.0.1:2333 score",
    ];
    assert_eq!(services, expected);
}

#[test]
fn to_push_a_file_is_to_serve_files() {
    for (line, said) in [
        ("--push /proc/self/status", "would serve tcp:127.0.0.1:2334 files pool-static\n"),
        (
            "--push /proc/self/status --listen unix:@x --model epoll",
            "would serve unix:@x files epoll\n",
        ),
    ] {
        let outcome = windlass!().words(&format!("serve --check {line}")).run();
        outcome.succeeds();
        assert_eq!(String::from_utf8_lossy(&outcome.stdout), said);
    }
    refused(2, "serve upper --push /proc/self/status", &["--push", "files"]);
}

#[test]
fn without_arguments_it_shows_its_help_as_an_error() {
    let outcome = windlass!().run();
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("Usage"), "{outcome}");
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    let server = serve!("time", Model::Epoll).start();
    let full = || File::options().write(true).open("/dev/full").expect("/dev/full");
    let line = format!("time {}", server.address());
    windlass!().words(&line).output(full()).run().fails_with(1, &["standard output"]);
    let line = format!("talk {}", server.address());
    windlass!().words(&line).output(full()).run().fails_with(1, &["standard output"]);
    let outcome = windlass!().words("serve upper --listen tcp:127.0.0.1:0").output(full()).run();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    // A server says that it starts before it says where.
    let errors = outcome.stderr.lines().filter(|line| !line.starts_with(" INFO "));
    assert_eq!(errors.count(), 1, "{outcome}");
}

/// A server of one connection that does as it is told, then waits for the client to go.
fn server_that(act: impl FnOnce(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", listener.local_addr().expect("address"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        act(&mut stream);
    });
    address
}

fn say(stream: &mut TcpStream, words: &str) {
    stream.write_all(words.as_bytes()).expect("send");
}

#[test]
fn time_prints_a_stamp_that_comes_in_pieces() {
    let address = server_that(|stream| {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        for piece in ["1", "2345", "6", "7890\n"] {
            say(stream, piece);
        }
    });
    let outcome = windlass!("time", &address).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"1234567890\n");
}

#[test]
fn time_refuses_what_is_no_stamp() {
    for garbage in ["hello\n", "\n", "12 34\n", "1234567890", "99999999999999999999999\n", "1e9\n"]
    {
        let address = server_that(move |stream| say(stream, garbage));
        let outcome = windlass!("time", &address).run();
        outcome.fails_with(1, &[&address]);
    }
}

#[test]
fn time_refuses_an_end_without_a_stamp() {
    let address = server_that(|_| {});
    windlass!("time", &address).run().fails_with(1, &[&address]);
}

#[test]
fn time_gives_up_after_its_timeout() {
    // Accepted by the kernel, and no server answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", silent.local_addr().expect("address"));
    let outcome = windlass!("time", &address, "--timeout", "0.3").feed(Feed::Silence).run();
    outcome.fails_with(1, &[&address, "no answer within 300ms"]);
    let dribbling = server_that(|stream| {
        // Ends when the client has gone.
        while stream.write_all(b"1").is_ok() {
            // The pace: never silent for as long as the timeout.
            thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let outcome = windlass!("time", &dribbling, "--timeout", "0.3").run();
    outcome.fails_with(1, &[&dribbling, "no answer within 300ms"]);
}
