//! One end of a reliable stream: its memory, its states and the stream's side of it.

use core::ops::Range;

use super::cobs::{Encoder, encoded_max};
use super::decode::Gather;
use super::line::Kind;
use super::packet::{HEAD, OVERHEAD, seal};
use crate::fault::{Fault, Limit};
use crate::rtt::{Bounds, Rtt};
use crate::time::{Instant, Wake};
use crate::want::{Close, Want};

/// How long an end waits for the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timing {
    /// Of the time between two transmissions of a packet.
    pub rto: Bounds,
    /// How often a packet is sent before the other end is given up, if nothing answers it.
    pub tries: u8,
    /// After how much silence the other end is asked whether it is there, in microseconds.
    pub idle_us: u32,
}

impl Timing {
    /// Retransmission after 200 ms to 8 s, eight tries, a question after 5 s: an end that vanishes is
    /// noticed after 50 seconds at most, and typically after half a minute.
    pub const DEFAULT: Self = Self {
        rto: Bounds { initial_us: 1_000_000, min_us: 200_000, max_us: 8_000_000 },
        tries: 8,
        idle_us: 5_000_000,
    };
}

/// What went wrong on the line, and was put right. Each number wraps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counts {
    /// What came and is not a packet.
    pub bad: u32,
    /// Packets that came again.
    pub repeated: u32,
    /// Packets that were sent again.
    pub resent: u32,
}

/// One end of a reliable byte stream over a line that is not. The [module](super) says how to drive it.
///
/// # The stream
///
/// [`send`](Self::send) takes bytes while no packet is in flight, as a nonblocking `write(2)` does.
/// [`received`](Self::received) lends what has come and [`taken`](Self::taken) gives it back: a packet is
/// acknowledged when all of it was taken, so a reader that is slow holds the other end up, and nothing is
/// lost or gives up meanwhile. [`close`](Self::close) ends this end's stream behind what was sent;
/// [`is_ended`](Self::is_ended) tells that the other's has ended. After both, `want` is
/// [`Done`](Close::Done) with `Ok`, and every byte has arrived on both sides.
///
/// # Faults
///
/// - [`TimedOut`](Fault::TimedOut): nothing answered [`Timing::tries`] transmissions of a packet. An
///   end that only waits asks after [`Timing::idle_us`], so silence is noticed there too.
/// - [`Peer::Reset`](crate::fault::Peer::Reset): the other end began anew, after a reboot, or gave up.
/// - [`Peer::Malformed`](crate::fault::Peer::Malformed): it numbers its packets as no end does.
#[derive(Debug)]
pub struct Link<'m> {
    pub(super) rx: &'m mut [u8],
    pub(super) tx: &'m mut [u8],
    pub(super) timing: Timing,
    pub(super) rtt: Rtt,
    pub(super) phase: Phase,
    /// This end answered the opening.
    pub(super) answers: bool,

    /// What is coming, in `rx` from `base` on. `base` is 0, or behind what is held.
    pub(super) gather: Gather,
    pub(super) base: usize,
    /// Of `rx`: payload that was not taken yet.
    pub(super) held: Range<usize>,
    /// The number of the next packet of the other end.
    pub(super) expected: u8,
    /// The other end has ended its stream.
    pub(super) got_end: bool,
    /// The other end acted on the opening: an opening that comes now is another one.
    pub(super) heard: bool,
    pub(super) heard_at: Instant,

    /// The packet of this end: its number, its payload's length in `tx`, what is done with it.
    pub(super) seq: u8,
    pub(super) filled: usize,
    pub(super) flight: Flight,
    /// Transmissions since the other end was heard of.
    pub(super) tries: u8,
    /// It was sent once and nothing else: its acknowledgement is a measurement (Karn's rule).
    pub(super) once: bool,
    /// Bytes of payload that the other end takes.
    pub(super) peer_max: usize,
    pub(super) ending: Ending,

    /// An answer that is owed, and the number that it is about.
    pub(super) owed: Option<(Kind, u8)>,
    /// What is being rendered, and how long it is.
    pub(super) rendering: Option<Rendering>,
    pub(super) encoder: Encoder,
    pub(super) answer: [u8; ANSWER],
    pub(super) counts: Counts,
}

