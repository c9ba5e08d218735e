//! One end: a transfer, its storage, and the datagram that waits for it.

use super::link::Link;
use crate::bytes::first;
use crate::file::{Answer, Extent, Op, Storage};
use crate::time::{Instant, Wake};
use crate::transfer::{HEAD_MAX, Heard, Transfer};
use crate::want::Close;

/// A shell in miniature, with memory for one datagram.
pub struct Host<'t, const MTU: usize> {
    transfer: &'t mut dyn Transfer,
    storage: &'t mut dyn Storage,
    /// The datagram that was handed over last.
    held: [u8; MTU],
    /// Where in it the bytes are that storage has not kept.
    at: usize,
    /// Storage is busy until then.
    busy: Option<Wake>,
    malformed: u32,
}

impl<const MTU: usize> core::fmt::Debug for Host<'_, MTU> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut host = f.debug_struct("Host");
        host.field("want", &self.transfer.want()).field("busy", &self.busy).finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl<const MTU: usize> defmt::Format for Host<'_, MTU> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Host {{ want: {} }}", self.transfer.want());
    }
}

/// Calls for one turn at most: a machine that wants more than this at one instant spins.
const CALLS_MAX: u32 = 100_000;

impl<'t, const MTU: usize> Host<'t, MTU> {
    /// Runs `transfer` on `storage`.
    pub const fn new(transfer: &'t mut dyn Transfer, storage: &'t mut dyn Storage) -> Self {
        Self { transfer, storage, held: [0; MTU], at: 0, busy: None, malformed: 0 }
    }

    /// Datagrams that were not of the protocol.
    pub const fn malformed(&self) -> u32 {
        self.malformed
    }

    pub(super) fn close(&self) -> Close {
        self.transfer.want().close
    }

    /// Does all that can be done now. When there is more.
    pub(super) fn turn<const SLOTS: usize>(
        &mut self,
        now: Instant,
        from: &mut Link<SLOTS, MTU>,
        to: &mut Link<SLOTS, MTU>,
    ) -> Wake {
        self.busy = self.busy.filter(|wake| !wake.is_due(now));
        for _ in 0..CALLS_MAX {
            let want = self.transfer.want();
            let waits = self.busy.map_or(want.wake, |busy| busy.min(want.wake));
            if want.wake.is_due(now) {
                self.transfer.tick(now);
            } else if want.write && self.busy.is_none() {
                self.send(now, to);
            } else if want.close.is_done() {
                // No transfer takes it any more.
                while from.recv(now, &mut self.held).is_some() {}
                return Wake::Never;
            } else if want.file {
                if self.busy.is_some() {
                    return waits;
                }
                self.store(now);
            } else if want.read
                && let Some(len) = from.recv(now, &mut self.held)
            {
                match self.transfer.handle(now, first(&self.held, len)) {
                    Heard::Store { at } => self.at = at,
                    Heard::Malformed(_) => self.malformed = self.malformed.saturating_add(1),
                    Heard::Taken | Heard::Ignored | Heard::Ended { .. } | Heard::Replaced => {}
                }
            } else {
                return waits;
            }
        }
        self.transfer.abort(crate::fault::Fault::Aborted);
        Wake::Never
    }

    /// Sends what is owed, as far as storage has it.
    fn send<const SLOTS: usize>(&mut self, now: Instant, to: &mut Link<SLOTS, MTU>) {
        let mut head = [0; HEAD_MAX];
        let mut count = 0;
        while let Some(tx) = self.transfer.render(now, count, &mut head) {
            let mut datagram = [0; MTU];
            let at = crate::bytes::fill(&mut datagram, first(&head, tx.head));
            let len = usize::try_from(tx.body.len).unwrap_or(usize::MAX);
            let end = at.saturating_add(len);
            let Some(body) = datagram.get_mut(at..end) else { break };
            match self.read(now, tx.body, body) {
                Answer::Busy(wake) => {
                    self.busy = Some(wake);
                    break;
                }
                Answer::Failed(fault) => {
                    self.transfer.abort(fault);
                    return;
                }
                _ => to.send(now, first(&datagram, end)),
            }
            count += 1;
        }
        self.transfer.sent(now, count);
    }

    /// Reads all of an extent, in as many steps as storage likes.
    fn read(&mut self, now: Instant, extent: Extent, to: &mut [u8]) -> Answer {
        let mut done = 0;
        while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let offset = extent.offset.saturating_add(done as u64);
            let extent = Extent { offset, len: rest.len() as u64 };
            match self.storage.perform(now, Op::Read { extent, digest: None }, rest) {
                Answer::Read(n) if n > 0 => done = done.saturating_add(n),
                other => return other,
            }
        }
        Answer::Read(done)
    }

    fn store(&mut self, now: Instant) {
        let Some(file) = self.transfer.storage() else { return };
        let Some(op) = file.op() else { return };
        let len = match op {
            Op::Store(extent) => usize::try_from(extent.len).unwrap_or(usize::MAX),
            _ => 0,
        };
        let memory = self.held.get_mut(self.at..).and_then(|rest| rest.get_mut(..len));
        let answer = self.storage.perform(now, op, memory.unwrap_or_default());
        match answer {
            Answer::Busy(wake) => self.busy = Some(wake),
            Answer::Kept(n) => {
                self.at = self.at.saturating_add(n);
                file.answer(now, answer);
            }
            _ => file.answer(now, answer),
        }
    }
}
