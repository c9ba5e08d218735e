//! Datagram sockets on the loop: each read returns one datagram, an empty datagram is no end, and
//! an error is reported as readiness.
//!
//! Over the loopback interface, and between two Unix sockets, a datagram is there when the call that
//! sent it returns. So these tests wait for nothing.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use windlass::reactor::{Context, Event, EventLoop, Token, Watch};

type Log = Vec<String>;

/// What UDP and Unix datagrams have in common.
trait Datagrams: AsFd {
    fn take(&self, buf: &mut [u8]) -> io::Result<usize>;
}

impl Datagrams for UdpSocket {
    fn take(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf)
    }
}

impl Datagrams for UnixDatagram {
    fn take(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf)
    }
}

/// Notes each call, and in it the datagrams: one if it is level-triggered, all of them otherwise.
fn noting(events: &mut EventLoop<Log>, io: impl Datagrams + 'static, watch: Watch) -> Token {
    let all = watch == watch.edge();
    let call = move |io: &mut _, log: &mut Log, _: &mut Context<Log>, event| {
        let Event::Ready(ready) = event else { panic!("there is no timeout") };
        assert!(ready.read && !ready.hup && !ready.dead, "{ready:?}");
        log.push("called".to_owned());
        let (mut buf, mut more) = ([0; 64], true);
        while more {
            match Datagrams::take(io, &mut buf) {
                Ok(count) => log.push(format!("got {}", String::from_utf8_lossy(&buf[..count]))),
                Err(error) if all && error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
            more = all;
        }
    };
    events.add(io, watch, call).expect("watched")
}

/// The rounds that are due, and what happened in them.
fn rounds(events: &mut EventLoop<Log>) -> Log {
    let mut log = Log::new();
    while events.run_once(&mut log, Some(Duration::ZERO)).expect("a round") > 0 {}
    log
}

/// A socket for the loop, and a way to send to it.
fn udp() -> (UdpSocket, impl FnMut(&[u8])) {
    let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    ours.set_nonblocking(true).expect("fcntl");
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    peer.connect(ours.local_addr().expect("bound")).expect("connected");
    (ours, move |bytes| assert_eq!(peer.send(bytes).expect("sent"), bytes.len()))
}

/// The same of Unix datagrams.
fn unix() -> (UnixDatagram, impl FnMut(&[u8])) {
    let (ours, peer) = UnixDatagram::pair().expect("a pair");
    ours.set_nonblocking(true).expect("fcntl");
    (ours, move |bytes| assert_eq!(peer.send(bytes).expect("sent"), bytes.len()))
}

/// Nine datagrams, of which one is empty, told one by one or together; then one more.
fn nine_and_one(io: impl Datagrams + 'static, mut send: impl FnMut(&[u8]), watch: Watch) {
    let mut events = EventLoop::new().expect("a loop");
    let token = noting(&mut events, io, watch);
    assert_eq!(rounds(&mut events).len(), 0);
    let words = ["a", "b", "c", "", "d", "e", "f", "g", "h"];
    for word in &words {
        send(word.as_bytes());
    }
    let mut expected = vec!["called".to_owned()];
    for (number, word) in words.iter().enumerate() {
        if number > 0 && watch != watch.edge() {
            expected.push("called".to_owned());
        }
        expected.push(format!("got {word}"));
    }
    assert_eq!(rounds(&mut events), expected);
    for word in ["", "again"] {
        send(word.as_bytes());
        assert_eq!(rounds(&mut events), ["called".to_owned(), format!("got {word}")]);
    }
    assert!(events.is_armed(token));
}

#[test]
fn each_datagram_comes_once_and_an_empty_one_is_no_end() {
    for watch in [Watch::READ, Watch::READ.edge()] {
        let (io, send) = udp();
        nine_and_one(io, send, watch);
        let (io, send) = unix();
        nine_and_one(io, send, watch);
    }
}

#[test]
fn a_refusal_is_told_as_readiness_once_and_does_not_spin() {
    // A socket that is connected to another one takes nothing from us, and keeps the port from others.
    let [deaf, other, ours] =
        [(); 3].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"));
    deaf.connect(other.local_addr().expect("bound")).expect("connected");
    ours.set_nonblocking(true).expect("fcntl");
    ours.connect(deaf.local_addr().expect("bound")).expect("connected");
    for watch in [Watch::READ, Watch::READ.edge()] {
        let mut events = EventLoop::new().expect("a loop");
        let call = |io: &mut UdpSocket, log: &mut Log, _: &mut Context<Log>, event| {
            let Event::Ready(ready) = event else { panic!("there is no timeout") };
            assert!(ready.read, "{ready:?}");
            log.push(format!("{:?}", io.recv(&mut [0; 8]).map_err(|error| error.kind())));
        };
        let io = ours.try_clone().expect("a copy");
        let token = events.add(io, watch, call).expect("watched");
        for _ in 0..3 {
            ours.send(b"x").expect("it is told later");
            assert_eq!(rounds(&mut events), ["Err(ConnectionRefused)"]);
        }
        // Then there is nothing to do for a while.
        let before = events.stats().rounds;
        events.after(Duration::from_millis(30), |_, cx| cx.exit());
        let mut log = Log::new();
        events.run(&mut log).expect("a run");
        let rounds = events.stats().rounds - before;
        assert!(rounds <= 10 && log.is_empty(), "{rounds} rounds, {log:?}");
        assert!(events.remove(token));
    }
}

#[test]
fn a_datagram_that_does_not_fit_waits_for_room_and_goes() {
    let (ours, peer) = UnixDatagram::pair().expect("a pair");
    ours.set_nonblocking(true).expect("fcntl");
    while ours.send(b"full").is_ok() {}
    let mut events = EventLoop::new().expect("a loop");
    let call = |io: &mut UnixDatagram, log: &mut Log, cx: &mut Context<Log>, _| {
        if io.send(b"last").is_ok() {
            log.push("sent".to_owned());
            cx.remove(cx.current());
        }
    };
    events.add(ours, Watch::WRITE, call).expect("watched");
    assert_eq!(rounds(&mut events).len(), 0);
    // The kernel calls it writable when most of the room is free again.
    peer.set_nonblocking(true).expect("fcntl");
    while peer.recv(&mut [0; 8]).is_ok() {}
    let mut log = Log::new();
    events.run(&mut log).expect("a run");
    assert_eq!(log, ["sent"]);
}
