//! A file on its way in: blocks in order, kept before they are acknowledged.
//!
//! ```text
//!   Waiting ──block──▶ Creating (once) ─▶ Storing ──kept──▶ Waiting
//!                                           └──kept, the last one──▶ Committing ─▶ Lingering ─▶ over
//! ```
//!
//! An acknowledgement is owed at the end of a window, once for each gap, and again when nothing comes. The
//! sender repeats what it has no acknowledgement of: a block that came before is answered again, but not so
//! soon that it may be a copy that the network made. So no sender, of whatever kind, is driven to send twice
//! for ever.

use super::run::Engine;
use super::timer::{Expired, Timer};
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Answer, Digest, Extent, Head, Op};
use crate::time::{Instant, Wake};
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
    window: u16,
    /// Blocks that came in order since the last acknowledgement left.
    count: u16,
    /// The acknowledgement of `last` is owed.
    owes: bool,
    /// Block 0: no block came yet, and what is owed begins the transfer.
    greets: bool,
    /// Storage has a place for the file.
    is_created: bool,
    /// When an acknowledgement left last.
    answered_at: Option<Instant>,
    /// When the one left that the next block answers, unless it was repeated: then nothing tells which of them was
    /// answered. For the first measurement the longer time will do.
    timed: Option<Instant>,
    /// A block is missing, which was told, and when that was last the case.
    gap: bool,
    gap_at: Option<Instant>,
    held: Held,
    state: State,
}

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
    /// The file is whole: the last answer is repeated until then.
    Lingering { until: Instant },
}

/// What a block is to the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrived {
    /// The next one: the shell is to hold it.
    Next,
    /// No use of it.
    Nothing,
    /// The transfer is over.
    Fault(Fault),
}

/// What came of an answer of storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    Taken,
    Refused(crate::file::Refusal),
    Fault(Fault),
}

impl Inbound {
    pub(super) fn new(timer: Timer, linger_us: u32, mask: u32) -> Self {
        Self {
            timer,
            linger_us,
            mask,
            last: 0,
            at: 0,
            size: None,
            window: 1,
            count: 0,
            owes: true,
            greets: true,
            is_created: false,
            answered_at: None,
            timed: None,
            gap: false,
            gap_at: None,
            held: Held { number: 0, left: 0, is_last: false },
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
        self.measure(now);
        self.timer.moved(now);
    }

    /// Whether nothing was kept yet.
    pub(super) const fn greets(&self) -> bool {
        self.greets
    }

    /// Whether the shell is to hold a block.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    pub(super) const fn timer(&self) -> &Timer {
        &self.timer
    }

    /// The number of the block that is to be acknowledged.
    pub(super) fn owed(&self, nth: usize) -> Option<u32> {
        let is_quiet = matches!(self.state, State::Waiting | State::Lingering { .. });
        (nth == 0 && self.owes && is_quiet && self.timer.may_send()).then_some(self.last)
    }

    /// The peer asks again for what begins the transfer.
    pub(super) fn repeat(&mut self) {
        self.timer.asked_again();
        self.owes = true;
    }

    /// A block of so many bytes came.
    pub(super) fn block(
        &mut self,
        now: Instant,
        number: u32,
        len: usize,
        is_last: bool,
    ) -> Arrived {
        let ahead = number.wrapping_sub(self.last) & self.mask;
        // Some senders go from the last number to 1: where one block is on its way it cannot be another one.
        let wraps_to_1 = number == 1 && self.last == self.mask && self.window == 1;
        if ahead != 1 && !wraps_to_1 {
            if ahead == 0 || ahead > self.mask >> 1 {
                self.behind(now);
            } else if ahead <= self.window.into() {
                self.timer.heard();
                self.missing(now);
            }
            return Arrived::Nothing;
        }
        if !self.is_waiting() {
            return Arrived::Nothing;
        }
        let end = self.at.saturating_add(len as u64);
        if self.size.is_some_and(|size| if is_last { end != size } else { end > size }) {
            return Arrived::Fault(Peer::WrongSize.into());
        }
        self.measure(now);
        self.timer.is_second();
        self.timer.moved(now);
        self.owes = false;
        self.held = Held { number, left: u32::try_from(len).unwrap_or(u32::MAX), is_last };
        self.state = if self.is_created { self.hold() } else { State::Creating { holds: true } };
        Arrived::Next
    }

    /// A block is to be kept, or is empty.
    fn hold(&mut self) -> State {
        if self.held.left > 0 { State::Storing } else { self.whole() }
    }

