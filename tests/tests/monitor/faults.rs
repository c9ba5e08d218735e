//! The last faults: which client or process had them, and how long ago.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use windlass_tests::{Client, Model, PATIENCE, every_model, models, within};

use super::{Monitored, until_ready};

every_model!(a_client_that_resets_its_connection_is_named);
models!(a_client_behind_a_balancer_is_named: epoll Epoll, prefork Prefork);
models!(a_process_that_is_killed_is_named: epoll Epoll, pool_static PoolStatic, prefork Prefork);

/// The newest fault of the first listener that is like this.
fn until_fault(monitored: &Monitored, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut found = None;
    within(PATIENCE, "it is told", || {
        let state: Value = serde_json::from_str(&monitored.get("/status.json").1).expect("JSON");
        let faults = state["listeners"][0]["last_faults"].as_array().expect("a list");
        found = faults.iter().find(|fault| is_it(fault)).cloned();
        found.is_some()
    });
    found.expect("found")
}

fn a_client_that_resets_its_connection_is_named(model: Model) {
    let monitored = Monitored::start("upper", model, "");
    until_ready(&monitored.at, 200);
    let mut client = Client::connect_from([127, 0, 0, 9], monitored.server.address());
    client.upper(b"hello");
    client.reset();
    let fault = until_fault(&monitored, |fault| fault["kind"] == "reset");
    assert!(fault["peer"].as_str().is_some_and(|at| at.starts_with("127.0.0.9:")), "{fault}");
    assert!(fault["took_us"].as_u64() > Some(0) && fault["ago_us"].as_u64().is_some(), "{fault}");
    // A client that was served is none.
    monitored.server.connect().converse(b"hello");
    let state: Value = serde_json::from_str(&monitored.get("/status.json").1).expect("JSON");
    assert_eq!(state["listeners"][0]["last_faults"].as_array().map(Vec::len), Some(1), "{state}");
}

fn a_client_behind_a_balancer_is_named(model: Model) {
    let monitored = Monitored::start("upper", model, "--proxy-from 127.0.0.0/8");
    until_ready(&monitored.at, 200);
    let mut client = monitored.server.connect();
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n");
    client.upper(b"hello");
    client.reset();
    let fault = until_fault(&monitored, |fault| fault["kind"] == "reset");
    assert_eq!(fault["peer"], "192.0.2.7:4711");
}

fn a_process_that_is_killed_is_named(model: Model) {
    let monitored = Monitored::start("upper", model, "");
    until_ready(&monitored.at, 200);
    let mut client = monitored.server.connect();
    client.upper(b"hello");
    // Under a pool: the worker that has the client.
    let mut pid = None;
    within(PATIENCE, "a process has the client", || {
        let state: Value = serde_json::from_str(&monitored.get("/status.json").1).expect("JSON");
        let workers = state["listeners"][0]["workers"].as_array().expect("a list");
        pid = workers.iter().find(|it| it["client"] == true).and_then(|it| it["pid"].as_i64());
        pid.is_some()
    });
    let pid = i32::try_from(pid.expect("a process")).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
    let fault = until_fault(&monitored, |fault| fault["kind"] == "crashed");
    assert_eq!((&fault["pid"], &fault["words"]), (&pid.into(), &"was killed by SIGKILL".into()));
    until_fault(&monitored, |fault| fault["kind"] == "lost");
}
