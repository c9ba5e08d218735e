//! An upload that is whole, with a last acknowledgement that may have to be repeated.
//!
//! - Its client is not served any more: another one has its place, and no stop waits for it.
//! - It is answered again for as long as the process lives: while others are served, also in a grace, and in a server that
//!   drains.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use windlass_core::transfer::tftp::Offer;
use windlass_tests::transfer::{Asker, Begun, Stored, get, place, request};
use windlass_tests::{Model, Server, every_model, models, serve};

every_model!(
    a_stop_does_not_wait_for_it,
    it_is_repeated_while_a_stop_waits_for_another_transfer,
    it_is_repeated_by_a_server_that_drains,
);
models!(another_client_has_the_place: fork Fork, thread Thread, thread_pool ThreadPool, select Select, poll Poll,
    epoll Epoll, epoll_et EpollEt, reactor Reactor, pool_static PoolStatic, prefork Prefork);
models!(at_a_single_port_too: select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(it_is_repeated_while_the_only_worker_serves_others: iterative Iterative, thread_pool ThreadPool,
    pool_static PoolStatic, prefork Prefork);

fn start(model: Model, root: &Path, args: &str) -> Server {
    // They start sooner than the forty that a pool has in other tests.
    let few = match model {
        Model::PoolStatic if !args.contains("--workers") => "--workers 3",
        Model::Prefork if !args.contains("-workers") => {
            "--min-spare 2 --max-spare 3 --max-workers 6"
        }
        _ => "",
    };
    let args = format!("--root {} --allow-write {few} {args}", root.display());
    serve!("tftp", model).listen("udp:127.0.0.1:0").args(&args).start()
}

/// The server, which was told to stop, ends, and says nothing of a client that it has left or of a process that it has
/// killed.
#[track_caller]
fn ends_quietly(server: Server) {
    let outcome = server.wait();
    assert_eq!(outcome.code, Some(0));
    let (_, since) = outcome.stderr.split_once("no new clients").expect("it was told to");
    for word in ["before its connections", "killed", "not received"] {
        assert!(!since.contains(word), "{}", outcome.stderr);
    }
}

fn a_stop_does_not_wait_for_it(model: Model) {
    stops_at_once(model, "");
}

fn stops_at_once(model: Model, args: &str) {
    let (folder, _) = place(0);
    let server = start(model, folder.path(), &format!("--grace 300 {args}"));
    let stored = Stored::at(server.address(), "new");
    assert_eq!(fs::read(folder.path().join("new")).expect("a file"), Stored::FILE);
    server.logs("received peer=");
    stored.asking_again(|| {
        server.signal(Signal::SIGTERM);
        ends_quietly(server);
    });
}

fn it_is_repeated_while_a_stop_waits_for_another_transfer(model: Model) {
    is_repeated_in_a_grace(model, "");
}

fn is_repeated_in_a_grace(model: Model, args: &str) {
    let (folder, file) = place(2_000);
    let server = start(model, folder.path(), &format!("--grace 300 {args}"));
    let stored = Stored::at(server.address(), "new");
    stored.asking_again(|| {
        let begun = Begun::at(server.address());
        server.signal(Signal::SIGTERM);
        server.logs("stopping");
        stored.is_answered_again();
        begun.goes_on(&file);
        ends_quietly(server);
    });
}

fn it_is_repeated_by_a_server_that_drains(model: Model) {
    is_repeated_in_a_drain(model, "");
}

fn is_repeated_in_a_drain(model: Model, args: &str) {
    let (folder, _) = place(0);
    let server = start(model, folder.path(), &format!("--drain 300 {args}"));
    let stored = Stored::at(server.address(), "new");
    stored.asking_again(|| {
        server.signal(Signal::SIGQUIT);
        server.logs("draining");
        stored.is_answered_again();
        server.signal(Signal::SIGTERM);
        ends_quietly(server);
    });
}

fn another_client_has_the_place(model: Model) {
    leaves_its_place(model, "");
}

fn leaves_its_place(model: Model, args: &str) {
    let (folder, file) = place(2_000);
    let args = format!("--max-connections 1 --max-per-client 1 {args}");
    let server = start(model, folder.path(), &args);
    let stored = Stored::at(server.address(), "new");
    stored.asking_again(|| {
        get(server.address(), "file", Offer::DEFAULT).came(&file);
        stored.is_answered_again();
    });
}

fn at_a_single_port_too(model: Model) {
    stops_at_once(model, "--single-port");
    is_repeated_in_a_grace(model, "--single-port");
    is_repeated_in_a_drain(model, "--single-port");
    leaves_its_place(model, "--single-port");
}

fn it_is_repeated_while_the_only_worker_serves_others(model: Model) {
    let (folder, file) = place(50_000);
    let one = match model {
        Model::ThreadPool => "--min-threads 1 --max-threads 1",
        Model::PoolStatic => "--workers 1",
        Model::Prefork => "--min-spare 1 --max-spare 1 --max-workers 1",
        _ => "",
    };
    let server = start(model, folder.path(), one);
    let stored = Stored::at(server.address(), "new");
    stored.asking_again(|| {
        get(server.address(), "file", Offer::DEFAULT).came(&file);
        // While it waits for a client, and while it serves one.
        let other = Asker::of(server.address());
        for _ in 0..2 {
            stored.is_answered_again();
            other.ask(&request(1, "file", "octet", ""));
            let _ = other.hear();
        }
    });
    server.signal(Signal::SIGTERM);
    ends_quietly(server);
}
