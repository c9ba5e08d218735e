//! A file on its way in: blocks in order, kept before they are acknowledged.
//!
//! ```text
//!   Waiting ──block──▶ Creating (once) ─▶ Storing ──kept──▶ Waiting
//!                                           └──kept, the last one──▶ Committing ─▶ Lingering ─▶ over
//! ```
//!
//! An acknowledgement is owed at the end of a window, once for each gap in what the sender sends, and again when
//! nothing comes. The sender repeats what it has no acknowledgement of: a block that came before is answered again, but
//! not so soon that it may be a copy that the network made. So no sender, of whatever kind, is driven to send twice for
//! ever.

use super::Heard;
use super::run::{Engine, Run};
use super::timer::{Expired, Span, Timer};
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Answer, Digest, Extent, Head, Op};
use crate::time::Instant;
use crate::want::{Close, Want};

/// The receiver of both protocols.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Inbound {
    timer: Timer,
    linger_us: u32,
    /// The bits of a number that travel.
    mask: u32,
    /// The number of the last block that was kept with all before it, and the first byte behind it.
    last: u32,
    at: u64,
    /// Bytes of the whole file, if the peer said.
    size: Option<u64>,
    held: Held,
    window: u16,
    /// Blocks that came in order since the last acknowledgement left.
    count: u16,
    /// The acknowledgement of `last` is owed.
    owes: bool,
    /// Block 0: no block came yet, and what is owed begins the transfer.
    greets: bool,
    /// Storage has a place for the file.
    is_created: bool,
    /// A block is missing, which was told; how far ahead of `last` the one is that came last. 0 for no gap.
    gap: u32,
    state: State,
}

/// An acknowledgement left.
const ANSWERED: usize = 0;
/// The acknowledgement left that the next block answers, unless it was repeated: then nothing tells which of them
/// was answered. For the first measurement the longer time will do.
const TIMED: usize = 1;
/// A missing block was told of.
const GAP: usize = 2;

/// With the missing one so many blocks begin a round of the sender.
const NEAR: u32 = 3;

/// The block that the shell holds for storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Held {
    number: u32,
    /// Bytes of it that are not kept.
    left: u32,
    is_last: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Waits for the peer.
    Waiting,
    /// The shell finds a place for the file, before a block is held or with the first one.
    Creating { holds: bool },
    /// The shell keeps what is left of the block.
    Storing,
    /// The shell makes the file valid.
    Committing,
    /// The file is whole: the last answer is repeated until the timer is due.
    Lingering,
}

impl Inbound {
    pub(super) const fn new(timer: Timer, linger_us: u32, mask: u32) -> Self {
        Self {
            timer,
            linger_us,
            mask,
            last: 0,
            at: 0,
            size: None,
            held: Held { number: 0, left: 0, is_last: false },
            window: 1,
            count: 0,
            owes: true,
            greets: true,
            is_created: false,
            gap: 0,
            state: State::Waiting,
        }
    }

    /// What is agreed: blocks in a window, where the file begins, and how long it is.
    pub(super) fn agree(&mut self, window: u16, at: u64, size: Option<u64>) {
        (self.window, self.at, self.size) = (window, at, size);
    }

    /// The shell is to find a place for the file before any block comes.
    pub(super) fn create(&mut self) {
        self.state = State::Creating { holds: false };
    }

    /// The peer answered what begins the transfer.
    pub(super) fn answered(&mut self, now: Instant) {
        self.timer.advance(now);
        self.moved();
    }

    /// Whether nothing was kept yet.
    pub(super) const fn greets(&self) -> bool {
        self.greets
    }

    /// Whether the shell is to hold a block.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// Whether the shell finds a place for the file.
    pub(super) const fn is_creating(&self) -> bool {
        matches!(self.state, State::Creating { .. })
    }

    pub(super) const fn timer(&self) -> &Timer {
        &self.timer
    }

    pub(super) fn timer_at(&mut self, now: Instant) -> Timer {
        self.timer.advance(now);
        self.timer
    }

