//! A file on its way out: a window of blocks, sent again from the last acknowledged one (go-back-N).
//!
//! ```text
//!   acknowledged │ sent in this round │ owed       │
//!   ─────────────┼────────────────────┼────────────┤
//!               base               + next       + window
//! ```
//!
//! What was sent behind a lost block is sent again. So after a loss a round has fewer blocks than the window. Its
//! receiver would wait for the rest of the window, but tells at once of a gap (RFC 7440, 4): so such a round ends with
//! a block out of order, which is the question for an acknowledgement.
//!
//! Block numbers here count from the first block of the transfer and wrap at 2^32; on the wire they are cut to
//! 16 bits for TFTP. Where a block is in the file is kept beside, so no length is limited by its numbers.

use super::parts::{WINDOWS, has};
use super::run::{Acked, Engine, Phase, mask};
use super::timer::{LEFT, Span, Timer};
use crate::file::Extent;

/// The sender of both protocols. With a window of one block it is stop-and-wait.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Outbound<const TFTP: bool, const PARTS: u8> {
    /// The number of the first block that is not acknowledged, and its first byte.
    base: u32,
    at: u64,
    /// The block that begins here is the last one; the first that begins behind it does not exist.
    end: u64,
    /// Bytes of a block.
    block: u32,
    window: u16,
    /// Blocks of a round: fewer than the window after a loss.
    burst: u16,
    /// Datagrams that have left in this round.
    next: u16,
    /// Blocks from `base` on that have ever left, with all before them. At most `window`.
    high: u16,
    /// How often the timer has expired in such rounds since something moved.
    expired: u8,
    /// From which block on, counted from `base`, those of this round left for the first time: the acknowledgement of
    /// one of them is a measurement (Karn's rule).
    fresh: u16,
    /// An acknowledgement without progress has begun a round from this base.
    is_rewound: bool,
    /// Block `base` is number 0: what begins the transfer (an OACK, a request) and not part of the file.
    greets: bool,
}

/// The first of the blocks left that did so for the first time.
const TIMED: usize = 1;

/// What the file looks like to its sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Its first byte that is sent.
    pub(super) at: u64,
    /// The last block begins here or, if it is a short one, less than a block before.
    pub(super) end: u64,
    /// Bytes of a block.
    pub(super) block: u16,
    /// Blocks that may be on their way at once.
    pub(super) window: u16,
}

/// A datagram that is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owed {
    /// What begins the transfer.
    Greeting,
    /// The block of this number, from this byte of the file on.
    Block { number: u32, at: u64 },
}

/// The shortest round after a loss.
const BURST_MIN: u16 = 8;

/// A path with such a round trip is long: in less, more blocks are sent than a round has.
const LONG_US: u32 = 10_000;

/// A receiver that is silent so often waits for a whole window.
const SILENT: u8 = 3;

/// More than this could not be told from numbers that have wrapped.
pub(super) const WINDOW_MAX: u16 = 0x7fff;

impl<const TFTP: bool, const PARTS: u8> Outbound<TFTP, PARTS> {
    /// Begins with block 1, or with what begins the transfer as block 0.
    pub(super) const fn new(cut: Cut, greets: bool) -> Self {
        Self {
            base: if greets { 0 } else { 1 },
            at: cut.at,
            end: cut.end,
            block: cut.block as u32,
            window: cut.window,
            burst: cut.window,
            next: 0,
            high: 0,
            expired: 0,
            fresh: 0,
            is_rewound: false,
            greets,
        }
    }

    /// What begins the transfer has its answer: the sizes that were agreed.
    pub(super) fn agree(&mut self, block: u16, window: u16) {
        (self.block, self.window, self.burst) = (block.into(), window, window);
    }

    /// Whether what begins the transfer has no answer yet.
    pub(super) const fn greets(&self) -> bool {
        TFTP && self.greets
    }

    const fn has_window() -> bool {
        TFTP && has(PARTS, WINDOWS)
    }

    /// Blocks that may be on their way at once.
    const fn window(&self) -> u16 {
        if Self::has_window() { self.window } else { 1 }
    }

    /// Blocks of a round that is not cut short by the end of the file.
    const fn burst(&self) -> u16 {
        if Self::has_window() { self.burst } else { 1 }
    }

    /// The block that begins here, of a file that ends at `end`.
    pub(super) fn extent(&self, offset: u64, end: u64) -> Extent {
        Extent { offset, len: end.saturating_sub(offset).min(self.block.into()) }
    }

    /// The `nth` datagram that is owed.
    pub(super) fn owed(&self, timer: &Timer<PARTS>, nth: usize) -> Option<Owed> {
        let nth = u16::try_from(nth).ok()?.checked_add(self.next)?;
        // One datagram to an address that has not answered.
        let is_first = self.greets() || !timer.is_answered();
        let round = if is_first { 1 } else { self.round() };
        if !timer.may_send() {
            return None;
        }
        let ahead = if nth < round {
            nth
        } else if nth == round && !is_first && self.asks() {
            nth.saturating_add(1)
        } else {
            return None;
        };
        if self.greets() {
            return Some(Owed::Greeting);
        }
        let at = self.starts_at(ahead);
        let number = self.base.wrapping_add(ahead.into()) & mask(TFTP);
        (nth == 0 || at <= self.end).then_some(Owed::Block { number, at })
    }

