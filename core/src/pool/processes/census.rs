//! Counts: the workers that exist, how many there should be, and which may go.

use super::policy::Kind;
use super::slot::{Slot, State};

/// Workers by what they do. One pass over the slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Census {
    /// Booting.
    pub starting: u16,
    /// Waiting for a connection.
    pub idle: u16,
    /// Serving one.
    pub busy: u16,
    /// Asked to end, or killed, and not ended yet.
    pub going: u16,
    /// Of those starting, idle and busy: of an older generation, or retiring.
    pub outdated: u16,
    /// Of those, the ones of an older generation.
    pub old: u16,
    /// Slots with a worker that crashed, not used since: promised workers.
    pub promised: u16,
}

impl Census {
    pub(super) fn of(slots: &[Slot], generation: u32) -> Self {
        let mut census = Self::default();
        for slot in slots {
            let count = match slot.state {
                State::Free => continue,
                State::BackOff { .. } => &mut census.promised,
                State::Starting { .. } => &mut census.starting,
                State::Idle { .. } => &mut census.idle,
                State::Busy { .. } => &mut census.busy,
                State::Quitting { .. } | State::Killed { .. } => &mut census.going,
            };
            *count += 1;
            if slot.state.is_serving() {
                let old = slot.generation != generation;
                census.old += u16::from(old);
                census.outdated += u16::from(old || slot.retiring);
            }
        }
        census
    }

    /// Workers that serve or can.
    pub fn ready(&self) -> u16 {
        self.idle + self.busy
    }

    /// Workers that serve or soon can. A starting one counts as idle (Apache), or a slow boot
    /// would start a crowd.
    pub fn serving(&self) -> u16 {
        self.ready() + self.starting
    }

    /// Processes.
    pub fn alive(&self) -> u16 {
        self.serving() + self.going
    }

    /// Ready workers that replacing must leave: the next one that is outdated may go when one more
    /// than these is ready. `base` is what a reload found.
    pub(super) fn keep(&self, kind: Kind, base: u16) -> u16 {
        match kind {
            Kind::Static { workers } => workers,
            Kind::Dynamic { min_spare, max, .. } => {
                self.busy.saturating_add(min_spare).min(max).max(base)
            }
        }
    }

    /// Workers there should be. `queue` connections wait for one.
    ///
    /// A queue asks for more idle workers, but never for more than shrinking leaves: otherwise an
    /// old reading of the queue would start what shrinking ends, for ever.
    pub(super) fn goal(&self, kind: Kind, base: u16, queue: u16) -> u16 {
        let grown = match kind {
            Kind::Static { workers } => workers,
            Kind::Dynamic { min_spare, max_spare, max } => {
                self.busy.saturating_add(queue.clamp(min_spare, max_spare)).min(max)
            }
        };
        if self.outdated == 0 {
            return grown;
        }
        grown.max(self.keep(kind, base).saturating_add(self.outdated))
    }
}
