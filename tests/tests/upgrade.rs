//! The supervisor and its parents: sockets that are passed, notifications of a service manager, and
//! the next binary.
//!
//! - A socket is found by its name, its address or its number, and stays open when the server stops.
//! - READY when all listeners are ready; RELOADING and READY around a reload; STOPPING; WATCHDOG.
//! - SIGUSR2: the next binary takes the sockets over, and no client is refused; one that fails
//!   changes nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{
    Client, Model, PATIENCE, Supervise, Supervised, meanwhile, models, proc, supervise, windlass,
    within,
};

models!(
    an_upgrade_fails_no_client: thread Thread, epoll Epoll, reactor Reactor, pool_static PoolStatic,
    prefork Prefork
);

fn listener(model: &str, address: &str, more: &str) -> String {
    format!("[[listener]]\nservice = 'upper'\nmodel = '{model}'\nlisten = '{address}'\n{more}\n")
}

const ANY: &str = "tcp:127.0.0.1:0";

fn bound() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", socket.local_addr().expect("an address"));
    (socket, address)
}

#[test]
fn sockets_that_are_passed_are_found_by_name_address_and_number() {
    let sockets = [bound(), bound(), bound(), bound()];
    let mut text = listener("epoll", "tcp:127.0.0.1:1", "name = 'web'");
    text += &listener("prefork", &sockets[1].1, "");
    text += &listener("poll", "fd:5", "");
    let mut start = supervise!(&text).env("LISTEN_FDNAMES", "web:b:c:spare");
    for (socket, _) in &sockets {
        start = start.activate(socket.try_clone().expect("dup"));
    }
    let (supervised, members) = start.serving(3);
    for (member, model) in [(0, "epoll"), (1, "prefork"), (2, "poll")] {
        let address = &sockets[member].1;
        assert!(
            members.iter().any(|it| it.model == model && it.address == *address),
            "{members:?}"
        );
        Client::connect(address).upper(b"hello");
    }
    assert_eq!(supervised.logged("nothing is configured to be served there"), 1);
    assert!(supervised.stderr().contains(&sockets[3].1));
    // Neither the sockets nor the variables are for another process: a process has its listener,
    // its epoll set, its signals, and the three that every process has.
    let pid = members.iter().find(|it| it.model == "epoll").expect("it is there").pid;
    within(PATIENCE, "it has what is its own", || proc::descriptors(pid) <= 6);
    assert_eq!(supervised.stop(), Some(0));
    // The process that opened it goes on listening.
    assert!(Client::try_connect(&sockets[1].1).is_ok());
}

#[test]
fn variables_that_are_for_another_process_are_ignored() {
    let text = listener("epoll", ANY, "");
    let start = supervise!(&text).env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let (supervised, _) = start.serving(1);
    assert_eq!(supervised.stop(), Some(0));
}

/// A process that opened a socket keeps it through reloads, upgrades and stops.
#[test]
fn a_socket_that_was_passed_is_handed_on_and_stays_open() {
    let (socket, address) = bound();
    let text = |model: &str| listener(model, &address, "");
    let start = supervise!(&text("prefork")).activate(socket.try_clone().expect("dup"));
    let (mut supervised, _) = start.serving(1);
    supervised.reload(&text("poll"));
    supervised.until_logged("was replaced", 1);
    supervised.signal(Signal::SIGUSR2);
    let new = successor(&supervised);
    assert_eq!(supervised.wait(), Some(0));
    Client::connect(&address).upper(b"hello");
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
    let mut waits = Client::try_connect(&address).expect("it listens all the same");
    waits.send(b"for the next process");
    drop(socket);
}

#[test]
fn an_environment_that_is_not_understood_is_a_failure() {
    let (socket, _) = bound();
    for text in ["", "x", "99", "0", "99\n3 own tcp:127.0.0.1:1", "3\n3 own tcp:127.0.0.1:1"] {
        let start = supervise!(&listener("epoll", ANY, "")).env("WINDLASS_HANDOVER", text);
        let mut supervised = start.activate(socket.try_clone().expect("dup")).start();
        assert_eq!(supervised.wait(), Some(1), "{text:?}");
        supervised.until_logged("take over listeners: WINDLASS_HANDOVER is not understood", 1);
    }
}

