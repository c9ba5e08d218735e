//! The supervisor of `windlass serve --config`: a process that dies is started again, a listener
//! that changes is replaced, and no client notices.
//!
//! - A process that is killed: a client that connects meanwhile waits, and is served by the next one.
//! - A process that always dies at once is not started at once for ever, and one line says so.
//! - SIGHUP applies the difference, also of the folder that a root names. An unchanged listener stays as it is;
//!   a mistake changes nothing.
//! - A server that stops serves the clients that its kernel has accepted.
//! - Nothing is left behind: no process, no zombie, no descriptor.

use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{
    Client, Member, Model, PATIENCE, Supervised, meanwhile, models, proc, supervise, within,
};

models!(
    a_reload_fails_no_client: iterative Iterative, fork Fork, thread Thread, thread_pool ThreadPool,
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor, pool_static PoolStatic,
    prefork Prefork
);
models!(clients_in_the_accept_queue_are_served_when_the_server_stops: iterative Iterative, fork Fork,
    thread Thread, thread_pool ThreadPool, select Select, poll Poll, epoll Epoll, epoll_et EpollEt,
    reactor Reactor);

fn listener(service: &str, model: &str, address: &str, more: &str) -> String {
    format!(
        "[[listener]]\nservice = '{service}'\nmodel = '{model}'\nlisten = '{address}'\n{more}\n"
    )
}

const ANY: &str = "tcp:127.0.0.1:0";

fn upper(more: &str) -> String {
    listener("upper", "epoll", ANY, more)
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

/// The processes that serve, zombies included.
fn processes(supervised: &Supervised) -> Vec<i32> {
    proc::children(supervised.pid())
}

fn of<'a>(members: &'a [Member], service: &str) -> &'a Member {
    members.iter().find(|member| member.service == service).expect("it listens")
}

/// A connection that the kernel has made is one for its client. To close the socket would reset it.
fn clients_in_the_accept_queue_are_served_when_the_server_stops(model: Model) {
    let text = listener("upper", model.name(), ANY, "");
    for order in [Signal::SIGTERM, Signal::SIGQUIT] {
        let (mut supervised, members) = supervise!(&text).serving(1);
        signal(members[0].pid, Signal::SIGSTOP);
        within(PATIENCE, "it has stopped", || proc::is_stopped(members[0].pid));
        let mut clients: Vec<_> = (0..20).map(|_| Client::connect(&members[0].address)).collect();
        for client in &mut clients {
            client.send(b"waiting");
            client.finish();
        }
        supervised.signal(order);
        signal(members[0].pid, Signal::SIGCONT);
        for client in &mut clients {
            assert_eq!(client.rest(), b"WAITING", "{order}");
        }
        assert_eq!(supervised.wait(), Some(0));
        assert!(Client::try_connect(&members[0].address).is_err());
    }
}

#[test]
fn a_client_that_waits_while_a_process_is_missing_is_served_by_the_next() {
    let (supervised, members) = supervise!(&upper("")).serving(1);
    // While it is stopped no process accepts, and until it is killed none is started.
    signal(members[0].pid, Signal::SIGSTOP);
    within(PATIENCE, "it has stopped", || proc::is_stopped(members[0].pid));
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(&members[0].address)).collect();
    for client in &mut clients {
        client.send(b"waiting");
    }
    signal(members[0].pid, Signal::SIGKILL);
    for client in &mut clients {
        client.expect(b"WAITING");
        client.ends_with(b"");
    }
    assert_ne!(processes(&supervised), [members[0].pid]);
    assert!(!supervised.says_more(), "it has listened all the time");
    assert_eq!(supervised.stop(), Some(0));
}

/// Four times each: a fifth time would be a crash loop.
#[test]
fn fifty_restarts_leave_nothing_behind() {
    let (supervised, members) = supervise!(&upper("").repeat(13)).serving(13);
    let descriptors = proc::descriptors(supervised.pid());
    for _ in 0..4 {
        let before = processes(&supervised);
        for &pid in &before {
            signal(pid, Signal::SIGKILL);
        }
        within(PATIENCE, "others are there", || {
            let now = processes(&supervised);
            now.len() == 13 && now.iter().all(|pid| !before.contains(pid))
        });
        for member in &members {
            Client::connect(&member.address).upper(b"hello");
        }
    }
    within(PATIENCE, "no zombie is left", || processes(&supervised).len() == 13);
    within(PATIENCE, "no descriptor is left", || {
        proc::descriptors(supervised.pid()) <= descriptors
    });
    assert_eq!(supervised.logged("crash loop:"), 0);
    assert_eq!(supervised.stop(), Some(0));
}