/// Bytes of the longest packet that is not in `tx`: an accepting one.
const ANSWER: usize = OVERHEAD + 2;

/// Bytes of `rx` that are kept for short packets while a payload is held.
const ASIDE: usize = encoded_max(ANSWER);

/// Memory for the smallest packets that a link works with: 8 bytes of payload.
const RX_MIN: usize = Link::rx_len(8);
const TX_MIN: usize = Link::tx_len(8);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Phase {
    /// Waits to be opened.
    Listening,
    /// Has an opening in flight.
    Opening,
    Open,
    /// Both streams have ended. Until then it acknowledges the other's end again.
    Lingering(Instant),
    /// Says so to the other end, and is done.
    Resetting(Fault),
    Done(Result<(), Fault>),
}

/// The packet in `tx`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Flight {
    /// None: there is room for one.
    Filling,
    /// To be sent, for the first time or again.
    Due,
    /// Sent, to be acknowledged.
    Sent(Instant),
}

/// How far this end's stream has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Ending {
    No,
    /// Behind what is in `tx`.
    Wanted,
    /// The end is in `tx`.
    Told,
    Acknowledged,
}

/// A packet that is on its way into the shell's memory, with its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Rendering {
    Answer(usize),
    Flight(usize),
}

impl<'m> Link<'m> {
    /// Bytes of memory to receive packets of `payload` bytes into.
    pub const fn rx_len(payload: usize) -> usize {
        let packet = payload.saturating_add(OVERHEAD);
        packet.saturating_add((packet >> 6) + 2 + ASIDE)
    }

    /// Bytes of memory to send packets of `payload` bytes from.
    pub const fn tx_len(payload: usize) -> usize {
        payload.saturating_add(OVERHEAD)
    }

    /// Waits for the other end to open the link.
    ///
    /// The lengths of `rx` and `tx` bound the payload of a packet in each direction, see
    /// [`rx_len`](Self::rx_len) and [`tx_len`](Self::tx_len); the ends agree on the smaller bound. Memory
    /// for less than 8 bytes is [`Fault::Local`].
    pub const fn listen(rx: &'m mut [u8], tx: &'m mut [u8]) -> Self {
        Self::new(rx, tx, Phase::Listening, 0)
    }

    /// Opens the link. `first` numbers its first packet: let it differ from that of the link before, as a
    /// counter or the low bits of a clock do.
    pub const fn connect(rx: &'m mut [u8], tx: &'m mut [u8], first: u8) -> Self {
        Self::new(rx, tx, Phase::Opening, first)
    }

    /// With other times than [`Timing::DEFAULT`].
    #[must_use]
    pub const fn with_timing(self, timing: Timing) -> Self {
        Self { timing, rtt: Rtt::new(timing.rto), ..self }
    }

    const fn new(rx: &'m mut [u8], tx: &'m mut [u8], phase: Phase, first: u8) -> Self {
        let short = if rx.len() < RX_MIN {
            Some(Limit { need: RX_MIN, have: rx.len() })
        } else if tx.len() < TX_MIN {
            Some(Limit { need: TX_MIN, have: tx.len() })
        } else {
            None
        };
        Self {
            rx,
            tx,
            timing: Timing::DEFAULT,
            rtt: Rtt::new(Timing::DEFAULT.rto),
            answers: matches!(phase, Phase::Listening),
            phase: match short {
                Some(limit) => Phase::Done(Err(Fault::Local(limit))),
                None => phase,
            },
            gather: Gather::new(),
            base: 0,
            held: 0..0,
            expected: 0,
            got_end: false,
            heard: false,
            heard_at: Instant::ZERO,
            seq: first,
            filled: 0,
            flight: Flight::Filling,
            tries: 0,
            once: false,
            peer_max: 0,
            ending: Ending::No,
            owed: None,
            rendering: None,
            encoder: Encoder::new(),
            answer: [0; ANSWER],
            counts: Counts { bad: 0, repeated: 0, resent: 0 },
        }
    }

