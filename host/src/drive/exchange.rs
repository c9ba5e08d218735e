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
//! client lends a storage of its own to each turn, which may wait.

mod ahead;
mod at_port;
mod counting;
mod folder;
mod job;
mod link;
mod outcome;
mod sent_text;
mod store;
mod with_storage;

use std::collections::VecDeque;

use windlass_core::fault::Fault;
use windlass_core::file::{Answer as FileAnswer, Op, Storage};
use windlass_core::time::Instant;
use windlass_core::transfer::{Heard, Transfer};
use windlass_core::want::Close;

use self::folder::Folder;
use self::link::Link;
pub use self::outcome::{Said, Told};
use self::store::{Lent, Store};
pub use self::with_storage::WithStorage;
use super::buffers::{Buffers, Reports};
use super::files::Found;
use super::layout::Layout;
use super::rules::RulesId;
use super::turns::Next;
use crate::sys::datagram::Conversation;
use crate::sys::datagram::batch::Batch;
use crate::sys::ready::{Interest, Ready};
use crate::sys::traffic;

/// A transfer and its socket.
pub struct Exchange<M: Transfer + ?Sized = dyn Transfer + Send> {
    link: Link,
    machine: Box<M>,
    store: Store,
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
    /// Its file is whole, which is counted and logged: how it ends changes nothing of that.
    is_whole: bool,
    is_over: bool,
}

/// What a datagram costs of the budget of a turn, beside its bytes.
const DATAGRAM_COST: usize = 1024;

impl Exchange {
    /// A server's: `request` is the first datagram of the client. A file of the folder in its rules may be
    /// replaced with `overwrite` only.
    pub fn serving(
        socket: Conversation,
        machine: Box<dyn Transfer + Send>,
        request: Box<[u8]>,
        overwrite: bool,
        now: Instant,
    ) -> Self {
        let mut this = Self::new(socket, machine, Some(Folder::new(overwrite)), now);
        this.held.push_back(request);
        this
    }
}

impl<M: Transfer + ?Sized> Exchange<M> {
    /// A client's. Give it turns by [`turn_with`](Self::turn_with), or the storage for as long as it lasts
    /// ([`WithStorage`]).
    pub fn asking(socket: Conversation, machine: Box<M>, now: Instant) -> Self {
        Self::new(socket, machine, None, now)
    }

    fn new(socket: Conversation, machine: Box<M>, folder: Option<Folder>, now: Instant) -> Self {
        Self {
            link: Link::new(socket, folder.is_none()),
            machine,
            store: Store::new(folder),
            held: VecDeque::new(),
            block_at: None,
            rules: RulesId::default(),
            began: now,
            moved: now,
            next_request: None,
            has_begun: false,
            is_whole: false,
            is_over: false,
        }
    }

    /// Its machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The peer: before its first answer, the address that was asked.
    pub fn peer(&self) -> std::net::SocketAddr {
        self.link.socket.peer()
    }

    /// What the peer, strangers and the network said.
    pub fn told(&self) -> &Told {
        &self.link.told
    }

    /// Whether the peer has sent anything.
    pub fn is_answered(&self) -> bool {
        self.link.counts.heard > 0
    }

    /// A [turn](super::Turns::turn) of a client's, with its storage.
    pub fn turn_with(
        &mut self,
        storage: &mut dyn Storage,
        ready: Ready,
        now: Instant,
        buffers: &mut Buffers,
    ) -> Next {
        self.take_turn(ready, now, &mut Lent { buffers, storage: Some(storage) })
    }

    fn advance(&mut self, now: Instant, lent: &mut Lent<'_>) -> Result<Next, Fault> {
        self.link.look_for_trouble()?;
        let mut budget = lent.buffers.budget;
        loop {
            let mut want = self.machine.want();
            if want.wake.is_due(now) {
                self.machine.tick(now);
                want = self.machine.want();
                debug_assert!(!want.wake.is_due(now), "a tick leaves nothing due");
            }
            if want.close == Close::WriteHalf && !self.is_whole && self.store.folder.is_some() {
                // It is counted, and has left its place, before its client hears that the file is whole.
                return Ok(Next::Again);
            }
            let mut is_read_later = false;
            if want.write && self.link.writable && self.link.gone.is_none() {
                if budget == 0 {
                    return Ok(Next::Again);
                }
                if let Found::Now(cost) = self.send(now, lent)? {
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
                let kept = self.store(now, held.as_deref().unwrap_or_default(), lent);
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
                    let mut batch = lent.buffers.take_batch();
                    let cost = self.receive(now, &mut batch, lent);
                    lent.buffers.give_back_batch(batch);
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
        lent: &mut Lent<'_>,
    ) -> Result<usize, Fault> {
        let mut cost = DATAGRAM_COST;
        let is_awaited = self.link.has_one;
        if !self.link.receive(batch, lent.buffers.reports == Reports::WhileReady)? {
            return Ok(cost);
        }
        for received in batch.iter_mut() {
            if !self.link.is_of_peer(&received) {
                continue;
            }
            let datagram = received.datagram();
            traffic::did_receive(datagram.len());
            cost += DATAGRAM_COST + datagram.len();
            self.count_heard(datagram.len(), lent.buffers);
            if !self.held.is_empty() || !self.machine.want().read {
                self.held.push_back(datagram.into());
                continue;
            }
            let heard = self.machine.handle(now, datagram);
            if !matches!(heard, Heard::Ignored | Heard::Malformed(_)) {
                // Another program on the host of the server may have sent the others.
                self.link.socket.took_from(received.peer);
            }
            if !self.hear(now, heard, datagram) {
                continue;
            }
            while self.machine.want().file {
                if let Found::Later = self.store(now, datagram, lent) {
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
            Heard::Malformed(_) => self.link.told.malformed += 1,
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
    fn store(&mut self, now: Instant, datagram: &[u8], lent: &mut Lent<'_>) -> Found<usize> {
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
        let done = self.store.perform(now, (op, text), block, lent, self.rules);
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
    fn send(&mut self, now: Instant, lent: &mut Lent<'_>) -> Result<Found<usize>, Fault> {
        let mut layout = std::mem::take(&mut lent.buffers.layout);
        let sent = self.send_laid(now, &mut layout, lent);
        lent.buffers.layout = layout;
        sent
    }

    fn send_laid(
        &mut self,
        now: Instant,
        layout: &mut Layout,
        lent: &mut Lent<'_>,
    ) -> Result<Found<usize>, Fault> {
        let Found::Now(()) = self.store.lay_out(now, &*self.machine, layout, lent)? else {
            return Ok(Found::Later);
        };
        let ends = layout.ends();
        debug_assert!(!ends.is_empty(), "what is owed fits, and is read whole");
        let is_first = self.link.counts.sent == 0;
        let count = self.link.send(&lent.buffers.input[..layout.valid], ends)?;
        self.machine.sent(now, count);
        let bytes = count.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        self.count_sent(now, (count, bytes, is_first), layout, lent.buffers);
        Ok(Found::Now(bytes + DATAGRAM_COST))
    }
}

#[cfg(test)]
mod tests;
