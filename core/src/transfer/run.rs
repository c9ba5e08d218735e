//! A transfer that goes on, or is over.

use super::Heard;
use super::end::End;
use crate::fault::Fault;
use crate::time::Instant;
use crate::want::Want;

/// What moves the blocks.
pub(super) trait Engine {
    fn sent(&mut self, now: Instant, count: usize);
    /// How it ended, if it ends now.
    fn tick(&mut self, now: Instant) -> Option<Result<(), Fault>>;
    fn want(&self) -> Want;
}

/// An engine, or how it ended.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Run<E> {
    On(E),
    Over(End),
}

/// What came of an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Acked {
    /// Nothing new.
    Nothing,
    /// Blocks were acknowledged.
    Some,
    /// All blocks are acknowledged.
    All,
}

impl<E: Engine> Run<E> {
    /// It begins, unless it is over before.
    pub(super) fn new(engine: E, fits: Result<(), Fault>) -> Self {
        match fits {
            Ok(()) => Self::On(engine),
            Err(fault) => Self::Over(End::new(Err(fault))),
        }
    }

    /// It is over, unless it was before.
    pub(super) fn end(&mut self, how: Result<(), Fault>) {
        if let Self::On(_) = self {
            *self = Self::Over(End::new(how));
        }
    }

    /// The sender has heard an acknowledgement: with the last block it is over.
    pub(super) fn acknowledged(&mut self, acked: Acked) -> Heard {
        match acked {
            Acked::Nothing => return Heard::Ignored,
            Acked::Some => {}
            Acked::All => self.end(Ok(())),
        }
        Heard::Taken
    }

    /// The receiver has heard a block: with a fault it is over.
    pub(super) fn heard(&mut self, heard: Result<Heard, Fault>) -> Heard {
        heard.unwrap_or_else(|fault| {
            self.end(Err(fault));
            Heard::Taken
        })
    }

    pub(super) fn sent(&mut self, now: Instant, count: usize) {
        match self {
            Self::On(engine) => engine.sent(now, count),
            Self::Over(end) => end.told(count),
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if let Self::On(engine) = self
            && let Some(how) = engine.tick(now)
        {
            self.end(how);
        }
    }

    pub(super) fn want(&self) -> Want {
        match self {
            Self::On(engine) => engine.want(),
            Self::Over(end) => end.want(),
        }
    }
}

/// The calls of a [`Transfer`](super::Transfer) that do not depend on its packets, for a machine with a field
/// `run`.
macro_rules! forward {
    () => {
        fn sent(&mut self, now: crate::time::Instant, count: usize) {
            self.run.sent(now, count);
        }

        fn tick(&mut self, now: crate::time::Instant) {
            self.run.tick(now);
        }

        fn want(&self) -> crate::want::Want {
            self.run.want()
        }

        fn abort(&mut self, why: crate::fault::Fault) {
            self.run.end(Err(why));
        }
    };
}

pub(super) use forward;
