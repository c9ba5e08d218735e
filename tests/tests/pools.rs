//! The process pools: workers that die, are replaced, come and go.
//!
//! - Killing workers costs only the clients that they served; nothing is left of them.
//! - A connection that a dead worker had not touched is served by another one (`pool-static`).
//! - The pool follows the load (`prefork`), reloads without a failure, and does not outlive its parent.

use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{Client, Model, PATIENCE, Server, models, proc, serve, within};

models!(a_worker_that_is_killed_is_replaced: pool_static PoolStatic, prefork Prefork);
models!(workers_killed_under_load_leave_nothing_behind: pool_static PoolStatic, prefork Prefork);
models!(a_killed_parent_takes_every_worker_with_it: pool_static PoolStatic, prefork Prefork);
models!(a_reload_fails_no_client: pool_static PoolStatic, prefork Prefork);
models!(a_reload_right_after_the_start_is_heard: pool_static PoolStatic, prefork Prefork);
models!(a_worker_for_each_connection_serves_them_all: pool_static PoolStatic, prefork Prefork);
models!(workers_that_die_at_once_are_not_started_for_ever: pool_static PoolStatic, prefork Prefork);

fn start(model: Model, args: &str) -> Server {
    let server = serve!("upper", model).args(args).start();
    within(PATIENCE, "workers are there", || !server.workers().is_empty());
    server
}

fn kill_with(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether a client is served from its connection to its end.
fn is_served(server: &Server) -> bool {
    let Ok(mut client) = Client::try_connect(server.address()) else { return false };
    client.try_upper(b"hello").is_ok()
}

fn a_worker_that_is_killed_is_replaced(model: Model) {
    let server = start(model, "");
    assert!(is_served(&server));
    let before = server.workers();
    for &pid in &before {
        kill_with(pid, Signal::SIGKILL);
    }
    within(PATIENCE, "others have taken their places", || {
        let now = server.workers();
        !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
    });
    within(PATIENCE, "clients are served", || is_served(&server));
    assert_eq!(server.stop().code, Some(0));
}

/// Two seconds of killing each worker that is found, a client at a time: what a client lost it may
/// have lost to its own worker, the next one is served.
fn workers_killed_under_load_leave_nothing_behind(model: Model) {
    let server = start(model, "");
    // Before the first client: from then on a pool that follows the load may be starting a worker at any
    // moment, with descriptors that are not a worker's yet, or not any more the parent's.
    let before = server.own_descriptors();
    for _ in 0..20 {
        assert!(is_served(&server));
    }
    let start = Instant::now();
    let (mut answers, mut kills) = (0, 0);
    while start.elapsed() < Duration::from_secs(2) {
        if let Some(&pid) = server.workers().get(kills % 3) {
            kill_with(pid, Signal::SIGKILL);
            kills += 1;
        }
        for _ in 0..10 {
            answers += usize::from(is_served(&server));
        }
    }
    assert!(answers > 10 * kills / 2, "{answers} answers with {kills} kills");
    within(PATIENCE, "clients are served", || is_served(&server));
    let is_zombie = |&pid: &i32| !proc::runs(pid);
    within(PATIENCE, "no zombie is left", || !proc::children(server.pid()).iter().any(is_zombie));
    within(PATIENCE, "no descriptor is left", || server.own_descriptors() <= before);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_client_passed_to_a_worker_that_dies_is_served_by_another() {
    let server = start(Model::PoolStatic, "--workers 2");
    within(PATIENCE, "both are there", || server.workers().len() == 2);
    assert!(is_served(&server));
    for _ in 0..10 {
        within(PATIENCE, "both are there", || server.workers().len() == 2);
        let stopped = server.workers()[0];
        kill_with(stopped, Signal::SIGSTOP);
        // One of the two is passed to the worker that sleeps, the other one is served.
        let mut clients = [server.connect(), server.connect()];
        for client in &mut clients {
            client.send(b"question");
        }
        within(PATIENCE, "one is answered", || clients.iter().any(Client::has_input));
        kill_with(stopped, Signal::SIGKILL);
        for client in &mut clients {
            client.expect(b"QUESTION");
            client.ends_with(b"");
        }
    }
    assert_eq!(server.stop().code, Some(0));
}

fn a_killed_parent_takes_every_worker_with_it(model: Model) {
    let server = start(model, "");
    let mut client = server.connect();
    client.upper(b"hello");
    let workers = server.workers();
    server.signal(Signal::SIGKILL);
    within(PATIENCE, "no worker is left", || workers.iter().all(|&pid| !proc::runs(pid)));
}

fn a_reload_fails_no_client(model: Model) {
    let server = start(model, "");
    let address = server.address().to_owned();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..150 {
                        let mut client = Client::connect(&address);
                        client.upper(b"hello");
                        client.ends_with(b"");
                    }
                })
            })
            .collect();
        let before = server.workers();
        server.signal(Signal::SIGHUP);
        within(PATIENCE, "every worker is replaced", || {
            let now = server.workers();
            !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
        });
        for client in clients {
            client.join().expect("every client is served");
        }
    });
    assert_eq!(server.stop().code, Some(0));
}

