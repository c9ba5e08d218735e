//! What is sent is received, once, whole and by one owner. That a descriptor is closed is seen at the
//! other end of its pipe.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Seek as _, Write as _, pipe};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::*;

fn send(channel: &Channel, payload: &[u8], fd: Option<&dyn AsFd>) {
    match channel.send(payload, fd.map(AsFd::as_fd)) {
        Ok(Write::Moved(n)) => assert_eq!(n.get(), payload.len()),
        other => panic!("{other:?}"),
    }
}

/// The payload, and the descriptor.
#[track_caller]
fn message(channel: &Channel) -> (Vec<u8>, Option<OwnedFd>) {
    let mut buf = [0; 64];
    match channel.recv(&mut buf) {
        Ok(Received::Message { len, fd }) => (buf[..len].to_vec(), fd),
        other => panic!("{other:?}"),
    }
}

/// A pipe of which the writing end is in flight only.
fn in_flight(channel: &Channel, payload: &[u8]) -> PipeReader {
    let (reader, writer) = pipe().unwrap();
    send(channel, payload, Some(&writer));
    reader
}

/// Ends when no process holds the writing end any more. Otherwise this never returns.
fn all_of(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn another_number_is_the_same_open_file() {
    let (a, b) = Channel::pair().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"nihao ").unwrap();
    send(&a, b"hello", Some(&file));
    let (payload, fd) = message(&b);
    let mut copy = File::from(fd.unwrap());
    assert_eq!(payload, b"hello");
    assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
    copy.write_all(b"world").unwrap();
    // The offset is shared too.
    assert_eq!(file.stream_position().unwrap(), 11);
    file.rewind().unwrap();
    assert_eq!(io::read_to_string(copy).unwrap(), "nihao world");
}

#[test]
fn what_is_in_flight_stays_open_and_what_arrives_is_closed_on_exec() {
    let (a, b) = Channel::pair().unwrap();
    let reader = in_flight(&a, b"x");
    drop(a);
    let (_, fd) = message(&b);
    let fd = fd.unwrap();
    let flags = FdFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFD).unwrap());
    assert!(flags.contains(FdFlag::FD_CLOEXEC));
    PipeWriter::from(fd).write_all(b"still open").unwrap();
    assert_eq!(all_of(reader), "still open");
}

#[test]
fn nothing_yet_a_bare_message_and_the_end_are_three_things() {
    let (a, b) = Channel::pair().unwrap();
    assert!(matches!(b.recv(&mut [0; 8]), Ok(Received::WouldBlock)));
    send(&a, b"one", None);
    send(&a, b"two", None);
    drop(a);
    assert!(matches!(message(&b), (payload, None) if payload == b"one"));
    assert!(matches!(message(&b), (payload, None) if payload == b"two"));
    assert!(matches!(b.recv(&mut [0; 8]), Ok(Received::Eof)));
    assert_eq!(b.send(b"x", None), Err(Errno::EPIPE));
}

#[test]
fn a_descriptor_that_is_not_claimed_is_closed() {
    let (a, b) = Channel::pair().unwrap();
    let reader = in_flight(&a, b"x");
    drop(message(&b));
    assert_eq!(all_of(reader), "");
    // The message is longer than there is room for.
    let reader = in_flight(&a, b"too long");
    assert!(matches!(b.recv(&mut [0; 3]), Err(Errno::EMSGSIZE)));
    assert_eq!(all_of(reader), "");
    // The channel goes before it was received.
    let reader = in_flight(&a, b"x");
    drop(b);
    assert_eq!(all_of(reader), "");
}

#[test]
fn of_two_descriptors_none_slips_in() {
    let (a, b) = Channel::pair().unwrap();
    let (reader, writer) = pipe().unwrap();
    let fds = [writer.as_raw_fd(); 2];
    let rights = [ControlMessage::ScmRights(&fds)];
    let parts = [IoSlice::new(b"pair")];
    let sent = socket::sendmsg::<()>(a.0.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None);
    assert_eq!(sent, Ok(4));
    drop(writer);
    assert!(matches!(b.recv(&mut [0; 8]), Ok(Received::Lost { len: 4 })));
    assert_eq!(all_of(reader), "");
    send(&a, b"next", None);
    assert!(matches!(message(&b), (payload, None) if payload == b"next"));
}

#[test]
fn an_empty_message_is_refused_and_one_with_a_descriptor_reads_as_the_end() {
    let (a, b) = Channel::pair().unwrap();
    assert_eq!(a.send(b"", None), Err(Errno::EINVAL));
    let (reader, writer) = pipe().unwrap();
    let fds = [writer.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let sent = socket::sendmsg::<()>(a.0.as_raw_fd(), &[], &rights, MsgFlags::empty(), None);
    assert_eq!(sent, Ok(0));
    drop(writer);
    assert!(matches!(b.recv(&mut [0; 8]), Ok(Received::Eof)));
    assert_eq!(all_of(reader), "");
}

#[test]
fn a_full_channel_takes_nothing_and_loses_nothing() {
    let (a, b) = Channel::pair().unwrap();
    let (reader, writer) = pipe().unwrap();
    let mut sent = 0;
    while let Write::Moved(_) = a.send(b"job", Some(writer.as_fd())).unwrap() {
        sent += 1;
    }
    assert!(sent > 0);
    drop((a, writer));
    for _ in 0..sent {
        assert!(matches!(message(&b), (payload, Some(_)) if payload == b"job"));
    }
    assert!(matches!(b.recv(&mut [0; 8]), Ok(Received::Eof)));
    assert_eq!(all_of(reader), "");
}

#[test]
fn on_a_stream_a_descriptor_ends_a_message() {
    let (a, b) = UnixStream::pair().unwrap();
    let (a, b) = (Channel::of(a).unwrap(), Channel::of(b).unwrap());
    send(&a, b"1", None);
    send(&a, b"2", None);
    let first = in_flight(&a, b"3");
    let second = in_flight(&a, b"4");
    send(&a, b"5", None);
    drop(a);
    for (payload, reader) in [("123", first), ("4", second)] {
        let (came, fd) = message(&b);
        assert_eq!(came, payload.as_bytes());
        PipeWriter::from(fd.unwrap()).write_all(payload.as_bytes()).unwrap();
        assert_eq!(all_of(reader), payload);
    }
    assert!(matches!(message(&b), (payload, None) if payload == b"5"));
    assert!(matches!(b.recv(&mut [0; 8]), Ok(Received::Eof)));
}

#[test]
fn only_unix_sockets_carry_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(Channel::of(client).unwrap_err(), Errno::EAFNOSUPPORT);
    assert_eq!(Channel::of(pipe().unwrap().0).unwrap_err(), Errno::ENOTSOCK);
}