    /// Whether a round that is shorter than the window ends with a block out of order: its receiver misses the one
    /// before it, and acknowledges at once what came. Otherwise it would wait for the rest of the window.
    const fn asks(&self) -> bool {
        self.burst() < self.window()
    }

    /// Blocks of this round, in order. There has to be one to ask with, or the round is up to the last block.
    fn round(&self) -> u16 {
        let next = self.burst().saturating_add(1);
        if self.asks() && self.starts_at(next) > self.end { next } else { self.burst() }
    }

    /// Where a block is in the file, by how many are before it from `base` on.
    fn starts_at(&self, ahead: u16) -> u64 {
        self.at.wrapping_add(self.bytes(ahead))
    }

    /// Bytes of so many blocks: less than 2^31, as 2^15 blocks of 2^16 bytes are.
    fn bytes(&self, blocks: u16) -> u64 {
        u32::from(blocks).wrapping_mul(self.block).into()
    }

    /// Begins a round: everything from the first block that is not acknowledged on is owed again.
    fn rewind(&mut self, timer: &mut Timer<PARTS>) {
        self.next = 0;
        timer.time(TIMED, Span::NEVER);
    }

    /// The peer asks for the first datagram again.
    pub(super) fn repeat(&mut self, timer: &mut Timer<PARTS>) {
        if timer.asked_again() {
            self.rewind(timer);
        }
    }

    /// The block of this number, and all before it, came.
    pub(super) fn acknowledged(&mut self, timer: &mut Timer<PARTS>, number: u32) -> Acked {
        let count = number.wrapping_sub(self.base).wrapping_add(1) & mask(TFTP);
        if count == 0 {
            self.repeated(timer);
        } else if count <= self.high.into() {
            return self.progress(timer, u16::try_from(count).unwrap_or(u16::MAX));
        }
        // Old, or of a block that never left.
        Acked::Nothing
    }

    /// The acknowledgement before the next one came again. In stop-and-wait that means nothing: to send again for
    /// it is to send each block twice from then on (RFC 1123, 4.2.3.1). In a window it says that a block was
    /// lost, if it is not a copy of the first one, which would have come sooner; and once it was believed, it is
    /// believed again when the timer would be due that was never doubled.
    fn repeated(&mut self, timer: &mut Timer<PARTS>) {
        if self.window() == 1 || self.next == 0 {
            return;
        }
        let us = if self.is_rewound {
            timer.measured_rto_us()
        } else {
            // The round trip of this window may be a quick one.
            timer.srtt_us().map_or(timer.copies_until_us(), |us| us - (us >> 2))
        };
        if timer.ago[LEFT].us().is_none_or(|ago_us| ago_us >= us) {
            self.is_rewound = true;
            self.lost(timer, 0);
            self.rewind(timer);
        }
    }

    /// Of a round so many blocks came before one was lost. All behind them have to be sent again, so the next rounds
    /// are shorter, up to the first ones without a loss; but only on a path that is known to be short, since on a long
    /// one a round costs more than its blocks do.
    fn lost(&mut self, timer: &Timer<PARTS>, count: u16) {
        let is_short = timer.srtt_us().is_some_and(|us| us < LONG_US);
        self.limit(if is_short { count.saturating_mul(4).max(BURST_MIN) } else { self.window() });
    }

    /// Sets the length of a round. Too near to the window there is no block out of order that its receiver takes for
    /// one of the window.
    fn limit(&mut self, burst: u16) {
        let window = self.window();
        self.burst = if burst.saturating_add(2) > window { window } else { burst };
    }

    fn progress(&mut self, timer: &mut Timer<PARTS>, count: u16) -> Acked {
        if count > self.fresh {
            timer.measure(TIMED);
        }
        if Self::has_window() {
            if count < self.next.min(self.round()) {
                self.lost(timer, count);
            } else {
                self.limit(self.burst().saturating_mul(2));
            }
        }
        let blocks = if self.greets() { count.saturating_sub(1) } else { count };
        self.at = self.starts_at(blocks);
        self.base = self.base.wrapping_add(count.into());
        self.high = self.high.saturating_sub(count);
        (self.greets, self.is_rewound, self.expired) = (false, false, 0);
        self.rewind(timer);
        timer.moved();
        if self.at > self.end && blocks > 0 { Acked::All } else { Acked::Some }
    }
}

impl<const TFTP: bool, const PARTS: u8> Engine<PARTS> for Outbound<TFTP, PARTS> {
    fn phase(&self) -> Phase {
        Phase::Talking
    }

    fn owes(&self, timer: &Timer<PARTS>) -> bool {
        self.owed(timer, 0).is_some()
    }

    fn sent(&mut self, timer: &mut Timer<PARTS>, count: usize) {
        let window = self.window();
        let count = u16::try_from(count).unwrap_or(u16::MAX).min(window);
        if self.next == 0 {
            timer.ago[LEFT] = Span::ZERO;
        }
        self.next = self.next.saturating_add(count).min(window);
        let in_order = self.next.min(self.round());
        if in_order > self.high {
            if timer.ago[TIMED] == Span::NEVER {
                timer.time(TIMED, Span::ZERO);
                self.fresh = self.high;
            }
            self.high = in_order;
        }
        timer.sent(count);
    }

    fn expired(&mut self, timer: &mut Timer<PARTS>) {
        timer.back_off(self.window());
        if self.asks() {
            self.expired = self.expired.saturating_add(1);
            if self.expired >= SILENT {
                // It does not say what it misses.
                self.burst = self.window();
            }
        }
        self.rewind(timer);
    }
}