/// The next message of which a line begins with `word`; what it says, in one line.
fn hear(manager: &UnixDatagram, word: &str) -> String {
    let mut buf = [0; 512];
    loop {
        let count = manager.recv(&mut buf).expect("it is told something");
        let text = String::from_utf8_lossy(&buf[..count]).replace('\n', " ");
        if text.starts_with(word) {
            return text;
        }
        // Nothing but these comes in between.
        assert!(text.starts_with("STATUS=") || text.starts_with("WATCHDOG="), "{text}");
    }
}

#[test]
fn a_service_manager_is_told_what_happens_in_order() {
    let text = listener("epoll", ANY, "") + &listener("prefork", ANY, "");
    let (start, manager) = supervise!(&text).notify();
    let (supervised, _) = start.serving(2);
    assert!(hear(&manager, "READY=1").contains("STATUS=serving 2 listeners"));
    supervised.reload(&listener("epoll", ANY, "backlog = 7"));
    assert!(hear(&manager, "RELOADING=1").contains("MONOTONIC_USEC="));
    assert!(hear(&manager, "READY=1").contains("STATUS=serving 1 listeners"));
    supervised.reload("broken");
    hear(&manager, "RELOADING=1");
    hear(&manager, "READY=1");
    assert_eq!(supervised.stop(), Some(0));
    hear(&manager, "STOPPING=1");
}

#[test]
fn an_empty_name_is_no_service_manager() {
    let text = listener("epoll", ANY, "");
    let start = supervise!(&text).env("NOTIFY_SOCKET", "").env("WATCHDOG_USEC", "20000");
    let (supervised, _) = start.serving(1);
    supervised.reload(&listener("poll", ANY, ""));
    assert_eq!(supervised.logged("notify"), 0);
    assert_eq!(supervised.stop(), Some(0));
}

#[test]
fn the_watchdog_hears_a_loop_that_lives() {
    let (start, manager) = supervise!(&listener("epoll", ANY, "")).notify();
    let (supervised, _) = start.env("WATCHDOG_USEC", "20000").serving(1);
    hear(&manager, "READY=1");
    for _ in 0..5 {
        hear(&manager, "WATCHDOG=1");
    }
    drop(supervised);
}

/// The first of those that took over.
fn successor(supervised: &Supervised) -> i32 {
    supervised.until_logged("has taken over", 1);
    supervised.successors()[0]
}

fn an_upgrade_fails_no_client(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let text = listener(model.name(), ANY, "") + &listener("poll", &unix, "");
    let (start, manager) = supervise!(&text).notify();
    let (mut supervised, members) = start.serving(2);
    hear(&manager, "READY=1");
    let address = &members.iter().find(|it| it.address.starts_with("tcp")).expect("TCP").address;
    let mut stays = Client::connect(address);
    stays.upper(b"before");
    let comes = || {
        let mut client = Client::connect(address);
        client.upper(b"hello");
        client.ends_with(b"");
    };
    let new = meanwhile(2, comes, || {
        supervised.signal(Signal::SIGUSR2);
        let new = successor(&supervised);
        // The line of each listener, by the new processes, with the address that it had.
        for _ in 0..2 {
            let member = supervised.listening();
            assert!(
                members.iter().any(|old| old.address == member.address && old.pid != member.pid)
            );
        }
        for _ in 0..100 {
            comes();
        }
        new
    });
    stays.upper(b"the old one serves it to its end");
    stays.ends_with(b"");
    assert_eq!(supervised.wait(), Some(0), "it has drained");
    assert!(path.exists(), "the file belongs to the new one");
    Client::connect(&unix).upper(b"hello");
    // It listens to the main process alone.
    assert_eq!(hear(&manager, "MAINPID="), format!("MAINPID={new} "));
    hear(&manager, "READY=1");
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
    assert!(!path.exists());
}

