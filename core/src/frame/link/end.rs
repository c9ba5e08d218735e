//! One end of a reliable stream: its memory, its states and the stream's side of it.

use super::line::kind;
use super::packet::{HEAD, OVERHEAD, PAYLOAD_MAX};
use crate::fault::{Fault, Peer};
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
    /// After how much silence the other end is asked whether it is there, in microseconds. At most 2³¹.
    pub idle_us: u32,
}

impl Timing {
    /// Retransmission after 200 ms to 8 s, eight tries, a question after 5 s. With a round trip that was
    /// measured and short, an end that vanishes is noticed after half a minute; with none, after one and a
    /// half at most.
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
/// - [`TimedOut`](Fault::TimedOut): nothing answered [`Timing::tries`] transmissions of a packet. An end
///   that only waits asks after [`Timing::idle_us`], so silence is noticed there too.
/// - [`Peer::Reset`]: the other end began anew, after a reboot, or gave up.
/// - [`Peer::Malformed`]: it numbers its packets as no end does.
/// - [`Peer::Truncated`]: the line itself has ended, see [`eof`](Self::eof).
/// - [`Aborted`](Fault::Aborted): this end was [`reset`](Self::reset).
// In this order, since a Cortex-M0 reaches a byte within 32 bytes and a word within 128 by one instruction.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(C)]
pub struct Link<'m> {
    pub(super) phase: Phase,
    pub(super) outcome: Outcome,
    /// Of the kinds that this end sends: set if it answered the opening.
    pub(super) bit: u8,
    /// The other end acted on the opening: an opening that comes now is another one.
    pub(super) heard: bool,
    /// The other end has ended its stream.
    pub(super) got_end: bool,
    /// This end's stream ends behind what is in `tx`.
    pub(super) closing: bool,
    /// The number of the next packet of the other end.
    pub(super) expected: u8,

    pub(super) flight: Flight,
    /// Of the last packet that was made.
    pub(super) kind: u8,
    pub(super) seq: u8,
    /// Transmissions since the other end answered.
    pub(super) tries: u8,
    /// It was sent once and nothing else: its acknowledgement is a measurement (Karn's rule).
    pub(super) once: bool,

    /// The kind of an answer that is owed, 0 for none, and the number that it is about.
    pub(super) owed: u8,
    pub(super) owed_seq: u8,
    pub(super) rendering: Rendering,
    pub(super) answer: [u8; ANSWER],

    /// What has come of a packet is in `rx`, from `start` to `at`; beyond its end when it is too long.
    /// `start` is 0, or behind what is held.
    pub(super) rx: &'m mut [u8],
    pub(super) start: usize,
    pub(super) at: usize,
    /// Payload that was not taken is in `rx`, from here to there.
    pub(super) held: usize,
    pub(super) held_end: usize,
    /// The packet of this end is in `tx`: where its payload ends, and may end at most.
    pub(super) tx: &'m mut [u8],
    pub(super) filled: usize,
    pub(super) limit: usize,
    /// Of what is being rendered: how much went, and how long it is.
    pub(super) went: usize,
    pub(super) len: usize,

    pub(super) timing: &'m Timing,
    /// When the packet was sent, and when the other end was heard of, in microseconds that wrap; once it
    /// timed out, for how long it was not.
    pub(super) sent_at: u32,
    pub(super) heard_at: u32,
    /// The time of the last call, and when it wants a tick.
    pub(super) now: Instant,
    pub(super) alarm: Option<Instant>,
    pub(super) rtt: Rtt,
    pub(super) counts: Counts,
}

/// Bytes of an answer on the line, and of an opening: how much payload its sender takes is in it.
const ANSWER: usize = OVERHEAD + 1;

/// The smallest payload that memory is given for.
const PAYLOAD_MIN: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Phase {
    /// Waits to be opened.
    Listening,
    /// Has an opening in flight.
    Opening,
    Open,
    /// Both streams have ended. It acknowledges the other's end again, for a while.
    Lingering,
    /// Tells the other end that it is over.
    Resetting,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Outcome {
    Well,
    TimedOut,
    Reset,
    Malformed,
    Truncated,
    Aborted,
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
    Sent,
}

/// A packet that is on its way into the shell's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Rendering {
    Nothing,
    Answer,
    Flight,
}

