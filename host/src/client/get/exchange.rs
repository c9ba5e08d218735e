//! A download on the event loop, over streams and datagrams: what arrives is written, shown, limited and
//! ended here. How the server is spoken to is its dialogue's matter (`stream`, `datagrams`).
//!
//! ```text
//!  server ──▶ dialogue ──▶ body ──▶ Store                   written at once
//!         │                 └─────▶ Buffered ──▶ pipe, …    as fast as it is taken
//!         ◀── reads pause ── is full ──┤
//!         ◀── reads resume ── Drained ─┘
//! ```

use tracing::info;

use super::limits::Limits;
use super::part::Part;
use super::place::{Place, Target};
use super::progress::{PERIOD, Progress};
use super::said::Beginning;
use super::source::Source;
use super::store::Store;
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent};
use crate::sys::ready::Token;
use crate::sys::{Signal, signals};
use crate::tls::Trust;

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
    /// What the server is checked by, if it is to speak TLS.
    pub(super) trust: Option<Trust>,
}

/// The state that the callbacks share. `D` is the dialogue with the server.
pub(super) struct Exchange<D> {
    pub(super) source: Source,
    pub(super) limits: Limits,
    /// The stream or the socket.
    pub(super) server: Option<Token>,
    pub(super) dialogue: D,
    pub(super) store: Store,
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
    /// The outcome is known, and the server still gets an answer.
    pub(super) lingers: bool,
}

impl<D: 'static> Exchange<D> {
    pub(super) fn new(plan: Plan<'_>, dialogue: D) -> Self {
        let Plan { source, target, limits, digest, part, trust: _ } = plan;
        Self {
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
            lingers: false,
        }
    }

    /// Runs the loop until the outcome is known. Drop this before the loop and its signals: the file is renamed or
    /// removed by then.
    pub(super) fn run(&mut self, events: &mut EventLoop<Self>) -> Result<Answer> {
        events.run(self)?;
        let outcome = self.outcome.take();
        outcome
            .unwrap_or_else(|| Err(Error::new("get", &self.source, "nothing was left to wait for")))
    }

    /// A body follows.
    pub(super) fn begin(&mut self, begin: Beginning, cx: &mut Context<Self>) -> Result<()> {
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

    /// Keeps the next bytes of the body.
    pub(super) fn keep(&mut self, bytes: &[u8], cx: &mut Context<Self>) -> Result<()> {
        self.store.store(bytes)?;
        if let Some(io) = self.output.and_then(|output| cx.stream(output)) {
            io.write(bytes);
        }
        self.received += bytes.len() as u64;
        Ok(())
    }

    fn on_output(&mut self, io: &mut Buffered, cx: &mut Context<Self>, event: StreamEvent) {
        match event {
            StreamEvent::Drained if self.outcome.is_some() => self.leave(cx),
            StreamEvent::Drained => {
                if let Some(server) = self.server {
                    match cx.stream(server) {
                        Some(io) => io.set_reading(true),
                        None => cx.activate(server),
                    }
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
        if !self.lingers
            && let Some(server) = self.server.take()
        {
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
        self.leave(cx);
    }

    /// Leaves the loop, unless there is something to wait for.
    pub(super) fn leave(&self, cx: &mut Context<Self>) {
        if self.unsent(cx) == 0 && !self.lingers {
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
fn catch_signals<D: 'static>(cx: &mut Context<Exchange<D>>) -> Result<()> {
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        if !signals::is_ignored(signal) {
            cx.signal(signal, |exchange: &mut Exchange<D>, cx, caught| {
                exchange.end(cx, Ok(Answer::Stopped(caught.signal)));
            })?;
        }
    }
    Ok(())
}

/// Ctrl-Z stops a transfer like any program, and leaves the terminal in order.
fn catch_stop<D: 'static>(cx: &mut Context<Exchange<D>>) -> Result<()> {
    if !signals::is_ignored(Signal::SIGTSTP) {
        cx.signal(Signal::SIGTSTP, |exchange: &mut Exchange<D>, _, _| exchange.progress.stop())?;
    }
    Ok(())
}
