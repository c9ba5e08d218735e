//! The line's side of a link: packets that come, packets that go, and time.

use super::cobs::Encoder;
use super::end::{Ending, Flight, Link, Phase, Rendering, put_max};
use super::packet::{self, HEAD, Packet, seal};
use crate::fault::{Fault, Peer};
use crate::time::Instant;

/// What a packet is for. Bit 7 on the line says that the end sent it which answered the opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub(super) enum Kind {
    /// Opens a link; payload: `u16`, bytes of payload that the sender takes.
    Open = 1,
    /// Answers it, with the same payload.
    Accept = 2,
    /// Bytes of the stream; without any, a question whether the other end is there.
    Data = 3,
    /// The stream has ended.
    End = 4,
    /// Data or an end has arrived.
    Ack = 5,
    /// Data has arrived and is not taken yet: ask again.
    Busy = 6,
    /// The sender knows of no such link, or gives it up.
    Reset = 7,
}

/// The bit of the end that answered.
const ANSWERS: u8 = 0x80;

impl Kind {
    pub(super) const fn sent_by(self, answers: bool) -> u8 {
        self as u8 | if answers { ANSWERS } else { 0 }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte & !ANSWERS {
            1 => Self::Open,
            2 => Self::Accept,
            3 => Self::Data,
            4 => Self::End,
            5 => Self::Ack,
            6 => Self::Busy,
            7 => Self::Reset,
            _ => return None,
        })
    }
}

