//! The agent check of `HAProxy`: a line for each connection, which says whether the server is to get clients, and
//! how many of them.
//!
//! ```text
//! up ready 87%                                  it serves; its weight is to be this part of the configured one
//! drain                                         it serves the clients that it has, and is to get no others
//! down #tcp:0.0.0.0:80 has no process           it cannot serve now
//! ```
//!
//! What a balancer sends (`agent-send`) is not read: the answer depends on nothing but the server.

use std::fmt;

use super::seats::Seats;
use crate::error::Result;
use crate::reactor::{Context, Token};
use crate::sys::listener::Listener;

/// What a balancer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum Verdict {
    /// It serves.
    Up(Load),
    /// It was told to stop.
    Drain,
    /// The listener at this address has no process that takes clients.
    Down(String),
}

/// How many clients a server has, of those that it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Load {
    /// Clients that it serves.
    pub(in crate::server) clients: u64,
    /// Clients that it can serve at a time. `None`: there is no limit.
    pub(in crate::server) places: Option<u64>,
}

impl Load {
    /// The part of its places that is free, in percent. A weight of 0 would mean that it drains: a server without a
    /// free place has 1, since a client can wait there, and all servers may be full.
    pub(in crate::server) fn free(self) -> u64 {
        let Some(places) = self.places else { return 100 };
        let free = places.saturating_sub(self.clients);
        (100 * free).checked_div(places).unwrap_or(0).max(1)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(load) => write!(f, "up ready {}%", load.free()),
            Self::Drain => f.write_str("drain"),
            Self::Down(address) => write!(f, "down #{address} has no process"),
        }
    }
}

/// Answers on `listener` with what `tell` says.
///
/// # Errors
/// The loop cannot watch it.
pub(in crate::server) fn listen<S: 'static>(
    cx: &mut Context<S>,
    listener: Listener,
    mut tell: impl FnMut(&mut S) -> Verdict + 'static,
) -> Result<Token> {
    Seats::listen(cx, listener, move |seats, state, cx, client| {
        let line = format!("{}\n", tell(state));
        if let Some(io) = seats.take(cx, client, |_, _, _, _| ()) {
            io.write(line.as_bytes());
            io.close();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::seats::CLIENTS_MAX;
    use super::*;
    use crate::reactor::tests::{Door, End, frozen, pump};

    #[test]
    fn the_free_part_is_rounded_down_and_never_nothing() {
        for (clients, places, free) in [
            (0, None, 100),
            (10_000, None, 100),
            (0, Some(1), 100),
            (1, Some(1), 1),
            (13, Some(100), 87),
            (1, Some(3), 66),
            (999, Some(1000), 1),
            // Those of processes that drain count too.
            (7, Some(5), 1),
            (0, Some(0), 1),
            (1, Some(u64::MAX / 100), 99),
        ] {
            assert_eq!(Load { clients, places }.free(), free, "{clients} of {places:?}");
        }
    }

    #[test]
    fn each_connection_gets_a_line_and_its_end() {
        let (mut events, (listener, door)) = (frozen(), Door::open());
        listen(&mut events, listener, |asked: &mut u64| {
            *asked += 1;
            match asked {
                1 => Verdict::Up(Load { clients: 1, places: Some(4) }),
                2 => Verdict::Drain,
                _ => Verdict::Down("tcp:127.0.0.1:80".to_owned()),
            }
        })
        .unwrap();
        let mut asked = 0;
        for line in ["up ready 75%\n", "drain\n", "down #tcp:127.0.0.1:80 has no process\n"] {
            let mut balancer = door.knock();
            balancer.say(b"what it sends is not read\n");
            pump(&mut events, &mut asked);
            assert_eq!(balancer.hear_text(), (line.to_owned(), End::Eof));
        }
        // Those that stay after their line keep no other one out.
        let mut staying = Vec::new();
        for _ in 0..3 * CLIENTS_MAX {
            let mut balancer = door.knock();
            pump(&mut events, &mut asked);
            assert!(balancer.hear_text().0.starts_with("down"));
            staying.push(balancer);
        }
        assert!(events.streams() <= CLIENTS_MAX);
    }
}
