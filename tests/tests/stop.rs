//! How a server ends.
//!
//! - SIGTERM: connections are refused at once, a conversation may finish, the exit code is 0.
//! - The connection of a silent client is closed at the end of the grace.
//! - A second signal ends everything at once.
//! - SIGINT does the same, also when a terminal sends it to every process.
//! - SIGTERM to every process is one order.
//! - A group: one process for each listener, each started again when it dies; none outlives the parent.
//! - Children do not outlive the server that forked them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{Client, Model, PATIENCE, Server, every_model, proc, serve, within};

every_model!(
    a_conversation_may_finish_after_sigterm,
    an_idle_server_stops_at_once,
    a_silent_client_is_cut_at_the_end_of_the_grace,
    a_second_sigterm_stops_at_once,
    sigint_stops_like_sigterm,
    a_group_stops_as_one,
    a_terminal_is_heard_once,
    an_order_to_every_process_is_one,
    a_group_goes_on_when_one_of_it_is_killed,
    a_group_does_not_outlive_its_parent,
);

fn a_conversation_may_finish_after_sigterm(model: Model) {
    let server = serve!("upper", model).args("--grace 300").start();
    let mut client = server.connect();
    client.upper(b"before");
    server.signal(Signal::SIGTERM);
    server.until_refused();
    client.upper(b"after");
    client.send(b"the rest");
    client.ends_with(b"THE REST");
    assert_eq!(server.wait().code, Some(0));
}

fn an_idle_server_stops_at_once(model: Model) {
    let server = serve!("upper", model).args("--grace 300").start();
    server.connect().ends_with(b"");
    assert_eq!(server.stop().code, Some(0));
}

fn a_silent_client_is_cut_at_the_end_of_the_grace(model: Model) {
    let server = serve!("upper", model).args("--grace 0.3").start();
    let mut client = server.connect();
    client.upper(b"hello");
    assert_eq!(server.stop().code, Some(0));
    client.end();
}

fn a_second_sigterm_stops_at_once(model: Model) {
    stops_at_the_second(model, [Signal::SIGTERM, Signal::SIGTERM]);
}

fn sigint_stops_like_sigterm(model: Model) {
    stops_at_the_second(model, [Signal::SIGINT, Signal::SIGINT]);
}

fn stops_at_the_second(model: Model, [first, second]: [Signal; 2]) {
    let server = serve!("upper", model).args("--grace 300").start();
    let mut client = server.connect();
    client.upper(b"hello");
    server.signal(first);
    // Two signals at once are one: the second is sent when the first was heard.
    within(PATIENCE, "it says that it stops", || server.stderr().contains("stopping"));
    client.upper(b"still here");
    server.signal(second);
    assert_eq!(server.wait().code, Some(0));
    client.end();
}

fn group(model: Model, grace: &str) -> Server {
    let server = serve!("upper", model).listen("tcp:127.0.0.1:0").listen("tcp:localhost:0");
    server.args(grace).start()
}

fn a_group_stops_as_one(model: Model) {
    let server = group(model, "--grace 300");
    let members = server.members().to_vec();
    assert!(members[0].pid != members[1].pid, "{members:?}");
    assert!(members.iter().all(|member| member.pid != server.parent()), "{members:?}");
    for member in &members {
        assert_eq!((member.service.as_str(), member.model.as_str()), ("upper", model.name()));
        let mut client = Client::connect(&member.address);
        client.send(b"abc");
        client.ends_with(b"ABC");
    }
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(members.iter().all(|member| !proc::runs(member.pid)));
}

fn a_group_goes_on_when_one_of_it_is_killed(model: Model) {
    let server = group(model, "--grace 300");
    let members = server.members().to_vec();
    let mut other = server.connect();
    other.upper(b"before");
    // It is a child of the parent, which is alive: its pid cannot be that of another process.
    kill(Pid::from_raw(members[1].pid), Signal::SIGKILL).expect("kill");
    let told = |line: &&str| line.contains(&members[1].address) && line.contains("SIGKILL");
    within(PATIENCE, "it is noticed", || server.stderr().lines().any(|line| told(&line)));
    // A worker of a pool that accepts while it dies with its parent takes its client along.
    within(PATIENCE, "another one serves", || {
        Client::try_connect(&members[1].address)
            .is_ok_and(|mut client| client.try_upper(b"in its place").is_ok())
    });
    other.upper(b"after");
    other.ends_with(b"");
    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert_eq!(exit.stderr.lines().filter(told).count(), 1, "{}", exit.stderr);
    assert!(members.iter().all(|member| !proc::runs(member.pid)));
}

fn a_group_does_not_outlive_its_parent(model: Model) {
    let server = group(model, "--grace 0.2");
    let members = server.members().to_vec();
    let mut client = server.connect();
    client.upper(b"hello");
    server.signal(Signal::SIGKILL);
    // That is: for every process, the child of a child included.
    assert_eq!(server.wait().code, None);
    within(PATIENCE, "they end", || members.iter().all(|member| !proc::runs(member.pid)));
    client.end();
}

/// Ctrl-C goes to every process of the terminal's group, and the parent passes it on: heard twice by
/// a member, it would cut the conversation.
fn a_terminal_is_heard_once(model: Model) {
    for listeners in 1..=2 {
        let mut serve = serve!("upper", model).args("--grace 300");
        for _ in 0..listeners {
            serve = serve.listen("tcp:127.0.0.1:0");
        }
        let server = serve.start();
        let mut client = server.connect();
        client.upper(b"before");
        server.signal_group(Signal::SIGINT);
        server.until_refused();
        client.upper(b"after");
        client.ends_with(b"");
        assert_eq!(server.wait().code, Some(0));
    }
}

/// `killall`, and a service manager without `KillMode=mixed`, tell every process to stop, and the supervisor
/// passes that on: heard twice by a member, it would cut the conversation.
fn an_order_to_every_process_is_one(model: Model) {
    let server = group(model, "--grace 300");
    let mut client = server.connect();
    client.upper(b"before");
    for member in server.members() {
        // It is a child of the parent, which is alive: its pid cannot be that of another process.
        kill(Pid::from_raw(member.pid), Signal::SIGTERM).expect("kill");
        let told = |line: &&str| line.contains(&member.address) && line.contains("stopping");
        within(PATIENCE, "it is heard", || server.stderr().lines().any(|line| told(&line)));
    }
    server.signal(Signal::SIGTERM);
    server.until_refused();
    client.upper(b"after");
    client.ends_with(b"");
    assert_eq!(server.wait().code, Some(0));
}

/// A child that no process could tell to stop any more would serve its client for as long as that one
/// likes, on its own.
#[test]
fn a_killed_server_takes_its_children_with_it() {
    let server = serve!("upper", Model::Fork).args("--idle-timeout 0").start();
    let mut client = server.connect();
    client.upper(b"hello");
    server.signal(Signal::SIGKILL);
    assert_eq!(server.wait().code, None);
    client.end();
}
