//! Broadcast and multicast between two hosts: network namespaces with a link between them.
//!
//! - A group is heard on its interface, by the hosts that joined it and by no other; IPv6 too.
//! - A broadcast reaches the other host: that of the network, and where no route is, that of the interface.
//! - An interface that goes away and comes back is joined again; a host that leaves is in no group.
//! - A reply leaves from the address that was asked, between hosts too.
//! - A slow or narrow link loses no answer, and what a router says is told.
//! - The other end may be a program in Python.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::IntoRawFd;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use windlass::addr::Address;
use windlass::reactor::{Context, Datagrams, EventLoop};
use windlass::sys::listener::Listener;
use windlass_tests::{
    Feed, Hosts, Listening, Model, PATIENCE, Program, every_model_of_datagrams, has, serve,
    skipped, within,
};

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
    let server = Listening::start(serve.words(&format!("--group {group} --interface vb")));
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
        let to = format!("udp:{group}:{}", server.port());
        within(PATIENCE, "the server hears", || {
            send(hosts.on_a(WINDLASS), &to, &name, "--interface va");
            server.logged().contains(&format!("name={name}"))
        });
    }
    ear.until_said("joined 239.77.3.3 on vb again");
    server.until_said("joined 239.77.3.3 on vb again");
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
    let serve = hosts.on_b(WINDLASS).words("serve upper --model prefork --listen udp:0.0.0.0:0");
    let server = Listening::start(serve);
    // A connected socket takes an answer from the address that it asked, and from no other.
    for asked in ["192.0.2.2", "192.0.2.77"] {
        let talk = hosts.on_a(WINDLASS).words(&format!("talk udp:{asked}:{}", server.port()));
        let outcome = talk.feed(Feed::Pipe(b"hello\n".to_vec())).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"HELLO\n");
    }
    assert_eq!(server.end_by(Signal::SIGTERM), Some(0));
}

/// A router says what is wrong with a path; the host that sent is told which router.
#[test]
fn what_a_router_says_is_told() {
    let Some(hosts) = Hosts::new() else { return };
    let run = |program: Program, words: &str| {
        let outcome = program.words(words).run();
        assert_eq!(outcome.code, Some(0), "{outcome}");
    };
    // Host b is a router. It knows no way to one network, and a narrow one to another.
    run(hosts.on_a("ip"), "route add 198.51.100.0/24 via 192.0.2.2");
    run(hosts.on_a("ip"), "route add 203.0.113.0/24 via 192.0.2.2");
    run(hosts.on_b("ip"), "route add 203.0.113.0/24 via 192.0.2.1 mtu lock 1000");
    run(hosts.on_b("sysctl"), "-q -w net.ipv4.ip_forward=1");
    let talk = |to: &str, len: usize| {
        let mut line = vec![b'x'; len];
        line.push(b'\n');
        hosts.on_a(WINDLASS).words("talk").arg(to).feed(Feed::Pipe(line)).run()
    };
    let nowhere = "udp:198.51.100.9:9";
    talk(nowhere, 10).fails_with(1, &[nowhere, "unreachable; 192.0.2.2 says so"]);
    let time = hosts.on_a(WINDLASS).words("time").arg(nowhere).run();
    time.fails_with(1, &[nowhere, "unreachable; 192.0.2.2 says so"]);
    let narrow = "udp:203.0.113.9:9";
    let why = "Message too long; 192.0.2.2 says that the path takes 1000 bytes";
    talk(narrow, 1200).fails_with(1, &[narrow, why]);
    // The peer itself has nothing there: its own address is not said twice.
    let closed = "udp:192.0.2.2:9";
    talk(closed, 10).fails_with(1, &["talk to udp:192.0.2.2:9: Connection refused\n"]);
}

every_model_of_datagrams!(a_slow_link_loses_no_answer);