impl<'m> Link<'m> {
    /// Bytes of memory to receive packets of `payload` bytes into: an answer that comes while a payload is
    /// held needs room beside it.
    pub const fn rx_len(payload: usize) -> usize {
        payload.saturating_add(OVERHEAD + ANSWER)
    }

    /// Bytes of memory to send packets of `payload` bytes from.
    pub const fn tx_len(payload: usize) -> usize {
        payload.saturating_add(OVERHEAD)
    }

    /// Waits for the other end to open the link.
    ///
    /// `R` and `T` bound the payload of a packet in each direction: take them from [`rx_len`](Self::rx_len)
    /// and [`tx_len`](Self::tx_len), of 8 to [`PAYLOAD_MAX`] bytes, which is checked when this is compiled.
    /// The two ends agree on the smaller bound.
    pub const fn listen<const R: usize, const T: usize>(
        rx: &'m mut [u8; R],
        tx: &'m mut [u8; T],
    ) -> Self {
        Self::new(rx, tx, takes::<R, T>(), kind::ANSWERS, 0)
    }

    /// Opens the link. `first` numbers its first packet: let it differ from that of the link before, as a
    /// counter or the low bits of a clock do.
    pub const fn connect<const R: usize, const T: usize>(
        rx: &'m mut [u8; R],
        tx: &'m mut [u8; T],
        first: u8,
    ) -> Self {
        Self::new(rx, tx, takes::<R, T>(), 0, first.wrapping_sub(1))
    }

    /// With other times than [`Timing::DEFAULT`].
    #[must_use]
    pub const fn with_timing(mut self, timing: &'m Timing) -> Self {
        self.timing = timing;
        self.rtt = Rtt::new(timing.rto);
        self
    }