/// What a generation does not close or hand over would pile up.
#[test]
fn upgrades_in_a_row_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let unix = format!("unix:{}", folder.path().join("socket").display());
    let text = listener("epoll", ANY, "") + &listener("prefork", &unix, "");
    let (mut supervised, members) = supervise!(&text).serving(2);
    let (mut pid, descriptors) = (supervised.pid(), proc::descriptors(supervised.pid()));
    for n in 1..=4 {
        kill(Pid::from_raw(pid), Signal::SIGUSR2).expect("it runs");
        supervised.until_logged("has taken over", n);
        for _ in 0..2 {
            supervised.listening();
        }
        if n == 1 {
            assert_eq!(supervised.wait(), Some(0));
        }
        within(PATIENCE, "the old one is gone", || !proc::runs(pid));
        pid = supervised.successors()[n - 1];
        for member in &members {
            Client::connect(&member.address).upper(b"hello");
        }
        let now = || proc::descriptors(pid);
        within(PATIENCE, "no descriptor is left", || now() <= descriptors);
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("it runs");
        assert!(environment.contains("WINDLASS_HANDOVER"), "that is how it came to be");
    }
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the last one ends", || !proc::runs(pid));
    assert_eq!(folder.path().read_dir().expect("list").count(), 0);
}

/// The first one drains for as long as its connections last, but it can be told to hurry.
#[test]
fn an_old_binary_that_drains_can_be_stopped() {
    let text = format!("grace = 300\n{}", listener("epoll", ANY, ""));
    let (start, manager) = supervise!(&text).notify();
    let (mut supervised, members) = start.serving(1);
    let mut client = Client::connect(&members[0].address);
    client.upper(b"hello");
    supervised.signal(Signal::SIGUSR2);
    let new = successor(&supervised);
    client.upper(b"still here");
    supervised.signal(Signal::SIGTERM);
    supervised.until_logged("have this time to end", 2);
    client.upper(b"for the length of the grace");
    supervised.signal(Signal::SIGTERM);
    assert_eq!(supervised.wait(), Some(0));
    client.end();
    Client::connect(&members[0].address).upper(b"the new one is not concerned");
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
    // Nor is the service manager told of the old one, to which it does not listen.
    manager.set_nonblocking(true).expect("a socket");
    let mut buf = [0; 512];
    let told = std::iter::from_fn(|| manager.recv(&mut buf).ok().map(|len| buf[..len].to_vec()));
    assert_eq!(told.filter(|text| text.starts_with(b"STOPPING=1")).count(), 1);
}

/// A service manager stops the new one, and kills what is left when that has ended.
#[test]
fn a_stop_of_the_new_binary_gives_the_clients_of_the_old_one_their_grace() {
    let text = format!("grace = 300\n{}", listener("epoll", ANY, ""));
    for is_hurried in [false, true] {
        let (mut supervised, members) = supervise!(&text).serving(1);
        let mut client = Client::connect(&members[0].address);
        client.upper(b"hello");
        supervised.signal(Signal::SIGUSR2);
        let new = successor(&supervised);
        client.upper(b"still here");
        kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
        supervised.until_logged("have this time to end", 2);
        client.upper(b"for the length of the grace");
        assert!(proc::runs(new), "it waits for the old one");
        if is_hurried {
            kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
            client.end();
        } else {
            // The same order from another side is no second one.
            supervised.signal(Signal::SIGTERM);
            client.upper(b"to its end");
            client.ends_with(b"");
        }
        assert_eq!(supervised.wait(), Some(0));
        within(PATIENCE, "the new one ends", || !proc::runs(new));
    }
}

/// A service manager hears of the end of its own children only, and starts what crashed again.
#[test]
fn a_binary_that_has_taken_over_is_no_child_of_the_one_that_drains() {
    let (mut supervised, members) = supervise!(&listener("epoll", ANY, "")).serving(1);
    let mut client = Client::connect(&members[0].address);
    client.upper(b"hello");
    let before = proc::children(supervised.pid());
    supervised.signal(Signal::SIGUSR2);
    let new = successor(&supervised);
    client.upper(b"still here");
    assert_eq!(proc::children(supervised.pid()), before);
    client.ends_with(b"");
    assert_eq!(supervised.wait(), Some(0));
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
}

/// It is the supervisor's, like the listener: no process finds it taken by the one before.
#[test]
fn a_control_socket_outlives_the_processes_that_answer_on_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let control = format!("control = '{}'\nbacklog = ", path.display());
    let text = |n: u32| listener("prefork", ANY, &format!("{control}{n}"));
    let is_answered = || windlass!("status", &path).run().succeeds();
    let (mut supervised, members) = supervise!(&text(1)).serving(1);
    is_answered();
    supervised.reload(&text(2));
    supervised.until_logged("was replaced", 1);
    within(PATIENCE, "the one before has gone", || !proc::runs(members[0].pid));
    is_answered();
    supervised.signal(Signal::SIGUSR2);
    let new = successor(&supervised);
    assert_eq!(supervised.wait(), Some(0));
    is_answered();
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
    assert!(!path.exists());
}

