//! Broadcast and multicast between two hosts: network namespaces with a link between them.
//!
//! - A group is heard on its interface, by the hosts that joined it and by no other; IPv6 too.
//! - A broadcast reaches the other host: that of the network, and where no route is, that of the interface.
//! - An interface that goes away and comes back is joined again; a host that leaves is in no group.
//! - A reply leaves from the address that was asked, between hosts too.

use nix::sys::signal::Signal;
use windlass_tests::{Hosts, Listening, PATIENCE, Program, within};

const WINDLASS: &str = env!("CARGO_BIN_EXE_windlass-under-test");

const SCORE: &str = "--math 83 --chinese 86";

fn listen(program: Program, words: &str) -> Listening {
    Listening::start(program.words("score listen").words(words))
}

fn send(program: Program, to: &str, name: &str, words: &str) {
    let program = program.words("score send").arg(to);
    let outcome = program.words(&format!("--name {name} {SCORE} {words}")).run();
    assert_eq!((outcome.code, outcome.stdout.as_slice()), (Some(0), &b"OK\n"[..]), "{outcome}");
}

#[test]
fn a_group_is_heard_by_its_members_alone() {
    let Some(hosts) = Hosts::new() else { return };
    for (any, [joined, other]) in [
        ("udp:0.0.0.0:0", ["239.77.3.1", "239.77.3.2"]),
        ("udp:[::]:0", ["ff02::77:1", "ff02::77:2"]),
    ] {
        let words = |group: &str| format!("{any} --group {group} --interface vb --count 1");
        let member = listen(hosts.on_b(WINDLASS), &words(joined));
        // The host is in the other group by another socket.
        let elsewhere = listen(hosts.on_b(WINDLASS), &words(other));
        let to = |group: &str, port: &str| {
            let is_v6 = group.contains(':');
            if is_v6 { format!("udp:[{group}]:{port}") } else { format!("udp:{group}:{port}") }
        };
        // IPv6 takes a while before it sends by an interface that is new.
        within(PATIENCE, "both hear", || {
            for (group, port, name) in [
                (other, member.port(), "not-this"),
                (joined, member.port(), "this"),
                (other, elsewhere.port(), "there"),
            ] {
                send(hosts.on_a(WINDLASS), &to(group, port), name, "--interface va");
            }
            [&member, &elsewhere].iter().all(|it| !it.printed().is_empty())
        });
        let from = if any.contains("::") { "fd77::1" } else { "192.0.2.1" };
        let (text, _) = member.ends();
        assert!(text.starts_with(from) || any.contains("::"), "{text}");
        assert!(text.ends_with(" this 83 86\n"), "{text}");
        assert!(elsewhere.ends().0.ends_with(" there 83 86\n"));
    }
}

#[test]
fn a_broadcast_reaches_the_other_host() {
    let Some(hosts) = Hosts::new() else { return };
    for (to, words) in [
        ("192.0.2.255", "--broadcast"),
        // No route leads there.
        ("255.255.255.255", "--broadcast --interface va"),
    ] {
        let ear = listen(hosts.on_b(WINDLASS), "udp:0.0.0.0:0 --count 1");
        send(hosts.on_a(WINDLASS), &format!("udp:{to}:{}", ear.port()), "all", words);
        let (text, _) = ear.ends();
        assert!(text.starts_with("192.0.2.1 ") && text.ends_with(" all 83 86\n"), "{text}");
    }
    let denied = hosts.on_a(WINDLASS).words("score send udp:192.0.2.255:9 --name x").words(SCORE);
    denied.run().fails_with(1, &["Permission denied", "--broadcast"]);
}

