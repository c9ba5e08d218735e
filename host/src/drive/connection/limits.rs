//! How long a connection may take.

use windlass_core::session::Session;
use windlass_core::time::Instant;

use super::{Connection, Stage};
use crate::drive::buffers::Buffers;
use crate::drive::channel::Channel;
use crate::drive::linger::LINGER_US;
use crate::drive::rules::TimeLimits;

impl<S: Session + ?Sized, C: Channel> Connection<S, C> {
    /// Whether the connection is closed now because of a time limit.
    pub(super) fn is_late(&mut self, now: Instant, limits: &TimeLimits, buffers: &Buffers) -> bool {
        let over = |connection: &Self, busy| {
            connection.limit(limits, busy).is_some_and(|until| until <= now)
        };
        if buffers.hurries() && self.outlet.pace_ends(true).is_some() {
            // Step by step, so that bytes that went into the peer's buffer first do not count for
            // later time.
            self.outlet.keep_pace(now, limits);
        }
        let busy = !over(self, false) && over(self, true) && buffers.is_overloaded();
        if !over(self, busy) {
            return false;
        }
        // The peer may have taken bytes without an event.
        self.outlet.keep_pace(now, limits);
        over(self, busy)
    }

    /// When the connection will be closed; `busy`: while other clients wait.
    pub(super) fn limit(&self, limits: &TimeLimits, busy: bool) -> Option<Instant> {
        let moved = self.outlet.last_moved();
        if self.stage == Stage::Lingering {
            return Some(moved.after(LINGER_US));
        }
        if let Some(until) = self.outlet.pace_ends(busy) {
            return limits.idle_us.is_some().then_some(until);
        }
        let idle = limits.idle_us.map(|us| moved.after(us));
        if !self.awaits_request() {
            return idle;
        }
        // Between two requests the client is idle, and may be.
        let us = limits.idle_us.filter(|_| self.session.rests()).or(limits.request_us);
        let us = [us, limits.busy_us.filter(|_| busy && us.is_some())].into_iter().flatten().min();
        let request = us.map(|us| moved.after(us.saturating_sub(self.asking_us.into())));
        [idle, request].into_iter().flatten().min()
    }

    /// Whether the peer has a limit for the whole of what it sends now: a handshake, or a request.
    pub(super) fn awaits_request(&self) -> bool {
        self.outlet.channel.is_handshaking() || self.session.awaits_request()
    }

    /// How long the peer has been waited for.
    pub(super) fn waited_us(&self, now: Instant) -> u64 {
        now.since(self.outlet.last_moved()).saturating_add(self.asking_us.into())
    }
}
