//! Connections that never come about, with a clock that the test moves.

use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::reactor::tests::{Desk, frozen, ms, note, pass, pump, secs, text};
use crate::sys::Errno;
use crate::sys::listener::Listener;

/// A listener that is not accepted from and has a full queue: the next client waits.
fn full_listener() -> (Listener, SocketAddr, Vec<TcpStream>) {
    let listener = Listener::bind(&"tcp:127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = listener.address().socket_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, ms(100)) {
        queued.push(stream);
    }
    (listener, address, queued)
}

#[test]
fn a_stream_that_never_connects_fails_at_the_connect_timeout_or_is_gone_if_it_was_closed() {
    let (_listener, address, _queued) = full_listener();
    let late = text(StreamEvent::Failed(Errno::ETIMEDOUT));
    for (written, told) in [(None, &[late][..]), (Some(""), &[]), (Some("hello"), &[])] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let call = |io: &mut _, desk: &mut Desk, _: &mut _, event| note(io, desk, event);
        let token = events.connect(address, Some(secs(10)), call).unwrap();
        if let Some(written) = written {
            let io = events.stream(token).unwrap();
            io.write(written.as_bytes());
            io.close();
            // Twice does no harm.
            io.close();
        }
        pass(ms(9_999));
        pump(&mut events, &mut desk);
        // With nothing to deliver it may be gone at once.
        assert!(events.contains(token) || written == Some(""));
        assert_eq!(desk.log.len(), 0);
        pass(ms(1));
        events.run(&mut desk).unwrap();
        assert_eq!((desk.log, events.contains(token), events.streams()), (told.to_vec(), false, 0));
    }
}
