//! When to send again, and when to give up.

use crate::fault::Fault;
use crate::rtt::{Bounds, Rtt};
use crate::time::{Instant, Wake};

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
/// all datagrams is lost, most waits would be of seconds. After them it is kept once, as RFC 6298 has it, in case
/// the path has become slower: then what follows is sent once, and measured.
const UNMEASURED_MAX: u8 = 3;

/// What stands for a round trip until one was measured, where a long wait would be worse than a datagram that is
/// sent in vain.
const UNMEASURED_US: u64 = 100_000;

/// A datagram, or a copy of it, is no later than this.
const COPIES_MAX_US: u64 = 1_000_000;

/// How long such an address is waited for.
const UNANSWERED_US: u32 = 8_000_000;

/// The one timer of a transfer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Timer {
    rtt: Rtt<'static>,
    give_up_us: u32,
    /// Datagrams that the address may still get before it has answered. `None` once it has, and for one that
    /// was chosen by this end.
    credit: Option<u8>,
    /// When something moved last, once something was sent.
    moved_at: Option<Instant>,
    /// When to send again.
    due: Option<Instant>,
    /// The timer expired since something moved.
    expired: bool,
    /// Steps forward since the last measurement before which the timer had expired.
    unmeasured: u8,
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
    Over(Fault),
}

impl Timer {
    /// To an address that was chosen by this end.
    pub(super) const fn to_server(timing: &Timing) -> Self {
        Self {
            rtt: Rtt::new(timing.rto),
            give_up_us: timing.give_up_us,
            credit: None,
            moved_at: None,
            due: None,
            expired: false,
            unmeasured: 0,
            is_second: false,
        }
    }

    /// To an address from which a request came, perhaps.
    pub(super) const fn to_client(timing: &Timing) -> Self {
        Self { credit: Some(UNANSWERED_MAX), ..Self::to_server(timing) }
    }

    /// The peer has named the timeout before the first measurement.
    pub(super) fn starting_at(mut self, timing: &Timing, us: u32) -> Self {
        self.rtt = Rtt::starting_at(timing.rto, us);
        self
    }

    /// Whether the peer has shown that it gets what is sent to it.
    pub(super) const fn is_answered(&self) -> bool {
        self.credit.is_none()
    }

    /// Whether another datagram may leave.
    pub(super) const fn may_send(&self) -> bool {
        !matches!(self.credit, Some(0))
    }

    /// Whether the peer has stopped: what was sent again has no answer, for longer than a datagram is late.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.expired && now.since(self.moved_at()) >= COPIES_MAX_US
    }

    /// The request came again: it may be answered again.
    pub(super) fn asked_again(&mut self) {
        self.credit = self.credit.map(|credit| credit.saturating_add(1).min(UNANSWERED_MAX));
    }

    /// So many datagrams left: the wait for their answer begins.
    pub(super) fn sent(&mut self, now: Instant, count: u16) {
        self.moved_at.get_or_insert(now);
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        self.credit = self.credit.map(|credit| credit.saturating_sub(count));
        self.arm(now);
    }

    fn arm(&mut self, now: Instant) {
        let us = self.rto_us();
        self.due = Some(now.after(if self.is_second { us << 1 } else { us }));
    }

    /// From now on the other end is to be the first to send again.
    pub(super) const fn is_second(&mut self) {
        self.is_second = true;
    }

    /// The peer gets what is sent to it, though nothing moved.
    pub(super) const fn heard(&mut self) {
        self.credit = None;
    }

    /// The peer answered something new, and more is expected of it.
    pub(super) fn moved(&mut self, now: Instant) {
        self.credit = None;
        if self.expired {
            if self.unmeasured < UNMEASURED_MAX {
                self.rtt.forget_back_off();
                self.unmeasured = self.unmeasured.saturating_add(1);
            } else {
                self.unmeasured = 0;
            }
        }
        self.restart(now);
    }

    /// The peer may take as long as it likes from now on, as if something had moved.
    pub(super) fn restart(&mut self, now: Instant) {
        self.moved_at = Some(now);
        self.arm(now);
        self.expired = false;
    }

    /// Not later than `at`.
    pub(super) fn hasten(&mut self, at: Instant) {
        self.due = self.due.map(|due| due.min(at));
    }

    /// A datagram that left once had its answer after so many microseconds.
    pub(super) fn measured(&mut self, us: u64) {
        self.rtt.measured(u32::try_from(us).unwrap_or(u32::MAX));
        self.unmeasured = 0;
    }

    /// The round trip, once one was measured.
    pub(super) fn srtt_us(&self) -> Option<u64> {
        self.rtt.srtt_us().map(u64::from)
    }

    /// What comes sooner than this behind its answer is a copy of what was answered: no end sends again within a
    /// round trip, and none of ours within the shortest timeout.
    pub(super) fn copies_until_us(&self) -> u64 {
        match self.srtt_us() {
            // No longer than a stock sender waits.
            Some(us) => us.max(self.measured_rto_us() >> 1).min(COPIES_MAX_US),
            None => UNMEASURED_US,
        }
    }

    /// The timeout now.
    pub(super) fn rto_us(&self) -> u64 {
        self.rtt.rto_us().into()
    }

    /// The timeout as it was measured, without doubling.
    pub(super) fn measured_rto_us(&self) -> u64 {
        let mut rtt = self.rtt;
        rtt.forget_back_off();
        rtt.rto_us().into()
    }

    /// When something last moved.
    pub(super) fn moved_at(&self) -> Instant {
        self.moved_at.unwrap_or_default()
    }

    /// When it gives up, if nothing moves until then.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        let unanswered_us = self.credit.map_or(u32::MAX, |_| UNANSWERED_US);
        self.moved_at.map(|at| at.after(self.give_up_us.min(unanswered_us).into()))
    }

    pub(super) fn wake(&self) -> Wake {
        let at = |at: Option<Instant>| at.map_or(Wake::Never, Wake::At);
        at(self.due).min(at(self.gives_up_at()))
    }

    pub(super) fn tick(&mut self, now: Instant) -> Expired {
        if !self.wake().is_due(now) {
            return Expired::No;
        }
        if self.gives_up_at().is_some_and(|at| at <= now) {
            return Expired::Over(Fault::TimedOut { waited_us: now.since(self.moved_at()) });
        }
        self.due = None;
        self.expired = true;
        self.rtt.back_off();
        Expired::Again
    }
}
