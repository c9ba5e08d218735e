//! Timers: once, again and again, and when they are told to.

use std::time::Duration;

use windlass_core::time::Instant;

use super::slots::{Handler, Kind, Source};
use super::watch::{Fired, Watch, micros};
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
        mut callback: impl FnMut(&mut S, &mut Self) + 'static,
    ) -> Token {
        let call = Box::new(move |state: &mut S, cx: &mut Self, _: Fired| callback(state, cx));
        let source = Source::new(Kind::Periodic, Watch::READ, Handler::Callback(call));
        let token = self.slots.insert(source);
        self.arm_after(token, period);
        token
    }

    /// A timer that is not armed yet (`evtimer_new`). It calls once each time it was armed.
    pub fn timer(&mut self, mut callback: impl FnMut(&mut S, &mut Self) + 'static) -> Token {
        let call = Box::new(move |state: &mut S, cx: &mut Self, _: Fired| callback(state, cx));
        self.slots.insert(Source::new(Kind::Timer, Watch::READ, Handler::Callback(call)))
    }

    /// Arms a timer, armed or not, to call after `delay` (`evtimer_add`). For a periodic one that is
    /// its period from now on. A descriptor is given a timeout that is not in its
    /// [`Watch`], until it is next armed.
    pub fn arm_after(&mut self, token: Token, delay: Duration) {
        if let Some(source) = self.slots.get_mut(token)
            && source.kind != Kind::Buffered
            && source.kind != Kind::Signal
        {
            source.delay_us = micros(delay);
            self.touch(token);
        }
    }

    /// Arms a timer to call at `at`, by the clock of [`now`](Self::now). A time that is over is the
    /// next round.
    pub fn arm_at(&mut self, token: Token, at: Instant) {
        if let Some(source) = self.slots.get_mut(token)
            && matches!(source.kind, Kind::Timer | Kind::Periodic)
        {
            source.not_timed_out();
            self.deadlines.set(token.place(), at);
            self.settle(token);
        }
    }

    /// When a source is called if nothing happens before.
    pub fn deadline(&self, token: Token) -> Option<Instant> {
        self.slots.get(token)?;
        self.deadlines.get(token.place())
    }

    /// The sources whose time has come take their turn.
    pub(super) fn expire(&mut self) {
        while let Some((place, at)) = self.deadlines.expired(self.woke) {
            let Some(token) = self.slots.token(place) else { continue };
            if let Some(source) = self.slots.get_mut(token)
                && source.kind == Kind::Periodic
            {
                let missed = self.woke.since(at) / source.delay_us;
                let next = at.after(source.delay_us.saturating_mul(missed + 1));
                // At the end of time there is no next one.
                if next > self.woke {
                    self.deadlines.set(place, next);
                }
            }
            self.enqueue(token, Fired { timed_out: true, ..Fired::NOTHING });
        }
    }
}

#[cfg(test)]
mod tests;