/// Each process that is started is killed.
#[test]
fn a_process_that_dies_at_once_is_not_started_for_ever() {
    let text = format!("{}{}", upper(""), listener("echo", "epoll", ANY, ""));
    let (supervised, members) = supervise!(&text).serving(2);
    let (victim, other) = (of(&members, "upper"), of(&members, "echo"));
    let mut seen = vec![victim.pid];
    let mut kill_all = || {
        for pid in processes(&supervised).into_iter().filter(|&pid| pid != other.pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            if !seen.contains(&pid) {
                seen.push(pid);
            }
        }
        seen.len()
    };
    let mut before = 0;
    within(PATIENCE, "it is noticed", || {
        before = kill_all();
        supervised.logged("crash loop:") > 0
    });
    assert!(before < 20, "{before} processes before it is noticed");
    let start = Instant::now();
    // Not to wait for something: it is counted how many there are in a while.
    while start.elapsed() < Duration::from_secs(2) {
        kill_all();
        thread::yield_now();
    }
    let after = kill_all();
    assert!(after <= before + 4, "{} processes in 2 s", after - before);
    assert_eq!(supervised.logged("crash loop:"), 1, "it is said once");
    let mut client = Client::connect(&other.address);
    client.send(b"others are not concerned");
    client.ends_with(b"others are not concerned");
    Client::connect(&victim.address).upper(b"it recovers");
    supervised.until_logged("the crash loop is over", 1);
    assert_eq!(supervised.stop(), Some(0));
}

#[test]
fn a_reload_applies_the_difference() {
    let same = listener("upper", "poll", "unix:@same", "")
        .replace("same", &windlass_tests::unique("same"));
    let changing = |more: &str| listener("echo", "thread", ANY, more);
    let before = format!("{same}{}{}", changing(""), listener("time", "epoll", ANY, ""));
    let (supervised, members) = supervise!(&before).serving(3);
    let (kept, changed, gone) =
        (of(&members, "upper").clone(), of(&members, "echo").clone(), of(&members, "time").clone());
    let mut served = Client::connect(&kept.address);
    served.upper(b"before");
    let mut draining = Client::connect(&changed.address);
    draining.send(b"before");
    draining.expect(b"before");

    let new = listener("upper", "prefork", "tcp:localhost:0", "");
    let after = format!("{same}{}{new}", changing("max-connections = 7"));
    let told = supervised.reload(&after);
    for words in ["unchanged=1", "changed=1", "added=1", "removed=1"] {
        assert!(told.contains(words), "{told}");
    }
    let added = supervised.listening();
    Client::connect(&added.address).upper(b"new");
    supervised.until_logged("was replaced", 1);
    assert!(proc::runs(kept.pid), "what did not change was not started anew");
    served.upper(b"after");
    // The process before it serves its connection to the end, and then it is gone.
    draining.send(b"after");
    draining.expect(b"after");
    assert!(proc::runs(changed.pid));
    // Both that are to go have heard it: until then they take clients too.
    supervised.until_logged("draining: no new clients", 2);
    let mut fresh = Client::connect(&changed.address);
    fresh.send(b"fresh");
    fresh.expect(b"fresh");
    draining.ends_with(b"");
    within(PATIENCE, "it has drained", || !proc::runs(changed.pid));
    within(PATIENCE, "no process listens there", || Client::try_connect(&gone.address).is_err());
    within(PATIENCE, "it is gone", || !proc::runs(gone.pid));
    assert!(!supervised.says_more());
    drop((served, fresh));
    assert_eq!(supervised.stop(), Some(0));
}

/// Bound anew it would be in use, by ourselves.
#[test]
fn an_address_may_be_written_in_another_way() {
    let (supervised, members) = supervise!(&upper("")).serving(1);
    let port = members[0].address.rsplit(':').next().expect("a port");
    let mut client = Client::connect(&members[0].address);
    for (n, host) in (1..).zip(["127.0.0.1", "localhost", "127.0.0.1"]) {
        let told =
            supervised.reload(&listener("upper", "epoll", &format!("tcp:{host}:{port}"), ""));
        assert!(told.contains("changed=1") && told.contains("removed=0"), "{told}");
        supervised.until_logged("was replaced", n);
        client.upper(b"still here");
        Client::connect(&members[0].address).upper(b"and new ones");
    }
    drop(client);
    assert_eq!(supervised.stop(), Some(0));
}

