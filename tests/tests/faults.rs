//! Faults of peers and of the system, which must cost other clients nothing.
//!
//! - Descriptors run out: connected clients are served, the others wait, and no process spins.
//! - Peers that reset, vanish, or send and never read.
//! - Connections of silent peers are closed; those of slow peers are not.
//! - A server that is stopped for longer than its idle timeout does not close connections for that
//!   time.
//! - `select` closes connections beyond descriptor 1023, and goes on.
//! - Two thousand connections at once; two thousand children that end.
//! - Every system call is interrupted.
//! - It is started in a hostile environment: without a standard error, with SIGCHLD ignored.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use windlass_tests::{
    Client, Descriptors, End, Feed, Model, PATIENCE, Random, Server, every_concurrent_model,
    every_model, models, proc, serve, windlass, within,
};

models!(a_server_without_descriptors_serves_its_clients_and_pauses:
    thread Thread, select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(clients_that_come_and_go_at_the_descriptor_limit_are_all_served:
    thread Thread, thread_pool ThreadPool, select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);
every_model!(
    a_full_standard_error_ends_no_server,
    a_peer_that_resets_in_the_middle_disturbs_no_other,
    a_client_that_is_killed_disturbs_no_other,
    a_silent_peer_is_cut,
    a_slow_peer_is_not_cut,
    everything_works_in_a_storm_of_signals,
);
models!(a_server_that_was_stopped_serves_the_clients_of_the_meantime:
    thread Thread, poll Poll, select Select, epoll Epoll, epoll_et EpollEt, reactor Reactor);
every_concurrent_model!(a_peer_that_never_reads_costs_a_bounded_amount_and_is_cut);
models!(thousands_of_connections_are_served_at_once:
    fork Fork, thread Thread, select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);

/// A log that cannot be written is no reason to stop serving.
fn a_full_standard_error_ends_no_server(model: Model) {
    let deaf = ["sh", "-c", "exec \"$0\" \"$@\" 2>/dev/full"];
    let server = serve!("upper", model).args("-v").under(&deaf).start();
    for _ in 0..3 {
        let mut client = server.connect();
        client.upper(b"hello");
        client.reset();
    }
    server.connect().ends_with(b"");
    assert_eq!(server.stop().code, Some(0));
}

/// Ignored children are not waited for, and the disposition survives exec(2).
#[test]
fn children_that_were_ignored_are_counted_all_the_same() {
    let ignoring = ["sh", "-c", "trap '' CHLD; exec \"$0\" \"$@\""];
    let serve = || serve!("upper", Model::Fork).args("--max-connections 2 --grace 300");
    let server = serve().under(&ignoring).start();
    for _ in 0..10 {
        let mut client = server.connect();
        client.upper(b"hello");
        client.ends_with(b"");
    }
    assert_eq!(server.stop().code, Some(0));
    let group = serve().listen("tcp:127.0.0.1:0").listen("tcp:127.0.0.1:0");
    assert_eq!(group.under(&ignoring).start().stop().code, Some(0));
}

/// A level-triggered loop that keeps watching a listener it cannot accept from spins, and
/// logs, and one that gives up on the error serves no client any more.
fn a_server_without_descriptors_serves_its_clients_and_pauses(model: Model) {
    let server = serve!("upper", model).nofile(64).args("--idle-timeout 0").start();
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    within(PATIENCE, "all descriptors are taken", || server.descriptors() == 64);
    let before = server.cpu_time();
    // Not to wait for something: a second of being full is what is measured.
    thread::sleep(Duration::from_secs(1));
    let used = server.cpu_time().saturating_sub(before);
    assert!(used < Duration::from_millis(500), "{used:?} in a second without anything to do");

    drop(clients.drain(..40));
    for client in &mut clients {
        client.send(b"abc");
    }
    let answered = |clients: &[Client]| clients.iter().filter(|it| it.has_input()).count();
    // Of 64 descriptors a model has at most seven for itself.
    within(PATIENCE, "57 of 60 are answered", || answered(&clients) >= 57);
    // A client that is answered leaves, and then the others are served too.
    while !clients.is_empty() {
        within(PATIENCE, "the others are answered", || answered(&clients) > 0);
        clients.retain_mut(|client| {
            let ready = client.has_input();
            if ready {
                client.expect(b"ABC");
                client.ends_with(b"");
            }
            !ready
        });
    }
    server.connect().upper(b"once more");
    let stderr = server.stderr();
    assert!(stderr.lines().count() < 20, "{stderr}");
}

/// The descriptors of a server that are no connections. It opens the last of them after it has said
/// that it listens, so it is asked when it serves.
fn own_descriptors(server: &Server) -> usize {
    let mut client = server.connect();
    client.upper(b"hello");
    let own = server.descriptors() - 1;
    client.ends_with(b"");
    own
}

fn clients_that_come_and_go_at_the_descriptor_limit_are_all_served(model: Model) {
    let server = serve!("upper", model).nofile(64).start();
    let own = own_descriptors(&server);
    thread::scope(|scope| {
        for number in 0..90_u64 {
            let server = &server;
            scope.spawn(move || {
                let mut random = Random::new(number);
                for _ in 0..15 {
                    let mut client = server.connect();
                    let size = random.up_to(100);
                    client.upper(&random.bytes(size));
                    if random.up_to(2) == 1 {
                        client.ends_with(b"");
                    }
                }
            });
        }
    });
    within(PATIENCE, "all is closed again", || server.descriptors() == own);
    let stderr = server.stderr();
    assert!(stderr.lines().count() < 1_000, "{} lines", stderr.lines().count());
}

fn a_peer_that_resets_in_the_middle_disturbs_no_other(model: Model) {
    let server = serve!("upper", model).start();
    let mut steady = (model != Model::Iterative).then(|| server.connect());
    let bytes = Random::new(5).bytes(20_000);
    for round in 0..200 {
        let mut resetting = server.connect();
        resetting.send(&bytes[..round * 100]);
        if round % 3 == 0 && steady.is_some() {
            // In the middle: some of the replies were received.
            resetting.expect(&bytes[..round * 50].to_ascii_uppercase());
        }
        resetting.reset();
        if let Some(steady) = &mut steady {
            steady.upper(b"undisturbed");
        }
    }
    server.connect().upper(b"still there");
}

fn a_client_that_is_killed_disturbs_no_other(model: Model) {
    let server = serve!("upper", model).start();
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..5 {
        let path = folder.path().join(round.to_string());
        let zeros = Feed::File(File::open("/dev/zero").expect("open"));
        let output = File::create(&path).expect("create");
        let endless = windlass!("talk", server.address()).feed(zeros).output(output).start();
        within(PATIENCE, "replies come", || path.metadata().is_ok_and(|meta| meta.len() > 0));
        drop(endless);
        server.connect().upper(b"undisturbed");
    }
}

/// Whether a new client is served. With a short idle timeout that is to be asked again: a client
/// that is kept from running for so long is cut like any other.
fn is_served(server: &Server) -> bool {
    server.connect().try_upper(b"hello").is_ok()
}

fn a_silent_peer_is_cut(model: Model) {
    let server = serve!("upper", model).args("--idle-timeout 0.3").start();
    let mut silent = server.connect();
    let mut quiet = server.connect();
    let _ = quiet.try_upper(b"only this");
    silent.end();
    quiet.end();
    within(PATIENCE, "the next one is served", || is_served(&server));
}

/// Time passes for a server while its client is kept from running: an attempt during which that
/// happened says nothing, and is made again.
fn a_slow_peer_is_not_cut(model: Model) {
    const TIMEOUT: Duration = Duration::from_millis(600);
    let server = serve!("upper", model).args("--idle-timeout 0.6").start();
    for _ in 0..50 {
        let mut client = server.connect();
        let start = Instant::now();
        let mut last = start;
        let mut outcome = Ok(());
        let mut in_time = true;
        while outcome.is_ok() && in_time && start.elapsed() < 2 * TIMEOUT {
            // The pace: ten bytes within the timeout.
            thread::sleep(Duration::from_millis(60));
            outcome = client.try_upper(b"a");
            in_time = last.elapsed() < TIMEOUT / 2;
            last = Instant::now();
        }
        if in_time {
            outcome.expect("it is not cut");
            return;
        }
    }
    panic!("in 50 attempts the machine was never quick enough to tell");
}

/// Whether every thread of `pid` is stopped.
fn is_stopped(pid: i32) -> bool {
    proc::threads(pid).into_iter().all(|thread| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat"));
        // The name is in parentheses and may hold anything; the state follows it.
        stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|it| it.1.starts_with(" T")))
    })
}

