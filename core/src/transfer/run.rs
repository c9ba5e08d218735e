//! A transfer that goes on, or is over.

use core::fmt;

use super::Heard;
use super::end::Word;
use super::timer::{Expired, Timer};
use crate::fault::Fault;
use crate::file::Refusal;
use crate::time::Instant;
use crate::want::{Close, Want};

/// What moves the blocks. What a protocol has no use for costs a device nothing: `TFTP` of both engines is `true` for
/// TFTP, with its windows, its sizes and its block numbers of 16 bits, and `false` for `xfer`, which has none of them
/// and numbers of 32 bits.
pub(super) trait Engine<const PARTS: u8> {
    /// It is of a server, which may refuse what is asked for.
    const REFUSES: bool = false;
    fn phase(&self) -> Phase;
    /// Whether a datagram is owed.
    fn owes(&self, timer: &Timer<PARTS>) -> bool;
    /// So many datagrams left, at least one.
    fn sent(&mut self, timer: &mut Timer<PARTS>, count: usize);
    /// No answer came in time.
    fn expired(&mut self, timer: &mut Timer<PARTS>);
}

/// What an engine waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The peer.
    Talking,
    /// Nothing: the file is whole, and the last answer is repeated until the timer is due.
    Lingering,
    /// The storage.
    Storing,
}

/// The bits of a block number that travel.
pub(super) const fn mask(tftp: bool) -> u32 {
    if tftp { 0xffff } else { u32::MAX }
}

/// An engine with its timer, and how it ended.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Run<E, const PARTS: u8> {
    pub(super) timer: Timer<PARTS>,
    pub(super) engine: E,
    /// Open, or over.
    close: Close,
    word: Word,
}

/// Where it was when it ended does not matter any more: those that ended alike are alike.
impl<E: fmt::Debug, const PARTS: u8> fmt::Debug for Run<E, PARTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.close.is_done() {
            write!(f, "{:?} {:?}", self.close, self.word)
        } else {
            write!(f, "{:?} {:?}", self.timer, self.engine)
        }
    }
}

/// What came of an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Acked {
    /// Nothing new.
    Nothing,
    /// Blocks were acknowledged.
    Some,
    /// All blocks are acknowledged.
    All,
}

impl<E: Engine<PARTS>, const PARTS: u8> Run<E, PARTS> {
    pub(super) const fn new(timer: Timer<PARTS>, engine: E) -> Self {
        Self { timer, engine, close: Close::Open, word: Word::None }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.close.is_done()
    }

    /// Whether it takes datagrams. The time of this call is told to the timer.
    pub(super) fn hears(&mut self, now: Instant) -> bool {
        self.timer.advance(now);
        !self.is_over()
    }

    /// The ERROR that the peer is told, once it is over: its number and its text.
    pub(super) fn error(&self) -> Option<(u8, &'static [u8])> {
        self.word.error(PARTS, E::REFUSES)
    }

    /// It is over, unless it was before, and the peer is told.
    #[inline(never)]
    pub(super) fn fail(&mut self, fault: Fault) {
        self.end(fault, Word::of(fault, PARTS));
    }

    /// It is over, unless it was before: what was asked for is refused.
    #[inline(never)]
    pub(super) fn refuse(&mut self, why: Refusal) {
        self.end(Fault::Denied, Word::refusal(why, PARTS));
    }

    /// It is over, unless it was before, and the peer hears nothing of it.
    pub(super) const fn leave(&mut self, fault: Fault) {
        self.end(fault, Word::None);
    }

    const fn end(&mut self, fault: Fault, word: Word) {
        if !self.is_over() {
            (self.close, self.word) = (Close::Done(Err(fault)), word);
        }
    }

    /// The sender has heard an acknowledgement: with the last block it is over.
    pub(super) fn acknowledged(&mut self, acked: Acked) -> Heard {
        match acked {
            Acked::Nothing => return Heard::Ignored,
            Acked::Some => {}
            Acked::All => self.close = Close::Done(Ok(())),
        }
        Heard::Taken
    }

    /// The receiver has heard a block: with a fault it is over.
    pub(super) fn heard(&mut self, heard: Result<Heard, Fault>) -> Heard {
        heard.unwrap_or_else(|fault| {
            self.fail(fault);
            Heard::Taken
        })
    }

    pub(super) fn sent(&mut self, now: Instant, count: usize) {
        self.timer.advance(now);
        if count == 0 {
            return;
        }
        if self.is_over() {
            self.word = Word::None;
        } else {
            self.engine.sent(&mut self.timer, count);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let phase = self.engine.phase();
        if self.is_over() || phase == Phase::Storing {
            return;
        }
        match self.timer.tick(now) {
            Expired::No => {}
            _ if phase == Phase::Lingering => self.close = Close::Done(Ok(())),
            Expired::Again => self.engine.expired(&mut self.timer),
            Expired::Over => {
                let waited_us = self.timer.limit_us().into();
                self.leave(Fault::TimedOut { waited_us });
            }
        }
    }

    pub(super) fn want(&self) -> Want {
        let mut want = Want { close: self.close, ..Want::NOTHING };
        if self.is_over() {
            want.write = self.word != Word::None;
            return want;
        }
        let phase = self.engine.phase();
        if phase == Phase::Storing {
            want.file = true;
            return want;
        }
        if phase == Phase::Lingering {
            want.close = Close::WriteHalf;
        }
        (want.read, want.write) = (true, self.engine.owes(&self.timer));
        want.wake = self.timer.wake();
        want
    }
}

/// The calls of a [`Transfer`](super::Transfer) that do not depend on its packets, for a machine with a field
/// `run`.
macro_rules! forward {
    () => {
        fn sent(&mut self, now: crate::time::Instant, count: usize) {
            self.run.sent(now, count);
        }

        fn tick(&mut self, now: crate::time::Instant) {
            self.run.tick(now);
        }

        fn want(&self) -> crate::want::Want {
            self.run.want()
        }

        fn abort(&mut self, why: crate::fault::Fault) {
            self.run.fail(why);
        }
    };
}

pub(super) use forward;
