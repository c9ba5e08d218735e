//! A transfer over its own socket: what arrives goes to the machine, what the machine owes leaves in batches.
//!
//! ```text
//!   recvmmsg ──▶ │datagram│datagram│ … ──▶ handle ──▶ block ──▶ storage: kept, or later
//!   render ──▶ │head│ block │head│ block │ … ──▶ sendmsg(UDP_SEGMENT), or sendmmsg
//!                     one preadv(2) fills the blocks
//! ```
//!
//! Servers and clients run the same code. A server's files are those of the folder in its
//! [`Rules`](super::Rules), opened, read and written as for streams: in an event loop nothing waits for a disk. A
//! client brings a storage of its own, which may wait.

mod ahead;
mod at_port;
mod counting;
mod folder;
mod link;
mod outcome;
mod sent_text;
mod store;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer as FileAnswer, Op, Storage};
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::{HEAD_MAX, Heard, Transfer};
use windlass_core::want::Close;

use self::link::Link;
pub use self::outcome::{Said, Told, to_stranger};
use self::store::Store;
use super::buffers::{Buffers, Reports};
use super::files::{Answer, Found};
use super::peers::Mark;
use super::rules::RulesId;
use super::turns::{Next, Turns};
use crate::sys::datagram::Conversation;
use crate::sys::datagram::batch::Batch;
use crate::sys::ready::{Interest, Ready};
use crate::sys::traffic;

/// A transfer and its socket.
pub struct Exchange<'a> {
    link: Link,
    machine: Box<dyn Transfer + Send + 'a>,
    store: Store<'a>,
    /// Datagrams that were received and not taken yet.
    held: VecDeque<Box<[u8]>>,
    /// In the first one of them: where what storage has not kept of its block begins.
    block_at: Option<usize>,
    rules: RulesId,
    /// When it began, and when something new came last or storage did something.
    began: Instant,
    moved: Instant,
    /// What ended this one: the request of another transfer.
    next_request: Option<Box<[u8]>>,
    has_begun: bool,
    is_over: bool,
    /// The end of the data that was sent: what is sent before that is sent again.
    sent_to: u64,
}

/// What a datagram costs of the budget of a turn, beside its bytes.
const DATAGRAM_COST: usize = 1024;

impl Exchange<'static> {
    /// A server's: `request` is the first datagram of the client. A file of the folder in its rules may be
    /// replaced with `overwrite` only.
    pub fn serving(
        socket: Conversation,
        machine: Box<dyn Transfer + Send>,
        request: Box<[u8]>,
        overwrite: bool,
        now: Instant,
    ) -> Self {
        let mut this = Self::new(socket, machine, Store::folder(overwrite), now);
        this.held.push_back(request);
        this
    }
}

impl<'a> Exchange<'a> {
    /// A client's, with its own storage: [`run_alone`](super::run_alone) runs it.
    pub fn asking(
        socket: Conversation,
        machine: Box<dyn Transfer + Send + 'a>,
        storage: &'a mut (dyn Storage + Send),
        now: Instant,
    ) -> Self {
        Self::new(socket, machine, Store::own(storage), now)
    }

    fn new(
        socket: Conversation,
        machine: Box<dyn Transfer + Send + 'a>,
        store: Store<'a>,
        now: Instant,
    ) -> Self {
        Self {
            link: Link::new(socket, store.is_own()),
            machine,
            store,
            held: VecDeque::new(),
            block_at: None,
            rules: RulesId::default(),
            began: now,
            moved: now,
            next_request: None,
            has_begun: false,
            is_over: false,
            sent_to: 0,
        }
    }

    /// The peer: before its first answer, the address that was asked.
    pub fn peer(&self) -> std::net::SocketAddr {
        self.link.socket.peer()
    }

    /// What the peer, strangers and the network said.
    pub fn told(&self) -> &Told {
        &self.link.told
    }