/// When it goes on, what its clients said and their deadlines come together. (An attempt in which
/// the client was too slow before the server was stopped says nothing, and is made again.)
fn a_server_that_was_stopped_serves_the_clients_of_the_meantime(model: Model) {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let server = serve!("upper", model).args("--idle-timeout 0.5").start();
    for _ in 0..50 {
        let mut client = server.connect();
        let start = Instant::now();
        let greeted = client.try_upper(b"hello");
        server.signal(Signal::SIGSTOP);
        within(PATIENCE, "it is stopped", || is_stopped(server.pid()));
        let in_time = start.elapsed() < TIMEOUT / 2;
        let said = client.try_send(b"meanwhile");
        // Not to wait for something: a stop that is longer than the timeout is what is tested.
        thread::sleep(Duration::from_millis(800));
        server.signal(Signal::SIGCONT);
        if in_time {
            greeted.expect("served before");
            said.expect("it is connected");
            client.expect(b"MEANWHILE");
            return;
        }
    }
    panic!("in 50 attempts the machine was never quick enough to tell");
}

fn a_peer_that_never_reads_costs_a_bounded_amount_and_is_cut(model: Model) {
    let server = serve!("upper", model).args("--idle-timeout 1").start();
    server.connect().ends_with(b"");
    let before = server.private_memory();
    let mut glutton = server.connect();
    let sent = glutton.stuff(300, 64 << 20);
    assert!((1..64 << 20).contains(&sent), "nothing pushes back: {sent} bytes");
    within(PATIENCE, "others are served", || is_served(&server));
    let grown = server.private_memory().saturating_sub(before);
    // `prefork` starts workers meanwhile, of some hundred kilobytes each.
    let limit = if model == Model::Prefork { 4 << 20 } else { 2 << 20 };
    assert!(grown < limit, "{grown} bytes for one peer");
    within(PATIENCE, "it is cut", || glutton.is_dead());
    within(PATIENCE, "and later too", || is_served(&server));
}

