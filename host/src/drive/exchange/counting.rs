//! What of a transfer goes to the counters of its listener.

use windlass_core::fault::Fault;
use windlass_core::time::Instant;
use windlass_core::transfer::Transfer;

use super::super::buffers::Buffers;
use super::super::layout::Layout;
use super::Exchange;
use crate::totals::Count;

impl<M: Transfer + ?Sized> Exchange<M> {
    /// It has a turn: its first one is counted, with the request.
    pub(super) fn count_begin(&mut self, now: Instant, buffers: &Buffers) {
        if !std::mem::replace(&mut self.has_begun, true) {
            buffers.tally(self.rules).begin(now);
            self.held.iter().for_each(|request| self.count_heard(request.len(), buffers));
        }
    }

    /// A datagram of the peer came.
    pub(super) fn count_heard(&self, len: usize, buffers: &Buffers) {
        let tally = buffers.tally(self.rules);
        tally.add(Count::DatagramsIn, 1);
        tally.add(Count::BytesIn, len as u64);
    }

    /// The first `count` datagrams of a layout left, with `bytes` bytes.
    pub(super) fn count_sent(
        &mut self,
        now: Instant,
        (count, bytes, is_first): (usize, usize, bool),
        layout: &Layout,
        buffers: &Buffers,
    ) {
        let tally = buffers.tally(self.rules);
        tally.add(Count::DatagramsOut, count as u64);
        tally.add(Count::BytesOut, bytes as u64);
        let sent_to = &mut self.link.counts.sent_to;
        let data_ends = layout.data_ends().iter().copied().take(count).filter(|&end| end > 0);
        let again = data_ends.clone().filter(|&end| end <= *sent_to).count();
        tally.add(Count::Retransmitted, again as u64);
        *sent_to = data_ends.max().unwrap_or(0).max(*sent_to);
        if is_first && count > 0 {
            tally.first_byte(now.since(self.began));
        }
    }

    /// Its file is whole, or it is over: the first of these is counted.
    pub(super) fn count_end(&self, how: Result<(), Fault>, now: Instant, buffers: &Buffers) {
        if self.is_whole {
            return;
        }
        let tally = buffers.tally(self.rules);
        if let Some(outcome) = self.store.folder.as_ref().and_then(|folder| folder.outcome(how)) {
            tally.add(outcome, 1);
        }
        tally.add(Count::DatagramsMalformed, self.link.told.malformed);
        tally.add(Count::DatagramsUnsent, self.link.counts.lost);
        tally.end(how, now, now.since(self.began), || Some(self.link.socket.peer()));
    }
}
