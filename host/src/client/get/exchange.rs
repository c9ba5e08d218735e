//! One request and its answer, on the event loop.
//!
//! ```text
//!  server ──Buffered──▶ Response ──▶ body ──▶ file                    written at once
//!            │                        └─────▶ Buffered ──▶ pipe, …    as fast as it is taken
//!            ◀── reads pause ── is full ──────────┤
//!            ◀── reads resume ── Drained ─────────┘
//! ```

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tracing::{debug, info, warn};
use windlass_core::fault::Fault;

use super::dialogue::{Beginning, Dialogue, Said};
use super::facts::Facts;
use super::file::reason;
use super::in_place::InPlace;
use super::part::Part;
use super::place::{Place, Target};
use super::progress::{PERIOD, Progress};
use super::source::Source;
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent};
use crate::sys::ready::Token;
use crate::sys::{Errno, Signal, signals};

/// How an exchange ended that did not fail.
pub(super) enum Answer {
    /// The document is where it was to go.
    Whole,
    /// It is there, says the server.
    Elsewhere(Box<str>),
    /// A signal came first.
    Stopped(Signal),
}

/// What is to be done.
pub(super) struct Plan<'a> {
    pub(super) source: &'a Source,
    pub(super) target: &'a Target,
    pub(super) timeout: Duration,
    /// To compare with the server's, of what was there before.
    pub(super) digest: Option<blake3::Hasher>,
    /// What was there before.
    pub(super) part: Option<Part>,
}

/// Asks, and writes what is answered to the target if it is what was asked for.
pub(super) fn ask(plan: Plan<'_>, dialogue: Dialogue) -> Result<Answer> {
    let server = plan.source.server();
    let addresses = (server.host.as_str(), server.port)
        .to_socket_addrs()
        .map_err(Error::of("resolve", &server.host))?;
    ask_at(addresses.collect(), plan, dialogue)
}

/// Asks the first of `addresses` that takes the connection.
fn ask_at(addresses: Vec<SocketAddr>, plan: Plan<'_>, dialogue: Dialogue) -> Result<Answer> {
    let Plan { source, target, timeout, digest, part } = plan;
    // It goes last, and with it the signals: a file is renamed or removed by then.
    let mut events = EventLoop::new()?;
    let mut exchange = Exchange {
        source: source.clone(),
        target: target.clone(),
        timeout,
        addresses: addresses.into_iter(),
        server: None,
        connected: false,
        dialogue,
        digest,
        part,
        sink: Sink::Nothing,
        progress: Progress::hidden(),
        drawing: None,
        received: 0,
        outcome: None,
    };
    exchange.connect(&mut events, Errno::EADDRNOTAVAIL);
    if exchange.outcome.is_none() {
        events.run(&mut exchange)?;
    }
    let outcome = exchange.outcome.take();
    outcome.unwrap_or_else(|| Err(Error::new("get", source, "nothing was left to wait for")))
}

/// What the callbacks share.
struct Exchange {
    source: Source,
    target: Target,
    timeout: Duration,
    /// Those that were not tried yet.
    addresses: std::vec::IntoIter<SocketAddr>,
    server: Option<Token>,
    connected: bool,
    dialogue: Dialogue,
    /// Of what there was before and what has come.
    digest: Option<blake3::Hasher>,
    /// What there was before, until the server says what comes.
    part: Option<Part>,
    sink: Sink,
    progress: Progress,
    /// The timer that draws it.
    drawing: Option<Token>,
    /// Bytes of the body.
    received: u64,
    outcome: Option<Result<Answer>>,
}

/// Where the body goes.
enum Sink {
    /// It has not begun, or is not wanted any more.
    Nothing,
    Part(Part),
    InPlace(InPlace),
    Open(File),
    Stream(Token),
}

impl Exchange {
    /// Connects to the next address. `last` is what was wrong with the one before.
    fn connect(&mut self, cx: &mut Context<Self>, last: Errno) {
        let mut error = Error::new("connect to", self.source.server(), last);
        for address in self.addresses.by_ref() {
            debug!(%address, "connecting");
            match cx.connect(address, Some(self.timeout), |io, exchange: &mut Self, cx, event| {
                exchange.on_server(io, cx, event);
            }) {
                Ok(token) => {
                    self.server = Some(token);
                    return;
                }
                Err(refused) => error = refused,
            }
        }
        self.end(cx, Err(error));
    }