    /// All of the block is kept.
    fn whole(&mut self) -> State {
        self.last = self.held.number;
        self.greets = false;
        self.gap = false;
        if self.held.is_last {
            return State::Committing;
        }
        self.count = self.count.saturating_add(1);
        self.owes = self.count >= self.window;
        State::Waiting
    }

    /// A block came that was kept before.
    fn behind(&mut self, now: Instant) {
        let Some(at) = self.answered_at else { return };
        // With new blocks since the acknowledgement the next one is near.
        if self.count == 0 && now.since(at) >= self.timer.copies_until_us() {
            self.owes = true;
            if let State::Lingering { until } = &mut self.state {
                *until = lingers_until(&self.timer, now, self.linger_us);
            }
        }
    }

    /// A block came too early: one before it is missing.
    fn missing(&mut self, now: Instant) {
        if self.gap || !self.is_waiting() {
            return;
        }
        let again_at = match (self.gap_at, self.timer.srtt_us()) {
            (Some(at), Some(srtt_us)) => at.after(srtt_us),
            _ => now,
        };
        if again_at <= now {
            (self.gap, self.gap_at, self.owes) = (true, Some(now), true);
        } else {
            self.timer.hasten(again_at);
        }
    }

    /// Something new came: how long it took, if it answers one acknowledgement.
    fn measure(&mut self, now: Instant) {
        if let Some(at) = self.timed.take() {
            self.timer.measured(now.since(at));
        }
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
            State::Waiting | State::Lingering { .. } => None,
        }
    }

    /// What storage says.
    pub(super) fn answer(&mut self, now: Instant, answer: Answer) -> Stored {
        let next = match (self.state, answer) {
            (State::Waiting | State::Lingering { .. }, _) => return Stored::Taken,
            (_, Answer::Failed(fault)) => return Stored::Fault(fault),
            (State::Creating { .. }, Answer::Refused(why)) => return Stored::Refused(why),
            (State::Creating { holds }, Answer::Done) => {
                (self.is_created, self.owes, self.answered_at) = (true, true, None);
                if holds { self.hold() } else { State::Waiting }
            }
            (State::Storing, Answer::Kept(kept)) => {
                debug_assert!(kept <= self.held.left as usize, "more was kept than was offered");
                let kept = u32::try_from(kept).unwrap_or(u32::MAX).min(self.held.left);
                if kept == 0 {
                    // It would be offered the same again, for ever.
                    return Stored::Fault(StorageFault::Failed.into());
                }
                self.at = self.at.saturating_add(kept.into());
                self.held.left = self.held.left.saturating_sub(kept);
                self.hold()
            }
            (State::Committing, Answer::Done) => {
                (self.owes, self.count) = (true, 0);
                self.timer.restart(now);
                State::Lingering { until: lingers_until(&self.timer, now, self.linger_us) }
            }
            _ => return Stored::Taken,
        };
        self.state = next;
        if self.is_waiting() {
            self.timer.restart(now);
        }
        Stored::Taken
    }
}

/// Until when the last answer is repeated, if it is asked for again now.
fn lingers_until(timer: &Timer, now: Instant, linger_us: u32) -> Instant {
    let until = now.after(timer.rto_us().saturating_mul(4).max(linger_us.into()));
    // A peer that asks for ever gets no answer for ever.
    timer.gives_up_at().map_or(until, |at| at.min(until))
}

impl Engine for Inbound {
    fn sent(&mut self, now: Instant, count: usize) {
        if count == 0 || !self.owes {
            return;
        }
        if self.answered_at.is_none() || self.count > 0 {
            self.timed = Some(now);
        } else if self.timer.srtt_us().is_some() {
            self.timed = None;
        }
        (self.owes, self.count, self.answered_at) = (false, 0, Some(now));
        if self.is_waiting() {
            self.timer.sent(now, 1);
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Result<(), Fault>> {
        match self.state {
            State::Lingering { until } => (until <= now).then_some(Ok(())),
            State::Waiting => match self.timer.tick(now) {
                Expired::No => None,
                Expired::Again => {
                    (self.owes, self.gap, self.timed) = (true, false, None);
                    None
                }
                Expired::Over(fault) => Some(Err(fault)),
            },
            State::Creating { .. } | State::Storing | State::Committing => None,
        }
    }

    fn want(&self) -> Want {
        let write = self.owed(0).is_some();
        match self.state {
            State::Waiting => Want { write, wake: self.timer.wake(), ..Want::READ },
            State::Lingering { until } => {
                Want { write, close: Close::WriteHalf, wake: Wake::At(until), ..Want::READ }
            }
            State::Creating { .. } | State::Storing | State::Committing => Want::FILE,
        }
    }
}
