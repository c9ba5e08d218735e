//! The clients that threads serve: their number, and a bell for the thread that accepts.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use windlass_core::fault::Fault;

use crate::drive::{Buffers, REPEATING_MAX, Turns, Woken, repeat_until, run, run_until};
use crate::sys::Errno;
use crate::sys::event::Event;
use crate::sys::ready::Interest;
use crate::sys::roster::Roster;
use crate::sys::{clock, poll};

/// The stack of a thread that serves: it runs the driver, a log line and a digest. Unoptimized
/// builds need most of it.
pub(super) const STACK: usize = 512 * 1024;

/// The clients that threads serve.
#[derive(Debug)]
pub(super) struct LiveClients {
    live: AtomicUsize,
    /// Those that only repeat their last answer, which are not among them.
    repeating: AtomicUsize,
    /// Whether the accepting thread waits for a change here. Without this flag each end of a
    /// connection would wake it for nothing.
    awaited: AtomicBool,
    /// The bell: rung when a client leaves, or a worker takes one, while the accepting thread waits
    /// for that.
    pub(super) bell: Event,
    /// Raised when the server stops, for what never ends by itself.
    drain: Event,
    /// The connections that are left end now.
    is_cut: AtomicBool,
    roster: Roster,
}

/// One client. Dropped with its thread, even if the thread panics.
#[derive(Debug)]
pub(super) struct LiveClient {
    all: Arc<LiveClients>,
    only_repeats: Cell<bool>,
}

impl LiveClients {
    pub(super) fn new() -> Result<Arc<Self>, Errno> {
        Ok(Arc::new(Self {
            live: AtomicUsize::new(0),
            repeating: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
            bell: Event::new()?,
            drain: Event::new()?,
            is_cut: AtomicBool::new(false),
            roster: Roster::new(),
        }))
    }

    /// Adds a client.
    pub(super) fn add(self: &Arc<Self>) -> LiveClient {
        self.live.fetch_add(1, Ordering::SeqCst);
        LiveClient { all: Arc::clone(self), only_repeats: Cell::new(false) }
    }

    pub(super) fn count(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// How many only repeat their last answer.
    pub(super) fn repeating(&self) -> usize {
        self.repeating.load(Ordering::SeqCst)
    }

    /// Sets whether the bell rings from now on. Call it before reading the counts: a thread
    /// that changes them afterwards sees it.
    pub(super) fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    /// Reports a change that the accepting thread may be waiting for.
    pub(super) fn ring(&self) {
        if self.awaited.load(Ordering::SeqCst) {
            self.bell.raise();
        }
    }

    /// The server stops: ports answer what has arrived, and end.
    pub(super) fn drain(&self) {
        self.drain.raise();
    }

    /// Ends every connection, and waits until the last thread has dropped its client.
    pub(super) fn end_all(&self) {
        self.set_awaited(true);
        self.is_cut.store(true, Ordering::SeqCst);
        while self.count() + self.repeating() > 0 {
            self.roster.shutdown_all();
            // A client may be added at this moment: look again soon.
            let soon = clock::now().after(10_000);
            let _ = poll::wait(self.bell.as_fd(), Interest::READ, None, Some(soon));
            self.bell.take();
        }
    }
}

impl LiveClient {
    /// Serves a client in the calling thread, to its end or until it only repeats its last answer.
    pub(super) fn serve(
        &self,
        job: &mut dyn Turns,
        is_port: bool,
        buffers: &mut Buffers,
    ) -> Result<(), Fault> {
        // A port shares its socket with other processes: it is not shut down.
        if !is_port {
            let _place = self.all.roster.enter(&job);
            let how = run_until(job, buffers, || self.is_cut());
            if job.only_repeats() {
                self.set_aside();
            }
            return how;
        }
        let drain = self.all.drain.as_fd();
        run(job, buffers, |socket, interest, deadline| {
            match poll::wait(socket, interest, Some(drain), deadline) {
                poll::Woken::Ready(ready) => Woken::Ready(ready),
                poll::Woken::Other => Woken::Drain,
                poll::Woken::TimedOut | poll::Woken::Interrupted => Woken::Look,
            }
        })
    }

    /// Serves what only repeats its last answer to its end.
    pub(super) fn repeat(&self, job: &mut dyn Turns, buffers: &mut Buffers) {
        let _place = self.all.roster.enter(&job);
        repeat_until(job, buffers, || self.is_cut());
    }

    fn is_cut(&self) -> bool {
        self.all.is_cut.load(Ordering::SeqCst)
    }

    /// It is not counted among those that are served any more, if not too many are so already.
    fn set_aside(&self) {
        let is_room = |count| (count < REPEATING_MAX).then_some(count + 1);
        let order = Ordering::SeqCst;
        if self.all.repeating.fetch_update(order, order, is_room).is_ok() {
            self.only_repeats.set(true);
            self.all.live.fetch_sub(1, order);
            self.all.ring();
        }
    }
}

impl Drop for LiveClient {
    fn drop(&mut self) {
        let is_of = if self.only_repeats.get() { &self.all.repeating } else { &self.all.live };
        is_of.fetch_sub(1, Ordering::SeqCst);
        self.all.ring();
    }
}
