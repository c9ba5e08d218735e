//! What holds for the connections of one listener: how long they may take, and where their files are.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::sys::root::Root;

/// What holds for the connections of one listener.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// How long a connection may take over what it does.
    pub limits: TimeLimits,
    /// Where the files are that its sessions send. Without a folder each request for one is refused.
    pub root: Option<Arc<Root>>,
}

/// The rules of one listener, among those of its loop. The default is the loop's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RulesId(pub(super) u16);

/// How long a connection may take. `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeLimits {
    /// Nothing moved for so long, in microseconds: the connection is cut.
    pub idle_us: Option<u64>,
    /// A request may take so long as a whole, in microseconds, at most [`REQUEST_MAX_US`]. A conversation
    /// has no requests.
    pub request_us: Option<u64>,
    /// Bytes a second that a peer takes at least while output waits for it. It has `idle_us` in all to
    /// catch up. `None`: one byte within `idle_us` is enough.
    pub min_rate: Option<NonZeroU32>,
    /// The same two limits while other clients wait and no worker is free to serve them, in microseconds.
    /// `None`: no other than at other times.
    pub busy_us: Option<u64>,
}

/// The longest limit of a request: half an hour.
pub const REQUEST_MAX_US: u64 = 1_800_000_000;
