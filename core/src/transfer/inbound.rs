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
use super::parts::{OPTIONS, WINDOWS, has};
use super::run::{Engine, Phase, Run, mask};
use super::timer::{LEFT, Span, Timer};
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Answer, Digest, Extent, Head, Op};
use crate::time::Instant;

/// The receiver of both protocols.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Inbound<const TFTP: bool, const PARTS: u8> {
    linger_us: u32,
    /// The number of the last block that was kept with all before it, and the first byte behind it.
    last: u32,
    at: u64,
    /// Bytes of the whole file, if the peer said.
    size: Option<u64>,
    /// The block that the shell holds for storage, if it is not `last`; how many bytes of it are not kept; and
    /// whether it is the last one of the file.
    held: u32,
    left: u32,
    holds_end: bool,
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

/// The acknowledgement left that the next block answers, unless it was repeated: then nothing tells which of them
/// was answered (Karn's rule).
const TIMED: usize = 1;
/// A missing block was told of.
const GAP: usize = 2;

/// With the missing one so many blocks begin a round of the sender.
const NEAR: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Waits for the peer.
    Waiting,
    /// The file is whole: the last answer is repeated until the timer is due.
    Lingering,
    /// The shell finds a place for the file, before a block is held or with the first one.
    Creating,
    /// The shell keeps what is left of the block.
    Storing,
    /// The shell makes the file valid.
    Committing,
}

impl<const TFTP: bool, const PARTS: u8> Inbound<TFTP, PARTS> {
    pub(super) const fn new(linger_us: u32) -> Self {
        Self {
            linger_us,
            last: 0,
            at: 0,
            size: None,
            held: 0,
            left: 0,
            holds_end: false,
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

    /// Blocks in a window.
    const fn window(&self) -> u16 {
        if TFTP && has(PARTS, WINDOWS) { self.window } else { 1 }
    }

    /// The shell is to find a place for the file before any block comes.
    pub(super) fn create(&mut self) {
        self.state = State::Creating;
    }

    /// Whether nothing was kept yet.
    pub(super) const fn greets(&self) -> bool {
        self.greets
    }

    /// Whether the shell finds a place for the file.
    pub(super) fn is_creating(&self) -> bool {
        self.state == State::Creating
    }

    /// The answer to what begins the transfer came again.
    pub(super) fn again(&mut self, timer: &mut Timer<PARTS>) {
        if self.greets {
            self.behind(timer);
        }
    }

    /// The number of the block that is to be acknowledged.
    pub(super) fn owed(&self, timer: &Timer<PARTS>) -> Option<u32> {
        let is_quiet = self.phase() != Phase::Storing;
        (self.owes && is_quiet && timer.may_send()).then_some(self.last)
    }

    /// The peer asks again for what begins the transfer.
    pub(super) fn repeat(&mut self, timer: &mut Timer<PARTS>) {
        self.owes |= timer.asked_again();
    }

    /// A block of so many bytes came, which begins at this byte of its datagram.
    pub(super) fn block(
        &mut self,
        timer: &mut Timer<PARTS>,
        number: u32,
        (at, len): (usize, usize),
        is_last: bool,
    ) -> Result<Heard, Fault> {
        let mask = mask(TFTP);
        let ahead = number.wrapping_sub(self.last) & mask;
        // Some senders go from the last number to 1: where one block is on its way it cannot be another one.
        let wraps_to_1 = TFTP && number == 1 && self.last == mask && self.window() == 1;
        if ahead != 1 && !wraps_to_1 {
            if ahead == 0 || ahead > mask >> 1 {
                self.behind(timer);
            } else if ahead <= self.window().into() {
                timer.heard();
                self.missing(timer, ahead);
            }
            return Ok(Heard::Ignored);
        }
        if self.state != State::Waiting {
            return Ok(Heard::Ignored);
        }
        if TFTP && has(PARTS, OPTIONS) {
            let end = self.at.wrapping_add(len as u64);
            if self.size.is_some_and(|size| if is_last { end != size } else { end > size }) {
                return Err(Peer::WrongSize.into());
            }
        }
        timer.is_second();
        moved(timer);
        self.owes = false;
        self.held = number;
        self.left = u32::try_from(len).unwrap_or(u32::MAX);
        self.holds_end = is_last;
        self.state = State::Creating;
        if self.is_created {
            self.hold();
        }
        Ok(if len > 0 { Heard::Store { at } } else { Heard::Taken })
    }

    /// The next step with the held block: it is to be kept or, if nothing of it is left, all of it is.
    #[inline(never)]
    fn hold(&mut self) {
        if self.left > 0 {
            self.state = State::Storing;
            return;
        }
        self.last = self.held;
        self.greets = false;
        self.gap = 0;
        if self.holds_end {
            self.state = State::Committing;
            return;
        }
        self.count = self.count.saturating_add(1);
        self.owes = self.count >= self.window();
        self.state = State::Waiting;
    }

    /// A block came that was kept before.
    fn behind(&mut self, timer: &mut Timer<PARTS>) {
        let Some(us) = timer.ago[LEFT].us() else { return };
        // With new blocks since the acknowledgement the next one is near.
        if self.count == 0 && us >= timer.copies_until_us() {
            self.owes = true;
            if self.state == State::Lingering {
                timer.linger(self.linger_us);
            }
        }
    }

    /// A block came too early: one before it is missing.
    fn missing(&mut self, timer: &mut Timer<PARTS>, ahead: u32) {
        // Back near the missing one the sender has begun again, and it is missing again. Others are late.
        let is_anew = ahead < self.gap && ahead <= NEAR;
        if self.gap > 0 && !is_anew {
            self.gap = ahead;
            return;
        }
        if self.state != State::Waiting {
            return;
        }
        let wait_us = match (timer.ago[GAP].us(), timer.srtt_us()) {
            (Some(us), Some(srtt_us)) => srtt_us.saturating_sub(us),
            _ => 0,
        };
        if wait_us == 0 {
            (self.gap, self.owes) = (ahead, true);
            timer.ago[GAP] = Span::ZERO;
        } else {
            timer.hasten(wait_us);
        }
    }

    /// The operation that storage is to do, for a file of this name and digest.
    pub(super) fn op<'m>(
        &self,
        name: &'m [u8],
        digest: Option<Digest<&'m [u8; 32]>>,
    ) -> Option<Op<'m>> {
        match self.state {
            State::Creating => Some(Op::Create(Head {
                name,
                size: if TFTP && has(PARTS, OPTIONS) { self.size } else { None },
                offset: self.at,
                digest: digest.map(|digest| digest.kind()),
            })),
            State::Storing => Some(Op::Store(Extent { offset: self.at, len: self.left.into() })),
            State::Committing => Some(Op::Commit(digest)),
            State::Waiting | State::Lingering => None,
        }
    }

