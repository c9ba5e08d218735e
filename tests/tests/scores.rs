//! `windlass score` and `windlass cast`: datagrams to one, to all and to a group, on one host.
//!
//! - What is sent arrives as text and as JSON, between our ends and those of others, both ways round.
//! - What is no score is counted and never shown; no name breaks a line.
//! - What cannot be sent or heard is one line and an exit code.

use std::net::UdpSocket;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use windlass_tests::{Listening, PATIENCE, Program, has, leave_no_core, windlass, within};

fn send(to: &str, name: &str, more: &str) {
    let args = windlass!("score", "send", to, "--name", name).words("--math 83 --chinese 86");
    let sent = args.words(more).run();
    sent.succeeds();
    assert_eq!(sent.stdout, b"OK\n");
}

const MIKE: &[u8] = b"\0\0\0\x53\0\0\0\x56Mike\0";

#[test]
fn a_score_arrives_as_text() {
    let ear = Listening::start(windlass!("score", "listen", "udp:127.0.0.1:0", "--count", "4"));
    send(ear.address(), "Mike", "--count 2");
    let foreign = UdpSocket::bind("127.0.0.1:0").expect("bind");
    foreign.send_to(MIKE, ear.at()).expect("send");
    let text = "import socket,struct,sys\n\
                s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
                host,port=sys.argv[1].split(':')\n\
                s.sendto(struct.pack('!II',1,4294967295)+b'A B\\0',(host,int(port)))\n";
    Program::new("python3").arg("-c").arg(text).arg(ear.at()).run().succeeds();
    let text = ear.ends().0;
    let mut lines: Vec<_> = text.lines().map(|line| line.splitn(3, ' ')).collect();
    let shown: Vec<_> = lines.iter_mut().map(|line| (line.next(), line.nth(1))).collect();
    let host = Some("127.0.0.1");
    let mike = (host, Some("Mike 83 86"));
    assert_eq!(shown, [mike, mike, mike, (host, Some("A B 1 4294967295"))], "{text}");
}

#[test]
fn a_lone_score_costs_one_receive_and_one_write() {
    const MANY: usize = 50;
    if !has("strace") {
        return;
    }
    // What starting and ending cost is in both.
    let (few, many) = (calls_for(1), calls_for(1 + MANY));
    // Once a second the loop wakes for its timer.
    assert!(many.saturating_sub(few) <= 2 * MANY + 50, "{few} calls, {many} calls");
}

/// System calls of a listener for so many scores, each of which is shown before the next one is sent.
fn calls_for(scores: usize) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("calls");
    let words = "score listen udp:127.0.0.1:0 --count";
    let listen = Program::new("strace").words("-f -qq -o").arg(&trace);
    let listen = listen.arg(env!("CARGO_BIN_EXE_windlass-under-test")).words(words);
    let ear = Listening::start(listen.arg(scores.to_string()));
    let foreign = UdpSocket::bind("127.0.0.1:0").expect("bind");
    for nth in 1..=scores {
        foreign.send_to(MIKE, ear.at()).expect("send");
        within(PATIENCE, "it is shown", || ear.printed().lines().count() == nth);
    }
    ear.ends();
    std::fs::read_to_string(&trace).expect("what strace saw").lines().count()
}

#[test]
fn a_score_leaves_as_the_notes_have_it() {
    let foreign = UdpSocket::bind("127.0.0.1:0").expect("bind");
    foreign.set_read_timeout(Some(PATIENCE)).expect("set");
    let at = foreign.local_addr().expect("a name");
    send(&format!("udp:{at}"), "Mike", "");
    let mut buf = [0; 100];
    let len = foreign.recv(&mut buf).expect("receive");
    assert_eq!(&buf[..len], MIKE);
}