/// The link takes 8 Mbit/s, and the server's socket has room for a few answers at a time.
fn a_slow_link_loses_no_answer(model: Model) {
    let Some((_hosts, socket, client)) = slow_link() else { return };
    let server = serve!("upper", model).inherit(socket).start();
    for _ in 0..2 {
        client.asks_and_is_answered();
    }
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_slow_link_loses_no_answer_of_a_callback() {
    let Some((_hosts, socket, client)) = slow_link() else { return };
    let inherited = Address::Fd(socket.into_raw_fd());
    let socket = Listener::bind(&inherited, 0).expect("a listener");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| client.asks_and_is_answered());
        let mut events = EventLoop::new().expect("a loop");
        let answer = |datagrams: &mut Datagrams<'_>, (): &mut (), _: &mut Context<()>| {
            for received in datagrams.batch.iter_mut() {
                let len = received.len;
                received.buf[..len].make_ascii_uppercase();
                received.reply(len);
            }
        };
        events.datagrams(socket, answer).expect("add");
        while !asking.is_finished() {
            events.run_once(&mut (), Some(Duration::from_millis(10))).expect("run");
        }
        asking.join().expect("all answers");
    });
}

/// The kernel refuses to cut what is sent together into pieces that are longer than a packet of the path.
#[test]
fn a_narrow_path_loses_no_answer() {
    let Some(hosts) = Hosts::new() else { return };
    let narrow = "route replace 192.0.2.0/24 dev vb proto kernel scope link src 192.0.2.2 mtu 600";
    let set = hosts.on_b("ip").words(narrow).run();
    assert_eq!(set.code, Some(0), "{set}");
    let (socket, client) = far(&hosts);
    let server = serve!("upper", Model::Epoll).inherit(socket).start();
    for _ in 0..2 {
        client.asks_and_is_answered();
    }
    assert_eq!(server.stop().code, Some(0));
}

/// A client at the other end of a link.
struct Far {
    socket: UdpSocket,
    at: SocketAddr,
}

/// Two hosts with a slow link between them, and the socket of a server that has little room.
fn slow_link() -> Option<(Hosts, UdpSocket, Far)> {
    let hosts = Hosts::new()?;
    let queue = "qdisc add dev vb root tbf rate 8mbit burst 4k limit 4m";
    if hosts.on_b("tc").words(queue).run().code != Some(0) {
        skipped("this kernel has no token bucket filter");
        return None;
    }
    let (server, client) = far(&hosts);
    setsockopt(&server, sockopt::SndBuf, &1).expect("take room");
    Some((hosts, server, client))
}

/// The socket of a server on one host, and a client on the other.
fn far(hosts: &Hosts) -> (UdpSocket, Far) {
    let server = hosts.udp_on_b();
    let at = SocketAddr::new([192, 0, 2, 2].into(), server.local_addr().expect("a name").port());
    let socket = hosts.udp_on_a();
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    for socket in [&server, &socket] {
        setsockopt(socket, sockopt::RcvBufForce, &(1 << 20)).expect("make room");
    }
    (server, Far { socket, at })
}

impl Far {
    #[track_caller]
    fn asks_and_is_answered(&self) {
        const QUESTIONS: usize = 64;
        for n in 0..QUESTIONS {
            let question = format!("{n:0>1000}x");
            self.socket.send_to(question.as_bytes(), self.at).expect("send");
        }
        let mut buf = [0; 2000];
        let mut answers: Vec<_> = (0..QUESTIONS)
            .map(|_| {
                let len = self.socket.recv(&mut buf).expect("an answer");
                String::from_utf8(buf[..len].to_vec()).expect("text")
            })
            .collect();
        // Several threads or processes answer in any order.
        answers.sort_unstable();
        let expected: Vec<_> = (0..QUESTIONS).map(|n| format!("{n:0>1000}X")).collect();
        assert!(answers == expected);
    }
}

