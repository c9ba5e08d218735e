//! The control socket of a process pool, and `windlass status`.
//!
//! - The scoreboard says which workers can take a client and which have one; the counters say what
//!   happened.
//! - The socket is its owner's alone, and gone at the end; a client that sends nonsense, or much, or
//!   nothing, hurts no other.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass::client::Observer;
use windlass::status::{State, Status};
use windlass_tests::{Client, Model, Outcome, PATIENCE, Server, models, serve, windlass, within};

models!(a_worker_with_a_client_is_busy: pool_static PoolStatic, prefork Prefork);
models!(a_worker_that_is_killed_is_counted: pool_static PoolStatic, prefork Prefork);
models!(what_was_served_is_counted: pool_static PoolStatic, prefork Prefork);
models!(the_socket_lives_through_a_reload: pool_static PoolStatic, prefork Prefork);
models!(a_malformed_request_gets_an_error: pool_static PoolStatic, prefork Prefork);
models!(a_crowd_at_the_socket_hurts_no_worker: pool_static PoolStatic, prefork Prefork);
models!(the_file_is_its_owners_and_gone_at_the_end: pool_static PoolStatic, prefork Prefork);
models!(a_server_that_drains_still_answers: pool_static PoolStatic, prefork Prefork);

/// A server with three workers at most, and its control socket.
struct Watched {
    server: Server,
    observer: Observer,
    path: PathBuf,
    folder: tempfile::TempDir,
}

const THREE: &str = "...";

impl Watched {
    #[track_caller]
    fn start(model: Model) -> Self {
        let mut watched = Self::begin(model, "");
        watched.until("three are idle", |status| status.scoreboard == THREE);
        watched
    }

    #[track_caller]
    fn begin(model: Model, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let server = serve!("upper", model)
            .args(match model {
                Model::PoolStatic => "--workers 3",
                _ => "--min-spare 3 --max-spare 3 --max-workers 3",
            })
            .args(&format!("--control {} {more}", path.display()))
            .start();
        Self { server, observer: Observer::new(&path), path, folder }
    }

    #[track_caller]
    fn status(&mut self) -> Status {
        ask(&mut self.observer)
    }

    /// Asks until it is so.
    #[track_caller]
    fn until(&mut self, what: &str, so: impl Fn(&Status) -> bool) -> Status {
        let mut last = self.status();
        within(PATIENCE, what, || {
            last = ask(&mut self.observer);
            so(&last)
        });
        last
    }

    fn talk(&self) -> Client {
        Client::connect(&format!("unix:{}", self.path.display()))
    }

    fn is_served(&self) -> bool {
        self.server.connect().try_upper(b"hello").is_ok()
    }
}

#[track_caller]
fn ask(observer: &mut Observer) -> Status {
    let patience = u64::try_from(PATIENCE.as_micros()).expect("it fits");
    observer.ask(patience).unwrap_or_else(|error| panic!("{error}")).0
}

fn busy(status: &Status) -> usize {
    status.scoreboard.matches('X').count()
}

fn a_worker_with_a_client_is_busy(model: Model) {
    let mut watched = Watched::start(model);
    let mut clients = Vec::new();
    for count in 1..=3 {
        clients.push(watched.server.connect());
        let status = watched.until("one more is busy", |status| busy(status) == count);
        let serving = status.workers.iter().filter(|worker| worker.state == State::Busy);
        assert_eq!(serving.count(), count);
    }
    assert_eq!(watched.status().scoreboard, "XXX");
    // No worker can take it: it waits in the accept queue.
    clients.push(watched.server.connect());
    watched.until("it waits", |status| status.queue.is_some_and(|queue| queue.waiting == 1));
    drop(clients);
    let status = watched.until("all are idle", |status| status.scoreboard == THREE);
    assert_eq!(status.workers.iter().filter(|worker| worker.client).count(), 0);
    assert_eq!(watched.server.stop().code, Some(0));
}

fn a_worker_that_is_killed_is_counted(model: Model) {
    let mut watched = Watched::start(model);
    let mut client = watched.server.connect();
    client.upper(b"hello");
    let status = watched.until("one is busy", |status| busy(status) == 1);
    let worker = status.workers.iter().find(|worker| worker.client).expect("it is busy");
    assert_eq!((status.counters.spawned, status.counters.crashed), (3, 0));
    assert!(worker.cpu_us.is_some() && worker.private_bytes > Some(0), "{worker:?}");
    kill(Pid::from_raw(worker.pid.cast_signed()), Signal::SIGKILL).expect("kill");
    let status = watched.until("it is replaced", |status| {
        status.counters.spawned == 4 && status.scoreboard == THREE
    });
    assert_eq!((status.counters.crashed, status.counters.killed), (1, 0));
    assert_eq!(
        status.counters.lost, 1,
        "its client got an answer, so no other worker can serve it"
    );
    assert!(status.workers.iter().all(|other| other.pid != worker.pid), "{:?}", status.workers);
    assert!(status.workers.iter().any(|other| (other.slot, other.epoch) == (worker.slot, 2)));
}

