//! Conversations over loopback: runs of datagrams, errors of the network, what processes see of each other.

use std::net::UdpSocket;

use super::*;

impl Conversation {
    fn local_addr(&self) -> SocketAddr {
        UdpSocket::from(self.as_fd().try_clone_to_owned().unwrap()).local_addr().unwrap()
    }
}

/// A conversation, and the plain socket at its other end.
fn pair() -> (Conversation, UdpSocket) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let at = "127.0.0.1:0".parse().unwrap();
    let ours = Conversation::with_client(at, peer.local_addr().unwrap()).unwrap();
    (ours, peer)
}

fn lengths(peer: &UdpSocket, count: usize) -> Vec<usize> {
    let mut buf = vec![0; 70_000];
    (0..count).map(|_| peer.recv(&mut buf).unwrap()).collect()
}

#[test]
fn a_run_leaves_as_its_datagrams_however_they_are_sent() {
    for segments in [true, false] {
        for lens in [&[5][..], &[7, 7, 7, 3], &[7, 9, 9, 9, 2, 9], &[0, 0, 4], &[20_000; 4]] {
            let (mut ours, peer) = pair();
            ours.segments = segments;
            let mut end = 0;
            let ends: Vec<_> = lens.iter().map(|len| (end += len, end).1).collect();
            let left = ours.send(&vec![1; end], &ends);
            assert_eq!(left, Left { count: lens.len(), why: None });
            assert_eq!(lengths(&peer, lens.len()), lens);
        }
    }
}

#[test]
fn runs_of_equal_datagrams() {
    assert_eq!(equal(0, &[5, 10, 15, 17, 22]), 4);
    assert_eq!(equal(3, &[5, 10]), 1);
    assert_eq!(equal(0, &[1; 100].map(|_| 7)), 2, "an empty one ends it");
    let ends: Vec<_> = (1..=100).map(|nth| nth * 1000).collect();
    assert_eq!(equal(0, &ends), 64);
    let ends: Vec<_> = (1..=64).map(|nth| nth * 1432).collect();
    assert_eq!(equal(0, &ends), RUN_MAX / 1432);
}

#[test]
fn a_peer_that_is_gone_is_reported() {
    let (mut ours, peer) = pair();
    drop(peer);
    assert_eq!(ours.send(b"a", &[1]).why, None);
    assert_eq!(ours.take_error(), Some(Errno::ECONNREFUSED));
    assert_eq!(ours.take_error(), None);
    // Before the first answer too.
    let vacant = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut ours = Conversation::with_server(vacant).unwrap();
    assert_eq!(ours.send(b"a", &[1]).why, None);
    assert_eq!(ours.take_error(), Some(Errno::ECONNREFUSED));
    assert_eq!(ours.take_error(), None);
}

#[test]
fn what_the_network_says_of_a_stranger_is_no_matter_of_the_peer() {
    let (mut ours, peer) = pair();
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ours.send_to_stranger(b"go away", &gone.into());
    assert_eq!(ours.send(b"a", &[1]), Left { count: 1, why: None });
    ours.send_to_stranger(b"go away", &gone.into());
    assert_eq!(ours.take_error(), None);
    assert_eq!(lengths(&peer, 1), [1]);
    peer.send_to(b"b", ours.local_addr()).unwrap();
    ours.send_to_stranger(b"go away", &gone.into());
    let mut batch = Batch::new(4, 100);
    // The error comes first, and the datagram is behind it.
    assert_eq!(ours.receive(&mut batch, false), Ok(()));
    assert_eq!(batch.iter_mut().next().unwrap().datagram(), b"b");
    assert_eq!(ours.receive(&mut batch, false), Err(Errno::EAGAIN));
}

#[test]
fn the_first_datagram_of_the_host_that_was_taken_decides() {
    let (asked, other) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let stranger = Peer::from("127.0.0.2:69".parse::<SocketAddr>().unwrap());
    let mut ours = Conversation::with_server(asked.local_addr().unwrap()).unwrap();
    assert!(!ours.is_of_peer(&stranger));
    let (from, at) = (other.local_addr().unwrap(), asked.local_addr().unwrap());
    assert!(ours.is_of_peer(&at.into()) && ours.is_of_peer(&from.into()));
    assert_eq!(ours.peer(), at);
    ours.took_from(&from.into());
    assert_eq!(ours.peer(), from);
    assert!(!ours.is_of_peer(&at.into()));
    ours.took_from(&at.into());
    assert_eq!(ours.peer(), from);
    assert_eq!(ours.send(b"a", &[1]).count, 1);
    assert_eq!(other.recv(&mut [0; 9]).unwrap(), 1);
}

#[test]
fn what_a_process_sent_shows_in_the_other_one() {
    let (ours, _peer) = pair();
    let copy = ours.as_fd().try_clone_to_owned().unwrap();
    let mut theirs = Conversation::passed(copy, ours.peer());
    assert!(ours.is_untouched());
    theirs.send(b"a", &[1]);
    assert!(!ours.is_untouched());
}

#[test]
fn an_answer_is_repeated_until_the_peer_has_it_and_a_line_ends_everywhere() {
    let (ours, peer) = pair();
    let line = Arc::downgrade(ours.line()).upgrade().unwrap();
    assert!(!line.repeat(ours.peer(), clock::now()));
    ours.set_answer(Some(b"hello"));
    // At once it is a copy that the network made.
    let now = clock::now();
    assert!(line.repeat(ours.peer(), now));
    let later = now.after(REQUEST_COPIES_US.into());
    assert!(line.repeat(ours.peer(), later) && line.repeat(ours.peer(), later.after(1)));
    assert_eq!(lengths(&peer, 1), [5]);
    ours.set_answer(None);
    assert!(!line.repeat(ours.peer(), later.after(REQUEST_COPIES_US.into())));
    line.end();
    let mut ours = ours;
    assert_eq!(ours.send(b"a", &[1]), Left { count: 0, why: Some(Errno::EPIPE) });
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut [0; 9]).is_err());
}

#[test]
fn a_wait_and_a_receive_are_one_call() {
    let (mut ours, peer) = pair();
    let mut batch = Batch::new(4, 100);
    peer.send_to(b"a", ours.local_addr()).unwrap();
    let far = clock::now().after(60_000_000);
    assert_eq!(ours.wait_and_receive(&mut batch, far), Ok(true));
    let received = batch.iter_mut().next().unwrap();
    assert_eq!((received.datagram(), received.cut), (&b"a"[..], false));
    assert!(ours.is_of_peer(&peer.local_addr().unwrap().into()));
    let soon = clock::now().after(1000);
    assert_eq!(ours.wait_and_receive(&mut batch, soon), Err(Errno::EAGAIN));
    // Other calls do not wait, and send as before.
    assert_eq!(ours.receive(&mut batch, true), Err(Errno::EAGAIN));
    assert_eq!(ours.receive(&mut batch, false), Err(Errno::EAGAIN));
    assert_eq!(ours.send(b"b", &[1]), Left { count: 1, why: None });
    ours.line().end();
    assert_eq!(ours.wait_and_receive(&mut batch, far), Err(Errno::EAGAIN), "it ends at once");
}

#[test]
fn a_socket_that_others_have_too_is_not_waited_in() {
    let (ours, peer) = pair();
    let fd = ours.as_fd().try_clone_to_owned().unwrap();
    let mut passed = Conversation::passed(fd, peer.local_addr().unwrap());
    let far = clock::now().after(60_000_000);
    assert_eq!(passed.wait_and_receive(&mut Batch::new(4, 100), far), Ok(false));
}
