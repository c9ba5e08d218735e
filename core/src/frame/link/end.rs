//! One end of a reliable stream: its memory, its states and the stream's side of it.

use super::packet::{FRONT, HEAD, OVERHEAD, PAYLOAD_MAX, Reader, kind};
use crate::fault::{Fault, Peer};
use crate::rtt::{Bounds, Rtt};
use crate::time::Instant;

/// The times of an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timing {
    /// The limits of the time between two transmissions of a packet.
    pub rto: Bounds,
    /// After how much time without an answer to a packet, however often it was sent, this end gives
    /// up, in microseconds. At most 2³¹.
    pub silence_us: u32,
    /// After how much silence this end asks whether the other end is there, in microseconds. At
    /// most 2³¹.
    pub idle_us: u32,
}

impl Timing {
    /// Retransmission after 200 ms to 8 s, an empty packet after 5 s of silence, and a fault after
    /// a minute without an answer.
    pub const DEFAULT: Self = Self {
        rto: Bounds { initial_us: 1_000_000, min_us: 200_000, max_us: 8_000_000 },
        silence_us: 60_000_000,
        idle_us: 5_000_000,
    };

    /// For a line of `baud` bits per second, 10 for each byte, with packets of at most `payload` bytes, and another
    /// end that answers within `answer_us`: a few milliseconds on a UART, 20 behind a USB adapter.
    ///
    /// Nothing else shares the line, so a packet without an answer was damaged, and backing off does not help:
    /// the timeout doubles once.
    #[expect(clippy::cast_possible_truncation, reason = "at most 2^28")]
    pub const fn of_line(baud: u32, payload: usize, answer_us: u32) -> Self {
        let payload = if payload < PAYLOAD_MAX { payload } else { PAYLOAD_MAX };
        let bits = 10 * (payload + OVERHEAD + ANSWER) as u64;
        // What a packet and its answer need.
        let exchange_us = match (bits * 1_000_000).checked_div(baud as u64) {
            Some(us) => us.saturating_add(answer_us as u64),
            None => MIN_MAX_US,
        };
        let min_us = if exchange_us < MIN_MAX_US { exchange_us } else { MIN_MAX_US } as u32;
        // An end that has all waits for twice the first timeout, in case its last answer was damaged.
        let initial_us = if min_us < 125_000 { 250_000 } else { 2 * min_us };
        Self { rto: Bounds { initial_us, min_us, max_us: 2 * min_us }, ..Self::DEFAULT }
    }
}

/// The largest of the shortest timeouts of a line, so that twice that is less than 2³¹.
const MIN_MAX_US: u64 = 1 << 28;

/// One end of a reliable byte stream over an unreliable line. The [module](super) says how to drive it.
///
/// # The stream
///
/// [`send`](Self::send) takes bytes while no packet is in flight, as a nonblocking `write(2)` does.
/// [`received`](Self::received) lends the received bytes and [`taken`](Self::taken) gives it back:
/// a packet is acknowledged when all of it was taken, so a slow reader makes the other end wait,
/// and meanwhile nothing is lost and no end gives up. [`close`](Self::close) ends this end's stream
/// behind the bytes that were sent; [`is_ended`](Self::is_ended) tells that the other's has ended.
/// After both, and a little longer for an acknowledgement that was lost, [`over`](Self::over) is
/// `Ok`, and every byte has arrived on both sides.
///
/// # Faults
///
/// - [`TimedOut`](Fault::TimedOut): nothing answered a packet for [`Timing::silence_us`]. An end that only
///   waits asks after [`Timing::idle_us`], so silence is noticed there too.
/// - [`Peer::Reset`]: the other end started again, after a reboot, or gave up.
/// - [`Peer::Malformed`]: the other end numbers its packets wrongly.
/// - [`Peer::Truncated`]: the line itself has ended, see [`eof`](Self::eof).
/// - [`Aborted`](Fault::Aborted): this end was [`reset`](Self::reset).
// In this order, since a Cortex-M0 reaches a byte within 32 bytes and a word within 128 by one instruction.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(C)]
pub struct Link<'m> {
    pub(super) outcome: Outcome,
    /// Bit 7 of the kinds that this end sends: set if it answers the opening.
    pub(super) bit: u8,
    pub(super) is_open: bool,
    /// The other end has answered the opening: an opening that arrives now is of another link.
    pub(super) heard: bool,
    /// The other end has ended its stream.
    pub(super) got_end: bool,
    /// This end's stream ends behind the bytes in `tx`.
    pub(super) closing: bool,
    /// Input of the other end is dropped.
    pub(super) leaving: bool,
    /// The packet in flight was sent once and not answered: its acknowledgement is a measurement (Karn's
    /// rule).
    pub(super) once: bool,
    /// The number of the last packet of the other end that was accepted.
    pub(super) got: u8,
    pub(super) flight: Flight,
    /// The number of the last packet that was made.
    pub(super) kind: u8,
    pub(super) seq: u8,
    /// The kind of the pending answer, 0 for none.
    pub(super) owed: u8,
    /// The largest payload that this end accepts.
    pub(super) max: u8,

    /// A packet is decoded into `rx` from `base` on: 0, or behind the payload that was not taken.
    pub(super) rx: &'m mut [u8],
    pub(super) reader: Reader,
    pub(super) base: usize,
    /// The range of `rx` with payload that was not taken; 0 and 0 if there is none.
    pub(super) held: usize,
    pub(super) held_end: usize,
    /// The packet of this end is in `tx`: where its payload ends, and may end at most. An answer is at
    /// the end of `tx`.
    pub(super) tx: &'m mut [u8],
    pub(super) filled: usize,
    /// 0 while no packet can be filled.
    pub(super) limit: usize,
    /// The range of `tx` to write to the line.
    pub(super) from: usize,
    pub(super) to: usize,

    // Not more than four words of zeros follow each other: `memset` for more has 158 bytes of flash.
    pub(super) timing: &'m Timing,
    /// The time of the last call. The other times are relative to it: a Cortex-M0 compares 64 bits in 20 bytes.
    pub(super) now: Instant,
    /// After how much time the link wants to be called, in microseconds.
    pub(super) left_us: u32,
    /// How long nothing has answered the packet in flight, in microseconds.
    pub(super) waited_us: u32,
    pub(super) rtt: Rtt<'m>,
}