fn what_was_served_is_counted(model: Model) {
    let mut watched = Watched::start(model);
    for _ in 0..10 {
        let mut client = watched.server.connect();
        client.upper(b"hello");
        client.ends_with(b"");
    }
    let status = watched.until("ten are counted", |status| status.counters.connections == 10);
    assert_eq!(status.workers.iter().map(|worker| worker.requests).sum::<u64>(), 10);
    // What the dead have served stays counted.
    kill(Pid::from_raw(status.workers[0].pid.cast_signed()), Signal::SIGKILL).expect("kill");
    let status = watched.until("one is replaced", |status| status.counters.crashed == 1);
    assert_eq!(status.counters.connections, 10);
    assert_eq!((status.model.as_str(), status.service.as_str()), (model.name(), "upper"));
    assert_eq!(status.address, watched.server.address());
    assert_eq!(status.pid, watched.server.pid().unsigned_abs());
}

fn the_socket_lives_through_a_reload(model: Model) {
    let mut watched = Watched::start(model);
    let mut kept = watched.talk();
    watched.server.signal(Signal::SIGHUP);
    let status = watched.until("every worker is replaced", |status| {
        status.counters.reloads == 1 && status.workers.len() == 3
    });
    assert_eq!((status.generation, status.counters.spawned), (1, 6));
    assert_eq!((status.counters.crashed, status.counters.killed), (0, 0));
    kept.send(b"status\n");
    kept.expect(b"{\"version\":");
    assert!(watched.is_served());
}

fn a_malformed_request_gets_an_error(model: Model) {
    let mut watched = Watched::start(model);
    let mut client = watched.talk();
    client.send(b"quit\n\n\xFF\"\r\nstatus please\n");
    let answers = String::from_utf8(client.converse(b"status")).expect("text");
    let refusals = answers.lines().filter(|line| line.starts_with("{\"error\":")).count();
    // What the end cut short is no question.
    assert_eq!((refusals, answers.lines().count()), (4, 4), "{answers}");
    let mut endless = watched.talk();
    // It is told before it has sent all of it.
    let _ = endless.try_send(&vec![b'x'; 100_000]);
    assert!(endless.converse(b"").starts_with(b"{\"error\":\"a line has at most 64 bytes\"}"));
    // Many requests at once, and no client takes the answers.
    let mut greedy = watched.talk();
    greedy.send(&b"status\n".repeat(5_000));
    assert!(watched.is_served());
    assert_eq!(watched.status().scoreboard.len(), 3);
    // They are all answered in the end.
    let answers = greedy.converse(b"");
    assert_eq!(answers.split(|&byte| byte == b'\n').count(), 5_001);
}

fn a_crowd_at_the_socket_hurts_no_worker(model: Model) {
    let mut watched = Watched::start(model);
    let mut crowd: Vec<_> = (0..20).map(|_| watched.talk()).collect();
    // One is the observer's. A client over the limit gets an error, and its connection is closed.
    let (inside, outside) = crowd.split_at_mut(15);
    for client in outside {
        assert!(client.rest().starts_with(b"{\"error\":\"16 clients"));
    }
    for client in inside {
        client.send(b"status\n");
        client.expect(b"{\"version\":");
    }
    let full = windlass!("status", &watched.path).run();
    full.fails_with(1, &["control", "16 clients are connected already"]);
    let status = watched.status();
    assert_eq!(status.scoreboard, THREE, "they take the place of no client");
    // As many clients as there are workers.
    let mut clients: Vec<_> = (0..3).map(|_| watched.server.connect()).collect();
    for client in &mut clients {
        client.upper(b"hello");
    }
    drop((crowd, clients));
    within(PATIENCE, "there is room again", || {
        windlass!("status", &watched.path).run().code == Some(0)
    });
    assert_eq!(watched.server.stop().code, Some(0));
}

