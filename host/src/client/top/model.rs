//! The model of `top`: answers and keys go in, rows come out.

use std::collections::VecDeque;

use windlass_core::time::Instant;

use crate::status::{State, Status, WorkerStatus};

/// Everything that is drawn.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The last answer.
    pub(super) status: Option<Status>,
    /// Since when no server answers, and the reason.
    pub(super) gone: Option<(Instant, String)>,
    /// Connections or datagrams a second, one sample an answer, the newest last.
    pub(super) rates: VecDeque<u64>,
    /// The newest sample; none if there is no earlier answer.
    pub(super) rate: Option<f64>,
    pub(super) sort: Sort,
    /// Rows above the first visible one.
    pub(super) scroll: usize,
    paused: bool,
}

/// The action of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// Stop, until the shell continues this program.
    Stop,
    Pause,
    Sort,
    Up(usize),
    Down(usize),
}

/// The order of workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Slot,
    State,
    Requests,
    Cpu,
    Memory,
}

/// The number of samples: the columns of the widest area to draw on.
const SAMPLES_MAX: usize = 1024;

impl Model {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Takes an answer of the server, or an error.
    pub(super) fn take(&mut self, now: Instant, answer: Result<Status, String>) {
        self.rate = match &answer {
            Ok(next) => self.status.as_ref().and_then(|last| rate(last, next)),
            Err(_) => None,
        };
        match answer {
            Ok(status) => {
                self.status = Some(status);
                self.gone = None;
            }
            Err(why) => {
                let since = self.gone.take().map_or(now, |(since, _)| since);
                self.gone = Some((since, why));
            }
        }
        if self.rates.len() == SAMPLES_MAX {
            self.rates.pop_front();
        }
        // A rate is finite and not negative.
        self.rates.push_back(self.rate.map_or(0, |rate| rate.round() as u64));
    }

    pub(super) fn press(&mut self, key: Key) {
        match key {
            Key::Quit | Key::Stop => {}
            Key::Pause => self.paused = !self.paused,
            Key::Sort => {
                self.sort = self.sort.next();
                self.scroll = 0;
            }
            Key::Up(rows) => self.scroll = self.scroll.saturating_sub(rows),
            Key::Down(rows) => self.scroll = self.scroll.saturating_add(rows),
        }
    }

    /// The visible workers, for this number of rows.
    pub(super) fn rows(&mut self, room: usize) -> Vec<WorkerStatus> {
        let mut workers = self.status.as_ref().map_or_else(Vec::new, |it| it.workers.clone());
        match self.sort {
            Sort::Slot => workers.sort_by_key(|it| it.slot),
            Sort::State => workers.sort_by_key(|it| (urgency(it), it.slot)),
            Sort::Requests => workers.sort_by_key(|it| (u64::MAX - it.requests, it.slot)),
            Sort::Cpu => workers.sort_by_key(|it| (u64::MAX - it.cpu_us.unwrap_or(0), it.slot)),
            Sort::Memory => {
                workers.sort_by_key(|it| (u64::MAX - it.private_bytes.unwrap_or(0), it.slot));
            }
        }
        self.scroll = self.scroll.min(workers.len().saturating_sub(room));
        workers.drain(..self.scroll);
        workers.truncate(room);
        workers
    }
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Slot => Self::State,
            Self::State => Self::Requests,
            Self::Requests => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Slot,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::State => "state",
            Self::Requests => "served",
            Self::Cpu => "cpu",
            Self::Memory => "private",
        }
    }
}

/// Connections, or datagrams if they have none, a second between two answers, by the server's own clock. None if they are not of one
/// life of one server: its counters began anew.
fn rate(last: &Status, next: &Status) -> Option<f64> {
    let us = next.uptime_us.checked_sub(last.uptime_us).filter(|&us| us > 0)?;
    let served = done(next).checked_sub(done(last))?;
    (last.pid == next.pid).then_some(served as f64 * 1e6 / us as f64)
}

/// Clients that were served, or datagrams that came.
fn done(status: &Status) -> u64 {
    let clients = status.counters.connections;
    if clients > 0 { clients } else { status.totals.datagrams_in }
}

