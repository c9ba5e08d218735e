//! Clients that connect, send a request, read the answer to its end, and connect again.

use std::net::SocketAddr;

use windlass_core::stream::{Read, Write};
use windlass_core::wire::Stamp;

use super::load::{Done, SILENCE_US, token};
use super::target::Speaks;
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::connect::start;
use crate::sys::epoll::Epoll;
use crate::sys::ready::Interest;
use crate::sys::stream::Stream;

/// These clients.
pub(super) struct Connects {
    epoll: Epoll,
    at: SocketAddr,
    speaks: Speaks,
    clients: Vec<Client>,
}

struct Client {
    stream: Stream,
    /// Whether the kernel was asked to report room for the request.
    asking: bool,
    answer: Vec<u8>,
}

/// The longest answer: a server that sends more did not understand the request.
const ANSWER_MAX: usize = 4096;

impl Connects {
    pub(super) fn new(at: SocketAddr, connections: usize, speaks: Speaks) -> Result<Self> {
        let epoll = Epoll::new().map_err(Error::of("open an epoll instance", ""))?;
        let mut load = Self { epoll, at, speaks, clients: Vec::with_capacity(connections) };
        for index in 0..connections {
            let (stream, asking) = load.open(index)?;
            load.clients.push(Client { stream, asking, answer: Vec::with_capacity(512) });
        }
        Ok(load)
    }

    /// Keeps all clients busy for `us` microseconds.
    pub(super) fn run(&mut self, us: u64) -> Result<Done> {
        let begin = clock::now();
        let mut last = begin;
        let mut count = 0;
        loop {
            let events = self.epoll.wait(Some(100_000)).map_err(Error::of("epoll_wait", ""))?;
            for event in 0..events {
                let (at, ready) = self.epoll.event(event);
                let index = at.index as usize;
                if ready.write && self.clients[index].asking {
                    self.ask(index)?;
                }
                if ready.read && self.receive(index)? {
                    count += 1;
                    self.restart(index)?;
                }
            }
            let now = clock::now();
            if events > 0 {
                last = now;
            } else if now.since(last) > SILENCE_US {
                return Err(Error::new("load", self.at, "the server does not answer"));
            }
            if now.since(begin) >= us {
                return Ok(Done { count: count.max(1), us: now.since(begin) });
            }
        }
    }

    /// Begins to connect, and sends the request if the connection is there at once, as on loopback.
    fn open(&self, index: usize) -> Result<(Stream, bool)> {
        let stream = start(self.at).map_err(Error::of("connect to", self.at))?;
        let asking = !self.speaks.question().is_empty() && !self.is_asked(&stream)?;
        let interest = Interest { read: true, write: asking };
        self.epoll
            .add(&stream, interest, token(index))
            .map_err(Error::of("watch a connection to", self.at))?;
        Ok((stream, asking))
    }

    /// Sends the request. Returns false if there is no room yet.
    fn is_asked(&self, stream: &Stream) -> Result<bool> {
        let question = self.speaks.question();
        loop {
            match stream.send([question, &[]]).map_err(Error::of("send to", self.at))? {
                // The request is shorter than any socket's buffer.
                Write::Moved(_) => return Ok(true),
                Write::WouldBlock | Write::Nothing => return Ok(false),
                Write::Interrupted => {}
            }
        }
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        if self.is_asked(&self.clients[index].stream)? {
            let client = &mut self.clients[index];
            client.asking = false;
            self.epoll
                .modify(&client.stream, Interest::READ, token(index))
                .map_err(Error::of("watch", "a connection"))?;
        }
        Ok(())
    }

    /// Reads the available bytes. Returns true at the end of a complete answer.
    fn receive(&mut self, index: usize) -> Result<bool> {
        let Client { stream, answer, .. } = &mut self.clients[index];
        let mut buf = [0; 512];
        loop {
            match stream.recv(&mut buf).map_err(Error::of("receive from", self.at))? {
                Read::Moved(n) => answer.extend_from_slice(&buf[..n.get()]),
                Read::Eof => return self.speaks.check(answer, self.at).map(|()| true),
                Read::WouldBlock => return Ok(false),
                Read::Interrupted => {}
            }
            if answer.len() > ANSWER_MAX {
                return Err(Error::new("receive from", self.at, "the answer does not end"));
            }
        }
    }

    fn restart(&mut self, index: usize) -> Result<()> {
        let (stream, asking) = self.open(index)?;
        let client = &mut self.clients[index];
        (client.stream, client.asking) = (stream, asking);
        client.answer.clear();
        Ok(())
    }
}

impl Speaks {
    fn question(self) -> &'static [u8] {
        match self {
            Self::Ours => b"",
            Self::Http => b"GET / HTTP/1.0\r\n\r\n",
        }
    }

    fn check(self, answer: &[u8], at: SocketAddr) -> Result<()> {
        match self {
            Self::Ours => {
                Stamp::parse(answer).map(drop).map_err(Error::of("read the time from", at))
            }
            Self::Http if answer.starts_with(b"HTTP/1.") && answer.get(8..13) == Some(b" 200 ") => {
                Ok(())
            }
            Self::Http => Err(Error::new("GET / from", at, "the answer is not 200")),
        }
    }
}