fn thousands_of_connections_are_served_at_once(model: Model) {
    // `select` ends at 1024.
    let share = Descriptors::take(if model == Model::Select { 900 } else { 2_000 });
    let server = serve!("upper", model).args("--idle-timeout 0").start();
    let mut clients: Vec<_> = (0..share.count()).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("line {number}\n").as_bytes());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("LINE {number}\n").as_bytes());
    }
    for client in &mut clients {
        client.ends_with(b"");
    }
}

#[test]
fn select_closes_connections_that_it_cannot_watch() {
    let share = Descriptors::take(1_100);
    let server = serve!("upper", Model::Select).args("--idle-timeout 0").start();
    let room = 1_024 - own_descriptors(&server);
    let mut clients: Vec<_> = (0..share.count()).map(|_| server.connect()).collect();
    let beyond = clients.split_off(room.min(clients.len()));
    for client in &mut clients {
        client.upper(b"within");
    }
    if beyond.is_empty() {
        return; // The descriptors of this process are too few to tell.
    }
    for mut client in beyond {
        assert_eq!(client.end(), End::Eof);
    }
    let says = || server.stderr().lines().filter(|line| line.contains("1024")).count();
    // At most a line a second.
    assert!((1..10).contains(&says()), "{}", server.stderr());
    clients[0].upper(b"still within");
    drop(clients);
    within(PATIENCE, "there is room again", || is_served(&server));
}

#[test]
fn two_thousand_children_leave_no_zombie() {
    let server = serve!("upper", Model::Fork).start();
    let all_reaped = || proc::children(server.pid()).is_empty();
    short_connection(&server);
    within(PATIENCE, "the first child is reaped", all_reaped);
    let own = server.descriptors();
    thread::scope(|scope| {
        for _ in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..250 {
                    short_connection(server);
                }
            });
        }
    });
    within(PATIENCE, "all children are reaped", all_reaped);
    assert_eq!(server.descriptors(), own, "it keeps something of its clients");
}

fn everything_works_in_a_storm_of_signals(model: Model) {
    let server = serve!("upper", model).storm().start();
    let bytes = Random::new(6).bytes(4 << 20);
    let reply = server.connect().converse(&bytes);
    assert_eq!(reply.len(), bytes.len());
    assert!(reply == bytes.to_ascii_uppercase(), "other bytes than expected");
    for _ in 0..50 {
        short_connection(&server);
    }
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

fn short_connection(server: &Server) {
    let mut client = server.connect();
    client.send(b"abc");
    client.ends_with(b"ABC");
}
