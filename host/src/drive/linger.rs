//! How a stream ends that has sent its last byte.
//!
//! ```text
//!   output sent ── shutdown(WR) ──▶ look: ── silent, or at its end ──▶ closed
//!                                     │
//!                                     └ it still talks: read and throw away ── its end, or 2 s ──▶ closed
//! ```
//!
//! To close while the peer still talks would reset the connection, and the reset could overtake our last
//! bytes.

use windlass_core::stream::Read;

use super::readiness::Readiness;
use crate::sys::stream::Stream;

/// How long a peer that still talks is listened to after the end, in microseconds (Apache's
/// `SECONDS_TO_LINGER`).
pub(crate) const LINGER_US: u64 = 2_000_000;

/// What a look at a stream found that has sent its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// The peer talked after the end, and is silent for now.
    Wait,
    /// It talks, and the budget is used up.
    Again,
    /// Nothing is left that a reset could take.
    Gone,
}

/// Reads what the peer says, and throws it away. `talks`: it has said something after the end before.
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