#[test]
fn an_interface_that_comes_back_is_joined_again() {
    let Some(hosts) = Hosts::new() else { return };
    let group = "239.77.3.3";
    let words = format!("udp:0.0.0.0:0 --group {group} --interface vb");
    let ear = listen(hosts.on_b(WINDLASS), &words);
    // The server does so too.
    let serve = hosts.on_b(WINDLASS).words("serve score --model epoll --listen udp:0.0.0.0:0");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| std::fs::File::create(folder.path().join(name)).expect("create");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("read");
    let serve = serve.words(&format!("--group {group} --interface vb"));
    let server = serve.output(file("stdout")).errors(file("stderr")).start();
    let mut port = String::new();
    within(PATIENCE, "it listens", || {
        let lines = read("stdout");
        let address = lines.strip_prefix("listening ").and_then(|line| line.split(' ').next());
        let found = address.and_then(|address| address.rsplit_once(':')).map(|(_, port)| port);
        found.unwrap_or_default().clone_into(&mut port);
        !port.is_empty()
    });
    for round in 0..3 {
        if round > 0 {
            hosts.disconnect();
            hosts.connect();
        }
        let (to, name) = (format!("udp:{group}:{}", ear.port()), format!("round-{round}"));
        // Until it has joined again nothing arrives.
        within(PATIENCE, "it hears", || {
            send(hosts.on_a(WINDLASS), &to, &name, "--interface va");
            ear.printed().contains(&name)
        });
        let to = format!("udp:{group}:{port}");
        within(PATIENCE, "the server hears", || {
            send(hosts.on_a(WINDLASS), &to, &name, "--interface va");
            read("stderr").contains(&format!("name={name}"))
        });
    }
    ear.until_said("joined 239.77.3.3 on vb again");
    assert!(read("stderr").contains("joined 239.77.3.3 on vb again"));
    let groups = || {
        let told = hosts.on_b("ip").words("maddr show dev vb").run();
        String::from_utf8(told.stdout).expect("text")
    };
    assert!(groups().contains(group));
    assert_eq!(server.end_by(Signal::SIGTERM), Some(0));
    assert_eq!(ear.end_by(Signal::SIGTERM), Some(0));
    within(PATIENCE, "the host has left the group", || !groups().contains(group));
}

#[test]
fn a_link_that_is_down_for_a_while_is_heard_afterwards() {
    let Some(hosts) = Hosts::new() else { return };
    let ear = listen(hosts.on_b(WINDLASS), "udp:239.77.3.4:0 --interface vb --count 1");
    for state in ["down", "up"] {
        let set = hosts.on_b("ip").words(&format!("link set vb {state}")).run();
        assert_eq!(set.code, Some(0), "{set}");
    }
    let to = format!("udp:239.77.3.4:{}", ear.port());
    within(PATIENCE, "it hears", || {
        send(hosts.on_a(WINDLASS), &to, "up-again", "--interface va");
        ear.printed().contains("up-again")
    });
    ear.ends();
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let Some(hosts) = Hosts::new() else { return };
    let add = hosts.on_b("ip").words("addr add 192.0.2.77/24 dev vb").run();
    assert_eq!(add.code, Some(0), "{add}");
    let folder = tempfile::tempdir().expect("a folder");
    let stdout = folder.path().join("stdout");
    let serve = hosts.on_b(WINDLASS).words("serve upper --model prefork --listen udp:0.0.0.0:0");
    let server = serve.output(std::fs::File::create(&stdout).expect("create")).start();
    let mut port = String::new();
    within(PATIENCE, "it listens", || {
        let lines = std::fs::read_to_string(&stdout).expect("read");
        let address = lines.strip_prefix("listening ").and_then(|line| line.split(' ').next());
        let found = address.and_then(|address| address.rsplit_once(':')).map(|(_, port)| port);
        found.unwrap_or_default().clone_into(&mut port);
        !port.is_empty()
    });
    // A connected socket takes an answer from the address that it asked, and from no other.
    for asked in ["192.0.2.2", "192.0.2.77"] {
        let talk = hosts.on_a(WINDLASS).words(&format!("talk udp:{asked}:{port}"));
        let outcome = talk.feed(windlass_tests::Feed::Pipe(b"hello\n".to_vec())).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"HELLO\n");
    }
    assert_eq!(server.end_by(Signal::SIGTERM), Some(0));
}