    fn advance(&mut self, now: Instant, buffers: &mut Buffers) -> Result<Next, Fault> {
        self.link.look_for_trouble()?;
        let mut budget = buffers.budget;
        loop {
            let mut want = self.machine.want();
            if want.wake.is_due(now) {
                self.machine.tick(now);
                want = self.machine.want();
                debug_assert!(!want.wake.is_due(now), "a tick leaves nothing due");
            }
            let mut is_read_later = false;
            if want.write && self.link.writable && self.link.gone.is_none() {
                if budget == 0 {
                    return Ok(Next::Again);
                }
                if let Found::Now(cost) = self.send(now, buffers)? {
                    budget = budget.saturating_sub(cost);
                    continue;
                }
                is_read_later = true;
            }
            if let Close::Done(how) = want.close {
                return how.map(|()| Next::Closed(Ok(())));
            }
            if want.file {
                if budget == 0 {
                    return Ok(Next::Again);
                }
                let mut held = self.held.front_mut().map(std::mem::take);
                let kept = self.store(now, held.as_deref().unwrap_or_default(), buffers);
                if let (Some(held), Some(front)) = (held.take(), self.held.front_mut()) {
                    *front = held;
                }
                let Found::Now(cost) = kept else { return Ok(Next::Wait(Interest::NONE)) };
                budget = budget.saturating_sub(cost);
                continue;
            }
            if self.block_at.take().is_some() {
                // All of it is kept.
                self.held.pop_front();
            }
            if want.read {
                if let Some(datagram) = self.held.pop_front() {
                    let heard = self.machine.handle(now, &datagram);
                    if self.hear(now, heard, &datagram) {
                        self.held.push_front(datagram);
                    }
                    budget = budget.saturating_sub(DATAGRAM_COST);
                    continue;
                }
                if self.link.readable || self.link.has_one {
                    if budget == 0 {
                        return Ok(Next::Again);
                    }
                    let mut batch = buffers.take_batch();
                    let cost = self.receive(now, &mut batch, buffers);
                    buffers.give_back_batch(batch);
                    budget = budget.saturating_sub(cost?);
                    continue;
                }
            }
            if let Some(fault) = self.link.gone {
                // The peer of a whole transfer has heard so, and has left.
                let is_whole = want.close == Close::WriteHalf;
                return if is_whole { Ok(Next::Closed(Ok(()))) } else { Err(fault) };
            }
            let write = want.write && !is_read_later;
            return Ok(Next::Wait(Interest { read: want.read, write }));
        }
    }

    /// Receives one batch. Returns what it costs.
    fn receive(
        &mut self,
        now: Instant,
        batch: &mut Batch,
        buffers: &mut Buffers,
    ) -> Result<usize, Fault> {
        let mut cost = DATAGRAM_COST;
        let is_awaited = self.link.has_one;
        if !self.link.receive(batch, buffers.reports == Reports::WhileReady)? {
            return Ok(cost);
        }
        for received in batch.iter_mut() {
            if !self.link.is_of_peer(&received) {
                continue;
            }
            let datagram = received.datagram();
            traffic::did_receive(datagram.len());
            cost += DATAGRAM_COST + datagram.len();
            self.count_heard(datagram.len(), buffers);
            if !self.held.is_empty() || !self.machine.want().read {
                self.held.push_back(datagram.into());
                continue;
            }
            let heard = self.machine.handle(now, datagram);
            if !self.hear(now, heard, datagram) {
                continue;
            }
            while self.machine.want().file {
                if let Found::Later = self.store(now, datagram, buffers) {
                    self.held.push_back(datagram.into());
                    break;
                }
            }
            if self.held.is_empty() {
                self.block_at = None;
            }
        }
        self.link.comes_alone = self.machine.want().write;
        self.link.readable |= is_awaited && !self.link.comes_alone;
        Ok(cost)
    }

    /// Notes what came of a datagram. True: it has a block, which storage is to keep.
    fn hear(&mut self, now: Instant, heard: Heard, datagram: &[u8]) -> bool {
        self.link.counts.heard += 1;
        if let Heard::Taken | Heard::Store { .. } = heard {
            self.moved = now;
            self.link.moved(matches!(self.machine.want().close, Close::Done(_)));
        }
        match heard {
            Heard::Taken => {}
            Heard::Store { at } => {
                self.block_at = Some(at);
                return true;
            }
            Heard::Ignored => self.link.counts.ignored += 1,
            Heard::Malformed(_) => self.link.counts.malformed += 1,
            Heard::Ended { code, at, len } => {
                let text = datagram.get(at..at + len).unwrap_or_default();
                self.link.told.said = Some(Said { code, text: text.into() });
            }
            Heard::Replaced => {
                self.link.counts.replaced = true;
                self.next_request = Some(datagram.into());
            }
        }
        false
    }

    /// Does the next operation of storage, on what is left of the block in `datagram`. Returns what it costs.
    fn store(&mut self, now: Instant, datagram: &[u8], buffers: &mut Buffers) -> Found<usize> {
        let Some(user) = self.machine.storage() else { return Found::Now(0) };
        let text = user.text();
        let Some(op) = user.op() else { return Found::Now(0) };
        let at = self.block_at.unwrap_or(datagram.len());
        let block = match op {
            Op::Store(extent) => {
                let len = usize::try_from(extent.len).unwrap_or(usize::MAX);
                datagram.get(at..).and_then(|rest| rest.get(..len)).unwrap_or_default()
            }
            _ => &[],
        };
        let done = self.store.perform(now, (op, text), block, (buffers, self.rules));
        let Found::Now(answer) = done else { return Found::Later };
        let cost = match answer {
            FileAnswer::Kept(n) => {
                self.link.counts.bytes += n as u64;
                self.block_at = Some(at + n);
                n
            }
            FileAnswer::Digested(n) => usize::try_from(n).unwrap_or(usize::MAX),
            _ => 0,
        };
        self.moved = now;
        user.answer(now, answer);
        Found::Now(cost.saturating_add(DATAGRAM_COST))
    }

