//! The load of datagrams: clients that ask again when they are answered, and one that does not wait.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use windlass_core::time::Instant;
use windlass_core::wire::Score;

use super::load::{Done, SILENCE_US, token};
use crate::error::{Error, Result};
use crate::sys::clock;
use crate::sys::datagram::volley::{VOLLEY_MAX, send_again};
use crate::sys::epoll::Epoll;
use crate::sys::ready::Interest;

/// Clients with a socket each, which have one datagram on its way and check its answer.
pub(super) struct Asking {
    epoll: Epoll,
    clients: Vec<UdpSocket>,
    question: Vec<u8>,
    answer: Vec<u8>,
    buf: Vec<u8>,
}

/// A question without an answer for this time was lost, or its answer: it is asked again.
const LOST_US: u64 = 100_000;

impl Asking {
    pub(super) fn new(at: SocketAddr, clients: usize, size: usize) -> Result<Self> {
        let epoll = Epoll::new().map_err(Error::of("open an epoll instance", ""))?;
        let question: Vec<u8> = (0..size).map(|i| b'a' + (i % 26) as u8).collect();
        let answer = question.to_ascii_uppercase();
        let clients: Vec<_> = (0..clients).map(|_| connect(at)).collect::<Result<_>>()?;
        for (index, client) in clients.iter().enumerate() {
            (client.set_nonblocking(true)).map_err(Error::of("open a socket to", at))?;
            (epoll.add(client, Interest::READ, token(index)))
                .map_err(Error::of("watch a socket to", at))?;
        }
        Ok(Self { epoll, clients, buf: vec![0; size + 1], question, answer })
    }

    /// Keeps every client busy for `us` microseconds. At the end each has its answer.
    pub(super) fn run(&mut self, us: u64) -> Result<Done> {
        let begin = clock::now();
        let (mut last, mut count) = (begin, 0);
        let mut waiting = vec![false; self.clients.len()];
        loop {
            let passed = clock::now().since(begin);
            let is_over = passed >= us;
            if !is_over {
                for (index, waits) in waiting.iter_mut().enumerate().filter(|(_, waits)| !**waits) {
                    self.ask(index)?;
                    *waits = true;
                }
            } else if !waiting.contains(&true) {
                return Ok(Done { count: count.max(1), us: passed });
            }
            let events = self.epoll.wait(Some(LOST_US)).map_err(Error::of("epoll_wait", ""))?;
            for event in 0..events {
                let index = self.epoll.event(event).0.index as usize;
                if self.is_answered(index)? {
                    count += 1;
                    waiting[index] = false;
                }
            }
            if events > 0 {
                last = clock::now();
            } else if is_over {
                waiting.fill(false);
            } else if clock::now().since(last) > SILENCE_US {
                return Err(Error::new("load", "", "the server does not answer"));
            } else {
                waiting.fill(false);
            }
        }
    }

    fn ask(&self, index: usize) -> Result<()> {
        self.clients[index].send(&self.question).map(drop).map_err(Error::of("send", ""))
    }

    fn is_answered(&mut self, index: usize) -> Result<bool> {
        match self.clients[index].recv(&mut self.buf) {
            Ok(len) if self.buf[..len] == self.answer => Ok(true),
            Ok(_) => Err(Error::new("load", "", "an answer is not what was sent, in capitals")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(Error::new("receive", "", error)),
        }
    }
}

/// One client that sends at a rate, and takes no answers.
pub(super) struct Flood {
    socket: UdpSocket,
    datagram: Vec<u8>,
    /// Datagrams per second.
    rate: usize,
}

impl Flood {
    /// Of text, `size` bytes for each datagram.
    pub(super) fn of_text(at: SocketAddr, rate: usize, size: usize) -> Result<Self> {
        Ok(Self { socket: connect(at)?, datagram: vec![b'x'; size], rate })
    }

    /// Of scores.
    pub(super) fn of_scores(at: SocketAddr, rate: usize) -> Result<Self> {
        let mut buf = [0; Score::LEN_MAX];
        let score = Score::render(83, 86, b"Mike", &mut buf).map_err(Error::of("render", ""))?;
        Ok(Self { socket: connect(at)?, datagram: score.to_vec(), rate })
    }

    /// Sends for `us` microseconds, as many as are due at any time.
    pub(super) fn run(&self, us: u64) -> Result<Done> {
        let begin: Instant = clock::now();
        let mut sent = 0;
        loop {
            let passed = clock::now().since(begin);
            if passed >= us {
                return Ok(Done { count: sent.max(1), us: passed });
            }
            let due = passed * self.rate as u64 / 1_000_000;
            let count = due.saturating_sub(sent).min(VOLLEY_MAX as u64) as usize;
            if count > 0 {
                let done = send_again(&self.socket, &self.datagram, count);
                sent += done.map_err(Error::of("send", ""))? as u64;
            }
        }
    }
}

fn connect(at: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let socket = socket.and_then(|socket| socket.connect(at).map(|()| socket));
    socket.map_err(Error::of("open a socket to", at))
}