    fn on_server(&mut self, io: &mut Buffered, cx: &mut Context<Self>, event: StreamEvent) {
        match event {
            StreamEvent::Connected => {
                self.connected = true;
                io.set_timeouts(Some(self.timeout), Some(self.timeout));
                match self.dialogue.request() {
                    Ok(request) => io.write(&request),
                    Err(error) => self.end(cx, Err(Error::new("get", &self.source, error))),
                }
            }
            StreamEvent::Input => {
                let answer = self.take(io.input(), cx);
                io.consume(usize::MAX);
                match answer.transpose() {
                    Some(outcome) => self.end(cx, outcome),
                    None => io.set_reading(!self.is_full(cx)),
                }
            }
            StreamEvent::Eof => {
                let whole = self.dialogue.eof().map(|()| Answer::Whole);
                self.end(cx, whole.map_err(Error::of("get", &self.source)));
            }
            StreamEvent::TimedOut(_) => {
                let waited_us = u64::try_from(self.timeout.as_micros()).unwrap_or(u64::MAX);
                self.end(cx, Err(Error::new("get", &self.source, Fault::TimedOut { waited_us })));
            }
            StreamEvent::Failed(errno) if self.connected => {
                self.end(cx, Err(Error::new("get", &self.source, errno)));
            }
            StreamEvent::Failed(errno) => self.connect(cx, errno),
            StreamEvent::Drained => {}
        }
    }

    /// Takes what came. What the answer is, once that is known.
    fn take(&mut self, mut input: &[u8], cx: &mut Context<Self>) -> Result<Option<Answer>> {
        loop {
            match self.dialogue.feed(input).map_err(Error::of("get", &self.source))? {
                Said::More => return Ok(None),
                Said::End(digest) => {
                    let known = self.digest.as_ref().map(|digest| *digest.finalize().as_bytes());
                    if known.is_some() && known != digest {
                        // What came is of no use, and nobody goes on from there.
                        if let Sink::Part(part) = std::mem::replace(&mut self.sink, Sink::Nothing) {
                            part.discard();
                        }
                        let wrong = "what came is not what the server has";
                        return Err(Error::new("verify", &self.source, wrong));
                    }
                    return Ok(Some(Answer::Whole));
                }
                Said::Elsewhere(location) => return Ok(Some(Answer::Elsewhere(location))),
                Said::Begin { begin, rest } => {
                    self.begin(begin, cx)?;
                    input = rest;
                }
                Said::Body { bytes, rest } => {
                    self.write(bytes, cx)?;
                    self.received += bytes.len() as u64;
                    input = rest;
                }
            }
        }
    }

