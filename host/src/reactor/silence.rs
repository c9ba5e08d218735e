//! How long one direction of a stream has been waited for.

use windlass_core::time::Instant;

/// The timeout of one direction. It counts while the direction is waited for, and anew from each time that
/// something moved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Silence {
    /// 0: there is none.
    limit_us: u64,
    /// When something last moved, or began to be waited for; kept while there is a limit.
    since: Instant,
    /// Whether the direction was waited for at the end of the last call.
    is_awaited: bool,
    /// It counts anew from the end of this call.
    restarts: bool,
}

impl Silence {
    /// Sets the limit, 0 for none, which counts from the end of this call.
    pub(super) fn set_limit(&mut self, limit_us: u64) {
        (self.limit_us, self.restarts) = (limit_us, true);
    }

    /// Something moved, or was asked for: it counts anew.
    pub(super) fn restart(&mut self) {
        self.restarts = true;
    }

    /// The end of a call: from now on it is waited for, or not. The clock is asked if that matters.
    pub(super) fn wait(&mut self, is_awaited: bool, now: impl FnOnce() -> Instant) {
        let restarts = std::mem::take(&mut self.restarts) || !self.is_awaited;
        self.is_awaited = is_awaited;
        if restarts && is_awaited && self.limit_us > 0 {
            self.since = now();
        }
    }

    /// When it has lasted too long, if it is waited for.
    pub(super) fn end(&self, is_awaited: bool) -> Option<Instant> {
        (self.limit_us > 0 && is_awaited).then(|| self.since.after(self.limit_us))
    }
}
