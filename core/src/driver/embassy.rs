//! The clock of Embassy.

use super::asynch::Clock;
use crate::time::Instant;

/// The clock of `embassy-time`, for [`asynch::run`](super::asynch::run).
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        embassy_time::Instant::now().into()
    }

    async fn at(&self, at: Instant) {
        embassy_time::Timer::at(embassy_time::Instant::from_micros(at.as_micros())).await;
    }
}
