//! Ports without a model: turns, budgets, drains, counts.

use std::net::UdpSocket;
use std::time::Duration;

use windlass_core::responder::ScoreReceiver;
use windlass_core::transform::Uppercase;
use windlass_core::wire::Score;

use super::*;
use crate::drive::{Reports, Rules};
use crate::sys::poll;

const T0: Instant = Instant::from_micros(1_000_000);

fn port(responder: impl Responder<Peer> + Send + 'static) -> (Port, UdpSocket) {
    let socket = Listener::bind(&"udp:127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(socket.address().socket_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (Port::new(socket, Box::new(responder)), client)
}

/// On loopback what was sent has arrived: nothing is waited for.
fn turn(port: &mut Port, now: Instant, buffers: &mut Buffers) -> Next {
    poll::wait_for_input([Some(port.as_fd()), None, None], Some(0));
    port.turn(Ready::READ, now, buffers)
}

#[test]
fn a_turn_answers_what_is_there_and_waits() {
    let (mut port, client) = port(Uppercase);
    let mut buffers = Buffers::for_many(Rules::default(), Reports::OnChange);
    assert_eq!(turn(&mut port, T0, &mut buffers), Next::Wait(Interest::READ));
    for text in ["one", "", "three"] {
        client.send(text.as_bytes()).unwrap();
    }
    assert_eq!(turn(&mut port, T0, &mut buffers), Next::Wait(Interest::READ));
    let mut buf = [0; 10];
    for text in ["ONE", "", "THREE"] {
        let len = client.recv(&mut buf).unwrap();
        assert_eq!(&buf[..len], text.as_bytes());
    }
    let (bytes_in, bytes_out) = (8, 8);
    let counts = Counts { received: 3, replied: 3, bytes_in, bytes_out, ..Counts::default() };
    assert_eq!(port.counts(), counts);
    assert_eq!(port.deadline(&buffers), None);
}

#[test]
fn a_flood_does_not_keep_the_loop_from_the_others() {
    let ignore = |_: Instant, _: &Peer, _: &Score<'_>| {};
    let (mut port, client) = port(ScoreReceiver::new(ignore));
    let mut buffers = Buffers::for_one(Rules::default());
    for _ in 0..100 {
        client.send(b"\0\0\0\x01\0\0\0\x02Mike\0").unwrap();
    }
    // The first batches are small.
    assert_eq!(turn(&mut port, T0, &mut buffers), Next::Again);
    assert_eq!(port.rest(), Some(Interest::READ), "a level-triggered wait reports it again");
    assert!(port.counts().received < 100);
    while port.turn(Ready::READ, T0, &mut buffers) == Next::Again {}
    assert_eq!(turn(&mut port, T0, &mut buffers), Next::Wait(Interest::READ));
    assert_eq!(port.counts(), Counts { received: 100, bytes_in: 1300, ..Counts::default() });
}

#[test]
fn a_port_that_drains_answers_what_has_arrived_and_is_over() {
    let (mut port, client) = port(Uppercase);
    let mut buffers = Buffers::for_one(Rules::default());
    for _ in 0..10 {
        client.send(b"a").unwrap();
    }
    port.drain();
    while port.turn(Ready::NONE, T0, &mut buffers) == Next::Again {}
    assert_eq!(port.counts().replied, 10);
    assert_eq!(port.turn(Ready::NONE, T0, &mut buffers), Next::Closed(Ok(())));
}

#[test]
fn what_is_dropped_is_counted_and_told_once_a_second() {
    let ignore = |_: Instant, _: &Peer, _: &Score<'_>| {};
    let (mut port, client) = port(ScoreReceiver::new(ignore));
    let mut buffers = Buffers::for_one(Rules::default());
    client.send(b"no score").unwrap();
    client.send(b"").unwrap();
    assert_eq!(turn(&mut port, T0, &mut buffers), Next::Wait(Interest::READ));
    let counts = Counts { received: 2, malformed: 2, bytes_in: 8, ..Counts::default() };
    assert_eq!(port.counts(), counts);
    assert_eq!(port.deadline(&buffers), None, "it was told");
    client.send(b"no score").unwrap();
    assert_eq!(turn(&mut port, T0.after(400_000), &mut buffers), Next::Wait(Interest::READ));
    assert_eq!(port.deadline(&buffers), Some(T0.after(SECOND_US)), "it is told then");
    assert_eq!(turn(&mut port, T0.after(SECOND_US), &mut buffers), Next::Wait(Interest::READ));
    assert_eq!(port.deadline(&buffers), None);
}