    /// What storage says.
    pub(super) fn answer(&mut self, timer: &mut Timer<PARTS>, answer: Answer) -> Result<(), Fault> {
        match (self.state, answer) {
            (State::Waiting | State::Lingering, _) => return Ok(()),
            (_, Answer::Failed(fault)) => return Err(fault),
            (State::Creating, Answer::Refused(_)) => return Err(Fault::Aborted),
            (State::Creating, Answer::Done) => {
                (self.is_created, self.owes) = (true, true);
                timer.ago[LEFT] = Span::NEVER;
                if self.held == self.last {
                    self.state = State::Waiting;
                } else {
                    self.hold();
                }
            }
            (State::Storing, Answer::Kept(kept)) => {
                debug_assert!(kept <= self.left as usize, "more was kept than was offered");
                let kept = u32::try_from(kept).unwrap_or(u32::MAX).min(self.left);
                if kept == 0 {
                    // It would be offered the same again, for ever.
                    return Err(StorageFault::Failed.into());
                }
                self.at = self.at.wrapping_add(kept.into());
                self.left -= kept;
                self.hold();
            }
            (State::Committing, Answer::Done) => {
                (self.owes, self.count) = (true, 0);
                self.state = State::Lingering;
            }
            _ => return Ok(()),
        }
        if self.phase() != Phase::Storing {
            timer.restart();
        }
        if self.state == State::Lingering {
            timer.linger(self.linger_us);
        }
        Ok(())
    }
}

/// Something new came. How long that took is measured, if it answers one acknowledgement.
pub(super) fn moved<const PARTS: u8>(timer: &mut Timer<PARTS>) {
    timer.measure(TIMED);
    timer.moved();
}

impl<const TFTP: bool, const PARTS: u8> Engine<PARTS> for Inbound<TFTP, PARTS> {
    fn phase(&self) -> Phase {
        match self.state {
            State::Waiting => Phase::Talking,
            State::Lingering => Phase::Lingering,
            State::Creating | State::Storing | State::Committing => Phase::Storing,
        }
    }

    fn owes(&self, timer: &Timer<PARTS>) -> bool {
        self.owed(timer).is_some()
    }

    fn sent(&mut self, timer: &mut Timer<PARTS>, _: usize) {
        if !self.owes {
            return;
        }
        let is_first = timer.ago[LEFT] == Span::NEVER || self.count > 0;
        timer.time(TIMED, if is_first { Span::ZERO } else { Span::NEVER });
        (self.owes, self.count) = (false, 0);
        timer.ago[LEFT] = Span::ZERO;
        if self.state == State::Waiting {
            timer.sent(1);
        }
    }

    fn expired(&mut self, timer: &mut Timer<PARTS>) {
        timer.back_off(self.window());
        (self.owes, self.gap) = (true, 0);
        timer.time(TIMED, Span::NEVER);
    }
}

impl<const TFTP: bool, const PARTS: u8> Run<Inbound<TFTP, PARTS>, PARTS> {
    /// What the shell of a client is to do for it.
    pub(super) fn op<'m>(
        &self,
        name: &'m [u8],
        digest: Option<Digest<&'m [u8; 32]>>,
    ) -> Option<Op<'m>> {
        if self.is_over() { None } else { self.engine.op(name, digest) }
    }

    /// What the shell of a client says.
    pub(super) fn answer(&mut self, now: Instant, answer: Answer) {
        if self.hears(now)
            && let Err(fault) = self.engine.answer(&mut self.timer, answer)
        {
            self.fail(fault);
        }
    }
}
