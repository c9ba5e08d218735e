//! The line's side of a link: packets that come, packets that go, and time.

use super::end::{Flight, Link, Outcome, Phase, Rendering, part};
use super::packet::{self, HEAD, OVERHEAD, Packet, seal};
use crate::time::Instant;

/// What packets are for.
pub(super) mod kind {
    /// Opens a link; payload: `u8`, bytes of payload that the sender takes.
    pub(in super::super) const OPEN: u8 = 1;
    /// Bytes of the stream; without any, a question whether the other end is there.
    pub(in super::super) const DATA: u8 = 2;
    /// The stream has ended.
    pub(in super::super) const END: u8 = 3;
    /// An opening, data or an end has arrived. The payload of answers is that of an opening.
    pub(in super::super) const ACK: u8 = 4;
    /// Data has arrived and is not taken yet: ask again.
    pub(in super::super) const BUSY: u8 = 5;
    /// The sender knows of no such link, or gives it up.
    pub(in super::super) const RESET: u8 = 6;
    /// The bit of the end that answered the opening.
    pub(in super::super) const ANSWERS: u8 = 0x80;
}

// What is called from several places is kept out of line: at `opt-level` s, copies of it cost 350 bytes.
impl Link<'_> {
    /// Takes what came from the line: all of it, always.
    pub fn input(&mut self, now: Instant, bytes: &[u8]) {
        self.now = now;
        for &byte in bytes {
            if byte != 0 {
                if let Some(to) = self.rx.get_mut(self.at) {
                    *to = byte;
                }
                self.at = self.at.saturating_add(1);
            } else if self.at != self.start {
                self.packet();
                self.start = if self.holds() { self.held_end } else { 0 };
                self.at = self.start;
            }
        }
    }

    /// Renders bytes for the line, as many as fit. 0 when nothing is to be sent.
    pub fn render(&mut self, now: Instant, out: &mut [u8]) -> usize {
        self.now = now;
        let mut n = 0;
        let mut out = out.iter_mut();
        while self.begin() {
            let memory = match self.rendering {
                Rendering::Flight => &mut *self.tx,
                Rendering::Answer | Rendering::Nothing => &mut self.answer[..],
            };
            for &mut byte in part(memory, self.went, self.len) {
                let Some(to) = out.next() else { return n };
                *to = byte;
                n += 1;
                self.went += 1;
            }
            self.rendered();
        }
        n
    }

    /// Whether a packet is being rendered. If not, begins with the next. Answers first: the other end waits
    /// for them.
    fn begin(&mut self) -> bool {
        if self.rendering != Rendering::Nothing {
            return true;
        }
        if self.owed != 0 {
            let kind = self.owed | self.bit;
            self.owed = 0;
            self.rendering = Rendering::Answer;
            self.len = seal(&mut self.answer, kind, self.owed_seq, 1).map_or(0, <[u8]>::len);
        } else if self.flight_is_due() {
            if self.flight == Flight::Filling {
                self.make();
            }
            self.rendering = Rendering::Flight;
            self.len = self.filled + (OVERHEAD - HEAD);
        } else {
            return false;
        }
        self.went = 0;
        true
    }

    /// Makes the next packet out of what stands in `tx`.
    #[inline(never)]
    fn make(&mut self) {
        self.kind = if self.phase == Phase::Opening {
            if let Some(to) = self.tx.get_mut(HEAD) {
                *to = self.answer[HEAD];
                self.filled = HEAD + 1;
            }
            kind::OPEN
        } else if self.filled == HEAD && self.closing {
            kind::END
        } else {
            kind::DATA
        };
        self.seq = self.seq.wrapping_add(1);
        self.once = true;
        self.tries = 0;
        self.flight = Flight::Due;
        let sealed = seal(self.tx, self.kind | self.bit, self.seq, self.filled - HEAD);
        debug_assert!(sealed.is_some(), "a payload is at most as long as its memory");
    }

    /// A packet has been rendered to its end.
    fn rendered(&mut self) {
        // Unless it was acknowledged meanwhile.
        if self.rendering == Rendering::Flight {
            if self.flight == Flight::Due {
                self.flight = Flight::Sent;
                self.sent_at = low(self.now);
                if self.kind == kind::OPEN && self.tries == 0 {
                    self.heard_at = self.sent_at;
                }
                self.tries = self.tries.saturating_add(1);
                self.set_alarm(self.rtt.rto_us());
            }
        } else if self.phase == Phase::Resetting && self.owed == 0 {
            self.phase = Phase::Done;
        }
        self.rendering = Rendering::Nothing;
    }

    /// Time passed: sends again, asks, gives up, or has lingered long enough. Before
    /// [`wake`](crate::want::Want::wake) is due, a no-op.
    pub fn tick(&mut self, now: Instant) {
        if self.alarm.is_none_or(|at| now < at) {
            return;
        }
        self.now = now;
        self.set_alarm(self.timing.idle_us);
        if self.phase != Phase::Open && self.phase != Phase::Opening {
            self.phase = Phase::Done;
        } else if self.flight == Flight::Filling {
            // Nothing was heard for long: send what has to be acknowledged, the end again or nothing.
            if self.kind == kind::END {
                self.tries = 0;
                self.flight = Flight::Due;
            } else {
                self.make();
            }
            self.once = false;
        } else if self.tries >= self.timing.tries {
            self.heard_at = low(now).wrapping_sub(self.heard_at);
            self.over(Outcome::TimedOut);
        } else if self.flight == Flight::Sent {
            self.rtt.back_off();
            self.counts.resent = self.counts.resent.wrapping_add(1);
            self.once = false;
            self.flight = Flight::Due;
        } else {
            // The line does not take it.
            self.tries += 1;
        }
    }

    /// The line itself has ended: a terminal hung up, a modem was pulled.
    pub fn eof(&mut self, _: Instant) {
        if matches!(self.phase, Phase::Listening | Phase::Opening | Phase::Open) {
            self.outcome = Outcome::Truncated;
        }
        self.phase = Phase::Done;
    }

    /// A zero came, and something stood before it.
    fn packet(&mut self) {
        let Ok(Packet { kind, seq, payload }) = packet::open(part(self.rx, self.start, self.at))
        else {
            self.counts.bad = self.counts.bad.wrapping_add(1);
            if self.holds() {
                // What is held may have come again and found no room.
                self.owe(kind::BUSY, self.expected.wrapping_sub(1));
            }
            return;
        };
        let len = payload.len();
        let max = payload.first().copied().unwrap_or_default();
        // A bus brings back what this end sent.
        let kind = kind ^ self.bit ^ kind::ANSWERS;
        if self.phase == Phase::Open {
            self.while_open(kind, seq, len);
        } else {
            self.otherwise(kind, seq, max);
        }
    }

    /// A packet came, and the link is not open.
    fn otherwise(&mut self, kind: u8, seq: u8, max: u8) {
        match self.phase {
            // An end that takes nothing is none.
            Phase::Listening if kind == kind::OPEN && max > 0 => {
                self.seq = seq;
                self.open(max);
                self.owe(kind::ACK, seq);
            }
            Phase::Listening if kind == kind::DATA || kind == kind::END => {
                self.owe(kind::RESET, seq);
            }
            Phase::Opening if kind == kind::ACK && seq == self.seq && max > 0 => {
                self.acknowledged();
                self.open(max);
            }
            Phase::Lingering if kind == kind::END => self.owe(kind::ACK, seq),
            // The next link answers it.
            Phase::Lingering if kind == kind::OPEN => self.phase = Phase::Done,
            _ => {}
        }
    }

    /// A packet came, with `len` bytes of payload.
    fn while_open(&mut self, kind: u8, seq: u8, len: usize) {
        let came_before = seq == self.expected.wrapping_sub(1);
        match kind {
            kind::OPEN if came_before && !self.heard => self.again(kind::ACK),
            // An end that begins anew. The next link answers it.
            kind::OPEN => return self.over(Outcome::Reset),
            kind::RESET => {
                // An end that answers for the last time needs no acknowledgement: the other has all.
                let is_over = self.got_end && self.kind == kind::END;
                return self.over(if is_over { Outcome::Well } else { Outcome::Reset });
            }
            kind::DATA | kind::END if came_before => {
                self.again(if self.holds() { kind::BUSY } else { kind::ACK });
            }
            kind::DATA | kind::END => {
                if seq != self.expected || self.holds() || self.got_end {
                    return self.give_up(Outcome::Malformed);
                }
                self.expected = seq.wrapping_add(1);
                self.got_end = kind == kind::END;
                if kind == kind::DATA && len > 0 {
                    self.held = self.start + (HEAD - 1);
                    self.held_end = self.held + len;
                } else {
                    self.owe(kind::ACK, seq);
                }
            }
            kind::ACK | kind::BUSY => {
                if seq == self.seq && self.flight != Flight::Filling {
                    if kind == kind::ACK {
                        self.acknowledged();
                    } else {
                        // It is there, and slow: no reason to give up, or to hurry.
                        self.tries = 0;
                        self.once = false;
                        self.set_alarm(self.rtt.rto_us());
                    }
                }
            }
            _ => return,
        }
        self.heard |= kind != kind::OPEN;
        self.heard_at = low(self.now);
        if self.flight == Flight::Filling {
            if self.got_end && self.kind == kind::END {
                // Both streams have ended. What is left is to answer for a while.
                self.phase = Phase::Lingering;
                self.set_alarm(self.timing.rto.initial_us << 1);
            } else {
                self.set_alarm(self.timing.idle_us);
            }
        }
    }

    /// The packet before the expected one came again: it is answered again.
    #[inline(never)]
    fn again(&mut self, kind: u8) {
        self.counts.repeated = self.counts.repeated.wrapping_add(1);
        self.owe(kind, self.expected.wrapping_sub(1));
    }

    #[inline(never)]
    fn over(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.phase = Phase::Done;
    }

    /// The opening has arrived, and the other end takes `max` bytes of payload.
    fn open(&mut self, max: u8) {
        self.phase = Phase::Open;
        self.expected = self.seq.wrapping_add(1);
        self.limit = (self.tx.len() - (OVERHEAD - HEAD)).min(HEAD + usize::from(max));
        self.heard_at = low(self.now);
        self.set_alarm(self.timing.idle_us);
    }

    /// The packet in flight has arrived.
    #[inline(never)]
    fn acknowledged(&mut self) {
        if self.once {
            self.rtt.measured(low(self.now).wrapping_sub(self.sent_at).into());
        }
        self.flight = Flight::Filling;
        self.filled = HEAD;
    }

    /// It wants a tick in so many microseconds. The end that answered waits half as long again, so that
    /// the two are never in step.
    #[inline(never)]
    fn set_alarm(&mut self, us: u32) {
        let us = if self.bit == 0 { us } else { us.saturating_add(us >> 1) };
        self.alarm = Some(self.now.after(us.into()));
    }
}

/// Its microseconds, which wrap after 71 minutes: enough for a difference.
#[expect(clippy::cast_possible_truncation, reason = "what is above is dropped")]
const fn low(now: Instant) -> u32 {
    now.as_micros() as u32
}
