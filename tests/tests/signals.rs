//! Signals that a program did not ask for, and children that it did not start.
//!
//! - SIGHUP, SIGUSR1 and SIGUSR2 end no server, and cost no client its connection.
//! - Children that the server did not start are reaped: the first process of a container is left them.
//! - The first process of a container has no default actions: SIGTERM and SIGINT end a client there too.
//! - A limit on the size of files is an error of the write, and does not end the process.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use windlass_tests::{
    Client, Model, PATIENCE, Program, every_model, has, models, proc, serve, skipped, supervise,
    within,
};

every_model!(
    a_signal_that_asks_for_nothing_here_ends_nothing,
    a_child_that_was_left_to_the_server_is_reaped,
);
models!(a_worker_minds_no_signal_but_its_parents: pool_static PoolStatic, prefork Prefork);

const NO_END: [Signal; 3] = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it runs");
}

fn a_signal_that_asks_for_nothing_here_ends_nothing(model: Model) {
    let server = serve!("upper", model).start();
    let mut stays = server.connect();
    stays.upper(b"before");
    for signal in NO_END {
        server.signal(signal);
        let is_pool = matches!(model, Model::PoolStatic | Model::Prefork);
        let word = if is_pool && signal == Signal::SIGHUP {
            "reloading".to_owned()
        } else {
            format!("{signal} has no effect here")
        };
        // A model with one client at a time looks at signals beside it.
        within(PATIENCE, &word, || server.stderr().contains(&word));
        stays.upper(b"still here");
    }
    stays.ends_with(b"");
    server.connect().upper(b"another one");
    assert_eq!(server.stop().code, Some(0));
}

fn a_worker_minds_no_signal_but_its_parents(model: Model) {
    let two = match model {
        Model::PoolStatic => "--workers 2",
        _ => "--min-spare 2 --max-spare 2 --max-workers 2",
    };
    let server = serve!("upper", model).args(two).start();
    let mut stays = server.connect();
    stays.upper(b"before");
    let workers = server.workers();
    for signal in NO_END.into_iter().chain([Signal::SIGINT, Signal::SIGQUIT]) {
        for &pid in &workers {
            send(pid, signal);
        }
        stays.upper(b"still here");
    }
    let live = server.workers();
    assert!(workers.iter().all(|pid| live.contains(pid)), "{workers:?}, {live:?}");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn the_processes_of_a_supervisor_mind_no_signal_that_asks_for_nothing() {
    let text = |model| {
        format!("[[listener]]\nservice='upper'\nmodel='{model}'\nlisten='tcp:127.0.0.1:0'\n")
    };
    let (supervised, members) = supervise!(&(text("epoll") + &text("fork"))).serving(2);
    for member in &members {
        let mut client = Client::connect(&member.address);
        for signal in NO_END {
            send(member.pid, signal);
            client.upper(b"still here");
        }
    }
    supervised.signal(Signal::SIGUSR1);
    supervised.until_logged("SIGUSR1 has no effect here", 3);
    assert_eq!(supervised.stop(), Some(0));
}

/// A child that runs until there is a file, and then ends: of the shell that becomes the server.
fn left_until(file: &str) -> String {
    format!(r#"while [ ! -e '{file}' ]; do sleep 0.05; done & exec "$0" "$@""#)
}

fn a_child_that_was_left_to_the_server_is_reaped(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("end");
    let script = left_until(file.to_str().expect("text"));
    let server = serve!("upper", model).under(&["sh", "-c", &script]).start();
    let is_left = |pid: &i32| proc::command(*pid).starts_with("sh");
    let left = proc::children(server.pid()).into_iter().find(is_left).expect("it waits");
    fs::write(&file, "").expect("write");
    within(PATIENCE, "it is reaped", || !proc::children(server.pid()).contains(&left));
    server.connect().upper(b"hello");
    assert_eq!(server.stop().code, Some(0));
}

/// A command that makes another one the first process of a container.
fn container() -> Option<Program> {
    if !has("unshare") {
        return None;
    }
    let container = || {
        let user = if nix::unistd::geteuid().is_root() { "" } else { "-Ur " };
        Program::new("unshare").words(&format!("{user}-pf --mount-proc --kill-child"))
    };
    if container().arg("true").run().code != Some(0) {
        skipped("no pid namespaces");
        return None;
    }
    Some(container())
}

#[test]
fn a_client_that_is_the_first_process_dies_of_signals() {
    for (signal, code) in [(Signal::SIGTERM, 128 + 15), (Signal::SIGINT, 128 + 2)] {
        for command in ["talk", "time", "get"] {
            let Some(container) = container() else { return };
            let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
            let at = silent.local_addr().expect("an address");
            let address =
                if command == "get" { format!("http://{at}/") } else { format!("tcp:{at}") };
            let program = env!("CARGO_BIN_EXE_windlass-under-test");
            let container = container.arg(program).arg(command).arg(address);
            let mut unshare = container.start();
            let client = silent.accept().expect("it connects");
            let [first] = proc::children(unshare.pid())[..] else { panic!("one child") };
            send(first, signal);
            assert_eq!(unshare.wait(), Some(code), "{command}, {signal}");
            drop(client);
        }
    }
}

#[test]
fn a_server_that_is_the_first_process_stops_and_exits_with_0() {
    let Some(_) = container() else { return };
    let user = if nix::unistd::geteuid().is_root() { "-pf" } else { "-Urpf" };
    let under = ["unshare", user, "--mount-proc", "--kill-child"];
    let server = serve!("upper", Model::Prefork).under(&under).start();
    server.connect().upper(b"hello");
    let [first] = proc::children(server.parent())[..] else { panic!("one child") };
    send(first, Signal::SIGUSR1);
    server.connect().upper(b"hello");
    send(first, Signal::SIGTERM);
    assert_eq!(server.wait().code, Some(0));
}

#[test]
fn a_file_that_may_not_grow_is_an_error_in_a_line_and_nothing_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("accept");
        let _ = client.read(&mut [0; 4096]);
        let body = vec![b'x'; 1_000_000];
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        // It may leave before it has everything.
        let _ = client.write_all(&body);
    });
    let script = r#"ulimit -f 10; exec "$0" "$@""#;
    let program = env!("CARGO_BIN_EXE_windlass-under-test");
    let file = folder.path().join("file");
    let get = Program::new("sh").arg("-c").arg(script).arg(program).words("get -o").arg(&file);
    get.arg(format!("http://{address}/")).run().fails_with(1, &["File too large"]);
    serving.join().expect("it served");
    assert_eq!(folder.path().read_dir().expect("list").count(), 0);
}

#[test]
fn a_server_with_a_log_that_may_not_grow_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let script = format!(r#"ulimit -f 1; exec "$0" "$@" 2> '{}'"#, log.display());
    for model in [Model::Epoll, Model::Prefork, Model::Thread] {
        let under = ["sh", "-c", &script];
        let server = serve!("upper", model).args("-vv").under(&under).start();
        let is_full = || fs::metadata(&log).is_ok_and(|it| it.len() >= 512);
        within(PATIENCE, "the log is full", || {
            server.connect().reset();
            server.connect().upper(b"hello");
            is_full()
        });
        for _ in 0..10 {
            server.connect().upper(b"hello");
        }
        assert_eq!(server.stop().code, Some(0));
    }
}
