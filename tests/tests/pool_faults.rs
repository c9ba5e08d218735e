//! Process pools that are full, have silent clients, or cannot fork.
//!
//! - With every worker busy clients wait, nothing grows, and each is served when its turn comes.
//! - Silent clients hold workers only until their timeout ends, and do not delay other clients
//!   while there may be more workers.
//! - A worker that always crashes at once is not started at once for ever.
//! - A pool that cannot fork serves with the workers that it has, says so once, and recovers.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use windlass_tests::{Client, End, Model, PATIENCE, has, models, serve, skipped, within};

models!(with_every_worker_busy_clients_wait_and_nothing_grows:
    pool_static PoolStatic, prefork Prefork);
models!(silent_clients_on_every_worker_are_cut_and_the_others_served:
    pool_static PoolStatic, prefork Prefork);
models!(a_crash_loop_is_no_fork_bomb: pool_static PoolStatic, prefork Prefork);
models!(a_pool_that_cannot_fork_serves_with_the_workers_it_has:
    pool_static PoolStatic, prefork Prefork);

/// `least` workers, and never more than `most`.
fn size(model: Model, least: u16, most: u16) -> String {
    match model {
        Model::PoolStatic => format!("--workers {most} "),
        _ => format!("--min-spare {least} --max-spare {least} --max-workers {most} "),
    }
}

fn with_every_worker_busy_clients_wait_and_nothing_grows(model: Model) {
    let server = serve!("upper", model).args(&size(model, 2, 6)).start();
    let mut inside: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut inside {
        client.upper(b"inside");
    }
    within(PATIENCE, "all are there", || server.workers().len() == 6);
    let before = (server.descriptors(), server.stderr().len());
    let mut waiting: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send(b"waiting");
    }
    let idle = server.cpu_time();
    for _ in 0..50 {
        for client in &mut inside {
            client.upper(b"still inside");
        }
    }
    assert!(waiting.iter().all(|client| !client.has_input()), "served beyond the limit");
    assert_eq!(server.workers().len(), 6, "that is the most");
    assert_eq!((server.descriptors(), server.stderr().len()), before, "something grows");
    // The workers do the work; their parent has nothing to do.
    assert!(server.cpu_time() < idle + Duration::from_millis(500), "the parent spins");
    drop(inside);
    for mut client in waiting {
        client.expect(b"WAITING");
        client.ends_with(b"");
    }
    assert_eq!(server.stop().code, Some(0));
}

fn silent_clients_on_every_worker_are_cut_and_the_others_served(model: Model) {
    let args = size(model, 2, 5) + "--idle-timeout 1";
    let server = serve!("upper", model).args(&args).start();
    // Three times as many as there are workers: the last get theirs from the second crowd.
    let mut silent: Vec<_> = (0..15).map(|_| server.connect()).collect();
    for client in &mut silent {
        client.send(b"s");
    }
    for _ in 0..3 {
        let mut good = server.connect();
        good.upper(b"behind all of them");
        good.ends_with(b"");
    }
    for client in &mut silent {
        client.expect(b"S");
        // It is cut; a client that is not hangs the test.
        assert_eq!(client.end(), End::Eof);
    }
    assert_eq!(server.stop().code, Some(0));
}

/// Apache with the same numbers serves 38 of 1,500 good clients beside ten slow ones.
#[test]
fn ten_silent_clients_delay_no_other_if_more_workers_may_start() {
    let args = "--min-spare 5 --max-spare 10 --max-workers 20";
    let server = serve!("upper", Model::Prefork).args(args).start();
    let mut silent: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut silent {
        client.send(b"s");
    }
    for _ in 0..500 {
        let mut good = server.connect();
        good.upper(b"good");
        good.ends_with(b"");
    }
    // They are there still.
    for client in &mut silent {
        client.expect(b"S");
        client.upper(b"and not cut");
    }
    assert_eq!(server.stop().code, Some(0));
}

/// Five workers, and each is killed on sight. nginx and php-fpm start thousands a second.
fn a_crash_loop_is_no_fork_bomb(model: Model) {
    let server = serve!("upper", model).args(&size(model, 5, 5)).start();
    within(PATIENCE, "all are there", || server.workers().len() == 5);
    let mut seen = HashSet::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        for pid in server.workers() {
            seen.insert(pid);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    assert!(seen.len() <= 5 + 10, "{} were started in 3 s", seen.len() - 5);
    within(PATIENCE, "it recovers", || server.workers().len() == 5);
    assert_eq!(server.stop().code, Some(0));
}

fn a_pool_that_cannot_fork_serves_with_the_workers_it_has(model: Model) {
    // The kernel counts the processes of a user, and root's are not limited.
    if !Uid::effective().is_root() {
        return skipped("fork fails: only root can start a server as a user of its own");
    }
    if !has("prlimit") {
        return;
    }
    if !is_open_to_all(Path::new(env!("CARGO_BIN_EXE_windlass-under-test"))) {
        return skipped("fork fails: another user cannot reach the program");
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("getrlimit");
    // The port of no other program, and another one for each model, which may be tested at the same
    // time.
    let uid = 30_000 + std::process::id() * 2 % 30_000 + u32::from(model == Model::Prefork);
    let server = serve!("upper", model).args(&size(model, 4, 4)).uid(uid).start();
    within(PATIENCE, "all are there", || server.workers().len() == 4);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.upper(b"all work");
    }
    drop(clients);

    limit_processes(server.pid(), uid, 1);
    let kill_one = |pid: &i32| kill(Pid::from_raw(*pid), Signal::SIGKILL).expect("it is there");
    server.workers()[..2].iter().for_each(kill_one);
    let tells = |what: &str| server.stderr().matches(what).count();
    within(PATIENCE, "it says so", || tells("workers cannot be started") == 1);
    within(PATIENCE, "two are gone", || server.workers().len() == 2);
    for _ in 0..50 {
        let mut client = server.connect();
        client.upper(b"two are left");
        client.ends_with(b"");
    }
    // And with none.
    server.workers().iter().for_each(kill_one);
    within(PATIENCE, "no worker is left", || server.workers().is_empty());
    let mut waiting = Client::connect(server.address());
    waiting.send(b"waiting");
    assert_eq!(tells("workers cannot be started"), 1, "once is enough");

    limit_processes(server.pid(), uid, hard);
    waiting.expect(b"WAITING");
    waiting.ends_with(b"");
    within(PATIENCE, "all are there again", || server.workers().len() == 4);
    within(PATIENCE, "it says so", || tells("workers can be started again") == 1);
    assert_eq!(server.stop().code, Some(0));
}

/// Whether every user may pass each folder above the program, and run it.
fn is_open_to_all(program: &Path) -> bool {
    program
        .ancestors()
        .filter(|part| !part.as_os_str().is_empty())
        .all(|part| part.metadata().is_ok_and(|about| about.permissions().mode() & 0o001 != 0))
}

/// From now on process `pid` can fork while its user has fewer than so many. Only that user may say so,
/// or a user with `CAP_SYS_RESOURCE`, which root need not have.
fn limit_processes(pid: i32, uid: u32, most: u64) {
    let (of, limit) = (format!("--pid={pid}"), format!("--nproc={most}:"));
    let done = Command::new("prlimit").args([of, limit]).uid(uid).status().expect("prlimit");
    assert!(done.success(), "prlimit: {done}");
}