#[test]
fn a_mistake_changes_nothing() {
    let text = upper("");
    let (supervised, members) = supervise!(&text).serving(1);
    let mut client = Client::connect(&members[0].address);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let taken = format!("tcp:{}", taken.local_addr().expect("an address"));
    for (broken, words) in [
        ("[[listener]".to_owned(), "config:1:"),
        (upper("frobnicate = 1"), "config:5:1: unknown key `frobnicate`"),
        (String::new(), "nothing to serve"),
        (format!("{text}{}", listener("echo", "epoll", &taken, "")), "in use"),
        (format!("{text}{}", listener("echo", "epoll", "fd:0", "")), "fd:0"),
    ] {
        let taken = std::net::TcpListener::bind(taken.trim_start_matches("tcp:"));
        let told = supervised.reload(&broken);
        assert!(told.contains("everything goes on as before"), "{told}");
        assert!(supervised.logged(words) > 0, "no {words:?}");
        drop(taken);
        client.upper(b"still here");
        Client::connect(&members[0].address).upper(b"and new ones");
    }
    fs::remove_file(supervised.config()).expect("remove");
    supervised.signal(Signal::SIGHUP);
    supervised.until_logged("No such file", 1);
    assert_eq!(processes(&supervised), [members[0].pid]);
    drop(client);
    assert_eq!(supervised.stop(), Some(0));
}

/// The folder is opened by the supervisor, and its processes keep it.
#[test]
fn files_are_served_by_every_process_of_a_listener() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("name"), "what is in the file").expect("write");
    let root = |root: &std::path::Path| format!("root = '{}'\npush = 'name'", root.display());
    let text = |model: &str, more: &str| listener("files", model, ANY, more);
    let (supervised, members) = supervise!(&text("prefork", &root(folder.path()))).serving(1);
    let is_served = || {
        let all = Client::connect(&members[0].address).rest();
        assert!(String::from_utf8_lossy(&all).contains("what is in the file"));
    };
    is_served();
    supervised.reload(&text("epoll", &root(folder.path())));
    supervised.until_logged("was replaced", 1);
    is_served();
    let told = supervised.reload(&text("poll", &root(&folder.path().join("missing"))));
    assert!(told.contains("everything goes on as before"), "{told}");
    is_served();
    within(PATIENCE, "the one before has gone", || processes(&supervised).len() == 1);
    signal(processes(&supervised)[0], Signal::SIGKILL);
    supervised.until_logged("SIGKILL", 1);
    is_served();
    assert_eq!(supervised.stop(), Some(0));
}

/// A version of a site is published by a link to its folder.
#[test]
fn a_reload_follows_a_link_to_another_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let publish = |version: &str| {
        fs::create_dir(path(version)).expect("a folder");
        fs::write(path(version).join("name"), version).expect("write");
        std::os::unix::fs::symlink(version, path("next")).expect("a link");
        fs::rename(path("next"), path("root")).expect("rename");
    };
    publish("first");
    let more = format!("root = '{}'\npush = 'name'", path("root").display());
    let text = listener("files", "epoll", ANY, &more);
    let (supervised, members) = supervise!(&text).serving(1);
    let is_served = |version: &str| {
        let all = Client::connect(&members[0].address).rest();
        assert!(String::from_utf8_lossy(&all).contains(version), "{version}");
    };
    assert!(supervised.reload(&text).contains("unchanged=1"));
    publish("second");
    is_served("first");
    assert!(supervised.reload(&text).contains("changed=1"));
    // Until the process before it has heard that, it takes clients too.
    supervised.until_logged("draining: no new clients", 1);
    is_served("second");
    fs::remove_file(path("root")).expect("remove");
    assert!(supervised.reload(&text).contains("everything goes on as before"));
    is_served("second");
    assert_eq!(supervised.stop(), Some(0));
}

/// Clients come one after another, and one stays all the time, while the configuration changes again and
/// again. (`iterative` serves one at a time, and so no client stays.)
fn a_reload_fails_no_client(model: Model) {
    let text = |n: u32| listener("upper", model.name(), ANY, &format!("idle-timeout = {n}"));
    let (supervised, members) = supervise!(&text(300)).serving(1);
    let address = &members[0].address;
    let mut stays = (model != Model::Iterative).then(|| Client::connect(address));
    let comes = || {
        let mut client = Client::connect(address);
        client.upper(b"hello");
        client.ends_with(b"");
    };
    meanwhile(2, comes, || {
        for n in 1..=10 {
            if let Some(client) = &mut stays {
                client.upper(b"before");
            }
            supervised.reload(&text(300 + n));
            supervised.until_logged("was replaced", n as usize);
            if let Some(client) = &mut stays {
                client.upper(b"after");
            }
        }
    });
    if let Some(client) = &mut stays {
        client.ends_with(b"");
    }
    within(PATIENCE, "those that were replaced are gone", || processes(&supervised).len() == 1);
    assert_eq!(supervised.stop(), Some(0));
}