#[test]
fn what_is_no_score_is_counted_and_never_shown() {
    let listen = windlass!("score", "listen", "udp:127.0.0.1:0", "--json", "--count", "1");
    let ear = Listening::start(listen);
    let foreign = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let long = vec![b'x'; 505];
    let wrong: [&[u8]; 6] = [
        b"",
        b"\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0x",
        b"\0\0\0\0\0\0\0\0x\0y",
        &long,
        &[7; 9000],
    ];
    for datagram in wrong {
        foreign.send_to(datagram, ear.at()).expect("send");
    }
    foreign.send_to(b"\0\0\0\x01\0\0\0\x02\x1b[2J\"}\n\0", ear.at()).expect("send");
    let from = foreign.local_addr().expect("a name");
    let (text, told) = ear.ends();
    assert!(told.contains("datagrams were dropped") && told.contains("malformed=6"), "{told}");
    let expected = format!(
        "{{\"from\":\"{from}\",\"name\":\"\\u001b[2J\\\"}}\\n\",\"math\":1,\"chinese\":2}}\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_group_on_loopback_is_heard_by_all_of_its_members() {
    let group = "udp:239.77.1.3:0";
    let words = "--group 239.77.1.3 --interface lo --count 1";
    let first = Listening::start(windlass!("score", "listen", "udp:0.0.0.0:0").words(words));
    let (_, port) = first.address().rsplit_once(':').expect("a port");
    let at = group.replace(":0", &format!(":{port}"));
    // Beside the first one, on the same port; the address itself is the group.
    let second = windlass!("score", "listen", &at).words("--interface lo --count 1");
    let second = Listening::start(second);
    send(&at, "Mike", "--interface lo --ttl 0");
    for ear in [first, second] {
        let text = ear.ends().0;
        assert!(text.ends_with(" Mike 83 86\n"), "{text}");
    }
}

#[test]
fn a_unix_datagram_socket_is_another_way() {
    leave_no_core();
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("unix-dgram:{}/scores", folder.path().display());
    let ear = Listening::start(windlass!("score", "listen", &address, "--count", "1"));
    send(&address, "Mike", "");
    assert!(ear.ends().0.ends_with(" Mike 83 86\n"));
    assert!(names(folder.path().into()).is_empty());
    let ear = Listening::start(windlass!("score", "listen", &address));
    assert_eq!(names(folder.path().into()).len(), 1);
    assert_eq!(ear.end_by(Signal::SIGINT), Some(0));
    assert!(names(folder.path().into()).is_empty());
    // A signal that is no order to end is the cause of its death, and the file goes all the same.
    for signal in [Signal::SIGQUIT, Signal::SIGALRM, Signal::SIGUSR1, Signal::SIGUSR2] {
        let ear = Listening::start(windlass!("score", "listen", &address));
        assert_eq!(ear.end_by(signal), None);
        assert!(names(folder.path().into()).is_empty(), "{signal}");
    }
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("read");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect()
}

#[test]
fn what_cannot_be_sent_is_one_line() {
    let base =
        |to: &str| windlass!("score", "send", to, "--name", "Mike").words("--math 1 --chinese 2");
    let long_name = "x".repeat(496);
    base("udp:127.255.255.255:9").run().fails_with(1, &["Permission denied", "--broadcast"]);
    base("udp:127.0.0.1:9")
        .words("--interface nope")
        .run()
        .fails_with(1, &["nope", "No such device"]);
    base("udp:239.0.0.2:9")
        .words("--interface nope")
        .run()
        .fails_with(1, &["nope", "No such device"]);
    base("udp:127.0.0.1:9").words("--ttl 300").run().fails_with(2, &["--ttl", "300"]);
    base("udp:127.0.0.1:9")
        .words("--ttl -1")
        .run()
        .fails_with(2, &["--ttl", "-1 is not in 0..=255"]);
    base("udp:127.0.0.1:9").words("--count 0").run().fails_with(2, &["--count", "0 is not in"]);
    base("udp:127.0.0.1:9").words("--ttl 0").run().fails_with(1, &["a TTL of 0 is for multicast"]);
    base("udp:127.0.0.1:0").run().fails_with(1, &["port 0"]);
    for option in ["--ttl 3", "--interface lo", "--broadcast"] {
        let word = option.split(' ').next().expect("a word");
        base("unix-dgram:/nowhere").words(option).run().fails_with(2, &[word, "udp:HOST:PORT"]);
    }
    let long = "x".repeat(70_000);
    let cast = windlass!("cast", "send", "239.77.1.9:9", "--text", &long);
    let cast = cast.words("--interface lo --ttl 0 --count 1").run();
    cast.fails_with(1, &["Message too long", "it has 70000 bytes"]);
    base("tcp:127.0.0.1:9").run().fails_with(1, &["datagram"]);
    base("unix-dgram:/nowhere/at/all").run().fails_with(1, &["No such file"]);
    let named = windlass!("score", "send", "udp:127.0.0.1:9", "--name", &long_name);
    named.words("--math 1 --chinese 2").run().fails_with(1, &["495 bytes"]);
    let allowed = base("udp:127.255.255.255:9").words("--broadcast").run();
    allowed.succeeds();
}

#[test]
fn what_cannot_be_heard_is_one_line() {
    let base = |at: &str| windlass!("score", "listen", at);
    base("udp:0.0.0.0:0").words("--group 127.0.0.1").run().fails_with(1, &["not the address of a"]);
    let nowhere = base("udp:0.0.0.0:0").words("--group 239.0.0.2 --interface nope").run();
    nowhere.fails_with(1, &["239.0.0.2 on nope", "No such device"]);
    base("tcp:127.0.0.1:0").run().fails_with(1, &["datagram"]);
    base("udp:192.0.2.77:0").run().fails_with(1, &["192.0.2.77"]);
    let taken = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let at = format!("udp:{}", taken.local_addr().expect("a name"));
    base(&at).run().fails_with(1, &["in use"]);
    base("udp:0.0.0.0:0").words("--group ff02::1").run().fails_with(1, &["same version of IP"]);
    base("udp:[::]:0").words("--group 239.0.0.2").run().fails_with(1, &["same version of IP"]);
    let other = base("udp:239.77.1.9:0").words("--interface lo --group 239.77.1.8");
    other.run().fails_with(1, &["the address is that of another group"]);
    base("unix-dgram:/tmp/never").words("--interface lo").run().fails_with(2, &["--interface"]);
    windlass!("cast", "send", "127.0.0.1:9").run().fails_with(1, &["multicast"]);
    windlass!("cast", "listen", "127.0.0.1:0").run().fails_with(1, &["multicast"]);
    windlass!("cast", "send", "--text", "%d %d").run().fails_with(2, &["one number"]);
}

/// The notes' own group is the default; theirs is on `eth0`, a second apart.
#[test]
fn lines_of_text_are_cast_to_a_group() {
    let ear = Listening::start(
        windlass!("cast", "listen", "239.77.1.4:0").words("--interface lo --count 5"),
    );
    let (_, port) = ear.address().rsplit_once(':').expect("a port");
    let to = format!("239.77.1.4:{port}");
    let cast =
        windlass!("cast", "send", &to).words("--interface lo --interval 5 --ttl 0 --count 3");
    cast.run().succeeds();
    let text = "import socket,sys\n\
                s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
                s.setsockopt(socket.IPPROTO_IP,socket.IP_MULTICAST_IF,socket.inet_aton('127.0.0.1'))\n\
                host,port=sys.argv[1].split(':')\n\
                for text in (b'two\\nlines\\n',b''): s.sendto(text,(host,int(port)))\n";
    Program::new("python3").arg("-c").arg(text).arg(&to).run().succeeds();
    assert_eq!(ear.ends().0, "itcast 0\nitcast 1\nitcast 2\ntwo\\nlines\n\n");
}

#[test]
fn a_cast_ends_with_its_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let ear =
            Listening::start(windlass!("cast", "listen", "239.77.1.5:0").words("--interface lo"));
        let to = format!("239.77.1.5:{}", ear.port());
        let cast =
            windlass!("cast", "send", to).words("--interface lo --ttl 0 --interval 5").start();
        ear.until_said("itcast 1");
        assert_eq!(cast.end_by(signal), Some(0));
        assert_eq!(ear.end_by(signal), Some(0));
    }
}