/// The workers that need attention come first.
fn urgency(worker: &WorkerStatus) -> u8 {
    match worker.state {
        State::Killed => 0,
        State::Draining => 1,
        State::Starting => 2,
        State::Busy => 3,
        State::Unknown => 4,
        State::Idle => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Counters;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn status(pid: u32, seconds: u64, connections: u64) -> Status {
        let counters = Counters { connections, ..Counters::default() };
        Status { pid, uptime_us: seconds * 1_000_000, counters, ..Status::default() }
    }

    #[test]
    fn a_rate_is_never_of_two_lives() {
        let mut model = Model::new();
        for (answer, rate) in [
            (Ok(status(1, 10, 100)), None),
            (Ok(status(1, 12, 150)), Some(25.0)),
            (Ok(status(1, 12, 150)), None),
            (Ok(status(1, 13, 150)), Some(0.0)),
            // Another process answers, and its counters are larger.
            (Ok(status(2, 20, 900)), None),
            (Ok(status(2, 21, 903)), Some(3.0)),
            // The process id is the same, but the server was started again.
            (Ok(status(2, 1, 0)), None),
            (Ok(status(2, 2, 0)), Some(0.0)),
            (Ok(status(2, 3, u64::MAX)), Some(u64::MAX as f64)),
            // A counter that shrank.
            (Ok(status(2, 4, 5)), None),
            (Err("gone".into()), None),
            // It did not answer for a while.
            (Ok(status(2, 6, 25)), Some(10.0)),
        ] {
            model.take(at(0), answer);
            assert_eq!(model.rate, rate);
        }
        assert_eq!(model.rates.make_contiguous()[..6], [0, 25, 0, 0, 0, 3]);
    }

    #[test]
    fn a_server_that_is_gone_is_gone_since_the_first_time() {
        let mut model = Model::new();
        model.take(at(1), Err("first".into()));
        model.take(at(2), Err("second".into()));
        assert_eq!(model.gone, Some((at(1), "second".into())));
        model.take(at(3), Ok(status(1, 1, 1)));
        assert_eq!(model.gone, None);
        model.take(at(4), Err("third".into()));
        assert_eq!(model.gone, Some((at(4), "third".into())));
        assert!(model.status.is_some(), "what was seen last stays");
    }

    #[test]
    fn memory_of_samples_is_bounded() {
        let mut model = Model::new();
        for second in 0..2_000 {
            model.take(at(second), Ok(status(1, second, second)));
        }
        assert_eq!(model.rates.len(), SAMPLES_MAX);
    }

    #[test]
    fn workers_are_sorted_and_scrolled() {
        let worker = |slot, state, requests| WorkerStatus {
            slot,
            state,
            requests,
            ..WorkerStatus::default()
        };
        let mut model = Model::new();
        model.take(
            at(0),
            Ok(Status {
                workers: vec![
                    worker(0, State::Idle, 7),
                    worker(1, State::Busy, 9),
                    worker(2, State::Draining, 7),
                    worker(3, State::Busy, 1),
                ],
                ..Status::default()
            }),
        );
        let slots = |model: &mut Model, room| -> Vec<u16> {
            model.rows(room).iter().map(|worker| worker.slot).collect()
        };
        assert_eq!(slots(&mut model, 9), [0, 1, 2, 3]);
        model.press(Key::Sort);
        assert_eq!(slots(&mut model, 9), [2, 1, 3, 0], "by state");
        model.press(Key::Sort);
        assert_eq!(slots(&mut model, 9), [1, 0, 2, 3], "by what they served");
        model.press(Key::Down(1));
        assert_eq!(slots(&mut model, 2), [0, 2]);
        model.press(Key::Down(usize::MAX));
        assert_eq!(slots(&mut model, 2), [2, 3], "no further than the last");
        model.press(Key::Up(1));
        assert_eq!(slots(&mut model, 2), [0, 2]);
        assert_eq!(slots(&mut model, 9), [1, 0, 2, 3], "there is room again");
        assert_eq!(slots(&mut model, 0), [0_u16; 0]);
        for _ in 0..3 {
            model.press(Key::Sort);
        }
        assert_eq!(model.sort, Sort::Slot, "round and round");
    }
}
