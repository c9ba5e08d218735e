//! Calls from other threads.

use std::sync::Arc;

use super::BELL;
use super::context::{Call, Context};
use super::inbox::Inbox;
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::event::Event;

/// Hands calls to a loop, from any thread. While one exists, the loop has something to wait for.
///
/// The cross-thread half of [`Context::defer`]; libevent's `event_active` under its locks.
pub struct Remote<S> {
    /// `None` only while it is dropped.
    inbox: Option<Arc<Inbox<Call<S>>>>,
    bell: Arc<Event>,
}

impl<S> Context<S> {
    /// A handle for other threads.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: the first one takes a descriptor.
    pub fn remote(&mut self) -> Result<Remote<S>> {
        let inbox = match &mut self.inbox {
            Some(inbox) => inbox,
            none => {
                let mut open = || {
                    let inbox = Inbox::new(Event::new()?);
                    self.kernel.join_own(BELL, &*inbox.bell, true)?;
                    Ok(inbox)
                };
                let inbox =
                    open().map_err(|errno: Errno| Error::new("open", "an eventfd", errno))?;
                none.insert(inbox)
            }
        };
        Ok(Remote { inbox: Some(Arc::clone(inbox)), bell: Arc::clone(&inbox.bell) })
    }
}

impl<S> Remote<S> {
    /// Has the loop make this call on its own thread, soon: after the events of its round. Calls of
    /// one thread are made in their order. False if the loop is gone, so that the call will not be
    /// made.
    pub fn call(&self, call: impl FnOnce(&mut S, &mut Context<S>) + Send + 'static) -> bool {
        let Some(inbox) = &self.inbox else { return false };
        let waiting = inbox.leave(Box::new(call));
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
