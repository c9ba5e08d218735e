//! Pools under the supervisor: their control sockets, and another user, through reloads and upgrades.

use std::os::unix::fs::MetadataExt;
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

/// The state that the socket answers with, once `holds` is true of it.
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
    // Both answer from the moment at which the second one is ready until the first one hears of that.
    supervised.until_logged("draining: no new clients", 1);
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
    let has_changed =
        |pid: i32| proc::status(pid, "Uid").split_whitespace().all(|id| id == "65534");
    let all = |status: &Status| {
        let mut pids: Vec<i32> = status.workers.iter().map(|it| it.pid.cast_signed()).collect();
        pids.push(status.pid.cast_signed());
        pids
    };
    let first = until(&control, "two workers are idle", |it| it.scoreboard == "..");
    // The supervisor stays root: it reads the configuration, and binds what a reload adds.
    assert!(
        !has_changed(supervised.pid()) && all(&first).into_iter().all(has_changed),
        "{first:?}"
    );
    supervised.reload(&config(&control, 3, user));
    let second = until(&control, "three workers are idle", |it| it.scoreboard == "...");
    assert!(all(&second).into_iter().all(has_changed), "{second:?}");
    Client::connect(&members[0].address).upper(b"hello");
    supervised.signal(Signal::SIGUSR2);
    let third = until(&control, "the next binary answers", |it| it.pid != second.pid);
    assert!(all(&third).into_iter().all(has_changed), "{third:?}");
    Client::connect(&members[0].address).upper(b"hello");
    assert_eq!(supervised.wait(), Some(0));
    drop(supervised);
}

/// The first listener could change, and the second one could not.
#[test]
fn a_reload_is_applied_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let before = config(&first, 1, "") + &config(&second, 1, "").replace("upper", "echo");
    let (supervised, members) = supervise!(&before).serving(2);
    let pid = |control: &Path| until(control, "it answers", |it| it.scoreboard == ".").pid;
    let pids = [pid(&first), pid(&second)];
    let nowhere = folder.path().join("no such folder").join("control");
    for broken in [
        config(&first, 2, "") + &config(&nowhere, 1, "").replace("upper", "echo"),
        config(&nowhere, 1, "") + &config(&second, 2, "").replace("upper", "echo"),
        config(&first, 2, "")
            + &config(&second, 1, "root = '/'").replace("upper", "files")
            + &config(&nowhere, 1, ""),
    ] {
        let told = supervised.reload(&broken);
        assert!(told.contains("everything goes on as before"), "{told}");
        assert_eq!([pid(&first), pid(&second)], pids);
    }
    assert_eq!(supervised.logged("no such folder"), 3);
    assert_eq!(proc::children(supervised.pid()).len(), 2, "no process was started");
    for member in &members {
        let mut client = Client::connect(&member.address);
        client.send(b"HELLO");
        client.expect(b"HELLO");
    }
    let told = supervised.reload(&before);
    assert!(told.contains("unchanged=2"), "{told}");
    assert_eq!(supervised.stop(), Some(0));
}

/// It is not bound anew, which would find it in use.
#[test]
fn a_control_socket_goes_from_one_listener_to_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let [left, right] = ["left", "right"].map(|name| folder.path().join(name));
    let pair = |left: &Path, right: &Path| {
        config(left, 1, "") + &config(right, 2, "").replace("upper", "echo")
    };
    let (supervised, members) = supervise!(&pair(&left, &right)).serving(2);
    let workers = |control: &Path, workers: &str| {
        until(control, "its workers are idle", |it| it.scoreboard == workers);
    };
    workers(&left, ".");
    workers(&right, "..");
    let told = supervised.reload(&pair(&right, &left));
    assert!(told.contains("changed=2"), "{told}");
    workers(&left, "..");
    workers(&right, ".");
    // One to a listener at another address, while its process has a client yet.
    let address = &members.iter().find(|it| it.service == "upper").expect("upper").address;
    let mut client = Client::connect(address);
    client.upper(b"hello");
    let abstract_name = format!("unix:@{}", windlass_tests::unique("moved"));
    let moved = config(&right, 3, "").replace("tcp:127.0.0.1:0", &abstract_name);
    let told = supervised.reload(&moved);
    assert!(told.contains("added=1") && told.contains("removed=2"), "{told}");
    workers(&right, "...");
    client.upper(b"still here");
    drop(client);
    within(PATIENCE, "the others are gone", || proc::children(supervised.pid()).len() == 1);
    workers(&right, "...");
    assert!(!left.exists());
    Client::connect(&abstract_name).upper(b"hello");
    assert_eq!(supervised.stop(), Some(0));
    assert!(!right.exists());
}

/// The user of a listener has its files, by a reload as by an upgrade.
#[test]
fn socket_files_change_their_user_with_the_listener() {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root can become another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let [control, socket] = ["control", "socket"].map(|name| folder.path().join(name));
    let address = format!("unix:{}", socket.display());
    let text = |user: &str| config(&control, 1, user).replace("tcp:127.0.0.1:0", &address);
    let users =
        [("user = '4:65534'", 4), ("user = '65534:4'", 65534), ("", 0), ("user = '4:4'", 4)];
    let (mut supervised, _) = supervise!(&text("")).serving(1);
    let has = |uid: u32| {
        within(PATIENCE, "they have their user", || {
            [&control, &socket].iter().all(|path| path.metadata().is_ok_and(|it| it.uid() == uid))
        });
        until(&control, "its worker is idle", |it| {
            let uids = proc::status(it.pid.cast_signed(), "Uid");
            it.scoreboard == "." && uids.split_whitespace().all(|id| id == uid.to_string())
        });
    };
    for (user, uid) in users {
        let told = supervised.reload(&text(user));
        assert!(told.contains("changed=1"), "{told}");
        has(uid);
    }
    // What is refused leaves them as they are.
    let nowhere = folder.path().join("no such folder").join("control");
    supervised.reload(&(text("user = '65534:4'") + &config(&nowhere, 1, "")));
    has(4);
    std::fs::write(supervised.config(), text("")).expect("write");
    supervised.signal(Signal::SIGUSR2);
    assert_eq!(supervised.wait(), Some(0));
    has(0);
    drop(supervised);
}