    /// The answer to what begins the transfer came again.
    pub(super) fn again(&mut self, now: Instant) {
        self.timer.advance(now);
        if self.greets {
            self.behind();
        }
    }

    /// The number of the block that is to be acknowledged.
    pub(super) fn owed(&self, nth: usize) -> Option<u32> {
        let is_quiet = matches!(self.state, State::Waiting | State::Lingering);
        (nth == 0 && self.owes && is_quiet && self.timer.may_send()).then_some(self.last)
    }

    /// The peer asks again for what begins the transfer.
    pub(super) fn repeat(&mut self) {
        self.timer.asked_again();
        self.owes = true;
    }

    /// A block of so many bytes came, which begins at this byte of its datagram.
    pub(super) fn block(
        &mut self,
        now: Instant,
        number: u32,
        (at, len): (usize, usize),
        is_last: bool,
    ) -> Result<Heard, Fault> {
        self.timer.advance(now);
        let ahead = number.wrapping_sub(self.last) & self.mask;
        // Some senders go from the last number to 1: where one block is on its way it cannot be another one.
        let wraps_to_1 = number == 1 && self.last == self.mask && self.window == 1;
        if ahead != 1 && !wraps_to_1 {
            if ahead == 0 || ahead > self.mask >> 1 {
                self.behind();
            } else if ahead <= self.window.into() {
                self.timer.heard();
                self.missing(ahead);
            }
            return Ok(Heard::Ignored);
        }
        if !self.is_waiting() {
            return Ok(Heard::Ignored);
        }
        let end = self.at.saturating_add(len as u64);
        if self.size.is_some_and(|size| if is_last { end != size } else { end > size }) {
            return Err(Peer::WrongSize.into());
        }
        self.timer.is_second();
        self.moved();
        self.owes = false;
        self.held = Held { number, left: u32::try_from(len).unwrap_or(u32::MAX), is_last };
        self.state = if self.is_created { self.hold() } else { State::Creating { holds: true } };
        Ok(if len > 0 { Heard::Store { at } } else { Heard::Taken })
    }

    /// A block is to be kept, or is empty.
    fn hold(&mut self) -> State {
        if self.held.left > 0 { State::Storing } else { self.whole() }
    }

    /// All of the block is kept.
    fn whole(&mut self) -> State {
        self.last = self.held.number;
        self.greets = false;
        self.gap = 0;
        if self.held.is_last {
            return State::Committing;
        }
        self.count = self.count.saturating_add(1);
        self.owes = self.count >= self.window;
        State::Waiting
    }

    /// A block came that was kept before.
    fn behind(&mut self) {
        let Some(us) = self.timer.ago[ANSWERED].us() else { return };
        // With new blocks since the acknowledgement the next one is near.
        if self.count == 0 && us >= self.timer.copies_until_us() {
            self.owes = true;
            if self.state == State::Lingering {
                self.timer.linger(self.linger_us);
            }
        }
    }

    /// A block came too early: one before it is missing.
    fn missing(&mut self, ahead: u32) {
        // Back near the missing one the sender has begun again, and it is missing again. Others are late.
        let is_anew = ahead < self.gap && ahead <= NEAR;
        if self.gap > 0 && !is_anew {
            self.gap = ahead;
            return;
        }
        if !self.is_waiting() {
            return;
        }
        let wait_us = match (self.timer.ago[GAP].us(), self.timer.srtt_us()) {
            (Some(us), Some(srtt_us)) => srtt_us.saturating_sub(us),
            _ => 0,
        };
        if wait_us == 0 {
            (self.gap, self.owes) = (ahead, true);
            self.timer.ago[GAP] = Span::ZERO;
        } else {
            self.timer.hasten(wait_us);
        }
    }

    /// Something new came. How long that took is measured, if it answers one acknowledgement.
    fn moved(&mut self) {
        let span = core::mem::replace(&mut self.timer.ago[TIMED], Span::NEVER);
        self.timer.measured(span);
        self.timer.moved();
    }

