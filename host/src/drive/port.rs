//! A port: a bound datagram socket, and the responder that answers what arrives there.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tracing::{info, warn};
use windlass_core::fault::Fault;
use windlass_core::responder::{Responder, Response};
use windlass_core::time::Instant;

use super::access_log;
use super::buffers::Buffers;
use super::files::Answer;
use super::gate::Gate;
use super::rules::RulesId;
use super::turns::{Next, Turns};
use crate::sys::Errno;
use crate::sys::datagram::Peer;
use crate::sys::datagram::batch::{Batch, Sent};
use crate::sys::listener::Listener;
use crate::sys::ready::{Interest, Ready};
use crate::totals::Count;

/// A bound datagram socket and its responder. Unlike a connection it does not end by itself: it
/// answers until it is told to [`drain`](Turns::drain).
pub struct Port {
    socket: Listener,
    responder: Box<dyn Responder<Peer> + Send>,
    /// Which clients are served.
    gate: Option<Arc<Gate>>,
    /// The last batch left datagrams, or an event reported some.
    readable: bool,
    /// The last call failed.
    failed: bool,
    /// Replies for which the socket had no room, in a batch that is no other's meanwhile.
    unsent: Option<Batch>,
    draining: bool,
    counts: Counts,
    /// The counts when dropped datagrams were logged last.
    told: Counts,
    told_at: Option<Instant>,
    /// When to check whether it is still in its group, if it is in one.
    renew_at: Option<Instant>,
    rules: RulesId,
}

/// The counts of the datagrams of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Received completely.
    pub received: u64,
    /// Replies that were sent.
    pub replied: u64,
    /// Malformed ones.
    pub malformed: u64,
    /// Dropped, because they were longer than a datagram of the service can be.
    pub too_long: u64,
    /// Dropped, because their client is not served, or has as much as a client may have.
    pub refused: u64,
    /// Replies without room in the socket, or without a route.
    pub lost: u64,
    /// Dropped by the kernel, because this program was too slow.
    pub overflow: u64,
    /// Bytes of those that were received completely.
    pub bytes_in: u64,
    /// Bytes of the replies that were sent.
    pub bytes_out: u64,
}

impl Counts {
    fn dropped(&self) -> [u64; 5] {
        [self.malformed, self.too_long, self.refused, self.lost, self.overflow]
    }
}

/// The number of batches in one turn.
const BATCHES: usize = 4;

/// Microseconds between two log lines about dropped datagrams, and between two checks of the group.
const SECOND_US: u64 = 1_000_000;

impl Port {
    /// A port that answers datagrams at `socket` with `responder`.
    pub fn new(socket: Listener, responder: Box<dyn Responder<Peer> + Send>) -> Self {
        Self {
            socket,
            responder,
            gate: None,
            readable: true,
            failed: false,
            unsent: None,
            draining: false,
            counts: Counts::default(),
            told: Counts::default(),
            told_at: None,
            renew_at: None,
            rules: RulesId::default(),
        }
    }