/// The length of an answer or an opening on the line; it has the largest payload that its sender
/// accepts.
pub(super) const ANSWER: usize = OVERHEAD + 1;

/// The smallest payload that the memory has to hold.
const PAYLOAD_MIN: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Outcome {
    /// The link is not over.
    None,
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
    /// There is none, and room for one.
    Filling,
    /// To be sent, for the first time or again.
    Due,
    /// Sent, or being written: waits for its acknowledgement.
    Sent,
}

impl<'m> Link<'m> {
    /// The memory to receive packets of `payload` bytes, in bytes: the front of an answer that
    /// arrives while a payload was not taken needs room behind it.
    pub const fn rx_len(payload: usize) -> usize {
        payload.saturating_add(FRONT + FRONT + 1)
    }

    /// The memory to send packets of `payload` bytes and answers, in bytes.
    pub const fn tx_len(payload: usize) -> usize {
        payload.saturating_add(OVERHEAD + ANSWER)
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

    /// Opens the link. `first` numbers its first packet: it should differ from that of the last
    /// link, as a counter or the low bits of a clock do.
    pub const fn connect<const R: usize, const T: usize>(
        rx: &'m mut [u8; R],
        tx: &'m mut [u8; T],
        first: u8,
    ) -> Self {
        let max = takes::<R, T>();
        tx[HEAD] = max;
        Self { filled: HEAD + 1, ..Self::new(rx, tx, max, 0, first.wrapping_sub(1)) }
    }

    /// Sets other times than [`Timing::DEFAULT`].
    #[must_use]
    pub const fn with_timing(mut self, timing: &'m Timing) -> Self {
        self.timing = timing;
        self.rtt = Rtt::new(&timing.rto);
        self
    }

    const fn new(rx: &'m mut [u8], tx: &'m mut [u8], max: u8, bit: u8, seq: u8) -> Self {
        Self {
            outcome: Outcome::None,
            bit,
            is_open: false,
            heard: false,
            got_end: false,
            closing: false,
            leaving: false,
            once: false,
            got: 0,
            flight: Flight::Filling,
            // A link that was not opened has nothing to end.
            kind: kind::END,
            seq,
            owed: 0,
            max,
            rx,
            reader: Reader::new(),
            base: 0,
            held: 0,
            held_end: 0,
            tx,
            filled: HEAD,
            limit: 0,
            from: 0,
            to: 0,
            timing: &Timing::DEFAULT,
            now: Instant::ZERO,
            left_us: 0,
            waited_us: 0,
            rtt: Rtt::new(&Timing::DEFAULT.rto),
        }
    }

    /// Takes bytes for the other end, as many as fit in the packet that is being filled. 0 while one is
    /// in flight, before the link is open, and after [`close`](Self::close).
    #[must_use = "what did not fit is to be sent later"]
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let n = copy(self.room(), bytes);
        self.filled += n;
        n
    }

    /// The room of the packet that is being filled, to render into it directly; then call
    /// [`sent`](Self::sent). Empty when [`send`](Self::send) would take nothing.
    pub fn room(&mut self) -> &mut [u8] {
        part(self.tx, self.filled, self.limit)
    }

    /// The first `n` bytes of the [`room`](Self::room) were filled and will be sent.
    pub fn sent(&mut self, n: usize) {
        let room = self.room().len();
        debug_assert!(n <= room, "sent more than there was room for");
        self.filled += n.min(room);
    }

