//! Ends a transfer that exceeds a time limit.

use super::exchange::Exchange;
use super::limits::Times;
use crate::error::Error;
use crate::reactor::Context;

impl<D: 'static> Exchange<D> {
    /// Ends the transfer when it has taken too long in all.
    pub(super) fn watch_time(&mut self, cx: &mut Context<Self>) {
        let Some(end) = self.limits.end else { return };
        let timer = cx.timer(|exchange: &mut Self, cx| {
            let max = exchange.limits.times.max.unwrap_or_default();
            let long = format!("it was not over after {} s (--max-time)", max.as_secs_f64());
            let error = Error::new("get", &exchange.source, long);
            match &exchange.outcome {
                None => exchange.end(cx, Err(error)),
                // Not all received bytes are written.
                Some(Ok(_)) => exchange.outcome = Some(Err(error)),
                Some(Err(_)) => {}
            }
            cx.exit();
        });
        cx.arm_at(timer, end);
    }

    /// Ends the transfer when its body arrives too slowly. A body without any bytes is silent, which is
    /// noticed elsewhere.
    pub(super) fn watch_rate(&mut self, cx: &mut Context<Self>) {
        let Times { timeout, min_rate, .. } = self.limits.times;
        if min_rate == 0 || timeout.is_zero() {
            return;
        }
        let least = u128::from(min_rate) * timeout.as_micros() / 1_000_000;
        let mut before = self.received;
        self.rate = Some(cx.every(timeout, move |exchange: &mut Self, cx| {
            let came = exchange.received - before;
            before = exchange.received;
            let held_up = exchange.is_full(cx) || std::mem::take(&mut exchange.held_up);
            if !held_up && came > 0 && u128::from(came) < least {
                let slow = format!(
                    "fewer than {min_rate} bytes a second came for {} s (--min-rate)",
                    timeout.as_secs_f64()
                );
                exchange.end(cx, Err(Error::new("get", &exchange.source, slow)));
            }
        }));
    }
}