impl Link<'_> {
    /// Takes what came from the line: all of it, always.
    pub fn input(&mut self, now: Instant, bytes: &[u8]) {
        for &byte in bytes {
            if byte != 0 {
                let memory = self.rx.get_mut(self.base..).unwrap_or_default();
                self.gather.push(memory, byte);
            } else if !self.gather.is_empty() {
                self.packet(now);
                self.base = if self.held.is_empty() { 0 } else { self.held.end };
            }
        }
    }

    /// Renders bytes for the line, as many as fit. 0 when nothing is to be sent.
    pub fn render(&mut self, now: Instant, out: &mut [u8]) -> usize {
        let mut n = 0;
        while let Some(room) = out.get_mut(n..).filter(|room| !room.is_empty()) {
            let Some(rendering) = self.rendering.or_else(|| self.begin()) else { break };
            self.rendering = Some(rendering);
            let packet = match rendering {
                Rendering::Answer(len) => self.answer.get(..len),
                Rendering::Flight(len) => self.tx.get(..len),
            };
            n += self.encoder.render(packet.unwrap_or_default(), room);
            if self.encoder.is_done() {
                self.rendered(now, rendering);
            }
        }
        n
    }

    /// The next packet that is to be rendered. Answers first: the other end waits for them.
    fn begin(&mut self) -> Option<Rendering> {
        let rendering = if let Some((kind, seq)) = self.owed.take() {
            let max = self.payload_max();
            let len = if kind == Kind::Accept { put_max(&mut self.answer, max) } else { 0 };
            Rendering::Answer(seal(&mut self.answer, kind.sent_by(self.answers), seq, len)?.len())
        } else if self.flight_is_due() {
            if self.flight == Flight::Filling {
                if self.phase == Phase::Opening {
                    self.make(Kind::Open);
                } else if self.filled > 0 {
                    self.make(Kind::Data);
                } else {
                    self.ending = Ending::Told;
                    self.make(Kind::End);
                }
            }
            Rendering::Flight(packet::OVERHEAD + self.filled)
        } else {
            return None;
        };
        self.encoder = Encoder::new();
        Some(rendering)
    }

    /// The packet has been rendered to its end.
    fn rendered(&mut self, now: Instant, what: Rendering) {
        self.rendering = None;
        match (what, self.phase) {
            (Rendering::Answer(_), Phase::Resetting(why)) if self.owed.is_none() => {
                self.phase = Phase::Done(Err(why));
            }
            // Unless it was acknowledged meanwhile.
            (Rendering::Flight(_), _) if self.flight == Flight::Due => {
                if self.phase == Phase::Opening && self.tries == 0 {
                    self.heard_at = now;
                }
                self.tries = self.tries.saturating_add(1);
                self.flight = Flight::Sent(now);
            }
            _ => {}
        }
    }

    /// Time passed: sends again, asks, gives up, or has lingered long enough. Before
    /// [`wake`](crate::want::Want::wake) is due, a no-op.
    pub fn tick(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| now < at) {
            return;
        }
        if let Phase::Lingering(_) = self.phase {
            self.phase = Phase::Done(Ok(()));
        } else if self.flight == Flight::Filling {
            self.ask();
        } else if self.tries >= self.timing.tries {
            self.phase = Phase::Done(Err(Fault::TimedOut { waited_us: now.since(self.heard_at) }));
        } else {
            self.rtt.back_off();
            self.counts.resent = self.counts.resent.wrapping_add(1);
            self.send_again();
        }
    }

    /// Nothing was heard for long: sends what has to be acknowledged, an empty packet, or the end again.
    fn ask(&mut self) {
        if self.ending == Ending::Acknowledged {
            self.tries = 0;
            self.send_again();
        } else {
            self.make(Kind::Data);
        }
    }

    fn send_again(&mut self) {
        self.once = false;
        self.flight = Flight::Due;
    }

    /// The line itself has ended: a terminal hung up, a modem was pulled.
    pub fn eof(&mut self, _: Instant) {
        self.phase = Phase::Done(match self.phase {
            Phase::Done(how) => how,
            Phase::Lingering(_) => Ok(()),
            Phase::Resetting(why) => Err(why),
            Phase::Listening | Phase::Opening | Phase::Open => Err(Peer::Truncated.into()),
        });
    }

    /// A zero came, and something stood before it.
    fn packet(&mut self, now: Instant) {
        let memory = self.rx.get_mut(self.base..).unwrap_or_default();
        let Some(Ok(Packet { kind, seq, payload })) = self.gather.end(memory).map(packet::open)
        else {
            self.counts.bad = self.counts.bad.wrapping_add(1);
            if !self.held.is_empty() {
                // What is held may have come again and found no room.
                self.owe(Kind::Busy, self.expected.wrapping_sub(1));
            }
            return;
        };
        let len = payload.len();
        let max = payload.first_chunk().map_or(0, |&max| u16::from_be_bytes(max).into());
        let from_answering = kind & ANSWERS != 0;
        // A bus brings back what this end sent.
        if from_answering != self.answers
            && let Some(kind) = Kind::from_byte(kind)
        {
            self.handle(now, kind, seq, len, max);
        }
    }

    fn handle(&mut self, now: Instant, kind: Kind, seq: u8, len: usize, max: usize) {
        match (self.phase, kind) {
            // An end that takes nothing is none.
            (_, Kind::Open | Kind::Accept) if max == 0 => {}
            (Phase::Listening, Kind::Open) => {
                self.expected = seq.wrapping_add(1);
                self.seq = self.expected;
                self.open(now, max);
                self.owe(Kind::Accept, seq);
            }
            (Phase::Listening, Kind::Data | Kind::End) => self.owe(Kind::Reset, seq),
            (Phase::Opening, Kind::Accept) if seq == self.seq && self.tries > 0 => {
                self.expected = seq.wrapping_add(1);
                self.acknowledged(now);
                self.open(now, max);
            }
            (Phase::Open, Kind::Open) if seq.wrapping_add(1) == self.expected && !self.heard => {
                self.counts.repeated = self.counts.repeated.wrapping_add(1);
                self.owe(Kind::Accept, seq);
            }
            (Phase::Open, Kind::Open) => self.phase = Phase::Done(Err(Peer::Reset.into())),
            (Phase::Open, Kind::Reset) => {
                // An end that answers for the last time needs no acknowledgement: the other has all.
                let is_over = self.got_end && self.ending == Ending::Told;
                self.phase = Phase::Done(if is_over { Ok(()) } else { Err(Peer::Reset.into()) });
            }
            (Phase::Open, Kind::Data | Kind::End) => {
                self.hear(now);
                self.arrived(kind, seq, len);
                self.linger(now);
            }
            (Phase::Lingering(_), Kind::End) => self.owe(Kind::Ack, seq),
            (Phase::Lingering(_), Kind::Open) => self.phase = Phase::Done(Ok(())),
            (Phase::Open, Kind::Ack | Kind::Busy) => {
                self.hear(now);
                if seq == self.seq && (self.tries > 0 || !self.once) {
                    if kind == Kind::Ack {
                        self.acknowledged(now);
                        self.linger(now);
                    } else if let Flight::Sent(_) = self.flight {
                        // It is there, and slow: no reason to give up, or to hurry.
                        self.tries = 0;
                        self.once = false;
                        self.flight = Flight::Sent(now);
                    }
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, now: Instant, peer_max: usize) {
        self.phase = Phase::Open;
        self.peer_max = peer_max;
        self.heard_at = now;
    }

    fn hear(&mut self, now: Instant) {
        self.heard = true;
        self.heard_at = now;
    }

    /// A packet that takes a number, with `len` bytes of payload at `base`.
    fn arrived(&mut self, kind: Kind, seq: u8, len: usize) {
        if seq == self.expected && self.held.is_empty() && !self.got_end {
            self.expected = seq.wrapping_add(1);
            self.got_end = kind == Kind::End;
            if kind == Kind::Data && len > 0 {
                let start = self.base + HEAD;
                self.held = start..start + len;
            } else {
                self.owe(Kind::Ack, seq);
            }
        } else if seq.wrapping_add(1) == self.expected {
            self.counts.repeated = self.counts.repeated.wrapping_add(1);
            let kind = if self.held.is_empty() { Kind::Ack } else { Kind::Busy };
            self.owe(kind, seq);
        } else {
            self.reset(Peer::Malformed.into());
        }
    }

    /// The packet in flight has arrived.
    fn acknowledged(&mut self, now: Instant) {
        let at = match self.flight {
            Flight::Filling => return,
            Flight::Due => now,
            Flight::Sent(at) => at,
        };
        if self.once {
            self.rtt.measured(now.since(at));
        }
        self.flight = Flight::Filling;
        if self.ending == Ending::Told {
            self.ending = Ending::Acknowledged;
        } else if self.ending != Ending::Acknowledged {
            self.filled = 0;
            self.seq = self.seq.wrapping_add(1);
        }
    }

    /// When both streams have ended, what is left is to answer for a while.
    fn linger(&mut self, now: Instant) {
        if self.got_end && self.ending == Ending::Acknowledged && self.phase == Phase::Open {
            let us = u64::from(self.timing.rto.initial_us) * 2;
            self.phase = Phase::Lingering(now.after(us));
        }
    }
}
