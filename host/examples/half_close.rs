//! `shutdown` against `close` (seeds N3 ch. 7, N1 1.5, row 40).
//!
//! - `shutdown(SHUT_WR)` ends one direction: the client says "that was all" and still hears
//!   everything that is answered.
//! - `close` gives up this process's hold on the socket, and frees its descriptor. The connection ends
//!   when its *last* holder has closed it; `shutdown` ends it for all of them.
//!
//! Pitfall: a server that forgets to close its copy of a connection which a child serves leaves the
//! client without an end, however often the child closes. What closing with input unread does is
//! shown in `reset.rs`.

use std::error::Error;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use windlass::reactor::{EventLoop, StreamEvent};
use windlass::sys::process::{self, Forked, SingleThreaded, exit, fork};
use windlass::sys::stream::Stream;
use windlass_core::stream::Read as Received;

fn main() -> Result<(), Box<dyn Error>> {
    holders()?;
    half_closed()
}

/// A child holds copies of two connections. One the parent closes, one it shuts down.
fn holders() -> Result<(), Box<dyn Error>> {
    let (closed, closed_peer) = Stream::pair()?;
    let (shut, shut_peer) = Stream::pair()?;
    let (mut until, starter) = std::io::pipe()?;
    if let Forked::Child = fork(&SingleThreaded::check()?)? {
        drop(starter);
        // It holds `closed` and `shut`, and does nothing with them.
        exit(i32::from(until.read_to_end(&mut Vec::new()).is_err()));
    }
    drop(closed);
    shut.shutdown_both();
    let has_ended = |peer: &Stream| peer.recv(&mut [0]) == Ok(Received::Eof);
    println!("closed here, held there: ended: {}", has_ended(&closed_peer));
    println!("shut down here, held there: ended: {}", has_ended(&shut_peer));
    drop(starter);
    process::wait();
    println!("closed by the last holder: ended: {}", has_ended(&closed_peer));
    Ok(())
}

/// A client sends, half-closes, and hears the answer to all of it.
fn half_closed() -> Result<(), Box<dyn Error>> {
    let (client, server) = tcp()?;
    let mut events = EventLoop::new()?;
    events.buffered(OwnedFd::from(server), |server, (), _, event| {
        if event == StreamEvent::Eof {
            // The end of the request, not of the connection.
            let reply = format!("{} bytes came", server.input().len());
            server.write(reply.as_bytes());
            server.close();
        }
    })?;
    let client = events.buffered(OwnedFd::from(client), |client, (), _, event| {
        if event == StreamEvent::Eof {
            println!("half-closed: {}", String::from_utf8_lossy(client.input()));
            client.close();
        }
    })?;
    if let Some(client) = events.stream(client) {
        client.write(b"a request");
        client.shutdown_write();
    }
    events.run(&mut ())?;
    Ok(())
}

fn tcp() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}