/// The queue of the link is short: what it has no room for is told by an error (`ENOBUFS`), and sent again.
#[test]
fn a_short_queue_loses_no_line() {
    let Some(hosts) = Hosts::new() else { return };
    if hosts.on_a("tc").words("qdisc add dev va root tbf rate 8mbit burst 4k limit 6k").run().code
        != Some(0)
    {
        skipped("this kernel has no token bucket filter");
        return;
    }
    let server = hosts.on_b(WINDLASS).words("serve upper --model epoll --listen udp:192.0.2.2:0");
    let server = Listening::start(server);
    let text = ("x".repeat(999) + "\n").repeat(64);
    let talk = hosts.on_a(WINDLASS).words("talk").arg(server.address());
    let outcome = talk.feed(Feed::Pipe(text.clone().into_bytes())).run();
    outcome.succeeds();
    assert!(outcome.stdout == text.to_ascii_uppercase().into_bytes());
}

/// A program in Python that sends a score: to a group by an interface, or to all.
const SENDER: &str = "
import socket, struct, sys
to, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('192.0.2.1'))
s.sendto(struct.pack('!II', 83, 86) + name.encode() + b'\\0', (to, port))
";

/// A program in Python that prints the first datagram that it receives, in hexadecimal; in a group or not.
const RECEIVER: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 0))
if len(sys.argv) > 1:
    member = socket.inet_aton(sys.argv[1]) + socket.inet_aton('192.0.2.2')
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
print('listening udp:0.0.0.0:%d' % s.getsockname()[1], flush=True)
print(s.recv(1000).hex(), flush=True)
";

/// As the programs of the notes do it: one end is ours, and the other one is not.
#[test]
fn foreign_ends_send_and_receive_to_all_and_to_a_group() {
    let Some(hosts) = Hosts::new() else { return };
    if !has("python3") {
        return;
    }
    let group = "239.77.3.9";
    for (to, joined, ours) in [("192.0.2.255", "", "--broadcast"), (group, group, "--interface va")]
    {
        let group_of_ours = if joined.is_empty() {
            String::new()
        } else {
            format!("--group {joined} --interface vb")
        };
        let ear = listen(hosts.on_b(WINDLASS), &format!("udp:0.0.0.0:0 --count 1 {group_of_ours}"));
        let sender = hosts.on_a("python3").arg("-c").arg(SENDER).arg(to).arg(ear.port());
        sender.arg("Mike").run().succeeds();
        assert!(ear.ends().0.ends_with(" Mike 83 86\n"));
        let receiver = hosts.on_b("python3").arg("-c").arg(RECEIVER).words(joined);
        let receiver = Listening::start(receiver);
        send(hosts.on_a(WINDLASS), &format!("udp:{to}:{}", receiver.port()), "Mike", ours);
        assert!(receiver.ends().0.ends_with("\n00000053000000564d696b6500\n"));
    }
}

/// The address of a link has the link behind a percent sign.
#[test]
fn an_address_of_the_link_names_the_link() {
    let Some(hosts) = Hosts::new() else { return };
    let told = hosts.on_b("ip").words("-6 -o addr show dev vb scope link").run();
    let told = String::from_utf8(told.stdout).expect("text");
    let own =
        told.split_whitespace().find_map(|word| word.strip_suffix("/64")).expect("an address");
    let ear = listen(hosts.on_b(WINDLASS), "udp:[::]:0");
    within(PATIENCE, "it hears", || {
        send(hosts.on_a(WINDLASS), &format!("udp:[{own}%va]:{}", ear.port()), "linked", "");
        ear.printed().contains("linked")
    });
    let server = hosts.on_b(WINDLASS).words("serve upper --model epoll --listen udp:[::]:0");
    let server = Listening::start(server);
    let talk = hosts.on_a(WINDLASS).words(&format!("talk udp:[{own}%va]:{}", server.port()));
    let outcome = talk.feed(Feed::Pipe(b"hello\n".to_vec())).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"HELLO\n");
    let nowhere = hosts.on_a(WINDLASS).words(&format!("score send udp:[{own}%nope]:9 --name x"));
    nowhere.words(SCORE).run().fails_with(1, &["nope", "No such device"]);
}
