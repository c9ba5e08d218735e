//! The order of addresses, by a clock of the test's; and races on loopback.

use std::net::TcpListener;

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn all(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| at(text)).collect()
}

fn us(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

#[test]
fn families_alternate_and_no_address_comes_twice() {
    for (given, expected) in [
        (&[][..], &[][..]),
        (&["1.1.1.1:1", "1.1.1.1:1"], &["1.1.1.1:1"]),
        (
            &["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "[::1]:1"],
            &["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"],
        ),
        (
            &["1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "[::2]:1"],
            &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1", "[::2]:1"],
        ),
    ] {
        assert_eq!(Order::new(all(given), us(0), us(0)).waiting, all(expected));
    }
}

#[test]
fn the_next_one_starts_after_the_delay_or_at_once_after_a_failure() {
    let [one, two, three] = ["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"].map(at);
    let mut order = Order::new([one, two, three], us(7), us(10_000_000));
    assert_eq!(order.due(us(7)), Some(one));
    assert_eq!(order.next_at(), Some(us(7 + DELAY_US)));
    assert_eq!(order.due(us(6 + DELAY_US)), None);
    assert_eq!(order.due(us(7 + DELAY_US)), Some(two));
    order.failed(us(300_000));
    assert_eq!(order.due(us(300_000)), Some(three));
    assert_eq!(order.next_at(), None);
    assert_eq!(order.due(us(10_000_000)), None);
}

#[test]
fn all_are_tried_before_the_deadline() {
    let addresses = (0..100).map(|n| SocketAddr::from(([127, 0, 0, n], 1)));
    for (deadline, delay) in [(10_000_000, 100_000), (100_000_000, DELAY_US), (5, DELAY_MIN_US)] {
        assert_eq!(Order::new(addresses.clone(), us(0), us(deadline)).delay_us, delay);
    }
}

/// A port where the kernel drops what comes: the queue of the listener is full. The descriptors have
/// to be kept.
fn silent() -> (SocketAddr, Vec<Stream>, TcpListener) {
    use nix::sys::socket::{Backlog, listen};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let queued: Vec<Stream> = (0..4).map(|_| start(address).unwrap()).collect();
    wait_for_output(&[queued[0].as_fd()], far());
    (address, queued, listener)
}

fn far() -> Instant {
    clock::now().after(60_000_000)
}

/// No server can listen on port 0: it is refused a moment later. To the broadcast address no client can
/// connect: it is refused at once.
#[test]
fn the_first_that_answers_wins() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = listener.local_addr().unwrap();
    let [at_once, later] = ["255.255.255.255:1", "127.0.0.1:0"].map(at);
    let (silent, _queued, _listener) = silent();
    for before in
        [vec![], vec![at_once], vec![later, at_once], vec![silent], vec![at_once, silent, later]]
    {
        let addresses = before.into_iter().chain([good]).collect();
        connect_first(addresses, far()).unwrap();
        assert_eq!(listener.accept().unwrap().0.local_addr().unwrap(), good);
    }
}

#[test]
fn an_error_tells_of_each_address() {
    let cause = |addresses, deadline| {
        connect_first(addresses, deadline).unwrap_err().into_cause().to_string()
    };
    let [at_once, later] = ["255.255.255.255:1", "127.0.0.1:0"].map(at);
    let refused = "127.0.0.1: Connection refused";
    assert!(cause(vec![later], far()).starts_with("ECONNREFUSED"));
    let found = cause(vec![later, at_once], far());
    assert!(found.starts_with("none of its 2 addresses answers: "), "{found}");
    assert!(found.contains(refused) && found.contains("255.255.255.255: "), "{found}");
    let (silent, _queued, _listener) = silent();
    let found = cause(vec![silent, later], clock::now().after(400_000));
    assert!(found.contains("127.0.0.1: Connection timed out"), "{found}");
    let found = cause((1..=9).map(|n| SocketAddr::from(([127, 0, 0, n], 0))).collect(), far());
    assert!(found.ends_with(", and 5 more"), "{found}");
    assert_eq!(cause(Vec::new(), far()), Errno::EADDRNOTAVAIL.to_string());
}

/// As a blocking caller does that has no time left: what is there at once is taken.
#[test]
fn at_the_deadline_there_is_still_a_look() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    connect_first(vec![listener.local_addr().unwrap()], clock::now()).unwrap();
}