    /// Sends what is owed, as much as is laid out together. `None`: a helper reads the file.
    fn send(&mut self, now: Instant, buffers: &mut Buffers) -> Result<Found<usize>, Fault> {
        let Found::Now(layout) = self.store.lay_out(now, &*self.machine, buffers)? else {
            return Ok(Found::Later);
        };
        let ends = layout.ends();
        debug_assert!(!ends.is_empty(), "what is owed fits, and is read whole");
        let is_first = self.link.counts.sent == 0;
        let count = self.link.send(&buffers.input[..layout.valid], ends)?;
        self.machine.sent(now, count);
        let bytes = count.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        self.count_sent(now, (count, bytes, is_first), &layout, buffers);
        Ok(Found::Now(bytes + DATAGRAM_COST))
    }

    /// When storage will have taken too long.
    fn stalled_at(&self, buffers: &Buffers) -> Option<Instant> {
        let idle_us = buffers.rules(self.rules).limits.idle_us?;
        Some(self.moved.after(idle_us))
    }

    fn is_stalled(&self, now: Instant, buffers: &Buffers) -> bool {
        self.store.is_awaited() && self.stalled_at(buffers).is_some_and(|at| at <= now)
    }

    /// Sends the last word, if there is one.
    fn say_last_word(&mut self, now: Instant) {
        let mut head = [0; HEAD_MAX];
        if self.machine.want().write
            && let Some(tx) = self.machine.render(now, 0, &mut head)
            && tx.body.len == 0
        {
            let _ = self.link.socket.send(&head[..tx.head], &[tx.head]);
            self.machine.sent(now, 1);
        }
    }

    /// It is over.
    fn end(&mut self, now: Instant, how: Result<(), Fault>) -> Next {
        // One that only repeats its last answer is whole, however it ends.
        let how = if self.only_repeats() { Ok(()) } else { how };
        if let Err(fault) = how {
            self.machine.abort(fault);
        }
        self.say_last_word(now);
        if !std::mem::replace(&mut self.is_over, true) {
            self.link.counts.replaced |= self.link.mark.as_ref().is_some_and(Mark::is_replaced);
            self.store.log(self.link.socket.peer(), how, &self.link.counts, now.since(self.began));
            self.store.close();
            self.link.mark.iter().for_each(Mark::set_over);
        }
        Next::Closed(how)
    }
}

impl Turns for Exchange<'_> {
    fn note(&mut self, ready: Ready) {
        self.link.note(ready);
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.note(ready);
        buffers.file_input();
        self.count_begin(now, buffers);
        let next = match self.advance(now, buffers) {
            Ok(Next::Wait(_)) if self.is_stalled(now, buffers) => {
                Next::Closed(Err(StorageFault::Stalled.into()))
            }
            next => next.unwrap_or_else(|fault| Next::Closed(Err(fault))),
        };
        if let Next::Closed(how) = next {
            self.count_end(how, now, buffers);
            return self.end(now, how);
        }
        next
    }

    /// There is room as a rule.
    fn rest(&mut self) -> Option<Interest> {
        Some(Interest { read: self.machine.want().read, write: true })
    }

    fn wait_for_input(&mut self, until: Instant, buffers: &mut Buffers) -> bool {
        self.held.is_empty() && self.link.wait_and_receive(buffers.batch(), until)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        let at = match self.machine.want().wake.min(self.store.wake()) {
            Wake::Now => Some(Instant::ZERO),
            Wake::At(at) => Some(at),
            Wake::Never => None,
        };
        let stalled = self.stalled_at(buffers).filter(|_| self.store.is_awaited());
        at.into_iter().chain(stalled).min()
    }

    fn look_every_us(&self, _: &Buffers) -> Option<u64> {
        None
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
    }

    fn came(&mut self, answer: Answer) {
        self.store.came(answer);
    }

    fn rested(&mut self, now: Instant) {
        self.moved = now;
    }

    fn dismiss(&mut self) {
        self.is_over = true;
        self.link.mark.iter().for_each(Mark::set_over);
    }

    fn only_repeats(&self) -> bool {
        let want = self.machine.want();
        want.close == Close::WriteHalf && !want.write && self.held.is_empty()
    }

    fn abort(&mut self, why: Fault) {
        let _ = self.end(self.moved, Err(why));
    }

    fn given_up(&mut self, why: Fault, now: Instant, buffers: &Buffers) {
        self.count_begin(now, buffers);
        self.count_end(Err(why), now, buffers);
    }
}

impl Drop for Exchange<'_> {
    /// The peer of a transfer that is given up is told.
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.end(self.moved, Err(Fault::Aborted));
        }
    }
}

impl AsFd for Exchange<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
