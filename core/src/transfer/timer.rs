//! When to send again, and when to give up.

use super::parts::{ROUND_TRIPS, has};
use crate::rtt::{Bounds, Rtt};
use crate::time::{Instant, Wake};

/// A span of time in microseconds, up to an hour. In 64 bits each comparison of two instants would be 20 bytes of flash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Span(u32);

impl Span {
    /// Of what did not happen, or will not.
    pub(super) const NEVER: Self = Self(u32::MAX);

    const fn is_never(self) -> bool {
        self.0 == u32::MAX
    }

    /// Its microseconds.
    pub(super) fn us(self) -> Option<u32> {
        (!self.is_never()).then_some(self.0)
    }

    /// Its microseconds; from now on it is of what did not happen.
    fn take(&mut self) -> Option<u32> {
        core::mem::replace(self, Self::NEVER).us()
    }

    /// Since what happens now.
    pub(super) const ZERO: Self = Self(0);
}

/// How long a transfer waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timing {
    /// When a datagram without an answer is sent again: from what was measured, between these bounds.
    pub rto: &'static Bounds,
    /// It gives up when nothing moved for so many microseconds. The number of lost datagrams does not matter.
    pub give_up_us: u32,
    /// The end that received a file goes on answering for so many microseconds at least, and at least four
    /// retransmission timeouts: the sender sends twice in that time.
    pub linger_us: u32,
}

/// Those of a client.
const BOUNDS: Bounds = Bounds { initial_us: 1_000_000, min_us: 10_000, max_us: 8_000_000 };

impl Timing {
    /// For clients: 10 ms to 8 s between datagrams, 30 s without progress, and no more lingering than four
    /// timeouts.
    pub const CLIENT: Self = Self { rto: &BOUNDS, give_up_us: 30_000_000, linger_us: 0 };

    /// For servers. Before anything was measured they wait 300 ms: what is sent again then is one datagram. After
    /// the end of a file that it received a server answers for 10 s, as clients with timers of 5 and 6 s are
    /// common.
    pub const SERVER: Self = Self {
        rto: &Bounds { initial_us: 300_000, ..BOUNDS },
        linger_us: 10_000_000,
        ..Self::CLIENT
    };
}

/// Datagrams to an address that has not answered: a request can be forged. One more for each time that the
/// request comes again.
const UNANSWERED_MAX: u8 = 3;

/// Steps forward in a row that were not measured, and for which the timeout is not kept doubled: where a third of
/// all datagrams is lost, most waits would be of seconds. Behind the next one it is longer than that step took, once:
/// if the path has become slower, what follows is sent once, and measured.
const UNMEASURED_MAX: u8 = 3;

/// With fewer datagrams on their way at once a transfer sends less than its path carries, whatever the timer.
const THIN: u16 = 4;

/// The timeout of such a transfer is not doubled before nothing has moved for four times what was measured.
const STEADY_SHIFT: u32 = 2;

/// What stands for a round trip until one was measured, where a long wait would be worse than a datagram that is
/// sent in vain.
const UNMEASURED_US: u32 = 100_000;

/// A request that comes again sooner than this behind its answer, in microseconds, is a copy that the network made: the
/// quickest client that is known, that of busybox, asks again after 50 ms. To some clients a second OACK is an error.
pub const REQUEST_COPIES_US: u32 = 20_000;

/// A datagram, or a copy of it, is no later than this.
const COPIES_MAX_US: u32 = 1_000_000;

/// How long such an address is waited for.
const UNANSWERED_US: u32 = 8_000_000;

/// The credit of an address that has answered.
const ANSWERED: u8 = u8::MAX;

/// When to send again.
const AGAIN: usize = 0;
/// When to give up.
const PATIENCE: usize = 1;

/// An answer left: the first block of a round, or an acknowledgement.
pub(super) const LEFT: usize = 0;

/// The one timer of a transfer, and how long ago things were.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Timer<const PARTS: u8> {
    rtt: Rtt<'static>,
    /// The time of the last call. Other times are relative to it.
    now: Instant,
    give_up_us: u32,
    /// How long the peer may be silent: less than that as long as it has not answered.
    limit_us: u32,
    /// In how long to send again, and in how long to give up. Never before something was sent.
    left: [Span; 2],
    /// Since [`LEFT`], and since what else its machine has a use for.
    pub(super) ago: [Span; 3],
    /// Datagrams that the address may still get before it has answered. [`ANSWERED`] once it has, and for one that
    /// was chosen by this end.
    credit: u8,
    /// Steps forward since the last measurement before which the timer had expired.
    unmeasured: u8,
    /// The timer expired since something moved.
    expired: bool,
    /// The other end has such a timer too, and it is to be first.
    is_second: bool,
}

