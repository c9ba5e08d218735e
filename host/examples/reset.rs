//! Closing with input unread costs the peer its data (seeds N1 1.5, N3 ch. 7, row 40).
//!
//! Pitfall: a server that has said all it has to say closes. If the client sent something that no
//! program read, TCP takes that for a failure (RFC 2525, 2.17): a reset goes out in place of the
//! end, what still waits to be sent is thrown away, and the client reads `ECONNRESET` where the
//! rest of its reply should be. A server says the end first (`shutdown`), and listens for a while
//! before it closes.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use windlass::reactor::{EventLoop, StreamEvent};
use windlass::sys::clock;
use windlass::sys::poll::{Woken, wait};
use windlass::sys::ready::Interest;

fn main() -> Result<(), Box<dyn Error>> {
    let size = closed()?;
    lingered(size)
}

/// A server writes all that the kernel takes, and closes with one byte unread. How much it wrote.
fn closed() -> Result<usize, Box<dyn Error>> {
    let (mut client, mut server) = tcp()?;
    client.write_all(b"x")?;
    wait(server.as_fd(), Interest::READ, None, None);
    server.set_nonblocking(true)?;
    let (piece, mut written) = (vec![b'r'; 65536], 0);
    // Until there has been no room for 20 ms: both sockets are full.
    while let Woken::Ready(_) | Woken::Interrupted =
        wait(server.as_fd(), Interest::WRITE, None, Some(clock::now().after(20_000)))
    {
        written += server.write(&piece).unwrap_or(0);
    }
    drop(server);
    let mut reply = Vec::new();
    match client.read_to_end(&mut reply) {
        Err(error) if reply.len() < written => println!("closed: a part is lost, {error}"),
        other => println!("closed: {} of {written} bytes came, {other:?}", reply.len()),
    }
    Ok(written)
}

/// The same on the loop: its close says the end first, and then listens for a while.
fn lingered(size: usize) -> Result<(), Box<dyn Error>> {
    let (mut client, server) = tcp()?;
    client.write_all(b"x")?;
    let mut events = EventLoop::new()?;
    let server = events.buffered(OwnedFd::from(server), |_, _, _, _| {})?;
    if let Some(server) = events.stream(server) {
        server.set_reading(false);
        server.write(&vec![b'r'; size]);
        server.close();
    }
    events.buffered(OwnedFd::from(client), |client, came: &mut usize, _, event| {
        *came += client.input().len();
        client.consume(usize::MAX);
        if event == StreamEvent::Eof {
            client.close();
        }
    })?;
    let mut came = 0;
    events.run(&mut came)?;
    println!("closed by the loop: all of it came: {}", came == size);
    Ok(())
}

fn tcp() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}
