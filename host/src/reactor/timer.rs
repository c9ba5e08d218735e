//! Timers: once, again and again, and when they are told to.

use std::time::Duration;

use windlass_core::time::Instant;

use super::sources::{Called, Source};
use super::watch::{Fired, micros};
use super::{Context, Token};

impl<S> Context<S> {
    /// Calls once, after `delay`, at the earliest in the next round. The token cancels it
    /// ([`remove`](Self::remove)); after the call it stands for nothing.
    pub fn after(
        &mut self,
        delay: Duration,
        call: impl FnOnce(&mut S, &mut Self) + 'static,
    ) -> Token {
        let mut call = Some(call);
        let token = self.timer(move |state, cx| {
            cx.remove(cx.current());
            if let Some(call) = call.take() {
                call(state, cx);
            }
        });
        self.arm_after(token, delay);
        token
    }

    /// Calls every `period`, for the first time after one. The times are multiples of the period
    /// however long the calls take, so nothing drifts; ticks that were missed are skipped.
    pub fn every(
        &mut self,
        period: Duration,
        callback: impl FnMut(&mut S, &mut Self) + 'static,
    ) -> Token {
        let token = self.add_timer(true, callback);
        self.arm_after(token, period);
        token
    }

    /// A timer that is not armed yet (`evtimer_new`). It calls once each time it was armed.
    pub fn timer(&mut self, callback: impl FnMut(&mut S, &mut Self) + 'static) -> Token {
        self.add_timer(false, callback)
    }

    fn add_timer(
        &mut self,
        repeats: bool,
        mut callback: impl FnMut(&mut S, &mut Self) + 'static,
    ) -> Token {
        let call = Box::new(move |state: &mut S, cx: &mut Self, _: Fired| callback(state, cx));
        let called = Called::new(call);
        self.sources.insert(if repeats { Source::Periodic(called) } else { Source::Timer(called) })
    }

    /// Arms a timer, armed or not, to call after `delay` (`evtimer_add`). For a periodic one that is
    /// its period from now on. A descriptor is given a timeout that is not in its
    /// [`Watch`](super::Watch), until it is next armed.
    pub fn arm_after(&mut self, token: Token, delay: Duration) {
        match self.sources.get_mut(token) {
            Some(Source::Timer(called) | Source::Periodic(called)) => {
                called.alarm.delay_us = micros(delay);
            }
            Some(Source::Descriptor(it)) => it.called.alarm.delay_us = micros(delay),
            Some(Source::Job(_) | Source::Stream(..) | Source::Signal(_)) | None => {}
        }
        self.touch(token);
    }

    /// Arms a timer to call at `at`, by the clock of [`now`](Self::now). A time that is over is the
    /// next round.
    pub fn arm_at(&mut self, token: Token, at: Instant) {
        if let Some(Source::Timer(_) | Source::Periodic(_)) = self.sources.get(token) {
            self.sources.set_alarm(token, at);
        }
    }

    /// When a source is called if nothing happens before.
    pub fn deadline(&self, token: Token) -> Option<Instant> {
        match self.sources.get(token)? {
            Source::Job(_) => None,
            source => source.deadline(&self.buffers),
        }
    }
}

#[cfg(test)]
mod tests;