fn the_file_is_its_owners_and_gone_at_the_end(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    drop(UnixListener::bind(&path).expect("bind"));
    assert!(path.exists(), "a server that died leaves it");
    let start = || serve!("upper", model).args(&format!("--control {}", path.display())).start();
    let server = start();
    assert_eq!(path.metadata().expect("the file").permissions().mode() & 0o777, 0o600);
    // A worker that lives is not replaced.
    let second = windlass!("serve", "upper", "--listen", "tcp:127.0.0.1:0")
        .words("--model prefork --control")
        .arg(&path)
        .run();
    second.fails_with(1, &["control", "in use"]);
    assert_eq!(server.stop().code, Some(0));
    assert!(!path.exists());
    // Nor does a worker remove it.
    let server = start();
    let status = ask(&mut Observer::new(&path));
    let worker = status.workers.first().expect("a worker");
    let _ = kill(Pid::from_raw(worker.pid.cast_signed()), Signal::SIGTERM);
    within(PATIENCE, "it is gone", || {
        let status = ask(&mut Observer::new(&path));
        status.workers.iter().all(|other| other.pid != worker.pid)
    });
    assert!(path.exists());
    drop(server);
}

fn a_server_that_drains_still_answers(model: Model) {
    let mut watched = Watched::begin(model, "--grace 300");
    watched.until("three are idle", |status| status.scoreboard == THREE);
    let mut client = watched.server.connect();
    client.upper(b"hello");
    watched.server.signal(Signal::SIGTERM);
    let status =
        watched.until("the others are gone", |status| status.stopping && status.workers.len() == 1);
    assert_eq!((status.workers[0].state, status.workers[0].client), (State::Draining, true));
    assert_eq!(busy(&status), 1);
    client.ends_with(b"");
    assert_eq!(watched.server.wait().code, Some(0));
    assert!(!watched.path.exists());
    drop(watched.folder);
}

#[test]
fn the_first_line_is_the_scoreboard_alone() {
    let mut watched = Watched::start(Model::PoolStatic);
    let outcome = windlass!("status", &watched.path).run();
    outcome.succeeds();
    let text = String::from_utf8(outcome.stdout).expect("text");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(THREE));
    for words in ["upper pool-static on tcp:127.0.0.1:", "3 workers at most", "0 served", "slot"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let outcome = windlass!("status", &watched.path, "--json").run();
    outcome.succeeds();
    let text = String::from_utf8(outcome.stdout).expect("text");
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("\"scoreboard\":\"...\""), "{text}");
    assert_eq!(watched.status().workers.len(), 3);
}

#[test]
fn without_a_server_it_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let outcome = || windlass!("status", &path).words("--timeout 0.2").run();
    outcome().fails_with(1, &["control", "No such file"]);
    let silent = UnixListener::bind(&path).expect("bind");
    outcome().fails_with(1, &["control", "read the state from", "timed out"]);
    drop(silent);
    outcome().fails_with(1, &["control", "refused"]);
    std::fs::write(folder.path().join("file"), "").expect("a file");
    windlass!("status", folder.path().join("file")).run().fails_with(1, &["file", "refused"]);
    answers(&folder.path().join("odd"), b"hello\n", &["odd", "the answer is no state"]);
    answers(&folder.path().join("curt"), b"{\"pid\":", &["curt", "closed the connection"]);
    answers(&folder.path().join("full"), b"{\"error\":\"go away\"}\n", &["full", "go away"]);
}

#[test]
fn a_terminal_does_not_obey_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let state = "{\"service\":\"\\u001b[2J\",\r\"scoreboard\":\"\\u0007\u{9b}.\"}\n".as_bytes();
    let outcome = answered(&path, state, "");
    outcome.succeeds();
    let text = String::from_utf8(outcome.stdout).expect("text");
    assert!(text.starts_with("\\u{7}\\u{9b}.\n\n\\u{1b}[2J"), "{text}");
    let outcome = answered(&path, state, "--json");
    outcome.succeeds();
    let text = String::from_utf8(outcome.stdout).expect("text");
    assert!(text.ends_with('\n') && !text.trim_end().contains(char::is_control), "{text:?}");
    let refusal = answered(&path, b"{\"error\":\"go \\u001b[2J\\n away\"}\n", "");
    refusal.fails_with(1, &["control", "go \\u{1b}[2J\\n away"]);
}

/// `windlass status` fails with these words where a server answers this.
#[track_caller]
fn answers(path: &Path, answer: &'static [u8], words: &[&str]) {
    answered(path, answer, "").fails_with(1, words);
}

/// What `windlass status` makes of a server that answers this.
#[track_caller]
fn answered(path: &Path, answer: &'static [u8], options: &str) -> Outcome {
    use std::io::{Read, Write};
    let listener = UnixListener::bind(path).expect("bind");
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        client.read_exact(&mut [0; 7]).expect("its question");
        client.write_all(answer).expect("write");
    });
    let outcome = windlass!("status", path).words(options).run();
    server.join().expect("it was asked");
    std::fs::remove_file(path).expect("it was there");
    outcome
}
