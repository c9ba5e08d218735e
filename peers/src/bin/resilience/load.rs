//! Clients at a fixed rate, or a fixed number of them; every answer checked and timed.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The request to a server, and the expected answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Time,
    Upper,
    Http,
}

impl Speaks {
    fn question(self) -> &'static [u8] {
        match self {
            Self::Time => b"",
            Self::Upper => b"hello\n",
            Self::Http => b"GET / HTTP/1.0\r\n\r\n",
        }
    }

    fn is_answer(self, text: &[u8]) -> bool {
        match self {
            Self::Time => text.len() > 1 && text.ends_with(b"\n"),
            Self::Upper => text == b"HELLO\n",
            Self::Http => text.starts_with(b"HTTP/1.") && text.ends_with(b"1600000000\n"),
        }
    }
}

/// When clients start.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// A number of clients a second.
    Rate(f64),
    /// A number of clients at a time: the next one starts when one is done.
    Crowd(usize),
}

/// The result of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) clients: usize,
    /// The time of each answer, from the moment at which its client was due.
    pub(crate) took: Vec<Duration>,
    /// The longest time between two answers.
    pub(crate) gap: Duration,
    /// Failures by class.
    pub(crate) failures: BTreeMap<&'static str, usize>,
    /// From the first client to the last.
    pub(crate) lasted: Duration,
}

impl Outcome {
    pub(crate) fn quantile(&mut self, q: f64) -> Duration {
        self.took.sort_unstable();
        let index = (self.took.len() as f64 * q) as usize;
        self.took.get(index.min(self.took.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

struct Client {
    stream: TcpStream,
    due: Instant,
    asked: bool,
    answer: Vec<u8>,
}

/// A client without an answer this long after the last client was due has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a load from `begin` on.
pub(crate) fn run(
    at: SocketAddr,
    speaks: Speaks,
    pace: Pace,
    begin: Instant,
    lasts: Duration,
) -> io::Result<Outcome> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut clients: Slab<Client> = Slab::new();
    let mut outcome = Outcome { lasted: lasts, ..Outcome::default() };
    let (end, mut last_answer) = (begin + lasts, begin);
    loop {
        let now = Instant::now();
        loop {
            let due = match pace {
                Pace::Rate(rate) => begin + Duration::from_secs_f64(outcome.clients as f64 / rate),
                Pace::Crowd(most) if clients.len() < most => now,
                Pace::Crowd(_) => break,
            };
            if due > now || due >= end {
                break;
            }
            outcome.clients += 1;
            let entry = clients.vacant_entry();
            match TcpStream::connect(at) {
                Ok(mut stream) => {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                    entry.insert(Client { stream, due, asked: false, answer: Vec::new() });
                }
                Err(error) => *outcome.failures.entry(class(&error)).or_default() += 1,
            }
        }
        if now >= end && (clients.is_empty() || now >= end + PATIENCE) {
            break;
        }
        poll.poll(&mut events, Some(Duration::ZERO))?;
        if events.is_empty() {
            // Not the wait of `poll`, which is in whole milliseconds.
            std::thread::sleep(Duration::from_micros(50));
        }
        let now = Instant::now();
        for event in &events {
            let Token(key) = event.token();
            let Some(client) = clients.get_mut(key) else { continue };
            let Some(done) = client.turn(speaks) else { continue };
            let due = client.due;
            clients.remove(key);
            match done {
                Ok(()) => {
                    outcome.took.push(now - due);
                    outcome.gap = outcome.gap.max(now - last_answer);
                    last_answer = now;
                }
                Err(class) => *outcome.failures.entry(class).or_default() += 1,
            }
        }
    }
    if !clients.is_empty() {
        outcome.failures.insert("unanswered", clients.len());
    }
    // If the server does not answer again, the gap lasts to the end.
    outcome.gap = outcome.gap.max(end.saturating_duration_since(last_answer));
    Ok(outcome)
}

impl Client {
    /// Moves the client on. Returns how it ended, if it has.
    fn turn(&mut self, speaks: Speaks) -> Option<Result<(), &'static str>> {
        if !self.asked {
            match self.stream.write(speaks.question()) {
                Ok(_) => self.asked = true,
                Err(error) if is_later(&error) => {}
                Err(error) => return Some(Err(class(&error))),
            }
            if self.asked && speaks == Speaks::Upper {
                let _ = self.stream.shutdown(Shutdown::Write);
            }
        }
        let mut buf = [0; 1024];
        loop {
            match self.stream.read(&mut buf) {
                Ok(0) if speaks.is_answer(&self.answer) => return Some(Ok(())),
                Ok(0) => return Some(Err("cut short")),
                Ok(n) => self.answer.extend_from_slice(&buf[..n]),
                Err(error) if is_later(&error) => return None,
                Err(error) => return Some(Err(class(&error))),
            }
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

fn class(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset",
        _ => "other",
    }
}
