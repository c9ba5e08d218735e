//! Datagram sockets on the loop, over loopback.

use std::net::UdpSocket;
use std::time::Duration;

use super::*;
use crate::reactor::{EventLoop, Incoming};
use crate::sys::stream::Stream;

fn socket() -> (Listener, UdpSocket) {
    let socket = Listener::bind(&"udp:127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(socket.address().socket_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (socket, client)
}

#[test]
fn a_batch_is_one_call_and_its_replies_leave_together() {
    let mut events = EventLoop::new().unwrap();
    let (socket, client) = socket();
    let count = |datagrams: &mut Datagrams<'_>, batches: &mut Vec<usize>, _: &mut Context<_>| {
        assert_eq!(datagrams.error, None);
        let received = datagrams.batch.iter_mut().map(|it| {
            let len = it.len;
            it.reply(len);
        });
        batches.push(received.count());
    };
    events.datagrams(socket, count).unwrap();
    for n in 0..3_u8 {
        client.send(&[n]).unwrap();
    }
    let mut batches = Vec::new();
    events.run_once(&mut batches, Some(Duration::ZERO)).unwrap();
    assert_eq!(batches, [3]);
    for n in 0..3 {
        let mut buf = [0; 8];
        assert_eq!((client.recv(&mut buf).unwrap(), buf[0]), (1, n));
    }
}

#[test]
fn a_flood_leaves_the_others_their_turns() {
    let mut events = EventLoop::new().unwrap();
    let (flooded, client) = socket();
    let (quiet, other) = socket();
    events
        .datagrams(flooded, |it, heard: &mut [usize; 2], _| heard[0] += it.batch.iter_mut().count())
        .unwrap();
    events
        .datagrams(quiet, |it, heard: &mut [usize; 2], _| heard[1] += it.batch.iter_mut().count())
        .unwrap();
    for _ in 0..100 {
        client.send(b"x").unwrap();
    }
    other.send(b"y").unwrap();
    let mut heard = [0; 2];
    events.run_once(&mut heard, Some(Duration::ZERO)).unwrap();
    assert!(heard[0] < 100 && heard[1] == 1, "{heard:?}");
    for _ in 0..10 {
        events.run_once(&mut heard, Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(heard, [100, 1]);
}

#[test]
fn one_that_panics_takes_its_batch_with_it_and_nothing_else() {
    let mut events = EventLoop::new().unwrap();
    let (bad, to_bad) = socket();
    let (good, to_good) = socket();
    events.datagrams(bad, |_, _: &mut usize, _| panic!("of the test")).unwrap();
    events
        .datagrams(good, |it, heard: &mut usize, _| *heard += it.batch.iter_mut().count())
        .unwrap();
    to_bad.send(b"x").unwrap();
    let mut heard = 0;
    let round = std::panic::AssertUnwindSafe(|| events.run_once(&mut heard, Some(Duration::ZERO)));
    assert!(std::panic::catch_unwind(round).is_err());
    to_good.send(b"y").unwrap();
    events.run_once(&mut heard, Some(Duration::ZERO)).unwrap();
    assert_eq!(heard, 1);
}

#[test]
fn a_stream_socket_is_refused() {
    let mut events: EventLoop<()> = EventLoop::new().unwrap();
    let stream = Listener::bind(&"tcp:127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let error = events.datagrams(stream, |_, (), _| {}).unwrap_err().to_string();
    assert!(error.ends_with("it is a stream socket: its clients are accepted"), "{error}");
    let (socket, _) = socket();
    let error = events.listen(socket, 1, |(), _, incoming| drop::<Incoming<Stream>>(incoming));
    assert!(error.unwrap_err().to_string().contains("it is a datagram socket"));
}
