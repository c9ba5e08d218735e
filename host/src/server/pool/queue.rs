//! Whether clients wait in the accept queue while every worker of a static pool has a client.
//!
//! ```text
//!   parent:  all workers are busy: watch the accept queue ── a client waits ──▶ set the flag
//!            a worker is free: stop watching                                ──▶ clear the flag
//!   worker:  its client is slow and the flag is set: give that client up sooner
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::drive::Overload;
use crate::error::Result;
use crate::reactor::{Context, Token, Watch};
use crate::sys::listener::Listener;
use crate::sys::shared::Shared;

/// A flag in memory that parent and workers share: 1 while a client waits and no worker is free.
#[derive(Debug, Clone)]
pub(in crate::server) struct Waiting(Arc<Shared<AtomicI32>>);

impl Waiting {
    pub(in crate::server) fn new() -> Result<Self> {
        Ok(Self(Arc::new(Shared::new(1)?)))
    }

    /// The worker's look at the flag.
    pub(in crate::server) fn overload(&self) -> Overload {
        let Self(word) = self.clone();
        Box::new(move || word[0].load(Ordering::Relaxed) != 0)
    }

    fn set(&self, waits: bool) {
        self.0[0].store(i32::from(waits), Ordering::Relaxed);
    }
}

/// The parent's watch on the accept queue.
pub(in crate::server) struct QueueWatch {
    waiting: Waiting,
    /// Armed while all workers are busy, until a client waits.
    source: Token,
}

impl QueueWatch {
    /// A watch on the accept queue of `listener`, a copy, for [`all_busy`](Self::all_busy) to arm.
    pub(in crate::server) fn new<S: 'static>(
        cx: &mut Context<S>,
        listener: Listener,
        waiting: Waiting,
    ) -> Result<Self> {
        let flag = waiting.clone();
        let source = cx.add(listener, Watch::READ, move |_, _, cx, _| {
            flag.set(true);
            cx.disarm(cx.current());
        })?;
        cx.disarm(source);
        Ok(Self { waiting, source })
    }

    /// All workers are busy from now on, or one of them is free.
    pub(super) fn all_busy<S>(&self, cx: &mut Context<S>, all_busy: bool) {
        if all_busy {
            // It was opened, and stays open.
            let _ = cx.arm(self.source);
        } else {
            cx.disarm(self.source);
            self.waiting.set(false);
        }
    }

    /// The pool listens no more.
    pub(super) fn close<S>(self, cx: &mut Context<S>) {
        cx.remove(self.source);
        self.waiting.set(false);
    }
}
