//! Servers that root starts and that become another user (`--user`).
//!
//! Every process of every model stays that user, and everything still works: workers are replaced and
//! reloaded, a stop drains, a killed parent takes them with it, a socket file is connected to and removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use windlass_tests::{
    Client, Model, PATIENCE, Program, every_model, has, models, proc, serve, skipped, windlass,
    within,
};

every_model!(every_process_becomes_the_user, a_socket_file_is_the_users);
models!(workers_of_another_user_are_replaced_and_reloaded: pool_static PoolStatic, prefork Prefork);
models!(a_killed_parent_takes_workers_of_another_user_with_it: fork Fork, pool_static PoolStatic, prefork Prefork);

fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        skipped("only root can become another user");
    }
    root
}

#[test]
fn a_server_that_became_another_user_stays_so() {
    if is_root() {
        let program = env!("CARGO_BIN_EXE_confined-under-test");
        Program::new(program).arg("user").run().succeeds();
    }
}

fn every_process_becomes_the_user(model: Model) {
    if !is_root() {
        return;
    }
    let account = User::from_name("nobody").expect("looked up").expect("every Linux has it");
    let four =
        |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join("\t");
    let server = serve!("upper", model).args("--user nobody:12345").start();
    let mut client = server.connect();
    client.upper(b"hello");
    for pid in std::iter::once(server.pid()).chain(server.workers()) {
        assert_eq!(proc::status(pid, "Uid"), four(account.uid.as_raw()));
        assert_eq!(proc::status(pid, "Gid"), four(12345));
        let groups = proc::status(pid, "Groups");
        assert!(!groups.split_whitespace().any(|group| group == "0"), "{groups}");
        assert_eq!(proc::status(pid, "CapEff"), "0000000000000000");
    }
    client.ends_with(b"");
    assert_eq!(server.stop().code, Some(0));
}

fn workers_of_another_user_are_replaced_and_reloaded(model: Model) {
    if !is_root() {
        return;
    }
    let server = serve!("upper", model).args("--user nobody").start();
    let uids = proc::status(server.pid(), "Uid");
    let others_than = |before: &[i32]| {
        within(PATIENCE, "every worker is another one", || {
            let now = server.workers();
            !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
        });
        within(PATIENCE, "clients are served", || {
            Client::try_connect(server.address()).is_ok_and(|mut it| it.try_upper(b"hi").is_ok())
        });
        server.until_workers("Uid", &uids);
        server.until_workers("Seccomp", "2");
    };
    others_than(&[]);
    let before = server.workers();
    for &pid in &before {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    others_than(&before);
    let before = server.workers();
    server.signal(Signal::SIGHUP);
    others_than(&before);
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

fn a_killed_parent_takes_workers_of_another_user_with_it(model: Model) {
    if !is_root() {
        return;
    }
    let server = serve!("upper", model).args("--user nobody").start();
    let mut client = server.connect();
    client.upper(b"hello");
    let workers = server.workers();
    assert!(!workers.is_empty());
    server.signal(Signal::SIGKILL);
    within(PATIENCE, "no worker is left", || workers.iter().all(|&pid| !proc::runs(pid)));
}

fn a_socket_file_is_the_users(model: Model) {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // As /tmp: every user makes files, and removes only its own.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("chmod");
    let path = folder.path().join("socket");
    let address = format!("unix:{}", path.display());
    let server = serve!("upper", model).listen(&address).args("--user nobody").start();
    assert_ne!(fs::symlink_metadata(&path).expect("it is there").uid(), 0);
    server.connect().upper(b"hello");
    assert_eq!(server.stop().code, Some(0));
    assert!(!path.exists(), "it could be removed");
}

#[test]
fn each_of_several_listeners_becomes_the_user() {
    if !is_root() {
        return;
    }
    let server = serve!("upper", Model::Prefork)
        .listen("tcp:127.0.0.1:0")
        .listen("tcp:127.0.0.1:0")
        .args("--user nobody")
        .start();
    for member in server.members() {
        assert!(!proc::status(member.pid, "Uid").contains("0\t0"));
        Client::connect(&member.address).upper(b"hello");
    }
    assert!(!proc::status(server.parent(), "Uid").contains("0\t0"));
    let exit = server.stop();
    assert_eq!(exit.code, Some(0));
    assert_eq!(exit.stderr.matches("workers are confined").count(), 2);
}

#[test]
fn a_user_that_cannot_be_is_refused_before_anything_listens() {
    for (words, code, why) in [
        ("--user no-such-user", 1, "no-such-user: there is no such user"),
        ("--user nobody:no-such-group", 1, "nobody:no-such-group: there is no such group"),
        ("--user 0:1", 1, "root"),
        ("--user 4294967295:1", 1, "no change"),
        ("--user= --model fork", 2, "--user"),
        (
            "--no-sandbox --model epoll",
            2,
            "--no-sandbox is for --model pool-static or prefork or fork",
        ),
    ] {
        let line = format!("serve upper --listen tcp:127.0.0.1:0 {words}");
        let outcome = windlass!().words(&line).run();
        assert!(outcome.stdout.is_empty(), "{outcome}");
        outcome.fails_with(code, &[why]);
    }
}

/// A root that a container has taken the right from.
#[test]
fn a_root_without_the_right_is_refused() {
    if !is_root() || !has("setpriv") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_windlass-under-test");
    let outcome = Program::new("setpriv")
        .words("--bounding-set -setuid --inh-caps -setuid")
        .arg(program)
        .words("serve upper --listen tcp:127.0.0.1:0 --user nobody")
        .run();
    assert!(outcome.stdout.is_empty(), "{outcome}");
    outcome.fails_with(1, &["become user nobody", "not permitted"]);
}