    /// The same for the clients that `gate` lets in, and no faster than they may be answered.
    #[must_use]
    pub(crate) fn behind(self, gate: Option<Arc<Gate>>) -> Self {
        Self { gate, ..self }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Once a second: a group is joined again after its interface went away and came back.
    fn renew(&mut self, now: Instant) {
        if self.socket.group().is_none() || self.renew_at.is_some_and(|at| now < at) {
            return;
        }
        if self.socket.renew_membership()
            && let Some(group) = self.socket.group()
        {
            info!("joined {group} again");
        }
        self.renew_at = Some(now.after(SECOND_US));
    }

    /// Adds what came since `before` to the sums of the listener.
    fn count(&self, before: Counts, buffers: &Buffers) {
        let tally = buffers.tally(self.rules);
        let since = |of: fn(&Counts) -> u64| of(&self.counts).saturating_sub(of(&before));
        tally.add(Count::DatagramsIn, since(|it| it.received));
        tally.add(Count::DatagramsOut, since(|it| it.replied));
        tally.add(Count::BytesIn, since(|it| it.bytes_in));
        tally.add(Count::BytesOut, since(|it| it.bytes_out));
        if self.counts.dropped() != before.dropped() {
            tally.add(Count::DatagramsMalformed, since(|it| it.malformed));
            tally.add(Count::DatagramsTooLong, since(|it| it.too_long));
            tally.add(Count::DatagramsRefused, since(|it| it.refused));
            tally.add(Count::DatagramsUnsent, since(|it| it.lost));
            tally.add(Count::DatagramsOverflowed, since(|it| it.overflow));
        }
    }

    /// Answers one batch.
    fn answer(&mut self, now: Instant, buffers: &mut Buffers) {
        let batch = buffers.batch();
        match batch.receive(&self.socket) {
            Ok(_) => (self.readable, self.failed) = (batch.is_full(), false),
            Err(Errno::EINTR) => return,
            Err(Errno::EAGAIN) => {
                self.readable = false;
                return;
            }
            // It is about something that was sent before, and there may be datagrams behind it. If it stays,
            // an event is waited for.
            Err(_) => {
                self.readable = !std::mem::replace(&mut self.failed, true);
                return;
            }
        }
        for received in batch.iter_mut() {
            self.counts.received += 1;
            if received.cut {
                self.counts.too_long += 1;
                continue;
            }
            self.counts.bytes_in += received.len as u64;
            let (peer, len) = (received.peer, received.len);
            let asks = self.gate.as_ref().zip(peer.socket_addr());
            if asks.is_some_and(|(gate, peer)| !gate.lets_ask(now, peer, len)) {
                self.counts.refused += 1;
                continue;
            }
            let response = self.responder.datagram(now, peer, received.buf, len);
            if let Some((gate, peer)) = asks {
                gate.did_ask(now, peer, len, response);
            }
            match response {
                Response::Reply(len) => received.reply(len),
                Response::NoReply => {}
                Response::Malformed(_) => self.counts.malformed += 1,
            }
        }
        self.counts.overflow = batch.overflow().into();
        if !self.send(buffers.batch()) {
            self.unsent = Some(buffers.take_batch());
        }
    }

    /// Sends the replies of a batch. False: there is no room for all of them.
    fn send(&mut self, batch: &mut Batch) -> bool {
        let Sent { sent, bytes, lost, is_full, .. } = batch.reply(&self.socket);
        self.counts.replied += sent;
        self.counts.bytes_out += bytes;
        self.counts.lost += lost;
        !is_full
    }

    /// Sends what there was no room for. False: there still is none.
    fn send_rest(&mut self, buffers: &mut Buffers) -> bool {
        let Some(mut batch) = self.unsent.take() else { return true };
        let is_sent = self.send(&mut batch);
        if is_sent {
            buffers.give_back_batch(batch);
        } else {
            self.unsent = Some(batch);
        }
        is_sent
    }

    /// Logs the dropped datagrams, at most once a second.
    fn log_dropped(&mut self, now: Instant) {
        if self.is_told() || self.told_at.is_some_and(|at| now.since(at) < SECOND_US) {
            return;
        }
        let since = |of: fn(&Counts) -> u64| of(&self.counts).saturating_sub(of(&self.told));
        let (malformed, too_long) = (since(|it| it.malformed), since(|it| it.too_long));
        let (refused, lost) = (since(|it| it.refused), since(|it| it.lost));
        let overflow = since(|it| it.overflow);
        warn!(malformed, too_long, refused, lost, overflow, "datagrams were dropped");
        (self.told, self.told_at) = (self.counts, Some(now));
    }

    fn is_told(&self) -> bool {
        self.counts.dropped() == self.told.dropped()
    }
}

impl Turns for Port {
    fn note(&mut self, ready: Ready) {
        self.readable |= ready.any();
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.note(ready);
        let before = self.counts;
        let mut left = BATCHES;
        // What the socket has no room to answer waits in its queue.
        let mut has_room = self.send_rest(buffers);
        while has_room && self.readable && left > 0 {
            left -= 1;
            self.answer(now, buffers);
            has_room = self.unsent.is_none();
        }
        self.count(before, buffers);
        access_log::flush();
        self.log_dropped(now);
        self.renew(now);
        if !has_room {
            return Next::Wait(Interest::WRITE);
        }
        match (self.readable, self.draining) {
            (false, true) => {
                let Counts {
                    received, replied, malformed, too_long, refused, lost, overflow, ..
                } = self.counts;
                info!(
                    received,
                    replied, malformed, too_long, refused, lost, overflow, "the port is closed"
                );
                Next::Closed(Ok(()))
            }
            (true, _) => Next::Again,
            (false, false) => Next::Wait(Interest::READ),
        }
    }

    fn rest(&mut self) -> Option<Interest> {
        (!self.draining).then_some(Interest::READ)
    }

    /// When the next log line is due, or the next check of the group.
    fn deadline(&self, _: &Buffers) -> Option<Instant> {
        let tell_at = self.told_at.filter(|_| !self.is_told()).map(|at| at.after(SECOND_US));
        tell_at.into_iter().chain(self.renew_at).min()
    }

    fn look_every_us(&self, _: &Buffers) -> Option<u64> {
        None
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
    }

    fn drain(&mut self) -> bool {
        (self.draining, self.readable) = (true, true);
        true
    }

    fn came(&mut self, _: Answer) {}

    fn abort(&mut self, _: Fault) {
        self.drain();
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
