//! Pools under the supervisor: their control sockets, and another user, through reloads and upgrades.

use std::path::Path;

use nix::sys::signal::Signal;
use windlass::client::Observer;
use windlass::status::Status;
use windlass_tests::{Client, PATIENCE, proc, skipped, supervise, within};

fn config(control: &Path, workers: u16, more: &str) -> String {
    format!(
        "[[listener]]\nservice = 'upper'\nmodel = 'pool-static'\nlisten = 'tcp:127.0.0.1:0'
         workers = {workers}\ncontrol = '{}'\n{more}\n",
        control.display()
    )
}

/// Who answers at the socket, when `holds` of what is answered.
#[track_caller]
fn until(control: &Path, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    let mut found = None;
    within(PATIENCE, what, || {
        found = Observer::new(control).ask(1_000_000).ok().map(|(status, _)| status);
        found.as_ref().is_some_and(&holds)
    });
    found.expect("found")
}

#[test]
fn the_newest_process_of_a_listener_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("control");
    let (mut supervised, members) = supervise!(&config(&control, 3, "")).serving(1);
    let first = until(&control, "three workers are idle", |it| it.scoreboard == "...");
    assert_eq!(first.pid.cast_signed(), members[0].pid);
    // A client of the first process keeps it there while the second one answers.
    let mut client = Client::connect(&members[0].address);
    client.upper(b"hello");
    supervised.reload(&config(&control, 4, ""));
    let second = until(&control, "four workers are idle", |it| it.scoreboard == "....");
    assert_ne!(second.pid, first.pid);
    for _ in 0..20 {
        assert_eq!(until(&control, "it answers", |_| true).pid, second.pid);
    }
    client.upper(b"still here");
    // The socket may move, and goes on with the next binary.
    let elsewhere = folder.path().join("elsewhere");
    supervised.reload(&config(&elsewhere, 4, ""));
    let third = until(&elsewhere, "four workers are idle", |it| it.scoreboard == "....");
    assert!(!control.exists(), "the old socket file is there");
    supervised.signal(Signal::SIGUSR2);
    let fourth = until(&elsewhere, "the next binary answers", |it| it.pid != third.pid);
    assert_ne!(fourth.pid, third.pid);
    client.upper(b"and here");
    drop(client);
    assert_eq!(supervised.wait(), Some(0));
    assert!(elsewhere.exists(), "the old binary took the socket file with it");
    drop(supervised);
}

#[test]
fn another_user_reloads_and_upgrades() {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root can become another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let other = (Some(nix::unistd::Uid::from_raw(65534)), None);
    nix::unistd::chown(folder.path(), other.0, other.1).expect("chown");
    let control = folder.path().join("control");
    let user = "user = 'nobody'";
    let (mut supervised, members) = supervise!(&config(&control, 2, user)).by_link().serving(1);
    let is_nobody = |pid: i32| proc::status(pid, "Uid").split_whitespace().all(|id| id == "65534");
    let all = |status: &Status| {
        let mut pids: Vec<i32> = status.workers.iter().map(|it| it.pid.cast_signed()).collect();
        pids.push(status.pid.cast_signed());
        pids
    };
    let first = until(&control, "two workers are idle", |it| it.scoreboard == "..");
    // The supervisor stays root: it reads the configuration, and binds what a reload adds.
    assert!(!is_nobody(supervised.pid()) && all(&first).into_iter().all(is_nobody), "{first:?}");
    supervised.reload(&config(&control, 3, user));
    let second = until(&control, "three workers are idle", |it| it.scoreboard == "...");
    assert!(all(&second).into_iter().all(is_nobody), "{second:?}");
    Client::connect(&members[0].address).upper(b"hello");
    supervised.signal(Signal::SIGUSR2);
    let third = until(&control, "the next binary answers", |it| it.pid != second.pid);
    assert!(all(&third).into_iter().all(is_nobody), "{third:?}");
    Client::connect(&members[0].address).upper(b"hello");
    assert_eq!(supervised.wait(), Some(0));
    drop(supervised);
}