    /// A body follows.
    fn begin(&mut self, begin: Beginning, cx: &mut Context<Self>) -> Result<()> {
        if begin.from == 0
            && let Some(digest) = &mut self.digest
        {
            // Also where there was something before: the server has another file.
            digest.reset();
        }
        self.received = begin.from;
        let place = self.target.place()?;
        if !place.is_terminal() {
            self.progress = Progress::show(begin.length, begin.from);
        }
        self.sink = match place {
            Place::New { name } => {
                // From now on there is something to be cleaned up.
                catch_signals(cx)?;
                let facts = match &self.source {
                    Source::Http(url) => Facts::of_http(url, None),
                    Source::Files(url) => Facts::of_files(url),
                };
                let part = match self.part.take() {
                    Some(mut part) => part.go_on_from(begin.from, facts).map(|()| part),
                    None => Part::begin(name.clone(), facts),
                };
                match part {
                    Ok(part) => Sink::Part(part),
                    Err(error) => match InPlace::instead(&name, &error) {
                        Some(file) => {
                            let why = reason(error);
                            warn!("{}: written in place: its folder: {why}", self.target);
                            Sink::InPlace(file)
                        }
                        None => return Err(Error::new("create", &self.target, reason(error))),
                    },
                }
            }
            Place::Open(file) => Sink::Open(file),
            Place::Stream(stream) => {
                let token = cx.buffered(stream, |io, exchange: &mut Self, cx, event| {
                    exchange.on_output(io, cx, event);
                })?;
                if let Some(io) = cx.stream(token) {
                    // A terminal's input is not ours to take.
                    io.set_reading(false);
                }
                Sink::Stream(token)
            }
        };
        if self.progress.is_shown() {
            let draw = |exchange: &mut Self, _: &mut _| exchange.progress.draw(exchange.received);
            self.drawing = Some(cx.every(PERIOD, draw));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], cx: &mut Context<Self>) -> Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        let written = match &mut self.sink {
            Sink::Nothing => Ok(()),
            Sink::Part(part) => part.write(bytes),
            Sink::InPlace(file) => file.write(bytes),
            Sink::Open(file) => file.write_all(bytes),
            Sink::Stream(token) => {
                if let Some(io) = cx.stream(*token) {
                    io.write(bytes);
                }
                Ok(())
            }
        };
        written.map_err(|error| Error::new("write", &self.target, reason(error)))
    }

    fn on_output(&mut self, io: &mut Buffered, cx: &mut Context<Self>, event: StreamEvent) {
        match event {
            StreamEvent::Drained if self.outcome.is_some() => cx.exit(),
            StreamEvent::Drained => {
                if let Some(server) = self.server.and_then(|server| cx.stream(server)) {
                    server.set_reading(true);
                }
            }
            StreamEvent::Failed(errno) => {
                self.sink = Sink::Nothing;
                let failed = Err(Error::new("write", &self.target, errno));
                match &self.outcome {
                    // What went wrong first is told.
                    Some(Err(_)) => {}
                    Some(Ok(_)) => self.outcome = Some(failed),
                    None => self.end(cx, failed),
                }
                cx.exit();
            }
            // It is not read, and may take its time.
            StreamEvent::Connected
            | StreamEvent::Input
            | StreamEvent::Eof
            | StreamEvent::TimedOut(_) => debug_assert!(false, "{event:?} of {io:?}"),
        }
    }

    /// Nothing more is wanted of the server. What came of it still goes out.
    fn end(&mut self, cx: &mut Context<Self>, outcome: Result<Answer>) {
        if self.outcome.is_some() {
            return;
        }
        if let Some(server) = self.server.take() {
            cx.remove(server);
        }
        // The output may take its time yet, and the line is to stay as it is from here on.
        if let Some(drawing) = self.drawing.take() {
            cx.remove(drawing);
        }
        let outcome = match outcome {
            Ok(Answer::Whole) => self.finish().map(|()| Answer::Whole),
            other => {
                let kept = self.keep();
                if let (Ok(Answer::Stopped(_)), Some(kept)) = (&other, &kept) {
                    info!("{kept}");
                }
                other.map_err(|error| match kept {
                    Some(kept) => error.and(kept),
                    None => error,
                })
            }
        };
        match &outcome {
            Ok(Answer::Whole) => self.progress.finish(self.received),
            Ok(Answer::Elsewhere(_) | Answer::Stopped(_)) | Err(_) => self.progress.clear(),
        }
        self.outcome = Some(outcome);
        if self.unsent(cx) == 0 {
            cx.exit();
        }
    }

    /// The document is whole.
    fn finish(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Nothing) {
            Sink::Part(part) => part.finish().map_err(|(error, kept)| {
                let error = Error::new("put the whole file at", &self.target, reason(error));
                match kept {
                    Some(kept) => error.and(kept),
                    None => error,
                }
            }),
            Sink::InPlace(file) => file.finish().map_err(|error| {
                let error = Error::new("write", &self.target, reason(error));
                error.and("it was written in place and is empty now")
            }),
            open => {
                self.sink = open;
                Ok(())
            }
        }
    }

    /// It is not, and what has come of it may stay. What to tell of that.
    fn keep(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.sink, Sink::Nothing) {
            Sink::Part(part) => part.keep(),
            Sink::InPlace(file) => Some(file.give_up(&self.target)),
            other => {
                self.sink = other;
                None
            }
        }
    }

    /// Whether the output is to be waited for.
    fn is_full(&self, cx: &mut Context<Self>) -> bool {
        let Sink::Stream(token) = self.sink else { return false };
        cx.stream(token).is_some_and(|io| io.is_full())
    }

    fn unsent(&self, cx: &mut Context<Self>) -> usize {
        let Sink::Stream(token) = self.sink else { return 0 };
        cx.stream(token).map_or(0, |io| io.unsent())
    }
}

/// Those that end a program, from here on, end a transfer. One that is ignored stays so: `nohup` and
/// a shell's background wanted that.
fn catch_signals(cx: &mut Context<Exchange>) -> Result<()> {
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        if !signals::is_ignored(signal) {
            cx.signal(signal, |exchange: &mut Exchange, cx, caught| {
                exchange.end(cx, Ok(Answer::Stopped(caught.signal)));
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::client::http::Url;

    /// To port 0 nobody can listen: it is refused a moment later. To everybody at once nobody can
    /// connect: it is refused at once.
    #[test]
    fn each_address_is_tried_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::File(folder.path().join("file"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.read_exact(&mut [0; 64]).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody").unwrap();
        });
        let url = Url::parse("http://example/").unwrap();
        let source = Source::Http(url.clone());
        let ask = |mut addresses: Vec<SocketAddr>, last: Option<SocketAddr>| {
            addresses.extend(last);
            let (target, timeout) = (&target, Duration::from_secs(60));
            let plan = Plan { source: &source, target, timeout, digest: None, part: None };
            ask_at(addresses, plan, Dialogue::http(&url))
        };
        let [at_once, later] = ["255.255.255.255:1", "127.0.0.1:0"].map(|at| at.parse().unwrap());
        for refused in [vec![], vec![at_once], vec![later], vec![later, at_once, later]] {
            assert!(ask(refused, None).is_err());
        }
        let whole = ask(vec![at_once, later, at_once], Some(good));
        assert!(matches!(whole, Ok(Answer::Whole)), "{:?}", whole.err());
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"body");
        server.join().unwrap();
    }
}
