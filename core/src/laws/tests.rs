//! For each law a session that breaks it, and has to be caught.

use super::{Lab, Law};
use crate::fault::Fault;
use crate::file::{Answer, Extent, FileUser, Op};
use crate::session::{Consumed, Out, Session};
use crate::time::{Instant, Wake};
use crate::want::{Close, Want};

/// A session that answers each byte twice through `Out`, with one fault to switch on.
#[derive(Clone, Copy)]
struct Doubler {
    fault: Option<Law>,
    owed: Option<(u8, u8)>,
    eof: bool,
    close: Close,
    started: Option<Instant>,
}

impl Doubler {
    fn with(fault: Option<Law>) -> Self {
        Self { fault, owed: None, eof: false, close: Close::Open, started: None }
    }

    fn has(&self, law: Law) -> bool {
        self.fault == Some(law)
    }

    fn settle(&mut self) {
        if self.eof && self.owed.is_none() && !self.close.is_done() && !self.has(Law::EndsAfterEof)
        {
            self.close = Close::Done(Ok(()));
        }
    }
}

impl Session for Doubler {
    fn input(&mut self, now: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed {
        if self.close.is_done() {
            let reply = if self.has(Law::Aborts) { bytes.len() } else { 0 };
            return Consumed { bytes: bytes.len(), reply };
        }
        let started = *self.started.get_or_insert(now);
        if self.has(Law::ClockStepsBack) && now < started {
            self.fault = Some(Law::EndsAfterEof);
        }
        if self.has(Law::Counts) {
            return Consumed::bytes(bytes.len() + 1);
        }
        if self.has(Law::Chunking) && bytes.len() == 1 {
            bytes[0] ^= 1;
        }
        self.owed = Some((bytes[0], 2));
        self.render(now, out);
        Consumed::bytes(1)
    }

    fn eof(&mut self, _: Instant) {
        self.eof = true;
        if self.has(Law::ClosesForward) {
            self.close = Close::WriteHalf;
            self.owed = Some((b'!', 1));
        }
        self.settle();
    }

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        if let Some((byte, mut left)) = self.owed {
            while left > 0 && out.put(&[byte]) == 1 {
                left -= 1;
            }
            let lost = self.has(Law::ShortWrites) && left > 0;
            self.owed = if left == 0 || lost { None } else { Some((byte, left)) };
        }
        self.settle();
    }

    fn tick(&mut self, _: Instant) {
        if self.has(Law::SpuriousCalls) && !self.close.is_done() {
            self.owed = Some((b'?', 1));
        }
    }

    fn want(&self) -> Want {
        match self.close {
            Close::Done(how) => Want::done(how),
            Close::Open | Close::WriteHalf => Want {
                read: self.owed.is_none() && !self.eof,
                write: self.owed.is_some(),
                file: false,
                close: self.close,
                wake: if self.has(Law::NoSpin) { Wake::Now } else { Wake::Never },
            },
        }
    }

    fn abort(&mut self, why: Fault) {
        if !self.close.is_done() {
            self.close = Close::Done(Err(why));
        }
    }
}

#[test]
fn a_polite_session_passes() {
    Lab::<64>::new().check(|| Doubler::with(None), b"abcdefgh").unwrap();
}

#[test]
fn each_law_catches_its_breaker() {
    for law in [
        Law::Chunking,
        Law::ShortWrites,
        Law::EndsAfterEof,
        Law::SpuriousCalls,
        Law::NoSpin,
        Law::Counts,
        Law::ClosesForward,
        Law::Aborts,
    ] {
        let broken = Lab::<64>::new().check(|| Doubler::with(Some(law)), b"abcdefgh").unwrap_err();
        assert_eq!(broken.law, law);
    }
}

#[test]
fn a_clock_that_steps_back_is_tried() {
    let broken = Lab::<64>::new()
        .check(|| Doubler::with(Some(Law::ClockStepsBack)), b"abcdefgh")
        .unwrap_err();
    assert_eq!(broken.law, Law::EndsAfterEof, "it hangs only when the clock steps back");
}

#[test]
fn a_lab_that_is_too_small_says_so() {
    for broken in [
        Lab::<4>::new().check(|| Doubler::with(None), b"abcdefgh").unwrap_err(),
        Lab::<8>::new().check(|| Doubler::with(None), b"abcdefgh").unwrap_err(),
        Lab::<0>::new().check(|| Doubler::with(None), b"").unwrap_err(),
    ] {
        assert_eq!(broken.law, Law::LabTooSmall);
    }
}

/// Keeps its input, a byte or all that there is at a time, with one fault to switch on.
struct Keeper {
    fault: Option<Law>,
    stored: u64,
    /// Bytes that it waits for.
    waits_for: u64,
    close: Close,
}

impl Keeper {
    fn with(fault: Option<Law>) -> Self {
        Self { fault, stored: 0, waits_for: 0, close: Close::Open }
    }
}

impl Session for Keeper {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        if !self.close.is_done() {
            self.waits_for = bytes.len() as u64;
            if self.fault == Some(Law::Counts) {
                self.waits_for += 1;
            }
            // A byte that is offered twice is kept twice, wherever the input is cut.
            if self.fault == Some(Law::Stores) && bytes.len() == 1 {
                self.stored += 1;
            }
        }
        Consumed::bytes(0)
    }

    fn eof(&mut self, _: Instant) {
        self.close.end(Ok(()));
    }

    fn want(&self) -> Want {
        match self.close {
            Close::Done(how) => Want::done(how),
            Close::Open | Close::WriteHalf if self.waits_for > 0 => Want::FILE,
            Close::Open | Close::WriteHalf => Want::READ,
        }
    }

    fn abort(&mut self, why: Fault) {
        self.waits_for = 0;
        self.close.end(Err(why));
    }

    fn file(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl FileUser for Keeper {
    fn op(&self) -> Option<Op<'_>> {
        let extent = Extent { offset: self.stored, len: self.waits_for };
        (self.waits_for > 0).then_some(Op::Store(extent))
    }

    fn answer(&mut self, _: Instant, answer: Answer) {
        if let Answer::Kept(n) = answer {
            self.stored += n as u64;
            self.waits_for = 0;
        }
    }
}

#[test]
fn a_session_that_stores_passes_and_its_breakers_do_not() {
    Lab::<64>::new().check(|| Keeper::with(None), b"abcdefgh").unwrap();
    for law in [Law::Stores, Law::Counts] {
        let broken = Lab::<64>::new().check(|| Keeper::with(Some(law)), b"abcdefgh").unwrap_err();
        assert_eq!(broken.law, law);
    }
}
