//! The clients of a loop that serves none: they are few, each has its time, and every other source of the loop
//! has its turn first.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::debug;
use windlass_core::time::Instant;

use crate::error::Result;
use crate::reactor::{Buffered, Context, Incoming, Priority, StreamEvent, Token};
use crate::sys::listener::Listener;
use crate::sys::stream::Stream;

/// Connections at a time. The next one takes the place of the oldest.
pub(super) const CLIENTS_MAX: usize = 64;

/// The connection of a client that sends nothing, or takes nothing of an answer, is closed after this time.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The clients that are connected, the oldest one first. Some of them have left.
#[derive(Debug, Default)]
pub(super) struct Seats(VecDeque<Token>);

impl Seats {
    /// Calls `meet` with each client of `listener`, to [take](Self::take) it.
    ///
    /// # Errors
    /// The loop cannot watch it.
    pub(super) fn listen<S: 'static>(
        cx: &mut Context<S>,
        listener: Listener,
        mut meet: impl FnMut(&mut Self, &mut S, &mut Context<S>, Stream) + 'static,
    ) -> Result<Token> {
        let mut seats = Self::default();
        let token = cx.listen(listener, usize::MAX, move |state, cx, incoming| {
            if let Incoming::Client(client) = incoming {
                meet(&mut seats, state, cx, client);
            }
        })?;
        cx.set_priority(token, Priority::Low);
        Ok(token)
    }

    /// Calls `hear` with what comes of a client. Slow clients do not keep others out: the oldest one leaves.
    pub(super) fn take<'c, S: 'static>(
        &mut self,
        cx: &'c mut Context<S>,
        client: Stream,
        mut hear: impl FnMut(&mut Buffered, &mut S, Instant, StreamEvent) + 'static,
    ) -> Option<&'c mut Buffered> {
        let token = cx.buffered(client, move |io, state, cx, event| match event {
            // `close` would wait until the client takes its answer.
            StreamEvent::TimedOut(_) => {
                cx.remove(cx.current());
            }
            event => hear(io, state, cx.now(), event),
        });
        let token =
            token.inspect_err(|error| debug!("a client of the supervisor: {error}")).ok()?;
        cx.set_priority(token, Priority::Low);
        if self.0.len() >= CLIENTS_MAX {
            self.0.retain(|&seat| cx.stream(seat).is_some());
        }
        if self.0.len() >= CLIENTS_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            cx.remove(oldest);
        }
        self.0.push_back(token);
        let io = cx.stream(token)?;
        io.set_timeouts(Some(IDLE_TIMEOUT), Some(IDLE_TIMEOUT));
        Some(io)
    }
}
