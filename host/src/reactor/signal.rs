//! Signals and ends of children, as events.

use super::handlers::{Entry, Handlers};
use super::sources::{Called, OnSignal, Source};
use super::watch::{Fired, Watch};
use super::{Context, SIGNALS, Token};
use crate::error::{Error, Result};
use crate::sys::pidfd::{Exit, PidFd};
use crate::sys::signals::{Caught, SignalQueue};
use crate::sys::{Errno, Signal};

impl<S> Context<S> {
    /// Calls when `signal` comes. Several may listen to one signal.
    ///
    /// A handler notes it, in whichever thread the kernel chooses, and this loop reads it from a
    /// descriptor: the callback may do what it likes. Nothing is blocked, so a program that is started
    /// meanwhile hears the signal as ever. A burst of one signal may make one call. When the last
    /// listener of the process is removed, the signal has its earlier action again.
    ///
    /// # Errors
    /// `EINVAL` for SIGKILL and SIGSTOP; `EMFILE`, `ENFILE` for the first one.
    pub fn signal(
        &mut self,
        signal: Signal,
        mut callback: impl FnMut(&mut S, &mut Self, Caught) + 'static,
    ) -> Result<Token> {
        self.queue_signal(signal).map_err(Error::of("catch", signal))?;
        let call = Box::new(move |state: &mut S, cx: &mut Self, _: Fired| {
            let me = cx.current();
            if let Some(caught) = cx.signals.as_mut().and_then(|signals| signals.take(me)) {
                callback(state, cx, caught);
            }
        });
        let token = self.sources.insert(Source::Signal(Box::new(OnSignal {
            called: Called::new(call),
            is_armed: true,
        })));
        if let Some(signals) = &mut self.signals {
            signals.by.push(Entry { signal, token, caught: None });
        }
        Ok(token)
    }

    fn queue_signal(&mut self, signal: Signal) -> std::result::Result<(), Errno> {
        let signals = match &mut self.signals {
            Some(signals) => signals,
            none => {
                let queue = SignalQueue::new()?;
                self.kernel.join_own(SIGNALS, &queue, false)?;
                none.insert(Handlers { queue, by: Vec::new() })
            }
        };
        signals.queue.add(signal)
    }

    /// Every source of a signal that came joins the run queue.
    pub(super) fn collect_signals(&mut self, next: fn(&SignalQueue) -> Option<Caught>) {
        let Some(mut signals) = self.signals.take() else { return };
        while let Some(caught) = next(&signals.queue) {
            for entry in signals.by.iter_mut().filter(|entry| entry.signal == caught.signal) {
                if self.is_armed(entry.token) {
                    entry.caught = Some(caught);
                    self.sources.enqueue(entry.token);
                }
            }
        }
        self.signals = Some(signals);
    }

    /// Calls once, when child `pid` has ended, with its status: it is reaped, and its pid may belong
    /// to another process by the time of the call. No SIGCHLD is needed, and none is missed.
    ///
    /// # Errors
    /// `ESRCH` when there is no such child any more, `EMFILE`, `ENFILE`.
    pub fn child(
        &mut self,
        pid: impl TryInto<i32> + Copy + std::fmt::Display,
        call: impl FnOnce(&mut S, &mut Self, Exit) + 'static,
    ) -> Result<Token> {
        let child = pid.try_into().map_err(|_| Errno::ESRCH).and_then(PidFd::open);
        let child = child.map_err(Error::of("watch child", pid))?;
        let mut call = Some(call);
        self.add(child, Watch::READ, move |child, state, cx, _| {
            if let Some(exit) = child.reap() {
                cx.remove(cx.current());
                if let Some(call) = call.take() {
                    call(state, cx, exit);
                }
            }
        })
    }
}
