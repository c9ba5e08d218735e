//! A listener that another process holds too: that process can change the flags and the timeouts of
//! the socket at any time, and no server may depend on them.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use windlass_tests::{Client, Model, PATIENCE, Server, every_concurrent_model, serve, within};

every_concurrent_model!(flags_that_another_holder_changes_stop_no_server);

/// A server, and the socket that it inherited, as another holder has it.
fn shared(model: Model, options: &str) -> (Server, TcpListener) {
    let ours = TcpListener::bind("127.0.0.1:0").expect("listen");
    let server = serve!("upper", model).inherit(ours.try_clone().expect("dup")).args(options);
    (server.start(), ours)
}

fn set_receive_timeout(socket: &TcpListener, microseconds: i64) {
    let limit = TimeVal::new(0, microseconds);
    setsockopt(socket, sockopt::ReceiveTimeout, &limit).expect("SO_RCVTIMEO");
}

fn flags_that_another_holder_changes_stop_no_server(model: Model) {
    let (server, ours) = shared(model, "");
    let mut clients: Vec<Client> = Vec::new();
    for round in 0..6 {
        ours.set_nonblocking(round % 3 == 2).expect("F_SETFL");
        set_receive_timeout(&ours, [0, 1_000][round % 2]);
        clients.push(server.connect());
        // A server that blocks in accept(2) leaves the others waiting.
        for client in &mut clients {
            client.upper(b"hello");
        }
    }
    ours.set_nonblocking(false).expect("F_SETFL");
    drop(clients);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn workers_that_wait_take_no_processor_time_whatever_the_flags() {
    let (server, ours) = shared(Model::Prefork, "--min-spare 5 --max-spare 5");
    server.until_workers("State", "S (sleeping)");
    for nonblocking in [true, false] {
        ours.set_nonblocking(nonblocking).expect("F_SETFL");
        set_receive_timeout(&ours, 1);
        server.connect().upper(b"hello");
        let before = server.cpu_time();
        // Not to wait for something: a second without work is what is measured.
        thread::sleep(Duration::from_secs(1));
        let used = server.cpu_time().saturating_sub(before);
        // Five workers that spin on two processors would take two seconds.
        assert!(used < Duration::from_millis(500), "{used:?} with nonblocking {nonblocking}");
    }
    assert_eq!(server.stop().code, Some(0));
}

/// One client, and no other that would end an `accept(2)` that blocks.
#[test]
fn workers_that_wait_end_when_they_are_told_whatever_the_flags() {
    let (server, ours) = shared(Model::Prefork, "--grace 600");
    server.connect().upper(b"hello");
    for nonblocking in [false, true] {
        ours.set_nonblocking(nonblocking).expect("F_SETFL");
        set_receive_timeout(&ours, 0);
        let workers = server.workers();
        for &worker in &workers {
            kill(Pid::from_raw(worker), Signal::SIGTERM).expect("it runs");
        }
        within(PATIENCE, "others have their places", || {
            server.workers().iter().all(|worker| !workers.contains(worker))
        });
        server.connect().upper(b"hello");
    }
    ours.set_nonblocking(false).expect("F_SETFL");
    assert_eq!(server.stop().code, Some(0));
}
