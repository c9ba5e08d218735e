//! Whether clients wait while every worker has one.
//!
//! ```text
//!   parent:  every worker is busy: watch the accept queue ── a client waits ──▶ say so
//!            a worker is free: do not watch it                             ──▶ unsay it
//!   worker:  its client is slow, and another one waits: give it up sooner
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::parent::{Cx, Parent};
use crate::drive::Overload;
use crate::error::Result;
use crate::reactor::{EventLoop, Token, Watch};
use crate::sys::listener::Gauge;
use crate::sys::shared::Shared;

/// A word in shared memory: 1 while a client waits that no worker is free for.
#[derive(Debug, Clone)]
pub(in crate::server) struct Waiting(Arc<Shared<AtomicI32>>);

impl Waiting {
    /// Nobody waits.
    pub(in crate::server) fn new() -> Result<Self> {
        Ok(Self(Arc::new(Shared::new(1)?)))
    }

    /// For a worker, which looks at it.
    pub(in crate::server) fn overload(&self) -> Overload {
        let Self(word) = self.clone();
        Box::new(move || word[0].load(Ordering::Relaxed) != 0)
    }

    fn say(&self, waits: bool) {
        self.0[0].store(i32::from(waits), Ordering::Relaxed);
    }
}

/// The parent's look at its accept queue.
pub(super) struct Queue {
    waiting: Waiting,
    /// Watched while every worker is busy, until a client waits.
    source: Token,
}

impl<const N: usize> Parent<N> {
    /// From now on it says on `waiting` whether clients wait in the queue at which `gauge` looks.
    pub(in crate::server) fn watch_queue(
        &mut self,
        events: &mut EventLoop<Self>,
        gauge: Gauge,
        waiting: Waiting,
    ) -> Result<()> {
        let source = events.add(gauge, Watch::READ, |_, parent: &mut Self, cx, _| {
            if let Some(queue) = &parent.queue {
                queue.waiting.say(true);
                cx.disarm(queue.source);
            }
        })?;
        events.disarm(source);
        self.queue = Some(Queue { waiting, source });
        Ok(())
    }

    /// Every worker is busy, or not any more.
    pub(super) fn set_all_busy(&self, cx: &mut Cx<N>, all_busy: bool) {
        let Some(queue) = &self.queue else { return };
        if all_busy {
            // It was opened, and stays open.
            let _ = cx.arm(queue.source);
        } else {
            cx.disarm(queue.source);
            queue.waiting.say(false);
        }
    }

    /// Nobody is to wait here any more.
    pub(super) fn close_queue(&mut self, cx: &mut Cx<N>) {
        if let Some(queue) = self.queue.take() {
            cx.remove(queue.source);
            queue.waiting.say(false);
        }
    }
}
