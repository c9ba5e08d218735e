//! The line's side of a link: packets that are received and sent, and time.

use super::end::{ANSWER, Flight, Link, Outcome, part};
use super::packet::{FRONT, HEAD, OVERHEAD, kind, seal};
use crate::time::{Instant, Wake};

impl Link<'_> {
    /// Takes all received bytes, and the time. Call it also without bytes when [`wake`](Self::wake)
    /// is due.
    #[inline(never)]
    pub fn input(&mut self, now: Instant, bytes: &[u8]) {
        self.advance(now);
        for &byte in bytes {
            if self.reader.len == 0 {
                self.base = self.held_end;
            }
            if byte != 0 {
                let to = self.rx.get_mut(self.base + self.reader.len);
                self.reader.push(byte, to);
            } else if self.reader.len > 0
                && let Ok(end) = self.reader.end()
                && self.outcome == Outcome::None
            {
                self.packet(end);
            }
        }
        self.tick();
    }

    /// The bytes to write to the line now, or the first of them; then call [`wrote`](Self::wrote).
    /// Empty if there are none.
    #[inline(never)]
    pub fn output(&mut self, now: Instant) -> &[u8] {
        self.advance(now);
        if self.from == self.to {
            self.begin();
        }
        part(self.tx, self.from, self.to)
    }

    /// Notes that the first `n` bytes of [`output`](Self::output) were written.
    pub fn wrote(&mut self, n: usize) {
        self.from = self.to.min(self.from.saturating_add(n));
    }

    /// When to call [`input`](Self::input) even if no byte arrives.
    pub fn wake(&self) -> Wake {
        Wake::At(self.alarm())
    }

    fn alarm(&self) -> Instant {
        self.now.after(self.left_us.into())
    }

    /// Time has passed.
    #[inline(never)]
    fn advance(&mut self, now: Instant) {
        let us = u32::try_from(now.since(self.now)).unwrap_or(u32::MAX);
        self.now = now;
        self.left_us = self.left_us.saturating_sub(us);
        self.waited_us = self.waited_us.saturating_add(us);
    }

    /// The earlier of [`wake`](Self::wake) and `until`.
    pub(crate) fn wake_or(&self, until: Wake) -> Wake {
        if until.is_due(self.alarm()) { until } else { self.wake() }
    }

    /// The line itself has ended: a terminal hung up, a modem was pulled.
    pub fn eof(&mut self) {
        if self.outcome == Outcome::None {
            self.finish(Outcome::Truncated);
        }
    }

    /// Sends again, asks, gives up or ends lingering if one of these is due.
    fn tick(&mut self) {
        if self.left_us > 0 {
            return;
        }
        let outcome = if self.outcome != Outcome::None {
            // The line does not take the last packet.
            self.outcome
        } else if self.is_closed() {
            Outcome::Well
        } else {
            self.restart();
            if self.flight == Flight::Filling && !self.leaving {
                // Nothing arrived for long: send a packet that has to be answered.
                if self.is_open || self.bit == 0 {
                    self.make();
                }
                return;
            }
            if self.waited_us < self.timing.silence_us {
                return self.again();
            }
            Outcome::TimedOut
        };
        self.finish(outcome);
    }

    /// The packet in flight was not answered in time.
    fn again(&mut self) {
        self.once = false;
        if self.flight == Flight::Sent {
            self.rtt.back_off();
            self.flight = Flight::Due;
        }
    }

    /// Begins the next packet. Answers go first: the other end waits for them.
    fn begin(&mut self) {
        if self.owed != 0 {
            let at = self.tx.len() - ANSWER;
            let memory = part(self.tx, at, usize::MAX);
            if let Some(takes) = memory.get_mut(HEAD) {
                *takes = if self.held_end == 0 { self.max } else { 0 };
            }
            seal(memory, self.owed | self.bit, self.got, 1);
            self.owed = 0;
            (self.from, self.to) = (at, at + ANSWER);
        } else if self.outcome == Outcome::None {
            let has_news = self.filled > HEAD || (self.closing && self.kind != kind::END);
            if self.flight == Flight::Filling && has_news {
                self.make();
            }
            if self.flight == Flight::Due {
                self.flight = Flight::Sent;
                self.restart();
                (self.from, self.to) = (0, self.filled + (OVERHEAD - HEAD));
            }
        }
    }

    /// Makes the next packet of the bytes in `tx`.
    #[inline(never)]
    fn make(&mut self) {
        self.kind = if !self.is_open {
            kind::OPEN
        } else if self.closing {
            kind::END
        } else {
            kind::DATA
        };
        self.seq = self.seq.wrapping_add(1);
        self.once = true;
        self.waited_us = 0;
        self.limit = 0;
        self.flight = Flight::Due;
        let sealed = seal(self.tx, self.kind | self.bit, self.seq, self.filled - HEAD);
        debug_assert!(sealed.is_some(), "a payload is at most as long as its memory");
    }

    /// It waits from now on. The end that answers waits half as long again, so that the two are never in step.
    fn restart(&mut self) {
        let us = if self.flight != Flight::Filling {
            self.rtt.rto_us()
        } else if self.is_closed() {
            self.timing.rto.initial_us << 1
        } else {
            self.timing.idle_us
        };
        self.left_us = if self.bit == 0 { us } else { us + (us >> 1) };
    }

    /// A packet arrived. Its payload ends at `end` behind `base`, also if it had no room there.
    #[inline(never)]
    fn packet(&mut self, end: usize) {
        let came = self.rx.get(self.base..).unwrap_or_default();
        let &[_, kind, seq, takes, ..] = came else { return };
        // On a bus an end receives its own packets too.
        match kind ^ self.bit ^ kind::ANSWERS {
            kind::OPEN => self.opening(seq, takes),
            kind @ (kind::DATA | kind::END) => self.data(kind, seq, end),
            kind::ACK if seq == self.seq && self.flight != Flight::Filling => self.answered(takes),
            kind::RESET if self.is_open => self.is_over_there(),
            _ => {}
        }
    }

    /// An opening; the other end accepts this payload.
    fn opening(&mut self, seq: u8, takes: u8) {
        if !self.is_open && takes > 0 {
            self.seq = seq;
            self.kind = kind::OPEN;
            self.open(takes);
        } else if self.heard || seq != self.got {
            return self.is_over_there();
        }
        self.owed = kind::ACK;
    }

    /// The other end does not know this link, or has started again. The next link answers that.
    fn is_over_there(&mut self) {
        // An end that answers for the last time needs no acknowledgement: the other has all.
        let has_all = self.got_end && self.kind == kind::END && self.filled == HEAD;
        self.finish(if has_all { Outcome::Well } else { Outcome::Reset });
    }

    /// Data, or the end of the stream.
    fn data(&mut self, kind: u8, seq: u8, end: usize) {
        self.owed = kind::ACK;
        if !self.is_open {
            // It is of another link. A packet that arrives before the answer to an opening comes again.
            self.owed = if self.bit == 0 { 0 } else { kind::RESET };
            return;
        }
        if seq == self.got.wrapping_add(1) {
            let (from, to) = (self.base + FRONT, self.base + end);
            // Otherwise it comes too early, or is longer than agreed.
            if self.held_end == 0 && to <= self.rx.len() {
                self.got = seq;
                self.got_end = kind == kind::END;
                if from != to && !self.leaving {
                    (self.held, self.held_end) = (from, to);
                }
            }
        } else if seq != self.got {
            return self.give_up(Outcome::Malformed);
        }
        self.heard = true;
        if self.flight == Flight::Filling && (self.got_end || !self.leaving) {
            self.restart();
        }
    }

    /// The packet in flight has arrived, and the other end accepts this payload next.
    fn answered(&mut self, takes: u8) {
        self.heard = true;
        if takes == 0 {
            // The other end is there, and slow: no reason to give up.
            self.once = false;
            self.waited_us = 0;
            return;
        }
        if self.once {
            self.rtt.measured(self.waited_us);
        }
        if self.to < self.tx.len() {
            // If it is being sent again, the rest need not be sent.
            self.from = self.to;
        }
        self.flight = Flight::Filling;
        self.filled = HEAD;
        self.open(takes);
    }

    #[inline(never)]
    fn open(&mut self, takes: u8) {
        if !self.is_open {
            self.is_open = true;
            self.got = self.seq;
        }
        if !self.closing {
            self.limit =
                (HEAD + usize::from(takes)).min(self.tx.len() - (ANSWER + OVERHEAD - HEAD));
        }
        self.restart();
    }
}
