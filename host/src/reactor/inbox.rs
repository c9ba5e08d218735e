//! Calls that other threads leave for a loop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sys::event::Event;

/// Calls that other threads have left for the loop.
pub(super) struct Inbox<T> {
    /// `None` once the loop is gone.
    calls: Mutex<Option<Vec<T>>>,
    /// Rung when the first call is left, and when a handle is dropped. It is watched
    /// edge-triggered and never read: each ring is a new edge.
    pub(super) bell: Arc<Event>,
}

impl<T> Inbox<T> {
    pub(super) fn new(bell: Event) -> Arc<Self> {
        Arc::new(Self { calls: Mutex::new(Some(Vec::new())), bell: Arc::new(bell) })
    }

    /// Whether nothing was left.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(Vec::is_empty)
    }

    /// Leaves a call. How many wait then; `None` when the loop is gone.
    pub(super) fn leave(&self, call: T) -> Option<usize> {
        self.lock().as_mut().map(|calls| {
            calls.push(call);
            calls.len()
        })
    }

    /// Exchanges what was left for an empty list.
    pub(super) fn take(&self, empty: &mut Vec<T>) {
        debug_assert!(empty.is_empty());
        if let Some(calls) = &mut *self.lock() {
            std::mem::swap(calls, empty);
        }
    }

    /// The loop is gone: what was left is dropped, and nothing more is taken.
    pub(super) fn close(&self) {
        let left = self.lock().take();
        // Not under the lock: a call may own a handle.
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<T>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
