//! The control socket: a source in any event loop that answers clients with the state of the server.
//!
//! ```text
//! client: status\n          server: {"version":…}\n, a document of `status`, on one line
//! client: anything else\n   server: {"error":"…"}\n
//! ```
//!
//! A connection may stay open and ask again. Only the server's own user may connect (mode 0600),
//! and even this user cannot hang or fill the server: clients, silence and lines have limits, one
//! answer at a time is pending, and every other source has its turn first.

pub(super) mod request;

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tracing::debug;
use windlass_core::time::Instant;

use crate::error::Result;
use crate::reactor::{Buffered, Context, Incoming, Priority, StreamEvent, Token};
use crate::status::{Refusal, Status};
use crate::sys::listener::Listener;
use crate::sys::stream::Stream;
use request::{LINE_MAX, Request, request};

/// Connections to the control socket at a time. A further client gets an error.
const CLIENTS_MAX: usize = 16;

/// The connection of a client that sends nothing, or takes nothing of an answer, is closed after
/// this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers on `listener` with the result of `status` at that time.
///
/// # Errors
/// The loop cannot watch it.
pub(super) fn listen<S: 'static>(
    cx: &mut Context<S>,
    listener: Listener,
    status: impl Fn(&mut S, Instant) -> Status + 'static,
) -> Result<Token> {
    // Every holder of it but the first is a client.
    let status = Rc::new(status);
    let token = cx.listen(listener, usize::MAX, move |_, cx, incoming| {
        let Incoming::Client(client) = incoming else { return };
        if Rc::strong_count(&status) > CLIENTS_MAX {
            return turn_away(&client);
        }
        let status = Rc::clone(&status);
        let mut talk = Talk::default();
        let token = cx.buffered(client, move |io, state, cx, event| match event {
            // `close` would wait until the client takes its answers.
            StreamEvent::TimedOut(_) => {
                cx.remove(cx.current());
            }
            event => talk.hear(io, event, || (*status)(state, cx.now())),
        });
        match token {
            Ok(token) => {
                cx.set_priority(token, Priority::Low);
                if let Some(io) = cx.stream(token) {
                    io.set_timeouts(Some(IDLE_TIMEOUT), Some(IDLE_TIMEOUT));
                }
            }
            Err(error) => debug!("a client of the control socket: {error}"),
        }
    })?;
    cx.set_priority(token, Priority::Low);
    Ok(token)
}

/// A conversation with one client.
#[derive(Default)]
struct Talk {
    eof: bool,
}

impl Talk {
    fn hear(&mut self, io: &mut Buffered, event: StreamEvent, status: impl FnOnce() -> Status) {
        match event {
            // An accepted connection has no such event.
            StreamEvent::Connected | StreamEvent::TimedOut(_) | StreamEvent::Failed(_) => {}
            // Requests arrive faster than answers are taken: the next request waits until this
            // answer is taken.
            StreamEvent::Input if io.unsent() > 0 => {}
            StreamEvent::Input | StreamEvent::Drained => self.answer(io, status),
            StreamEvent::Eof => {
                self.eof = true;
                if io.unsent() == 0 {
                    self.answer(io, status);
                }
            }
        }
    }

    /// Answers the first complete request. Further requests wait until the answer is taken.
    fn answer(&self, io: &mut Buffered, status: impl FnOnce() -> Status) {
        match request(io.input(), self.eof) {
            Request::More => {}
            Request::Ended => io.close(),
            Request::TooLong => {
                refuse(io, format!("a line has at most {LINE_MAX} bytes"));
                io.close();
            }
            Request::Status { len } => {
                let answer = line(&status());
                io.write(&answer);
                io.consume(len);
            }
            Request::Unknown { len, word } => {
                refuse(io, format!("unknown request \"{word}\"; the only request is: status"));
                io.consume(len);
            }
        }
    }
}

fn refuse(io: &mut Buffered, error: String) {
    io.write(&line(&Refusal { error }));
}

fn turn_away(client: &Stream) {
    let error = format!("{CLIENTS_MAX} clients are connected already");
    // A new socket has room for it.
    let _ = client.send([&line(&Refusal { error }), &[]]);
}

fn line(document: &impl Serialize) -> Vec<u8> {
    // Numbers, strings and lists of them can always be JSON.
    let mut line = serde_json::to_vec(document).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