    /// Once for all lengths of memory.
    #[inline(never)]
    const fn new(rx: &'m mut [u8], tx: &'m mut [u8], max: u8, bit: u8, seq: u8) -> Self {
        let phase = if bit == 0 { Phase::Opening } else { Phase::Listening };
        Self {
            phase,
            outcome: Outcome::Well,
            bit,
            heard: false,
            got_end: false,
            closing: false,
            expected: 0,
            flight: Flight::Filling,
            kind: 0,
            seq,
            tries: 0,
            once: false,
            owed: 0,
            owed_seq: 0,
            rendering: Rendering::Nothing,
            answer: [0, 0, 0, 0, max, 0, 0, 0, 0, 0],
            rx,
            start: 0,
            at: 0,
            held: 0,
            held_end: 0,
            tx,
            filled: HEAD,
            limit: 0,
            went: 0,
            len: 0,
            timing: &Timing::DEFAULT,
            sent_at: 0,
            heard_at: 0,
            now: Instant::ZERO,
            alarm: None,
            rtt: Rtt::new(Timing::DEFAULT.rto),
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
        self.filled += n;
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
        part(self.rx, self.held, self.held_end)
    }

    /// [`received`](Self::received) and [`room`](Self::room) at once, for a session that reads the one and
    /// renders into the other.
    pub fn lend(&mut self) -> (&mut [u8], &mut [u8]) {
        let to = if self.has_room() { self.limit } else { self.filled };
        (part(self.rx, self.held, self.held_end), part(self.tx, self.filled, to))
    }

    /// The first `n` bytes of [`received`](Self::received) are taken. With the last of a packet the packet
    /// is acknowledged.
    pub fn taken(&mut self, n: usize) {
        let left = self.held_end - self.held;
        debug_assert!(n <= left, "took more than had come");
        self.held += n.min(left);
        if left > 0 && n >= left {
            if self.at == self.start {
                (self.start, self.at) = (0, 0);
            }
            self.owe(kind::ACK, self.expected.wrapping_sub(1));
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
        self.got_end && !self.holds()
    }

    /// Ends this end's stream behind what was sent. What still comes is received.
    pub fn close(&mut self) {
        self.closing = true;
        if self.phase == Phase::Listening {
            self.phase = Phase::Done;
        }
    }

    /// Whether both streams have ended and arrived. The link then answers a little longer, for an
    /// acknowledgement that was lost on the line. A program that leaves here leaves the other end in
    /// doubt whether its end of stream has come, and no byte in doubt.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Lingering | Phase::Done) && self.outcome == Outcome::Well
    }

    /// Gives the stream up, and tells the other end. The link is done with [`Fault::Aborted`] when that was
    /// rendered; a shell that cannot wait drops it.
    pub fn reset(&mut self) {
        self.give_up(Outcome::Aborted);
    }

    pub(super) fn give_up(&mut self, why: Outcome) {
        if !matches!(self.phase, Phase::Resetting | Phase::Done) {
            self.owe(kind::RESET, self.seq);
            self.outcome = why;
            self.phase =
                if self.phase == Phase::Listening { Phase::Done } else { Phase::Resetting };
        }
    }

    /// What it wants from the line now. It always takes what comes.
    pub fn want(&self) -> Want {
        let close = match self.phase {
            Phase::Done => return Want::done(self.how()),
            Phase::Listening | Phase::Opening | Phase::Open => Close::Open,
            Phase::Lingering | Phase::Resetting => Close::WriteHalf,
        };
        let write = self.owed != 0 || self.rendering != Rendering::Nothing || self.flight_is_due();
        let wake = self.alarm.map_or(Wake::Never, Wake::At);
        Want { write, close, wake, ..Want::READ }
    }

    fn how(&self) -> Result<(), Fault> {
        Err(match self.outcome {
            Outcome::Well => return Ok(()),
            Outcome::TimedOut => Fault::TimedOut { waited_us: self.heard_at.into() },
            Outcome::Reset => Fault::Peer(Peer::Reset),
            Outcome::Malformed => Fault::Peer(Peer::Malformed),
            Outcome::Truncated => Fault::Peer(Peer::Truncated),
            Outcome::Aborted => Fault::Aborted,
        })
    }

    /// What went wrong on the line so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The smoothed round-trip time in microseconds, once something was measured.
    pub fn srtt_us(&self) -> Option<u32> {
        self.rtt.srtt_us()
    }

    pub(super) fn holds(&self) -> bool {
        self.held != self.held_end
    }

    fn has_room(&self) -> bool {
        self.phase == Phase::Open
            && self.flight == Flight::Filling
            && !self.closing
            && self.rendering != Rendering::Flight
    }

    /// Whether there is a packet to be sent, or to be made.
    pub(super) fn flight_is_due(&self) -> bool {
        match self.flight {
            Flight::Due => true,
            Flight::Sent => false,
            Flight::Filling => match self.phase {
                Phase::Opening => true,
                Phase::Open => self.filled > HEAD || (self.closing && self.kind != kind::END),
                Phase::Listening | Phase::Lingering | Phase::Resetting | Phase::Done => false,
            },
        }
    }

    /// An answer is owed, the last one that is: it replaces one that was not sent yet. A link that is being
    /// reset says nothing else.
    #[inline(never)]
    pub(super) fn owe(&mut self, kind: u8, seq: u8) {
        if self.phase != Phase::Resetting {
            (self.owed, self.owed_seq) = (kind, seq);
        }
    }
}

/// Bytes of payload that an end with so much memory takes.
#[expect(clippy::cast_possible_truncation, reason = "at most PAYLOAD_MAX")]
const fn takes<const R: usize, const T: usize>() -> u8 {
    const {
        assert!(R >= Link::rx_len(PAYLOAD_MIN), "rx is shorter than Link::rx_len(8)");
        assert!(T >= Link::tx_len(PAYLOAD_MIN), "tx is shorter than Link::tx_len(8)");
        let max = R - (OVERHEAD + ANSWER);
        if max < PAYLOAD_MAX { max as u8 } else { PAYLOAD_MAX as u8 }
    }
}

/// What of some memory is from here to there.
#[inline(never)]
pub(super) fn part(memory: &mut [u8], from: usize, to: usize) -> &mut [u8] {
    memory.get_mut(from..to).unwrap_or_default()
}