/// What a tick finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expired {
    /// Nothing is due.
    No,
    /// No answer came in time: send again.
    Again,
    /// Nothing moved for too long.
    Over,
}

impl<const PARTS: u8> Timer<PARTS> {
    /// To an address that was chosen by this end.
    pub(super) const fn to_server(timing: &Timing) -> Self {
        Self {
            rtt: Rtt::new(timing.rto),
            now: Instant::ZERO,
            give_up_us: timing.give_up_us,
            limit_us: timing.give_up_us,
            left: [Span::NEVER; 2],
            ago: [Span::NEVER; 3],
            credit: ANSWERED,
            unmeasured: 0,
            expired: false,
            is_second: false,
        }
    }

    /// To an address from which a request came, perhaps.
    pub(super) fn to_client(timing: &Timing) -> Self {
        let limit_us = timing.give_up_us.min(UNANSWERED_US);
        Self { limit_us, credit: UNANSWERED_MAX, ..Self::to_server(timing) }
    }

    /// The peer has named the timeout before the first measurement.
    pub(super) fn start_at(&mut self, timing: &Timing, us: u32) {
        self.rtt = Rtt::starting_at(timing.rto, us);
    }

    /// The time of a call. A clock that steps back stands still until it is there again: `false`.
    #[inline(never)]
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let Some(us) = now.as_micros().checked_sub(self.now.as_micros()) else { return false };
        self.now = now;
        let us = u32::try_from(us).unwrap_or(u32::MAX);
        // Without measurements one is used.
        let uses = if has(PARTS, ROUND_TRIPS) { self.ago.len() } else { LEFT + 1 };
        for ago in self.ago.iter_mut().take(uses) {
            ago.0 = ago.0.saturating_add(us);
        }
        for left in &mut self.left {
            if !left.is_never() {
                left.0 = left.0.saturating_sub(us);
            }
        }
        true
    }

    /// Whether the peer has shown that it gets what is sent to it.
    pub(super) const fn is_answered(&self) -> bool {
        self.credit == ANSWERED
    }

    /// Whether another datagram may leave.
    pub(super) const fn may_send(&self) -> bool {
        self.credit > 0
    }

    /// Whether the peer has stopped: what was sent again has no answer, for longer than a datagram is late.
    pub(super) fn is_stuck(&self) -> bool {
        self.expired && self.waited_us() >= COPIES_MAX_US
    }

    /// How long ago something moved.
    fn waited_us(&self) -> u32 {
        self.limit_us.saturating_sub(self.left[PATIENCE].0)
    }

    /// The request came again: whether it is answered again.
    pub(super) fn asked_again(&mut self) -> bool {
        if self.ago[LEFT].us().is_some_and(|us| us < REQUEST_COPIES_US) {
            return false;
        }
        if !self.is_answered() {
            self.credit = UNANSWERED_MAX.min(self.credit.saturating_add(1));
        }
        true
    }

    /// So many datagrams left: the wait for their answer begins.
    pub(super) fn sent(&mut self, count: u16) {
        self.left[PATIENCE] = self.left[PATIENCE].min(Span(self.limit_us));
        if !self.is_answered() {
            self.credit = self.credit.saturating_sub(u8::try_from(count).unwrap_or(u8::MAX));
        }
        self.arm();
    }

    fn arm(&mut self) {
        // At most half of the range, as the bounds are.
        self.left[AGAIN] = Span(self.rtt.rto_us() << u8::from(self.is_second));
    }

    /// From now on the other end is to be the first to send again.
    pub(super) const fn is_second(&mut self) {
        self.is_second = true;
    }

    /// The peer gets what is sent to it, though nothing moved.
    pub(super) fn heard(&mut self) {
        if !self.left[PATIENCE].is_never() {
            self.left[PATIENCE].0 += self.give_up_us - self.limit_us;
        }
        (self.credit, self.limit_us) = (ANSWERED, self.give_up_us);
    }

    /// The peer answered something new, and more is expected of it.
    #[inline(never)]
    pub(super) fn moved(&mut self) {
        if self.expired && has(PARTS, ROUND_TRIPS) {
            self.rtt.forget_back_off();
            if self.srtt_us().is_none() {
                self.rtt.shorten(UNMEASURED_US);
            }
            self.unmeasured = self.unmeasured.saturating_add(1);
            if self.unmeasured > UNMEASURED_MAX {
                let us = self.waited_us();
                self.rtt.lengthen(us.saturating_add(us >> 1));
                self.unmeasured = 0;
            }
        }
        (self.credit, self.limit_us) = (ANSWERED, self.give_up_us);
        self.restart();
    }

    /// The peer may take as long as it likes from now on, as if something had moved.
    #[inline(never)]
    pub(super) fn restart(&mut self) {
        self.left[PATIENCE] = Span(self.limit_us);
        self.arm();
        self.expired = false;
    }

    /// No answer came in time to one of so many datagrams that may be on their way at once: whether the next wait is
    /// longer.
    pub(super) fn back_off(&mut self, window: u16) {
        let is_steady = window < THIN
            && self.srtt_us().is_some()
            && self.waited_us() >> STEADY_SHIFT < self.measured_rto_us();
        if has(PARTS, ROUND_TRIPS) && !is_steady {
            self.rtt.back_off();
        }
    }

    /// In `us` at the latest.
    pub(super) fn hasten(&mut self, us: u32) {
        self.left[AGAIN] = self.left[AGAIN].min(Span(us));
    }

    /// Only in `us`, and then nothing is sent again.
    #[inline(never)]
    pub(super) fn linger(&mut self, us: u32) {
        self.left[AGAIN] = Span(us.max(self.rtt.rto_us().saturating_mul(4)));
    }

    /// What is measured began just now, or never did.
    pub(super) fn time(&mut self, which: usize, began: Span) {
        if has(PARTS, ROUND_TRIPS)
            && let Some(ago) = self.ago.get_mut(which)
        {
            *ago = began;
        }
    }

    /// A datagram that left once, when this began, had its answer. It is measured once.
    pub(super) fn measure(&mut self, which: usize) {
        if has(PARTS, ROUND_TRIPS) {
            self.measured(which);
        }
    }

    #[inline(never)]
    fn measured(&mut self, which: usize) {
        if let Some(us) = self.ago.get_mut(which).and_then(Span::take) {
            self.rtt.measured(us);
            self.unmeasured = 0;
        }
    }

    /// The round trip, once one was measured.
    pub(super) fn srtt_us(&self) -> Option<u32> {
        self.rtt.srtt_us().filter(|_| has(PARTS, ROUND_TRIPS))
    }

    /// What comes sooner than this behind its answer is a copy of what was answered: no end sends again within a
    /// round trip, and none of ours within the shortest timeout.
    pub(super) fn copies_until_us(&self) -> u32 {
        match self.srtt_us() {
            // No longer than a stock sender waits.
            Some(us) => us.max(self.measured_rto_us() >> 1).min(COPIES_MAX_US),
            None => UNMEASURED_US,
        }
    }

    /// The timeout as it was measured, without doubling.
    pub(super) fn measured_rto_us(&self) -> u32 {
        if has(PARTS, ROUND_TRIPS) { self.rtt.measured_rto_us() } else { self.rtt.rto_us() }
    }

    pub(super) fn wake(&self) -> Wake {
        let next = self.left[AGAIN].min(self.left[PATIENCE]);
        if next.is_never() {
            return Wake::Never;
        }
        // In less than 500,000 years it does not wrap.
        Wake::At(Instant::from_micros(self.now.as_micros().wrapping_add(next.0.into())))
    }

    /// For how long it waits before it gives up, in microseconds.
    pub(super) const fn limit_us(&self) -> u32 {
        self.limit_us
    }

    pub(super) fn tick(&mut self, now: Instant) -> Expired {
        if !self.advance(now) {
            return Expired::No;
        }
        if self.left[PATIENCE] == Span::ZERO {
            return Expired::Over;
        }
        if self.left[AGAIN] > Span::ZERO {
            return Expired::No;
        }
        self.left[AGAIN] = Span::NEVER;
        self.expired = true;
        Expired::Again
    }
}
