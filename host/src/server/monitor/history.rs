//! Ten minutes of a listener, in memory: a sample every five seconds.

use std::collections::VecDeque;
use std::time::Duration;

use windlass_core::time::Instant;

use crate::totals::Totals;

/// The time between two samples.
pub(in crate::server) const EVERY: Duration = Duration::from_secs(5);

/// Samples that are kept: ten minutes.
pub(in crate::server) const KEPT: usize = 120;

/// The samples of a listener.
#[derive(Debug, Default)]
pub(in crate::server) struct History {
    samples: VecDeque<Sample>,
    /// What was counted at the last one, and when that was.
    last: Option<(Instant, Counted)>,
}

/// What happened between two samples. It is small: a supervisor has 120 of them for each listener.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::server) struct Sample {
    /// Clients that were accepted, for each second.
    pub(super) clients: f32,
    /// Datagrams that were received, for each second.
    pub(super) datagrams: f32,
    /// Bytes that were received, for each second.
    pub(super) received: f32,
    /// Bytes that were sent, for each second.
    pub(super) sent: f32,
    /// Clients that were served at its end.
    pub(super) now: u32,
    /// Faults.
    pub(super) faults: u32,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    rates: [u64; 4],
    faults: u64,
}

impl History {
    /// Takes a sample. The first call only says where counting begins.
    pub(in crate::server) fn note(&mut self, totals: &Totals, now: Instant) {
        let Totals { accepted, datagrams_in, bytes_in, bytes_out, .. } = *totals;
        let rates = [accepted, datagrams_in, bytes_in, bytes_out];
        let counted = Counted { rates, faults: totals.faults() };
        let Some((then, before)) = self.last.replace((now, counted)) else { return };
        let seconds = now.since(then).max(1) as f64 / 1e6;
        let since = |at: usize| counted.rates[at].saturating_sub(before.rates[at]) as f64;
        let rate = |at: usize| (since(at) / seconds) as f32;
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            clients: rate(0),
            datagrams: rate(1),
            received: rate(2),
            sent: rate(3),
            now: u32::try_from(totals.now()).unwrap_or(u32::MAX),
            faults: u32::try_from(counted.faults.saturating_sub(before.faults)).unwrap_or(u32::MAX),
        });
    }

    /// The samples, the oldest first.
    pub(super) fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> + Clone {
        self.samples.iter()
    }

    /// The newest sample.
    pub(super) fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Faults of all samples.
    pub(super) fn faults(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.faults)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_rate_is_of_the_time_that_has_passed() {
        let mut history = History::default();
        let mut totals = Totals { accepted: 100, begun: 100, served: 98, ..Totals::default() };
        history.note(&totals, at(1));
        assert_eq!(history.samples().len(), 0, "what was before is in no sample");
        (totals.accepted, totals.bytes_out, totals.reset) = (150, 1000, 1);
        history.note(&totals, at(6));
        // The process was stopped for a while.
        totals.accepted += 50;
        history.note(&totals, at(106));
        let all: Vec<_> = history.samples().copied().collect();
        let one = Sample { clients: 10.0, sent: 200.0, now: 1, faults: 1, ..Sample::default() };
        assert_eq!(all, [one, Sample { clients: 0.5, now: 1, ..Sample::default() }]);
        assert_eq!(history.faults(), 1);
    }

    #[test]
    fn ten_minutes_are_kept() {
        let mut history = History::default();
        for second in 0..1000 {
            let accepted = second * 7;
            history.note(&Totals { accepted, ..Totals::default() }, at(second * 5));
        }
        assert_eq!(history.samples().len(), KEPT);
        assert_eq!(KEPT as u64 * EVERY.as_secs(), 600);
    }
}
