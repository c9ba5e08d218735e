//! Closing a stream after its last byte was sent.
//!
//! ```text
//!   output sent ── shutdown(WR) ──▶ look: ── silent, or at its end ──▶ closed
//!                                     │
//!                                     └ it still sends: read and drop ── its end, or 2 s ──▶ closed
//! ```
//!
//! To close while the peer still sends would reset the connection, and the reset could overtake the
//! last output.

use windlass_core::stream::Read;

use super::readiness::Readiness;
use crate::sys::stream::Stream;

/// How long input is read after the end, in microseconds (Apache's
/// `SECONDS_TO_LINGER`).
pub(crate) const LINGER_US: u64 = 2_000_000;

/// The state of a stream after its last byte was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// The peer sent input after the end, and is silent for now.
    Wait,
    /// The peer sends, and the budget is used up.
    Again,
    /// Nothing is left that a reset could take.
    Gone,
}

/// Ends a connection that is not served, as cleanly as that is possible at once: input left unread would turn
/// the end into a reset, so what has arrived is read first.
pub(super) fn leave(stream: &Stream) {
    let mut buf = [0; 4096];
    for _ in 0..16 {
        if !matches!(stream.recv(&mut buf), Ok(Read::Moved(_))) {
            break;
        }
    }
    stream.shutdown_write();
}

/// Reads and drops input. `talks`: the peer has sent input after the end before.
pub(crate) fn discard(
    stream: &Stream,
    readiness: &mut Readiness,
    mut talks: bool,
    buf: &mut [u8],
    budget: &mut usize,
) -> Last {
    while !readiness.has_ended() {
        if talks && !readiness.is_readable() {
            return Last::Wait;
        }
        match stream.recv(buf) {
            Ok(Read::Moved(n)) => {
                talks = true;
                readiness.did_read(Read::Moved(n), n.get());
                *budget = budget.saturating_sub(n.get());
                if *budget == 0 {
                    return Last::Again;
                }
            }
            Ok(Read::WouldBlock) if !talks => readiness.end(),
            Ok(read) => readiness.did_read(read, buf.len()),
            Err(_) => readiness.end(),
        }
    }
    Last::Gone
}
