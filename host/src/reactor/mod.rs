//! An event loop.

mod buffer;
mod buffered;
mod context;
mod conversation;
mod deadlines;
mod event_loop;
mod listener;
mod members;
mod remote;
mod serve;
mod signal;
mod slots;
mod streams;
mod timer;
mod watch;

pub use buffered::{Buffered, Direction, StreamEvent};
pub use context::Context;
pub use event_loop::EventLoop;
pub use listener::Incoming;
pub use remote::Remote;
pub use watch::{Event, Priority, Watch};

use crate::sys::epoll::Trigger;
pub use crate::sys::ready::{Ready, Token};

/// The descriptor from which signals are read.
const SIGNALS: Token = Token { index: u32::MAX, generation: 2 };

/// The descriptor that other threads ring.
const BELL: Token = Token { index: u32::MAX, generation: 3 };

/// Edge-triggered, for as long as it lasts.
const EDGE: Trigger = Trigger { edge: true, once: false };

/// What a loop has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Waits.
    pub rounds: u64,
    /// Callbacks and deferred calls made.
    pub calls: u64,
    /// Events and turns that came too late for their source, and were dropped.
    pub stale: u64,
    /// New kernel sets made.
    pub rebuilt: u64,
}
