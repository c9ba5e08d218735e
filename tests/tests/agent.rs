//! The agent check of `HAProxy`: what a server says of itself, from its start to its end.
//!
//! - The free part of its places under every model, and `drain` from SIGTERM and SIGQUIT on until it ends.
//! - `down` while a listener has no process; with several listeners the fullest one decides.
//! - With `--stop-delay` a balancer hears of a stop before a client is refused.
//! - Nothing but `up` through an upgrade and a reload, at the same address or another one.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::transfer::{Asker, request};
use windlass_tests::{
    Client, Model, PATIENCE, every_model, models, proc, serve, supervise, web, windlass, within,
};

every_model!(the_agent_tells_the_load_and_then_a_drain);
models!(
    a_balancer_hears_of_a_stop_before_a_client_is_refused: iterative Iterative, fork Fork,
    thread_pool ThreadPool, epoll Epoll, pool_static PoolStatic, prefork Prefork
);
models!(transfers_take_places: fork Fork, epoll Epoll, prefork Prefork);

/// What the agent at this address says; nothing while it is not there.
fn ask(at: &str) -> String {
    let Ok(mut balancer) = Client::try_connect(at) else { return String::new() };
    String::from_utf8(balancer.rest()).expect("text")
}

#[track_caller]
fn until(at: &str, line: &str) {
    let mut said = String::new();
    within(PATIENCE, &format!("{line:?} is said"), || {
        said = ask(at);
        said == line
    });
}

/// A place for a socket file.
fn place() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = format!("unix:{}", folder.path().join("agent").display());
    (folder, at)
}

fn the_agent_tells_the_load_and_then_a_drain(model: Model) {
    let (free, taken) = (
        "up ready 100%\n",
        if model == Model::Iterative { "up ready 1%\n" } else { "up ready 75%\n" },
    );
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let (_folder, at) = place();
        let args = format!("--agent {at} --max-connections 4 --grace 300 --drain 300");
        let server = serve!("upper", model).args(&args).start();
        until(&at, free);
        let mut client = server.connect();
        client.upper(b"one of four");
        until(&at, taken);
        client.ends_with(b"");
        until(&at, free);
        let mut client = server.connect();
        client.upper(b"before");
        kill(Pid::from_raw(server.parent()), signal).expect("kill");
        until(&at, "drain\n");
        client.upper(b"still served");
        assert_eq!(ask(&at), "drain\n");
        client.ends_with(b"");
        assert_eq!(server.wait().code, Some(0));
    }
}

fn transfers_take_places(model: Model) {
    let (folder, at) = place();
    std::fs::write(folder.path().join("file"), [7; 2000]).expect("write");
    let root = folder.path().display();
    let args = format!("--agent {at} --max-connections 4 --root {root} --grace 0");
    let server = serve!("tftp", model).listen("udp:127.0.0.1:0").args(&args).start();
    until(&at, "up ready 100%\n");
    let slow = Asker::of(server.address());
    slow.ask(&request(1, "file", "octet", ""));
    slow.hear();
    until(&at, "up ready 75%\n");
}