/// As soon as the line is there that says it listens.
fn a_reload_right_after_the_start_is_heard(model: Model) {
    for _ in 0..10 {
        let server = serve!("upper", model).start();
        server.signal(Signal::SIGHUP);
        within(PATIENCE, "it is heard", || server.stderr().contains("reloading: every worker"));
        assert!(is_served(&server));
        assert_eq!(server.stop().code, Some(0));
    }
}

fn a_worker_for_each_connection_serves_them_all(model: Model) {
    let server = start(model, "--requests-per-worker 1");
    for _ in 0..100 {
        let mut client = server.connect();
        client.upper(b"hello");
        client.ends_with(b"");
    }
    assert_eq!(server.stop().code, Some(0));
}

/// Each worker that is started is killed: a pool that starts them again at once does so thousands
/// of times a second.
fn workers_that_die_at_once_are_not_started_for_ever(model: Model) {
    let server = start(model, "");
    let mut seen = server.workers();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        for pid in server.workers() {
            kill_with(pid, Signal::SIGKILL);
            if !seen.contains(&pid) {
                seen.push(pid);
            }
        }
    }
    assert!(seen.len() < 60, "{} workers in 3 s", seen.len());
    let told = server.stderr().lines().filter(|line| line.contains("crash loop:")).count();
    assert_eq!(told, 1, "it is said once");
    within(PATIENCE, "it recovers", || is_served(&server));
}

/// Without a configuration there is nothing to read: the signal is for the pools.
#[test]
fn a_group_passes_a_reload_on() {
    let server =
        serve!("upper", Model::Prefork).listen("tcp:127.0.0.1:0").listen("tcp:127.0.0.1:0");
    let server = server.args("--min-spare 2 --max-spare 4").start();
    let pools: Vec<_> = server.members().iter().map(|member| member.pid).collect();
    let all = || pools.iter().flat_map(|&pid| proc::children(pid)).collect::<Vec<_>>();
    within(PATIENCE, "workers are there", || all().len() == 4);
    let before = all();
    server.signal(Signal::SIGHUP);
    within(PATIENCE, "every worker is replaced", || {
        let now = all();
        now.len() == 4 && now.iter().all(|pid| !before.contains(pid))
    });
    assert_eq!(proc::children(server.parent()).len(), 2);
    assert!(pools.iter().all(|&pid| proc::runs(pid)), "the pools are the same");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn prefork_follows_the_load_and_comes_back() {
    let server = start(Model::Prefork, "--min-spare 2 --max-spare 4 --max-workers 12");
    within(PATIENCE, "spare ones are there", || server.workers().len() == 2);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.upper(b"hello");
    }
    within(PATIENCE, "and spare ones again", || server.workers().len() == 10);
    clients.extend((0..4).map(|_| server.connect()));
    for client in &mut clients {
        client.upper(b"hello");
    }
    assert_eq!(server.workers().len(), 12, "that is the most");
    drop(clients);
    within(PATIENCE, "the rest has gone", || server.workers().len() <= 4);
    assert!(is_served(&server));
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_worker_is_busy_while_it_is_held() {
    let server = start(Model::PoolStatic, "--workers 1 --hold 300");
    let begin = Instant::now();
    for _ in 0..3 {
        server.connect().converse(b"x");
    }
    // The third waited for the first two.
    assert!(begin.elapsed() >= Duration::from_millis(600), "{:?}", begin.elapsed());
}

#[test]
fn a_worker_has_only_what_is_its_own() {
    let server = start(Model::PoolStatic, "--workers 3");
    within(PATIENCE, "all are there", || server.workers().len() == 3);
    for pid in server.workers() {
        within(PATIENCE, "it has closed the rest", || {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            open == 4
        });
    }
}