    /// Bytes of the other end's stream that arrived and were not taken. They may be changed in place.
    pub fn received(&mut self) -> &mut [u8] {
        part(self.rx, self.held, self.held_end)
    }

    /// The first `n` bytes of [`received`](Self::received), or all, are taken. With the last of a packet the packet
    /// is acknowledged.
    #[inline(never)]
    pub fn taken(&mut self, n: usize) {
        let left = self.held_end - self.held;
        self.held += n.min(left);
        if n > 0 && left > 0 && self.held == self.held_end {
            (self.held, self.held_end) = (0, 0);
            if self.outcome == Outcome::None {
                self.owed = kind::ACK;
            }
        }
    }

    /// Takes received bytes into `buf`, as a nonblocking `read(2)` does; 0 if there are none.
    pub fn recv(&mut self, buf: &mut [u8]) -> usize {
        let n = copy(buf, self.received());
        self.taken(n);
        n
    }

    /// Whether both ends have agreed on the link.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the other end's stream has ended and all of it was taken.
    pub fn is_ended(&self) -> bool {
        self.got_end && self.held_end == 0
    }

    /// Ends this end's stream behind the bytes that were sent. Input is still received.
    pub fn close(&mut self) {
        self.closing = true;
        self.limit = 0;
    }

    /// Whether both streams have ended and arrived. The link then still answers for a short time,
    /// in case an acknowledgement was lost on the line. A program that stops here leaves the other
    /// end in doubt whether its end of the stream has arrived, but not whether its bytes have.
    pub fn is_closed(&self) -> bool {
        self.got_end && self.kind == kind::END && self.flight == Flight::Filling
    }

    /// Drops all further input of the other end, and ends this end's stream, or gives it up.
    #[inline(never)]
    pub(crate) fn leave(&mut self, well: bool) {
        self.leaving = true;
        self.taken(usize::MAX);
        if well {
            self.close();
        } else {
            // The session decides how the link ended.
            self.give_up(Outcome::Well);
        }
    }

    /// Gives the stream up, and tells the other end. The link is over with [`Fault::Aborted`] when that was
    /// written; a shell that cannot wait drops it.
    pub fn reset(&mut self) {
        self.give_up(Outcome::Aborted);
    }

    #[inline(never)]
    pub(super) fn give_up(&mut self, why: Outcome) {
        if self.outcome == Outcome::None {
            self.finish(why);
            self.owed = kind::RESET;
        }
    }

    /// The link is over. Output that was not written is dropped.
    #[inline(never)]
    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.owed = 0;
        self.from = self.to;
    }

    /// Whether the link is over, and the other end was told if necessary.
    fn is_over(&self) -> bool {
        self.outcome != Outcome::None && self.owed == 0 && self.from == self.to
    }

    /// How the link ended, if it is over.
    pub fn over(&self) -> Option<Result<(), Fault>> {
        if !self.is_over() {
            return None;
        }
        Some(Err(match self.outcome {
            Outcome::None => return None,
            Outcome::Well => return Some(Ok(())),
            Outcome::TimedOut => Fault::TimedOut { waited_us: self.waited_us.into() },
            Outcome::Reset => Fault::Peer(Peer::Reset),
            Outcome::Malformed => Fault::Peer(Peer::Malformed),
            Outcome::Truncated => Fault::Peer(Peer::Truncated),
            Outcome::Aborted => Fault::Aborted,
        }))
    }

    /// The smoothed round-trip time in microseconds, after the first measurement.
    pub fn srtt_us(&self) -> Option<u32> {
        self.rtt.srtt_us()
    }
}

/// The largest payload that an end with this much memory accepts.
#[expect(clippy::cast_possible_truncation, reason = "at most PAYLOAD_MAX")]
const fn takes<const R: usize, const T: usize>() -> u8 {
    const {
        assert!(R >= Link::rx_len(PAYLOAD_MIN), "rx is shorter than Link::rx_len(8)");
        assert!(T >= Link::tx_len(PAYLOAD_MIN), "tx is shorter than Link::tx_len(8)");
        let max = R - Link::rx_len(0);
        if max < PAYLOAD_MAX { max as u8 } else { PAYLOAD_MAX as u8 }
    }
}

/// A range of some memory. The bounds are clamped, so that no check with a panic is left.
pub(super) fn part(memory: &mut [u8], from: usize, to: usize) -> &mut [u8] {
    let to = to.min(memory.len());
    memory.get_mut(from.min(to)..to).unwrap_or_default()
}

/// Copies as many bytes as fit, and returns their number. It is not [`fill`](crate::bytes::fill),
/// of which the optimiser makes `memcpy`: 600 bytes on a Cortex-M0 for a few bytes of a slow line.
#[inline(never)]
fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let mut n = 0;
    for (to, &byte) in to.iter_mut().zip(from) {
        *to = core::hint::black_box(byte);
        n += 1;
    }
    n
}