fn a_balancer_hears_of_a_stop_before_a_client_is_refused(model: Model) {
    let (_folder, at) = place();
    let args = |delay| format!("--agent {at} --grace 300 --drain 300 --stop-delay {delay}");
    let server = serve!("upper", model).args(&args("300")).start();
    until(&at, "up ready 100%\n");
    server.signal(Signal::SIGQUIT);
    until(&at, "drain\n");
    server.connect().converse(b"a client that came before the balancer heard of it");
    let mut client = server.connect();
    client.upper(b"the same");
    // A second signal ends the delay.
    server.signal(Signal::SIGTERM);
    server.until_refused();
    client.upper(b"still served");
    client.ends_with(b"");
    assert_eq!(server.wait().code, Some(0));
    let server = serve!("upper", model).args(&args("0.05")).start();
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn services_without_clients_have_no_load() {
    let (_folder, at) = place();
    let serve = serve!("upper", Model::Prefork).listen("udp:127.0.0.1:0");
    let server = serve.args(&format!("--agent {at}")).start();
    until(&at, "up ready 100%\n");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_listener_without_a_process_is_down() {
    let (_folder, at) = place();
    let serve = serve!("upper", Model::Epoll).args(&format!("--agent {at}"));
    let server = serve.listen("tcp:127.0.0.1:0").listen("tcp:localhost:0").start();
    until(&at, "up ready 100%\n");
    let address = server.members()[1].address.clone();
    // The first one is replaced at once, and further ones later and later.
    within(PATIENCE, "it says so", || {
        let all = proc::children(server.parent()).into_iter();
        for pid in all.filter(|&pid| pid != server.members()[0].pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        ask(&at) == format!("down #{address} has no process\n")
    });
    until(&at, "up ready 100%\n");
}

/// A server with a listener for each of these limits, and an agent at this socket file of `folder`.
fn config(folder: &Path, agent: &str, limits: &[(&str, u32)]) -> String {
    let listener = |(name, max): &(&str, u32)| {
        let at = folder.join(name);
        format!(
            "[[listener]]\nservice = 'upper'\nlisten = 'unix:{}'\nmax-connections = {max}\n",
            at.display()
        )
    };
    let listeners: String = limits.iter().map(listener).collect();
    format!("agent = 'unix:{}'\n{listeners}", folder.join(agent).display())
}

#[test]
fn the_fullest_listener_decides_and_one_that_is_removed_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| format!("unix:{}", folder.path().join(name).display());
    let both = config(folder.path(), "agent", &[("large", 100), ("small", 2)]);
    let (supervised, _) = supervise!(&both).serving(2);
    until(&at("agent"), "up ready 100%\n");
    let mut one = Client::connect(&at("large"));
    one.upper(b"one of a hundred");
    until(&at("agent"), "up ready 99%\n");
    let mut other = Client::connect(&at("small"));
    other.upper(b"one of two");
    until(&at("agent"), "up ready 50%\n");
    // The agent moves, if it can.
    let _taken = UnixListener::bind(folder.path().join("taken")).expect("bind");
    supervised.reload(&config(folder.path(), "taken", &[("large", 100), ("small", 2)]));
    supervised.until_logged("not reloaded", 1);
    assert_eq!(ask(&at("agent")), "up ready 50%\n");
    supervised.reload(&config(folder.path(), "moved", &[("large", 100)]));
    until(&at("moved"), "up ready 99%\n");
    assert!(!folder.path().join("agent").exists(), "the old socket file is there");
    other.upper(b"a client of the listener that is gone");
    assert_eq!(ask(&at("moved")), "up ready 99%\n");
}

#[test]
fn a_server_is_up_through_an_upgrade() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| format!("unix:{}", folder.path().join(name).display());
    let text = config(folder.path(), "agent", &[("upper", 2)]);
    let text = format!("monitor = '{}'\n{text}", at("monitor"));
    let (mut supervised, _) = supervise!(&text).serving(1);
    until(&at("agent"), "up ready 100%\n");
    let mut client = Client::connect(&at("upper"));
    client.upper(b"one of two");
    // Clients of the monitor that stay connected would ask the old process for as long as it drains.
    let mut staying = Client::connect(&at("monitor"));
    assert_eq!(web::ask(&mut staying, "GET", "/readyz", &[]).status, 200);
    let (is_over, mut asked) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let said = ask(&at("agent"));
                assert!(said.starts_with("up ready "), "{said:?}");
                let mut monitor = Client::connect(&at("monitor"));
                monitor.send(b"GET /readyz HTTP/1.0\r\n\r\n");
                assert!(monitor.rest().starts_with(b"HTTP/1.1 200 "));
                asked += 1;
            }
        });
        supervised.signal(Signal::SIGUSR2);
        supervised.until_logged("the new binary has taken over", 1);
        // The next binary counts anew, and the client is the old one's.
        until(&at("agent"), "up ready 100%\n");
        is_over.store(true, Ordering::Relaxed);
        asking.join().expect("it was up all the time");
    });
    let answer = web::ask(&mut staying, "GET", "/readyz", &[]);
    assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    client.upper(b"still served");
    client.ends_with(b"");
    assert_eq!(supervised.wait(), Some(0));
    assert!(asked > 0);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    for (option, value, why) in [
        ("--agent", "udp:127.0.0.1:1", "at tcp:HOST:PORT or unix:PATH"),
        ("--stop-delay", "2", "--stop-delay is for a balancer, which asks at monitor or agent"),
    ] {
        let outcome = windlass!("serve", "upper", option, value).run();
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains(why), "{outcome}");
    }
}
