//! The rules for the connections of one listener: time limits, the folder of files, and the counters.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::ledger::Ledger;
use crate::sys::root::Root;

/// The rules for the connections of one listener.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The time limits of a connection.
    pub limits: TimeLimits,
    /// The folder of the files that its sessions send. Without a folder each request is refused.
    pub root: Option<Arc<Root>>,
    /// Where its connections are counted.
    pub ledger: Option<Arc<Ledger>>,
}

/// The rules of one listener, among those of its loop. The default is the loop's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RulesId(pub(super) u16);

/// The time limits of a connection. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeLimits {
    /// The idle timeout in microseconds: a connection on which no byte moves for this time is closed.
    pub idle_us: Option<u64>,
    /// The limit for a whole request in microseconds, at most [`REQUEST_MAX_US`]. A conversation
    /// has no requests.
    pub request_us: Option<u64>,
    /// Bytes per second that a peer has to take while output waits for it. It has `idle_us` in all to
    /// catch up. `None`: one byte within `idle_us` is enough.
    pub min_rate: Option<NonZeroU32>,
    /// The same two limits while other clients wait and no worker is free to serve them, in microseconds.
    /// `None`: the same as at other times.
    pub busy_us: Option<u64>,
}

/// The longest limit of a request: half an hour.
pub const REQUEST_MAX_US: u64 = 1_800_000_000;
