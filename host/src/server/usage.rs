//! CPU time and memory of workers, as `/proc` tells them.

use windlass_core::time::Instant;

use crate::status::WorkerStatus;
use crate::sys::account;

/// CPU time and memory of workers, as read a short time ago. A reading takes some tens of microseconds, in
/// which the kernel holds up the worker. So one answer reads the workers that are new, and some of the
/// others in turn.
#[derive(Default)]
pub(in crate::server) struct Usage {
    /// By slot.
    readings: Vec<Reading>,
    /// The place in the list of workers from which the next answer reads.
    turn: usize,
}

#[derive(Default, Clone, Copy)]
struct Reading {
    /// The process; 0 where there is no reading.
    pid: u32,
    at: Instant,
    cpu_us: Option<u64>,
    private_bytes: Option<u64>,
}

/// How long a reading is good for, in microseconds.
const GOOD_FOR_US: u64 = 250_000;

/// Readings made anew for one answer: a large pool's parent has clients to mind.
const ANEW_MAX: usize = 32;

impl Usage {
    pub(in crate::server) fn fill(&mut self, workers: &mut [WorkerStatus], now: Instant) {
        let slots = workers.iter().map(|worker| usize::from(worker.slot) + 1).max().unwrap_or(0);
        if self.readings.len() < slots {
            self.readings.resize(slots, Reading::default());
        }
        let (first, mut left) = (self.turn % workers.len().max(1), ANEW_MAX);
        let (before, after) = workers.split_at_mut(first);
        for (place, worker) in (first..).zip(after.iter_mut().chain(before)) {
            let reading = &mut self.readings[usize::from(worker.slot)];
            let is_new = reading.pid != worker.pid;
            let is_old = now.since(reading.at) >= GOOD_FOR_US;
            if is_new || (is_old && left > 0) {
                *reading = Reading::of(worker.pid, now);
                left = left.saturating_sub(usize::from(!is_new));
                self.turn = place + 1;
            }
            (worker.cpu_us, worker.private_bytes) = (reading.cpu_us, reading.private_bytes);
        }
    }
}

impl Reading {
    fn of(pid: u32, at: Instant) -> Self {
        let cpu_us = account::own_cpu_ns(pid.cast_signed()).ok().map(|ns| ns / 1_000);
        let private_bytes = account::unshared_bytes(pid.cast_signed()).ok();
        Self { pid, at, cpu_us, private_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_made_anew_some_at_a_time_and_in_turn() {
        let me = std::process::id();
        let many =
            |pid| (0..100).map(move |slot| WorkerStatus { slot, pid, ..WorkerStatus::default() });
        let mut workers: Vec<WorkerStatus> = many(me).collect();
        let mut usage = Usage::default();
        let at = |n: u64| Instant::from_micros(n * GOOD_FOR_US);
        usage.fill(&mut workers, at(1));
        assert!(
            workers.iter().all(|worker| worker.cpu_us > Some(0)),
            "new workers are read at once"
        );
        let fresh = |usage: &Usage, now| usage.readings.iter().filter(|it| it.at == now).count();
        for (round, count) in [(2, 32), (3, 32), (4, 32), (5, 32)] {
            usage.fill(&mut workers, at(round));
            assert_eq!(fresh(&usage, at(round)), count);
        }
        assert_eq!(fresh(&usage, at(1)), 0, "all have had a turn");
        usage.fill(&mut workers, at(5));
        assert_eq!(
            fresh(&usage, at(5)),
            100 - 2 * 32 - 4 + 32,
            "good ones are kept, old ones read"
        );
        // Above the largest process id: there is no such process.
        let mut gone: Vec<WorkerStatus> = many(1 << 23).take(1).collect();
        usage.fill(&mut gone, at(6));
        assert_eq!((gone[0].cpu_us, gone[0].private_bytes), (None, None));
        usage.fill(&mut [], at(7));
    }
}