    /// Takes bytes for the other end, as many as fit in the packet that is being filled. 0 while one is
    /// in flight, before the link is open, and after [`close`](Self::close).
    #[must_use = "what did not fit is to be sent later"]
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let mut n = 0;
        for (to, &byte) in self.room().iter_mut().zip(bytes) {
            *to = byte;
            n += 1;
        }
        self.sent(n);
        n
    }

    /// The room of the packet that is being filled, to be rendered into directly: then
    /// [`sent`](Self::sent). Empty when [`send`](Self::send) would take nothing.
    pub fn room(&mut self) -> &mut [u8] {
        self.lend().1
    }

    /// The first `n` bytes of the [`room`](Self::room) are to be sent.
    pub fn sent(&mut self, n: usize) {
        let room = self.room().len();
        debug_assert!(n <= room, "sent more than there was room for");
        self.filled += n.min(room);
    }

    /// What has come of the other end's stream and was not taken. It may be changed in place.
    pub fn received(&mut self) -> &mut [u8] {
        self.lend().0
    }

    /// [`received`](Self::received) and [`room`](Self::room) at once, for a session that reads the one and
    /// renders into the other.
    pub fn lend(&mut self) -> (&mut [u8], &mut [u8]) {
        let end = if self.has_room() {
            self.tx.len().saturating_sub(OVERHEAD).min(self.peer_max)
        } else {
            self.filled
        };
        let payload = self.tx.get_mut(HEAD..).unwrap_or_default();
        (
            self.rx.get_mut(self.held.clone()).unwrap_or_default(),
            payload.get_mut(self.filled..end).unwrap_or_default(),
        )
    }

    /// The first `n` bytes of [`received`](Self::received) are taken. With the last of a packet the packet
    /// is acknowledged.
    pub fn taken(&mut self, n: usize) {
        debug_assert!(n <= self.held.len(), "took more than had come");
        if n > 0 && !self.held.is_empty() {
            self.held.start = self.held.start.saturating_add(n).min(self.held.end);
            if self.held.is_empty() {
                if self.gather.is_empty() {
                    self.base = 0;
                }
                self.owe(Kind::Ack, self.expected.wrapping_sub(1));
            }
        }
    }

    /// Takes what has come into `buf`, as a nonblocking `read(2)` does; 0 when nothing has come.
    pub fn recv(&mut self, buf: &mut [u8]) -> usize {
        let mut n = 0;
        for (to, &mut byte) in buf.iter_mut().zip(self.received()) {
            *to = byte;
            n += 1;
        }
        self.taken(n);
        n
    }

    /// Whether the other end's stream has ended and all of it was taken.
    pub fn is_ended(&self) -> bool {
        self.got_end && self.held.is_empty()
    }

    /// Ends this end's stream behind what was sent. What still comes is received.
    pub fn close(&mut self) {
        self.ending = self.ending.max(Ending::Wanted);
        if self.phase == Phase::Listening {
            self.phase = Phase::Done(Ok(()));
        }
    }

    /// Whether both streams have ended and arrived. The link then answers a little longer, for an
    /// acknowledgement that was lost on the line. A program that leaves here leaves the other end in
    /// doubt whether its end of stream has come, and no byte in doubt.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Lingering(_) | Phase::Done(Ok(())))
    }

    /// Gives the stream up, and tells the other end. The link is done with `why` when that was rendered; a
    /// shell that cannot wait drops it.
    pub fn reset(&mut self, why: Fault) {
        match self.phase {
            Phase::Opening | Phase::Open => {
                self.owe(Kind::Reset, self.seq);
                self.phase = Phase::Resetting(why);
            }
            Phase::Listening | Phase::Lingering(_) => self.phase = Phase::Done(Err(why)),
            Phase::Resetting(_) | Phase::Done(_) => {}
        }
    }

    /// What it wants from the line now. It always takes what comes.
    pub fn want(&self) -> Want {
        let close = match self.phase {
            Phase::Done(how) => return Want::done(how),
            Phase::Listening | Phase::Opening | Phase::Open => Close::Open,
            Phase::Lingering(_) | Phase::Resetting(_) => Close::WriteHalf,
        };
        let write = self.owed.is_some() || self.rendering.is_some() || self.flight_is_due();
        Want { read: true, write, close, wake: self.deadline().map_or(Wake::Never, Wake::At) }
    }

    /// What went wrong on the line so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The smoothed round-trip time in microseconds, once something was measured.
    pub fn srtt_us(&self) -> Option<u32> {
        self.rtt.srtt_us()
    }

    fn has_room(&self) -> bool {
        self.phase == Phase::Open
            && self.flight == Flight::Filling
            && self.ending == Ending::No
            && !matches!(self.rendering, Some(Rendering::Flight(_)))
    }

    /// Whether there is a packet to be sent, or to be made.
    pub(super) fn flight_is_due(&self) -> bool {
        match self.flight {
            Flight::Due => true,
            Flight::Sent(_) => false,
            Flight::Filling => match self.phase {
                Phase::Opening => true,
                Phase::Open => self.filled > 0 || self.ending == Ending::Wanted,
                _ => false,
            },
        }
    }

    /// Makes the packet that is due out of what stands in `tx`.
    pub(super) fn make(&mut self, kind: Kind) {
        if kind == Kind::Open {
            self.filled = put_max(self.tx, self.payload_max());
        }
        self.once = true;
        self.tries = 0;
        self.flight = Flight::Due;
        let kind = kind.sent_by(self.answers);
        let sealed = seal(self.tx, kind, self.seq, self.filled);
        debug_assert!(sealed.is_some(), "a packet is at most as long as its memory");
    }

    /// Bytes of payload that this end takes.
    pub(super) fn payload_max(&self) -> u16 {
        // The code adds a byte, and one for each 254: here one for each 128, without a division.
        let code = self.rx.len().saturating_sub(ASIDE);
        let packet = code.saturating_sub((code >> 7) + 1);
        u16::try_from(packet.saturating_sub(OVERHEAD)).unwrap_or(u16::MAX)
    }

    /// An answer is owed, the last one that is: it replaces one that was not sent yet. A link that is being
    /// reset says nothing else.
    pub(super) fn owe(&mut self, kind: Kind, seq: u8) {
        if !matches!(self.phase, Phase::Resetting(_) | Phase::Done(_)) {
            self.owed = Some((kind, seq));
        }
    }

    /// How long it waits for an answer. The end that answered the opening waits half as long again, so that
    /// the two are never in step.
    pub(super) fn stagger(&self, us: u32) -> u64 {
        let us = u64::from(us);
        if self.answers { us + us / 2 } else { us }
    }

    /// When it wants a tick.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match (self.phase, self.flight) {
            (Phase::Lingering(until), _) => Some(until),
            (Phase::Opening | Phase::Open, Flight::Sent(at)) => {
                Some(at.after(self.stagger(self.rtt.rto_us())))
            }
            (Phase::Open, Flight::Filling) if !self.flight_is_due() && self.rendering.is_none() => {
                Some(self.heard_at.after(self.stagger(self.timing.idle_us)))
            }
            _ => None,
        }
    }
}

/// Puts how much payload an end takes where a packet's payload stands. How many bytes that is.
pub(super) fn put_max(memory: &mut [u8], max: u16) -> usize {
    match memory.get_mut(HEAD..).and_then(|it| it.first_chunk_mut()) {
        Some(payload) => {
            *payload = max.to_be_bytes();
            payload.len()
        }
        None => 0,
    }
}
