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

use tracing::{info, warn};
use windlass_core::fault::Fault;
use windlass_core::file::Digest;

use super::dialogue::{Beginning, Dialogue, Said};
use super::file::reason;
use super::in_place::InPlace;
use super::limits::{Limits, micros};
use super::part::Part;
use super::place::{Place, Target};
use super::progress::{PERIOD, Progress};
use super::source::Source;
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent};
use crate::sys::connect::connect;
use crate::sys::ready::Token;
use crate::sys::stream::Stream;
use crate::sys::{Signal, signals};

/// How an exchange ended that did not fail.
pub(super) enum Answer {
    /// The document is where it was to go.
    Whole,
    /// It is there, says the server.
    Elsewhere(Box<[u8]>),
    /// The server has not the rest that was asked for, and is to be asked for all.
    Again,
    /// A signal came first.
    Stopped(Signal),
}

/// What is to be done.
pub(super) struct Plan<'a> {
    pub(super) source: &'a Source,
    pub(super) target: &'a Target,
    pub(super) limits: Limits,
    /// To compare with the server's, of what was there before.
    pub(super) digest: Option<blake3::Hasher>,
    /// What was there before.
    pub(super) part: Option<Part>,
}

/// Asks, and writes what is answered to the target if it is what was asked for.
///
/// The event loop begins when there is a connection. Until then nothing is to be cleaned up, and
/// signals do what they do to any program.
pub(super) fn ask(plan: Plan<'_>, dialogue: Dialogue) -> Result<Answer> {
    let Plan { source, target, limits, digest, part } = plan;
    let server = Address::Tcp(dialogue.server().clone());
    let stream = connect(&server, limits.connect_until()).map_err(|error| {
        let Some(variable) = dialogue.variable() else { return error };
        error.and(format_args!("the variable {variable} names this proxy"))
    })?;
    // It goes last, and with it the signals: a file is renamed or removed by then.
    let mut events = EventLoop::new()?;
    let mut exchange = Exchange {
        source: source.clone(),
        target: target.clone(),
        limits,
        server: None,
        dialogue,
        digest,
        part,
        sink: Sink::Nothing,
        progress: Progress::hidden(),
        drawing: None,
        rate: None,
        held_up: false,
        received: 0,
        outcome: None,
    };
    exchange.begin_on(stream, &mut events)?;
    events.run(&mut exchange)?;
    let outcome = exchange.outcome.take();
    outcome.unwrap_or_else(|| Err(Error::new("get", source, "nothing was left to wait for")))
}

/// What the callbacks share.
pub(super) struct Exchange {
    pub(super) source: Source,
    target: Target,
    pub(super) limits: Limits,
    server: Option<Token>,
    dialogue: Dialogue,
    /// Of what there was before and what has come.
    digest: Option<blake3::Hasher>,
    /// What there was before, until the server says what comes.
    part: Option<Part>,
    sink: Sink,
    progress: Progress,
    /// The timer that draws it.
    drawing: Option<Token>,
    /// The timer that looks how fast the body comes.
    pub(super) rate: Option<Token>,
    /// The output kept the body from being read since that was looked at.
    pub(super) held_up: bool,
    /// Bytes of the body.
    pub(super) received: u64,
    pub(super) outcome: Option<Result<Answer>>,
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
    /// Sends the request.
    fn begin_on(&mut self, stream: Stream, cx: &mut Context<Self>) -> Result<()> {
        let request = self.dialogue.request().map_err(Error::of("get", &self.source))?;
        let server = cx.buffered(stream, |io, exchange: &mut Self, cx, event| {
            exchange.on_server(io, cx, event);
        })?;
        if let Some(io) = cx.stream(server) {
            let timeout = Some(self.limits.times.timeout);
            io.set_timeouts(timeout, timeout);
            io.write(&request);
        }
        self.server = Some(server);
        self.watch_time(cx);
        Ok(())
    }

    fn on_server(&mut self, io: &mut Buffered, cx: &mut Context<Self>, event: StreamEvent) {
        match event {
            StreamEvent::Input => {
                let answer = self.take(io.input(), cx);
                io.consume(usize::MAX);
                if let Some(outcome) = answer.transpose() {
                    self.end(cx, outcome);
                } else {
                    let full = self.is_full(cx);
                    self.held_up |= full;
                    io.set_reading(!full);
                }
            }
            StreamEvent::Eof => {
                let whole = self.dialogue.eof().map(|()| Answer::Whole);
                self.end(cx, whole.map_err(Error::of("get", &self.source)));
            }
            StreamEvent::TimedOut(_) => {
                let waited_us = micros(self.limits.times.timeout);
                self.end(cx, Err(Error::new("get", &self.source, Fault::TimedOut { waited_us })));
            }
            StreamEvent::Failed(errno) => {
                self.end(cx, Err(Error::new("get", &self.source, errno)));
            }
            StreamEvent::Connected | StreamEvent::Drained => {}
        }
    }

    /// Takes what came. What the answer is, once that is known.
    fn take(&mut self, mut input: &[u8], cx: &mut Context<Self>) -> Result<Option<Answer>> {
        loop {
            match self.dialogue.feed(input).map_err(Error::of("get", &self.source))? {
                Said::More => return Ok(None),
                Said::End(digest) => {
                    let known =
                        self.digest.as_ref().map(|digest| Digest::Blake3(digest.finalize().into()));
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
                Said::Again => return Ok(Some(Answer::Again)),
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
            catch_stop(cx)?;
            self.progress = Progress::show(begin.length, begin.from);
        }
        self.sink = match place {
            Place::New { name } => {
                // From now on there is something to be cleaned up.
                catch_signals(cx)?;
                let part = match self.part.take() {
                    Some(mut part) => part.go_on_from(begin.from, begin.facts).map(|()| part),
                    None => Part::begin(name.clone(), begin.facts),
                };
                match part {
                    Ok(part) => Sink::Part(part),
                    Err(error) => match InPlace::instead(&name, &error) {
                        Some(file) => {
                            let why = reason(error);
                            let at = &self.target;
                            warn!("{at}: written in place: nothing can be put beside it: {why}");
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
        self.watch_rate(cx);
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
    pub(super) fn end(&mut self, cx: &mut Context<Self>, outcome: Result<Answer>) {
        if self.outcome.is_some() {
            return;
        }
        if let Some(server) = self.server.take() {
            cx.remove(server);
        }
        // The output may take its time yet, and the line is to stay as it is from here on.
        for timer in [self.drawing.take(), self.rate.take()].into_iter().flatten() {
            cx.remove(timer);
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
            Ok(Answer::Elsewhere(_) | Answer::Again | Answer::Stopped(_)) | Err(_) => {
                self.progress.clear();
            }
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
    pub(super) fn is_full(&self, cx: &mut Context<Self>) -> bool {
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
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        if !signals::is_ignored(signal) {
            cx.signal(signal, |exchange: &mut Exchange, cx, caught| {
                exchange.end(cx, Ok(Answer::Stopped(caught.signal)));
            })?;
        }
    }
    Ok(())
}

/// Ctrl-Z stops a transfer as any program, and the terminal is in order meanwhile.
fn catch_stop(cx: &mut Context<Exchange>) -> Result<()> {
    if !signals::is_ignored(Signal::SIGTSTP) {
        cx.signal(Signal::SIGTSTP, |exchange: &mut Exchange, _, _| exchange.progress.stop())?;
    }
    Ok(())
}