    /// The operation that storage is to do, for a file of this name and digest.
    pub(super) fn op<'m>(&self, name: &'m [u8], digest: Option<&'m Digest>) -> Option<Op<'m>> {
        match self.state {
            State::Creating { .. } => Some(Op::Create(Head {
                name,
                size: self.size,
                offset: self.at,
                digest: digest.map(Digest::kind),
            })),
            State::Storing => {
                Some(Op::Store(Extent { offset: self.at, len: self.held.left.into() }))
            }
            State::Committing => Some(Op::Commit(digest.map(Digest::lent))),
            State::Waiting | State::Lingering => None,
        }
    }

    /// What storage says. How it ended, if it ends now.
    pub(super) fn answer(&mut self, now: Instant, answer: Answer) -> Option<Fault> {
        self.timer.advance(now);
        self.state = match (self.state, answer) {
            (State::Waiting | State::Lingering, _) => return None,
            (_, Answer::Failed(fault)) => return Some(fault),
            (State::Creating { .. }, Answer::Refused(_)) => return Some(Fault::Aborted),
            (State::Creating { holds }, Answer::Done) => {
                (self.is_created, self.owes) = (true, true);
                self.timer.ago[ANSWERED] = Span::NEVER;
                if holds { self.hold() } else { State::Waiting }
            }
            (State::Storing, Answer::Kept(kept)) => {
                debug_assert!(kept <= self.held.left as usize, "more was kept than was offered");
                let kept = u32::try_from(kept).unwrap_or(u32::MAX).min(self.held.left);
                if kept == 0 {
                    // It would be offered the same again, for ever.
                    return Some(StorageFault::Failed.into());
                }
                self.at = self.at.saturating_add(kept.into());
                self.held.left = self.held.left.saturating_sub(kept);
                self.hold()
            }
            (State::Committing, Answer::Done) => {
                (self.owes, self.count) = (true, 0);
                State::Lingering
            }
            _ => return None,
        };
        match self.state {
            State::Waiting => self.timer.restart(),
            State::Lingering => {
                self.timer.restart();
                self.timer.linger(self.linger_us);
            }
            State::Creating { .. } | State::Storing | State::Committing => {}
        }
        None
    }
}

impl Engine for Inbound {
    fn sent(&mut self, now: Instant, count: usize) {
        self.timer.advance(now);
        if count == 0 || !self.owes {
            return;
        }
        if self.timer.ago[ANSWERED] == Span::NEVER || self.count > 0 {
            self.timer.ago[TIMED] = Span::ZERO;
        } else if self.timer.srtt_us().is_some() {
            self.timer.ago[TIMED] = Span::NEVER;
        }
        (self.owes, self.count) = (false, 0);
        self.timer.ago[ANSWERED] = Span::ZERO;
        if self.is_waiting() {
            self.timer.sent(1);
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Result<(), Fault>> {
        match self.state {
            State::Lingering => self.timer.wake().is_due(now).then_some(Ok(())),
            State::Waiting => match self.timer.tick(now) {
                Expired::No => None,
                Expired::Again => {
                    (self.owes, self.gap) = (true, 0);
                    self.timer.ago[TIMED] = Span::NEVER;
                    None
                }
                Expired::Over(fault) => Some(Err(fault)),
            },
            State::Creating { .. } | State::Storing | State::Committing => None,
        }
    }

    fn want(&self) -> Want {
        let quiet = Want { write: self.owed(0).is_some(), wake: self.timer.wake(), ..Want::READ };
        match self.state {
            State::Waiting => quiet,
            State::Lingering => Want { close: Close::WriteHalf, ..quiet },
            State::Creating { .. } | State::Storing | State::Committing => Want::FILE,
        }
    }
}

impl Run<Inbound> {
    /// What the shell of a client is to do for it.
    pub(super) fn op<'m>(&self, name: &'m [u8], digest: Option<&'m Digest>) -> Option<Op<'m>> {
        match self {
            Self::On(inbound) => inbound.op(name, digest),
            Self::Over(_) => None,
        }
    }

    /// What the shell of a client says.
    pub(super) fn answer(&mut self, now: Instant, answer: Answer) {
        if let Self::On(inbound) = self
            && let Some(fault) = inbound.answer(now, answer)
        {
            self.end(Err(fault));
        }
    }
}
