//! One request and its answer, on the event loop.
//!
//! ```text
//!  server ──Buffered──▶ Dialogue ──▶ body ──▶ Store                   written at once
//!            │                        └─────▶ Buffered ──▶ pipe, …    as fast as it is taken
//!            ◀── reads pause ── is full ──────────┤
//!            ◀── reads resume ── Drained ─────────┘
//! ```

use tracing::info;
use windlass_core::fault::Fault;
use windlass_core::file;

use super::dialogue::Dialogue;
use super::limits::{Limits, micros};
use super::part::Part;
use super::place::{Place, Target};
use super::progress::{PERIOD, Progress};
use super::said::{Beginning, Said};
use super::source::Source;
use super::store::Store;
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent};
use crate::sys::connect::connect;
use crate::sys::ready::Token;
use crate::sys::stream::Stream;
use crate::sys::{Signal, signals};

/// How a transfer without an error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Got {
    /// The document is at its place.
    Whole,
    /// A signal ended it. The file is unchanged, and the program has to die of the signal.
    Stopped(Signal),
}

/// How an exchange without an error ended.
pub(super) enum Answer {
    /// The document is at its place.
    Whole,
    /// The document is at this URL.
    Elsewhere(Box<[u8]>),
    /// The server does not have the requested rest: request the whole document.
    Again,
    /// A signal came first.
    Stopped(Signal),
}

/// The task of an exchange.
pub(super) struct Plan<'a> {
    pub(super) source: &'a Source,
    pub(super) target: &'a Target,
    pub(super) limits: Limits,
    /// The digest of the bytes of the part, if the whole is to be compared with the server's digest.
    pub(super) digest: Option<blake3::Hasher>,
    /// The part of an earlier transfer.
    pub(super) part: Option<Part>,
}

