//! What the two process pools share: the parent, which does what the core decides, and the worker.

mod arriving;
mod board;
#[cfg_attr(
    not(feature = "status"),
    expect(dead_code, reason = "the control socket alone tells it")
)]
mod document;
mod history;
mod notes;
mod parent;
mod queue;
mod setup;
mod worker;

pub(super) use arriving::{Arrived, Arriving};
#[cfg(feature = "supervise")]
pub(super) use document::limits;
pub(super) use parent::{LOOK_EVERY, PoolParent, run};
pub(super) use queue::{QueueWatch, Waiting};
pub(super) use setup::{Setup, Shared};
pub(super) use worker::{NO_RESOURCES, Task, Worker};

/// The numbers of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// `pool-static`: workers.
    pub workers: u16,
    /// `prefork`: the fewest idle workers.
    pub min_spare: u16,
    /// `prefork`: the most idle workers.
    pub max_spare: u16,
    /// `prefork`: the most workers.
    pub max_workers: u16,
    /// A worker is replaced after this number of connections. `None`: never.
    pub requests: Option<u64>,
    /// A worker stays busy for this time after each connection, in microseconds, so that one can watch the
    /// pool at work.
    pub hold_us: u64,
}

impl Pool {
    /// The same, with no more workers than connections may be served at a time.
    pub(super) fn within(self, max_connections: usize) -> Self {
        let most = u16::try_from(max_connections).unwrap_or(u16::MAX).max(1);
        let [workers, min_spare, max_spare, max_workers] =
            [self.workers, self.min_spare, self.max_spare, self.max_workers].map(|n| n.min(most));
        Self { workers, min_spare, max_spare, max_workers, ..self }
    }
}

/// The most workers of a pool. Replacements that start before the others end are not counted.
pub const WORKERS_MAX: u16 = 255;

impl Default for Pool {
    /// 5 workers; 5 to 10 idle ones of 20 at most (seeds §1 rows 4 and 8).
    fn default() -> Self {
        Self {
            workers: 5,
            min_spare: 5,
            max_spare: 10,
            max_workers: 20,
            requests: None,
            hold_us: 0,
        }
    }
}