/// Each reload leaves a process with a connection behind. When there are too many of them the next one
/// waits until there is room, and the last one serves meanwhile.
#[test]
fn processes_that_drain_are_bounded() {
    let text = |n: usize| upper(&format!("backlog = {n}"));
    let (supervised, members) = supervise!(&text(1)).serving(1);
    let mut clients = Vec::new();
    for n in 2..=12 {
        let mut client = Client::connect(&members[0].address);
        client.upper(b"hello");
        clients.push(client);
        supervised.reload(&text(n));
        supervised.until_logged("was replaced", (n - 1).min(7));
        // Until it hears so, the one that was replaced takes clients too: the next one would be its.
        supervised.until_logged("draining: no new clients", (n - 1).min(7));
    }
    assert_eq!(processes(&supervised).len(), 8);
    // The operator that changed it should not have to wonder.
    let words = "is served as before until one of its 8 processes has drained";
    assert_eq!(supervised.logged(words), 4);
    clients.push(Client::connect(&members[0].address));
    for client in &mut clients {
        client.upper(b"still here");
    }
    // The last of them replaces the one that serves; those between were never started.
    clients.remove(0).ends_with(b"");
    supervised.until_logged("was replaced", 8);
    for client in &mut clients {
        client.upper(b"and now");
        client.ends_with(b"");
    }
    within(PATIENCE, "they are gone", || processes(&supervised).len() == 1);
    assert_eq!(supervised.stop(), Some(0));
}

/// A process that waits in `accept(2)` and one that must never wait share a socket.
#[test]
fn the_model_of_a_listener_can_change() {
    let (supervised, members) = supervise!(&upper("")).serving(1);
    for (n, model) in ["prefork", "epoll", "pool-static", "prefork", "poll"].into_iter().enumerate()
    {
        supervised.reload(&listener("upper", model, ANY, ""));
        supervised.until_logged("was replaced", n + 1);
        for _ in 0..20 {
            let mut client = Client::connect(&members[0].address);
            client.upper(b"hello");
            client.ends_with(b"");
        }
    }
    assert_eq!(supervised.stop(), Some(0));
}

#[test]
fn a_killed_supervisor_leaves_no_process() {
    let text = format!(
        "grace = 300\n{}{}{}",
        upper(""),
        listener("echo", "prefork", ANY, ""),
        listener("upper", "fork", ANY, "")
    );
    let (mut supervised, members) = supervise!(&text).serving(3);
    let mut client = Client::connect(&members[0].address);
    client.send(b"hello");
    let mut all = Vec::new();
    within(PATIENCE, "there are workers", || {
        let with_children = |pid| proc::children(pid).into_iter().chain([pid]);
        all = processes(&supervised).into_iter().flat_map(with_children).collect();
        all.len() > 3
    });
    supervised.signal(Signal::SIGKILL);
    assert_eq!(supervised.wait(), None);
    within(PATIENCE, "no process is left", || !all.iter().any(|&pid| proc::runs(pid)));
}

#[test]
fn a_silent_client_is_cut_at_the_end_of_the_grace_that_was_configured_last() {
    let (supervised, members) = supervise!(&format!("grace = 300\n{}", upper(""))).serving(1);
    supervised.reload(&format!("grace = 0.2\n{}", upper("")));
    supervised.until_logged("was replaced", 1);
    let mut client = Client::connect(&members[0].address);
    client.upper(b"hello");
    assert_eq!(supervised.stop(), Some(0));
    client.end();
}

/// As `nohup windlass serve --config … &` has it.
#[test]
fn a_process_is_replaced_also_where_a_shell_ignores_the_keys_of_the_terminal() {
    let text = |more: &str| listener("upper", "epoll", ANY, more);
    let shell = ["sh", "-c", "trap '' INT QUIT HUP; exec \"$0\" \"$@\""];
    let (supervised, members) = supervise!(&text("")).under(&shell).serving(1);
    supervised.reload(&text("idle-timeout = 5"));
    let old = members[0].pid;
    within(PATIENCE, "the process before has drained", || !proc::runs(old));
    assert_eq!(supervised.stop(), Some(0));
}