/// Sends the request, and writes the answer to the target if it is the requested document.
///
/// The event loop begins when there is a connection. Before that there is nothing to clean up, and
/// signals have their default actions.
pub(super) fn ask(plan: Plan<'_>, dialogue: Dialogue) -> Result<Answer> {
    let Plan { source, target, limits, digest, part } = plan;
    let server = Address::Tcp(dialogue.server().clone());
    let stream = connect(&server, limits.connect_until()).map_err(|error| {
        let Some(variable) = dialogue.variable() else { return error };
        error.and(format_args!("the variable {variable} names this proxy"))
    })?;
    // The loop is dropped last, and the signals with it: the file is renamed or removed by then.
    let mut events = EventLoop::new()?;
    let mut exchange = Exchange {
        source: source.clone(),
        limits,
        server: None,
        dialogue,
        store: Store::new(target, part, digest),
        output: None,
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

/// The state that the callbacks share.
pub(super) struct Exchange {
    pub(super) source: Source,
    pub(super) limits: Limits,
    server: Option<Token>,
    dialogue: Dialogue,
    store: Store,
    /// The pipe, terminal or device that the body goes to, if it goes to one.
    output: Option<Token>,
    progress: Progress,
    /// The timer that draws it.
    drawing: Option<Token>,
    /// The timer that measures the rate of the body.
    pub(super) rate: Option<Token>,
    /// Whether the output kept the body from being read since the last measurement.
    pub(super) held_up: bool,
    /// Bytes of the body.
    pub(super) received: u64,
    pub(super) outcome: Option<Result<Answer>>,
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
                let whole = self.dialogue.eof().map_err(Error::of("get", &self.source));
                let whole = whole.and_then(|()| self.store.commit(&self.source, None));
                self.end(cx, whole.map(|()| Answer::Whole));
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

    /// Takes input. Returns the result of the exchange once it is known.
    ///
    /// An error of the storage ends the transfer, and the dialogue gets no more input.
    fn take(&mut self, mut input: &[u8], cx: &mut Context<Self>) -> Result<Option<Answer>> {
        loop {
            let answer;
            (answer, input) =
                match self.dialogue.feed(input).map_err(Error::of("get", &self.source))? {
                    Said::More => return Ok(None),
                    Said::Again => return Ok(Some(Answer::Again)),
                    Said::Elsewhere(location) => return Ok(Some(Answer::Elsewhere(location))),
                    Said::Create { begin, rest } => {
                        self.begin(begin, cx)?;
                        (file::Answer::Done, rest)
                    }
                    Said::Store { bytes, rest } => {
                        self.store.store(bytes)?;
                        if let Some(io) = self.output.and_then(|output| cx.stream(output)) {
                            io.write(bytes);
                        }
                        self.received += bytes.len() as u64;
                        (file::Answer::Kept(bytes.len()), rest)
                    }
                    Said::Commit(digest) => {
                        self.store.commit(&self.source, digest)?;
                        return Ok(Some(Answer::Whole));
                    }
                };
            self.dialogue.answer(answer);
        }
    }

    /// A body follows.
    fn begin(&mut self, begin: Beginning, cx: &mut Context<Self>) -> Result<()> {
        self.received = begin.from;
        let place = self.store.target().place()?;
        if !place.is_terminal() {
            catch_stop(cx)?;
            self.progress = Progress::show(begin.length, begin.from);
        }
        if matches!(place, Place::New { .. }) {
            // From now on there is something to clean up.
            catch_signals(cx)?;
        }
        if let Some(stream) = self.store.create(place, begin)? {
            let token = cx.buffered(stream, |io, exchange: &mut Self, cx, event| {
                exchange.on_output(io, cx, event);
            })?;
            if let Some(io) = cx.stream(token) {
                // The input of a terminal belongs to the shell.
                io.set_reading(false);
            }
            self.output = Some(token);
        }
        if self.progress.is_shown() {
            let draw = |exchange: &mut Self, _: &mut _| exchange.progress.draw(exchange.received);
            self.drawing = Some(cx.every(PERIOD, draw));
        }
        self.watch_rate(cx);
        Ok(())
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
                self.output = None;
                let failed = Err(Error::new("write", self.store.target(), errno));
                match &self.outcome {
                    // The first error is reported.
                    Some(Err(_)) => {}
                    Some(Ok(_)) => self.outcome = Some(failed),
                    None => self.end(cx, failed),
                }
                cx.exit();
            }
            // It is not read, and has no timeout.
            StreamEvent::Connected
            | StreamEvent::Input
            | StreamEvent::Eof
            | StreamEvent::TimedOut(_) => debug_assert!(false, "{event:?} of {io:?}"),
        }
    }

    /// The server is not needed any more. Received bytes are still written.
    pub(super) fn end(&mut self, cx: &mut Context<Self>, outcome: Result<Answer>) {
        if self.outcome.is_some() {
            return;
        }
        if let Some(server) = self.server.take() {
            cx.remove(server);
        }
        // The output may still take time, and the progress line stays as it is.
        for timer in [self.drawing.take(), self.rate.take()].into_iter().flatten() {
            cx.remove(timer);
        }
        let outcome = match outcome {
            Ok(Answer::Whole) => Ok(Answer::Whole),
            other => {
                let kept = self.store.keep();
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

    /// Whether to wait for the output.
    pub(super) fn is_full(&self, cx: &mut Context<Self>) -> bool {
        self.output.and_then(|output| cx.stream(output)).is_some_and(|io| io.is_full())
    }

    fn unsent(&self, cx: &mut Context<Self>) -> usize {
        self.output.and_then(|output| cx.stream(output)).map_or(0, |io| io.unsent())
    }
}

/// Signals that end a program end the transfer from here on. An ignored signal stays ignored:
/// `nohup` and a background job of a shell need that.
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

/// Ctrl-Z stops a transfer like any program, and leaves the terminal in order.
fn catch_stop(cx: &mut Context<Exchange>) -> Result<()> {
    if !signals::is_ignored(Signal::SIGTSTP) {
        cx.signal(Signal::SIGTSTP, |exchange: &mut Exchange, _, _| exchange.progress.stop())?;
    }
    Ok(())
}
