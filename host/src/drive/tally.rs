//! The counting of one thread that serves.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use windlass_core::fault::{Fault, Peer};
use windlass_core::time::Instant;

use super::ledger::{Incident, Ledger, Writer};
use crate::totals::{Count, FAULTS};

/// A thread's line of a [`Ledger`]. It takes the line when it counts for the first time: a thread that is
/// forked before that has one of its own. Without a ledger it counts nothing.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ledger: Option<Arc<Ledger>>,
    /// The line, once it was taken.
    line: Cell<Option<u32>>,
}

impl Tally {
    pub(super) fn new(ledger: Option<Arc<Ledger>>) -> Self {
        Self { ledger, line: Cell::new(None) }
    }

    /// Whether it counts there.
    pub(super) fn is_of(&self, ledger: Option<&Arc<Ledger>>) -> bool {
        self.ledger.as_ref().map(Arc::as_ptr) == ledger.map(Arc::as_ptr)
    }

    fn writer(&self) -> Option<Writer<'_>> {
        let ledger = self.ledger.as_deref()?;
        let line = self.line.get().unwrap_or_else(|| {
            let line = ledger.join();
            self.line.set(Some(line));
            line
        });
        Some(ledger.writer(line))
    }

    /// Counts.
    pub(super) fn add(&self, count: Count, n: u64) {
        if let Some(writer) = self.writer() {
            writer.add(count, n);
        }
    }

    /// It begins with a client.
    pub(super) fn begin(&self, now: Instant) {
        if let Some(writer) = self.writer() {
            writer.add(Count::Begun, 1);
            writer.changed(now);
        }
    }

    /// It leaves a client that it has begun with to a job that begins with it again.
    pub(super) fn begin_again(&self) {
        self.add(Count::Begun, 1_u64.wrapping_neg());
    }

    /// It is done with a client that it had for so long. The address of the client is asked for if that is a fault.
    pub(super) fn end(
        &self,
        how: Result<(), Fault>,
        now: Instant,
        took_us: u64,
        address: impl FnOnce() -> Option<SocketAddr>,
    ) {
        self.end_as(how.map_or_else(of_fault, |()| Count::Served), now, took_us, address);
    }

    /// As [`end`](Self::end), with this outcome.
    pub(super) fn end_as(
        &self,
        kind: Count,
        now: Instant,
        took_us: u64,
        address: impl FnOnce() -> Option<SocketAddr>,
    ) {
        let Some(writer) = self.writer() else { return };
        writer.add(kind, 1);
        writer.duration(took_us);
        writer.changed(now);
        if let (Some(ledger), true) = (&self.ledger, FAULTS.contains(&kind)) {
            ledger.remember(&Incident::of_client(kind, now, address(), took_us));
        }
    }

    /// The first byte of output was sent after so long.
    pub(super) fn first_byte(&self, us: u64) {
        if let Some(writer) = self.writer() {
            writer.first_byte(us);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let (Some(ledger), Some(line)) = (&self.ledger, self.line.get()) {
            ledger.leave(line);
        }
    }
}

fn of_fault(fault: Fault) -> Count {
    match fault {
        Fault::Peer(peer) => match peer {
            Peer::Malformed
            | Peer::TooLong { .. }
            | Peer::Truncated
            | Peer::Options
            | Peer::WrongSize => Count::Malformed,
            Peer::Reset => Count::Reset,
            Peer::Refused | Peer::Declined | Peer::Aborted => Count::Declined,
        },
        Fault::Local(_) => Count::Oversized,
        Fault::TimedOut { .. } => Count::TimedOut,
        Fault::Storage(_) => Count::Storage,
        Fault::Integrity => Count::Integrity,
        Fault::Aborted => Count::Aborted,
        Fault::Denied => Count::Denied,
    }
}