/// A reader of the lines may stop reading when it has seen them.
#[test]
fn a_closed_standard_output_stops_neither_a_reload_nor_an_upgrade() {
    let text = listener("epoll", ANY, "");
    let (supervised, members) = supervise!(&text).deaf().serving(1);
    supervised.reload(&(text.clone() + &listener("poll", ANY, "")));
    supervised.until_logged("standard output", 1);
    Client::connect(&members[0].address).upper(b"still here");
    supervised.signal(Signal::SIGUSR2);
    let new = successor(&supervised);
    Client::connect(&members[0].address).upper(b"and the new one");
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
}

/// The name is looked up anew, and the link that it finds leads to another version by then.
#[test]
fn a_program_that_was_found_by_path_is_looked_for_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().canonicalize().expect("it is there").join(name);
    for version in ["v1", "v2"] {
        fs::create_dir(at(version)).expect("mkdir");
        let copy = at(version).join("windlass");
        fs::copy(env!("CARGO_BIN_EXE_windlass-under-test"), copy).expect("copy");
    }
    symlink("v1", at("bin")).expect("symlink");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [at("bin")].into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).expect("a path");
    let start = Supervise::new("windlass", &listener("epoll", ANY, "")).env("PATH", path);
    let (mut supervised, _) = start.serving(1);
    let file = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    assert_eq!(file(supervised.pid()), at("v1/windlass"));
    fs::remove_file(at("bin")).expect("remove");
    symlink("v2", at("bin")).expect("symlink");
    supervised.signal(Signal::SIGUSR2);
    let new = successor(&supervised);
    assert_eq!(file(new), at("v2/windlass"));
    assert_eq!(supervised.wait(), Some(0));
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "the new one ends", || !proc::runs(new));
}

#[test]
fn a_binary_that_fails_changes_nothing() {
    let (supervised, members) = supervise!(&listener("epoll", ANY, "")).by_link().serving(1);
    let mut client = Client::connect(&members[0].address);
    let link = supervised.folder().join("program");
    // Text is no program, and nothing hands it to a shell.
    let (ran, text) = (supervised.folder().join("ran"), supervised.folder().join("text"));
    fs::write(&text, format!("touch '{}'\n", ran.display())).expect("write");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).expect("chmod");
    let text = text.to_str().expect("text");
    for (n, broken) in ["/bin/false", "/no/such/program", "/dev/null", text].into_iter().enumerate()
    {
        fs::remove_file(&link).expect("remove");
        symlink(broken, &link).expect("symlink");
        supervised.signal(Signal::SIGUSR2);
        within(PATIENCE, "it is told", || {
            supervised.logged("the old one goes on") + supervised.logged("the old binary goes on")
                > n
        });
        client.upper(b"still here");
        Client::connect(&members[0].address).upper(b"and new ones");
    }
    assert!(supervised.stderr().contains("Exec format error"), "{}", supervised.stderr());
    assert!(!ran.exists());
    // Nor does a program that a signal ends.
    let dies = supervised.folder().join("dies");
    fs::write(&dies, "#!/bin/sh\nkill -TERM $$\n").expect("write");
    fs::set_permissions(&dies, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::remove_file(&link).expect("remove");
    symlink(dies, &link).expect("symlink");
    supervised.signal(Signal::SIGUSR2);
    supervised.until_logged("was killed by SIGTERM before it was ready", 1);
    client.upper(b"still here");
    // A configuration that the new binary does not take is the same.
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_windlass-under-test")).expect("it is there");
    fs::remove_file(&link).expect("remove");
    symlink(program, &link).expect("symlink");
    fs::write(supervised.config(), "broken").expect("write");
    supervised.signal(Signal::SIGUSR2);
    supervised.until_logged("exited with status 1 before it was ready", 2);
    client.upper(b"still here");
    // And then it works after all.
    fs::write(supervised.config(), listener("poll", ANY, "")).expect("write");
    supervised.signal(Signal::SIGUSR2);
    supervised.until_logged("has taken over", 1);
    assert_eq!(supervised.listening().address, members[0].address);
    Client::connect(&members[0].address).upper(b"hello");
    client.upper(b"and here");
    client.ends_with(b"");
}
