//! The load: one thread, one epoll, every reply checked byte by byte.

use std::net::SocketAddr;

use windlass_core::stream::{Read, Write};

use super::report::Cell;
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::connect::start;
use crate::sys::epoll::Epoll;
use crate::sys::ready::{Interest, Token};
use crate::sys::stream::Stream;

/// The result of a run of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) count: u64,
    pub(super) us: u64,
}

impl Done {
    pub(super) fn cell(self) -> Cell {
        let per_second = self.count as f64 / (self.us as f64 / 1e6);
        Cell { per_second, ..Cell::default() }
    }
}

/// Connections that send messages and wait for each to come back in capitals.
pub(super) struct Messages {
    epoll: Epoll,
    clients: Vec<Client>,
    message: Vec<u8>,
    expected: Vec<u8>,
    /// Messages in flight on each connection.
    depth: u64,
    buf: Vec<u8>,
}

struct Client {
    stream: Stream,
    interest: Interest,
    /// The total of bytes.
    sent: u64,
    received: u64,
}

/// A server that sends nothing for this time has lost a message, in microseconds.
pub(super) const SILENCE_US: u64 = 10_000_000;

impl Messages {
    pub(super) fn connect(
        at: SocketAddr,
        connections: usize,
        size: usize,
        depth: u64,
    ) -> Result<Self> {
        let epoll = Epoll::new().map_err(Error::of("open an epoll instance", ""))?;
        let mut clients = Vec::with_capacity(connections);
        for index in 0..connections {
            let stream = open(&epoll, at, index)?;
            clients.push(Client { stream, interest: Interest::READ, sent: 0, received: 0 });
        }
        let message: Vec<u8> = (0..size).map(|i| b'a' + (i % 26) as u8).collect();
        let expected = message.to_ascii_uppercase();
        Ok(Self { epoll, clients, message, expected, depth, buf: vec![0; 64 * 1024] })
    }

    /// Replies so far on each connection.
    pub(super) fn replies(&self) -> Vec<u64> {
        self.clients.iter().map(|client| client.received / self.message.len() as u64).collect()
    }

    /// One message on each connection, and its reply.
    pub(super) fn answer_each(&mut self) -> Result<()> {
        let goal = self.clients.len() as u64;
        self.go(1, |replies, _| replies >= goal).map(drop)
    }

    /// Keeps every connection busy for `us` microseconds.
    pub(super) fn run(&mut self, us: u64) -> Result<Done> {
        self.go(u64::MAX, |_, passed| passed >= us)
    }

    /// Up to `each` more messages on each connection, until `enough(replies, microseconds)`.
    fn go(&mut self, each: u64, enough: impl Fn(u64, u64) -> bool) -> Result<Done> {
        let size = self.message.len() as u64;
        let begin = clock::now();
        let mut replies = 0;
        let mut last = begin;
        let before = self.replies();
        let limit: Vec<u64> = before.iter().map(|n| n.saturating_add(each)).collect();
        for (index, &limit) in limit.iter().enumerate() {
            self.send(index, limit)?;
        }
        loop {
            let count = self.epoll.wait(Some(100_000)).map_err(Error::of("epoll_wait", ""))?;
            for event in 0..count {
                let (Token { index, .. }, ready) = self.epoll.event(event);
                let index = index as usize;
                if ready.read {
                    let was = self.clients[index].received / size;
                    self.receive(index)?;
                    replies += self.clients[index].received / size - was;
                }
                self.send(index, limit[index])?;
            }
            let now = clock::now();
            if count > 0 {
                last = now;
            } else if now.since(last) > SILENCE_US {
                return Err(Error::new("load", "", "the server does not answer"));
            }
            if enough(replies, now.since(begin)) {
                return Ok(Done { count: replies.max(1), us: now.since(begin) });
            }
        }
    }

    fn send(&mut self, index: usize, limit: u64) -> Result<()> {
        let client = &mut self.clients[index];
        let size = self.message.len() as u64;
        let allowed = (client.received / size).saturating_add(self.depth).min(limit);
        let goal = allowed.saturating_mul(size);
        let mut full = false;
        while client.sent < goal && !full {
            let from = (client.sent % size) as usize;
            let rest = &self.message[from..];
            match client.stream.send([rest, &[]]).map_err(Error::of("send", ""))? {
                Write::Moved(n) => {
                    client.sent += n.get() as u64;
                    full = n.get() < rest.len();
                }
                Write::WouldBlock | Write::Nothing => full = true,
                Write::Interrupted => {}
            }
        }
        let interest = Interest { read: true, write: full };
        if client.interest != interest {
            client.interest = interest;
            self.epoll
                .modify(&client.stream, interest, token(index))
                .map_err(Error::of("watch", "a connection"))?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        match client.stream.recv(&mut self.buf).map_err(Error::of("receive", ""))? {
            Read::Moved(n) => {
                let mut got = &self.buf[..n.get()];
                while !got.is_empty() {
                    let from = (client.received % self.expected.len() as u64) as usize;
                    let n = got.len().min(self.expected.len() - from);
                    if got[..n] != self.expected[from..from + n] {
                        return Err(Error::new(
                            "load",
                            "",
                            "a reply is not what was sent, in capitals",
                        ));
                    }
                    client.received += n as u64;
                    got = &got[n..];
                }
                Ok(())
            }
            Read::Eof => Err(Error::new("load", "", "the server closed a connection")),
            Read::WouldBlock | Read::Interrupted => Ok(()),
        }
    }
}

/// Begins to connect, and watches for replies of the server.
fn open(epoll: &Epoll, at: SocketAddr, index: usize) -> Result<Stream> {
    let stream = start(at).map_err(Error::of("connect to", at))?;
    epoll
        .add(&stream, Interest::READ, token(index))
        .map_err(Error::of("watch a connection to", at))?;
    Ok(stream)
}

pub(super) fn token(index: usize) -> Token {
    Token { index: u32::try_from(index).unwrap_or(u32::MAX), generation: 0 }
}
