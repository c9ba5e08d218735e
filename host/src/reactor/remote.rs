//! Calls from other threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Context;
use crate::sys::event::Event;

/// A call for the loop's thread.
pub(super) type Call<S> = Box<dyn FnOnce(&mut S, &mut Context<S>) + Send>;

/// What other threads have left for the loop.
pub(super) struct Inbox<S> {
    /// `None` once the loop is gone.
    calls: Mutex<Option<Vec<Call<S>>>>,
    /// Rung when the first call is left, and when a [`Remote`] is dropped. It is watched
    /// edge-triggered and never read: each ring is a new edge.
    pub(super) bell: Arc<Event>,
}

/// Hands calls to a loop, from any thread. While one exists, the loop has something to wait for.
///
/// The cross-thread half of [`Context::defer`]; libevent's `event_active` under its locks.
pub struct Remote<S> {
    /// `None` only while it is dropped.
    inbox: Option<Arc<Inbox<S>>>,
    bell: Arc<Event>,
}

impl<S> Inbox<S> {
    pub(super) fn new(bell: Event) -> Arc<Self> {
        Arc::new(Self { calls: Mutex::new(Some(Vec::new())), bell: Arc::new(bell) })
    }

    pub(super) fn remote(inbox: &Arc<Self>) -> Remote<S> {
        Remote { inbox: Some(Arc::clone(inbox)), bell: Arc::clone(&inbox.bell) }
    }

    /// Whether nothing was left.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(Vec::is_empty)
    }

    /// Exchanges what was left for an empty list.
    pub(super) fn take(&self, empty: &mut Vec<Call<S>>) {
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

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Call<S>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Remote<S> {
    /// Has the loop make this call on its own thread, soon: after the events of its round. Calls of
    /// one thread are made in their order. False if the loop is gone, so that the call will not be
    /// made.
    pub fn call(&self, call: impl FnOnce(&mut S, &mut Context<S>) + Send + 'static) -> bool {
        let Some(inbox) = &self.inbox else { return false };
        let waiting = inbox.lock().as_mut().map(|calls| {
            calls.push(Box::new(call));
            calls.len()
        });
        // One ring for all that wait together.
        if waiting == Some(1) {
            self.bell.raise();
        }
        waiting.is_some()
    }

    /// Wakes the loop and nothing else: a [`run_once`](super::EventLoop::run_once) returns.
    pub fn wake(&self) {
        self.bell.raise();
    }
}

impl<S> Clone for Remote<S> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<S> Drop for Remote<S> {
    fn drop(&mut self) {
        // First it is gone, then it rings: the loop looks whether any handle is left.
        self.inbox = None;
        self.bell.raise();
    }
}

#[cfg(test)]
mod tests;
