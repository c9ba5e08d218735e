//! One request and its answer on a stream.

use windlass_core::fault::Fault;
use windlass_core::file;

use super::dialogue::Dialogue;
use super::exchange::{Answer, Exchange, Plan};
use super::limits::micros;
use super::said::Said;
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent};
use crate::sys::connect::connect;
use crate::sys::stream::Stream;
use crate::tls::Trust;

/// Sends the request, and writes the answer to the target if it is the requested document.
///
/// The event loop begins when there is a connection. Before that there is nothing to clean up, and
/// signals have their default actions.
pub(super) fn ask(plan: Plan<'_>, dialogue: Dialogue) -> Result<Answer> {
    let server = Address::Tcp(dialogue.server().clone());
    let stream = connect(&server, plan.limits.connect_until()).map_err(|error| {
        let Some(variable) = dialogue.variable() else { return error };
        error.and(format_args!("the variable {variable} names this proxy"))
    })?;
    let mut events = EventLoop::new()?;
    let trust = plan.trust.clone();
    let mut exchange = Exchange::new(plan, dialogue);
    exchange.begin_on(stream, trust.as_ref(), &mut events)?;
    exchange.run(&mut events)
}

impl Exchange<Dialogue> {
    /// Sends the request.
    fn begin_on(
        &mut self,
        stream: Stream,
        trust: Option<&Trust>,
        cx: &mut Context<Self>,
    ) -> Result<()> {
        let request = self.dialogue.request().map_err(Error::of("get", &self.source))?;
        let heard = |io: &mut Buffered, exchange: &mut Self, cx: &mut Context<Self>, event| {
            exchange.on_server(io, cx, event);
        };
        let server = match trust {
            Some(trust) => cx.secured(stream, (trust, &self.dialogue.server().host), heard)?,
            None => cx.buffered(stream, heard)?,
        };
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
                let error = match io.failure() {
                    Some(why) => Error::new("get", &self.source, why),
                    None => Error::new("get", &self.source, errno),
                };
                self.end(cx, Err(error));
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
                        self.keep(bytes, cx)?;
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
}
