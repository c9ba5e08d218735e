//! `upper` on mio: one buffer for all connections, each of them read until it would block.
//!
//! A connection is registered once, for reading and for writing: mio reports changes only, so that
//! costs nothing while the socket has room.

use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// Output that the socket had no room for. Until it is sent nothing more is read.
    backlog: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut listener = TcpListener::from_std(windlass_peers::listen("mio")?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(256);
    let mut connections = Slab::new();
    let mut buf = vec![0; 64 * 1024];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let Token(key) = event.token();
            if event.token() == LISTENER {
                accept(&listener, poll.registry(), &mut connections)?;
            } else if let Some(connection) = connections.get_mut(key)
                && !connection.goes_on(&mut buf)
            {
                // Closing it takes it out of the poll.
                connections.remove(key);
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    registry: &Registry,
    connections: &mut Slab<Connection>,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let entry = connections.vacant_entry();
                let token = Token(entry.key());
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                entry.insert(Connection { stream, backlog: Vec::new() });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if windlass_peers::only_this_client(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

impl Connection {
    /// Moves as many bytes as possible now. False if the connection is done or lost.
    fn goes_on(&mut self, buf: &mut [u8]) -> bool {
        match self.pump(buf) {
            Ok(()) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// `Ok` at the end of the input, otherwise the error.
    fn pump(&mut self, buf: &mut [u8]) -> io::Result<()> {
        while !self.backlog.is_empty() {
            let n = retry(|| self.stream.write(&self.backlog))?;
            self.backlog.drain(..n);
        }
        loop {
            let n = retry(|| self.stream.read(buf))?;
            if n == 0 {
                return Ok(());
            }
            buf[..n].make_ascii_uppercase();
            let mut rest = &buf[..n];
            while !rest.is_empty() {
                match retry(|| self.stream.write(rest)) {
                    Ok(n) => rest = &rest[n..],
                    Err(error) => {
                        self.backlog.extend_from_slice(rest);
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
