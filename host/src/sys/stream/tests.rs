//! Streams that are no sockets: nothing blocks, nothing is lost, no flag of another process changes.

use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;

use super::*;

fn moved(n: usize) -> Read {
    Read::Moved(NonZeroUsize::new(n).unwrap())
}

fn flags(fd: &impl AsFd) -> OFlag {
    OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap())
}

#[test]
fn a_pipe_is_read_without_blocking_and_without_touching_its_flags() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let kept = reader.try_clone().unwrap();
    let stream = Stream::of(OwnedFd::from(reader));
    let mut buf = [0; 16];
    assert_eq!(stream.recv(&mut buf), Ok(Read::WouldBlock));
    writer.write_all(b"tail").unwrap();
    drop(writer);
    assert_eq!(stream.recv(&mut buf), Ok(moved(4)));
    assert_eq!(&buf[..4], b"tail");
    assert_eq!(stream.recv(&mut buf), Ok(Read::Eof));
    assert!(!flags(&kept).contains(OFlag::O_NONBLOCK));
    assert!(!stream.is_socket());
}

#[test]
fn a_pipe_does_not_depend_on_a_flag_that_another_holder_clears() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let kept = reader.try_clone().unwrap();
    fcntl(&kept, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let stream = Stream::of(OwnedFd::from(reader));
    fcntl(&kept, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    assert!(flags(&stream).contains(OFlag::O_NONBLOCK));
    assert_eq!(stream.recv(&mut [0; 16]), Ok(Read::WouldBlock));
}

#[test]
fn a_full_pipe_takes_no_more_and_says_so() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stream = Stream::of(OwnedFd::from(writer));
    let piece = vec![7; 100_000];
    let mut written = 0;
    loop {
        match stream.send([&piece, &[]]).unwrap() {
            Write::Moved(n) => written += n.get(),
            Write::WouldBlock => break,
            other => panic!("{other:?}"),
        }
    }
    drop(stream);
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), written);
}

#[test]
fn a_description_that_is_shared_is_used_only_when_it_is_ready() {
    // As where /proc is not there to open it anew.
    let (reader, writer) = std::io::pipe().unwrap();
    let (reader, writer) = (Stream::new(reader.into()), Stream::new(writer.into()));
    let mut buf = [0; 100];
    assert_eq!(reader.recv(&mut buf), Ok(Read::WouldBlock));
    let piece = vec![7; 100_000];
    let mut written = 0;
    while let Write::Moved(n) = writer.send([&piece, b"second"]).unwrap() {
        assert!(n.get() <= libc::PIPE_BUF);
        written += n.get();
    }
    assert!(written >= libc::PIPE_BUF);
    assert_eq!(reader.recv(&mut buf), Ok(moved(100)));
}

#[test]
fn a_pipe_without_a_reader_is_an_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    let stream = Stream::of(OwnedFd::from(writer));
    drop(reader);
    assert_eq!(stream.send([b"x", &[]]), Err(Errno::EPIPE));
}

#[test]
fn a_regular_file_keeps_its_shared_offset() {
    let mut file = tempfile::tempfile().unwrap();
    let stream = Stream::of(OwnedFd::from(file.try_clone().unwrap()));
    assert_eq!(stream.send([b"one ", &[]]), Ok(Write::count(4)));
    file.write_all(b"two").unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut buf = [0; 16];
    assert_eq!(stream.recv(&mut buf), Ok(moved(7)));
    assert_eq!(stream.recv(&mut buf), Ok(Read::Eof));
    assert_eq!(&buf[..7], b"one two");
}

#[test]
fn a_socket_is_a_socket() {
    let (ours, peer) = Stream::pair().unwrap();
    assert!(ours.is_socket());
    assert_eq!(peer.send([b"a", b"b"]), Ok(Write::count(2)));
    assert_eq!(ours.recv(&mut [0; 8]), Ok(moved(2)));
}

#[test]
fn a_connection_is_untouched_until_a_read_or_a_write() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let served = Stream::of(OwnedFd::from(listener.accept().unwrap().0));
        assert!(served.is_untouched());
        client.write_all(b"question").unwrap();
        let woken = wait(served.as_fd(), Interest::READ, None, None);
        assert!(matches!(woken, Woken::Ready(_)));
        assert!(served.is_untouched(), "what came waits");
        (client, served)
    };
    let (client, served) = connect();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    while !matches!(wait(served.as_fd(), Interest::READ, None, None), Woken::Ready(it) if it.hup) {}
    assert!(served.is_untouched(), "the end waits too");
    let (_client, served) = connect();
    assert_eq!(served.recv(&mut [0; 3]), Ok(moved(3)));
    assert!(!served.is_untouched(), "it was read from");
    let (_client, served) = connect();
    assert_eq!(served.send([b"x", &[]]), Ok(Write::count(1)));
    assert!(!served.is_untouched(), "it was written to");
    let (ours, _peer) = Stream::pair().unwrap();
    assert!(!ours.is_untouched(), "a Unix socket cannot tell");
}

/// Opened anew it would not: the kernel tells only of writers that leave from then on.
#[test]
fn a_fifo_without_writers_tells_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    unistd::mkfifo(&path, stat::Mode::S_IRWXU).unwrap();
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let [before, after] = [(); 2].map(|()| File::open(&path).unwrap());
    // The last writer leaves after the one was made a stream, and before the other is.
    let before = Stream::of(before);
    assert_eq!(before.recv(&mut [0; 8]), Ok(Read::WouldBlock));
    drop(both);
    for stream in [before, Stream::of(after)] {
        let woken = wait(stream.as_fd(), Interest::READ, None, Some(Instant::ZERO));
        assert!(matches!(woken, Woken::Ready(ready) if ready.hup), "{woken:?}");
        assert_eq!(stream.recv(&mut [0; 8]), Ok(Read::Eof));
    }
}
