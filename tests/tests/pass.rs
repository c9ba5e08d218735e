//! A receiver of descriptors that has no room for one. The limit belongs to the process, so this is
//! the only test of its program.

use std::io::{Read, pipe};
use std::os::fd::AsFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use windlass::sys::pass::{Channel, Received};

#[test]
fn a_descriptor_that_finds_no_room_is_reported_and_can_be_sent_again() {
    let (sender, other) = Channel::pair().expect("a channel");
    let (mut reader, writer) = pipe().expect("a pipe");
    let mut buf = [0; 16];
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit");

    sender.send(b"job 7", Some(writer.as_fd())).expect("send");
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).expect("no more descriptors");
    let came = other.recv(&mut buf);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit that was");
    // The payload says which one is lost, and the sender has it still.
    assert!(matches!(came, Ok(Received::Lost { len: 5 })), "{came:?}");
    assert_eq!(&buf[..5], b"job 7");

    sender.send(b"job 7", Some(writer.as_fd())).expect("send");
    let came = other.recv(&mut buf);
    assert!(matches!(came, Ok(Received::Message { len: 5, fd: Some(_) })), "{came:?}");
    // Neither the one that was lost nor the one that came is open any more.
    drop((came, writer));
    assert_eq!(reader.read(&mut buf).expect("read"), 0);
}
