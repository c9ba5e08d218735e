//! What a server tells of itself: the document that its control socket answers with, and that
//! `windlass status` and `windlass top` read.
//!
//! One line of JSON. Times are in microseconds, sizes in bytes, counters begin at 0 when the server
//! does and never shrink. A reader ignores fields that it does not know, and takes those
//! that are missing for 0, so that the two ends may be of different versions.

#[cfg(feature = "status")]
use serde::{Deserialize, Serialize};

use crate::printable::printable;

/// A running server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Its process: the parent of the workers.
    pub pid: u32,
    /// What is served.
    pub service: String,
    /// How.
    pub model: String,
    /// Where, as an address of the command line.
    pub address: String,
    /// How long it has been running.
    pub uptime_us: u64,
    /// Reloads so far.
    pub generation: u32,
    /// It was told to stop.
    pub stopping: bool,
    /// Workers keep dying young: they are started one by one.
    pub crash_loop: bool,
    /// One character a slot: `.` can take a client, `X` has one, blank is neither.
    pub scoreboard: String,
    /// How many workers there may be.
    pub limits: Limits,
    /// What has happened so far.
    pub counters: Counters,
    /// Clients that wait in the kernel to be accepted; none where that cannot be known.
    pub queue: Option<Queue>,
    /// The workers that exist, by slot.
    pub workers: Vec<Worker>,
}

/// The numbers of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Limits {
    /// Workers at most, those not counted that replace others.
    pub max_workers: u16,
    /// Idle workers at least; none where their number is fixed.
    pub min_spare: Option<u16>,
    /// Idle workers at most; none where their number is fixed.
    pub max_spare: Option<u16>,
    /// A worker is replaced after so many connections.
    pub requests_per_worker: Option<u64>,
}

/// What has happened since the server began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Counters {
    /// Connections served to their end.
    pub connections: u64,
    /// Connections passed to another worker, since the first one died before it touched them.
    pub redispatched: u64,
    /// Connections that were closed: no worker could take them in time, or too many workers died
    /// with them.
    pub shed: u64,
    /// Connections that ended with their worker.
    pub lost: u64,
    /// Workers started.
    pub spawned: u64,
    /// Workers that could not be started.
    pub failed_spawns: u64,
    /// Workers that ended unasked.
    pub crashed: u64,
    /// Workers that were killed because they were out of time.
    pub killed: u64,
    /// Reloads that are done: every worker was replaced.
    pub reloads: u64,
}

/// An accept queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Queue {
    /// Connections that wait.
    pub waiting: u32,
    /// As many as may: the next ones are turned away by the kernel.
    pub limit: u32,
}

/// A worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Worker {
    /// Its place, from 0.
    pub slot: u16,
    /// Which worker of that place it is, from 1.
    pub epoch: u32,
    /// Its process.
    pub pid: u32,
    /// What it does.
    pub state: State,
    /// Whether it has a client.
    pub client: bool,
    /// How long it has been doing that.
    pub since_us: u64,
    /// Connections that it finished.
    pub requests: u64,
    /// CPU time that it has used; none when that cannot be read.
    pub cpu_us: Option<u64>,
    /// Memory that no other process has mapped; none if that cannot be read.
    pub private_bytes: Option<u64>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(rename_all = "lowercase"))]
pub enum State {
    /// It boots.
    Starting,
    /// It waits for a client.
    Idle,
    /// It serves one.
    Busy,
    /// It was asked to finish and end.
    Draining,
    /// It was killed and has not ended yet.
    Killed,
    /// Something that this version does not know.
    #[default]
    #[cfg_attr(feature = "status", serde(other))]
    Unknown,
}

impl State {
    /// Its name, as the document has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Killed => "killed",
            Self::Unknown => "unknown",
        }
    }
}

impl Status {
    /// The same with texts that can be shown on a terminal.
    #[must_use]
    pub fn printable(mut self) -> Self {
        let texts = [
            &mut self.version,
            &mut self.service,
            &mut self.model,
            &mut self.address,
            &mut self.scoreboard,
        ];
        for text in texts {
            *text = printable(text).to_string();
        }
        self
    }
}

impl Worker {
    /// Its character on the scoreboard.
    pub const fn glyph(&self) -> char {
        match (self.client, self.state) {
            (true, _) => 'X',
            (false, State::Idle) => '.',
            (false, _) => ' ',
        }
    }
}

/// The scoreboard of `slots` places, or of as many as are in use.
pub fn scoreboard(workers: &[Worker], slots: usize) -> String {
    let used = workers.iter().map(|worker| usize::from(worker.slot) + 1).max().unwrap_or(0);
    let mut board = vec![' '; slots.max(used)];
    for worker in workers {
        board[usize::from(worker.slot)] = worker.glyph();
    }
    board.into_iter().collect()
}

/// What the control socket answers to anything but a question that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize))]
pub struct Refusal {
    /// Why.
    pub error: String,
}

/// How long something took, in the two largest units: `3d 4h`, `4m 7s`, `1.2s`, `250us`.
pub fn brief(us: u64) -> String {
    let seconds = us / 1_000_000;
    let pair = |large: u64, unit: char, small: u64, next: char| {
        format!("{}{unit} {}{next}", seconds / large, seconds % large / small)
    };
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{}s", seconds, us % 1_000_000 / 100_000),
        60_000_000..3_600_000_000 => pair(60, 'm', 1, 's'),
        3_600_000_000..86_400_000_000 => pair(3_600, 'h', 60, 'm'),
        _ => pair(86_400, 'd', 3_600, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(slot: u16, state: State, client: bool) -> Worker {
        Worker { slot, state, client, ..Worker::default() }
    }

    #[test]
    fn a_scoreboard_shows_which_workers_can_take_a_client_and_which_have_one() {
        let workers = [
            worker(0, State::Idle, false),
            worker(1, State::Busy, true),
            worker(3, State::Starting, false),
            worker(4, State::Draining, true),
            worker(5, State::Draining, false),
            worker(6, State::Killed, false),
        ];
        assert_eq!(scoreboard(&workers, 8), ".X  X   ");
        assert_eq!(
            scoreboard(&workers[..2], 1),
            ".X",
            "a worker that replaces another has a slot too"
        );
        assert_eq!(scoreboard(&[], 3), "   ");
    }

    #[cfg(feature = "status")]
    #[test]
    fn the_two_ends_may_be_of_different_versions() {
        let newer = r#"{"pid":7,"invention":[1],"counters":{"connections":3,"invented":4},
            "workers":[{"slot":2,"state":"dreaming"}]}"#;
        let status: Status = serde_json::from_str(newer).unwrap();
        assert_eq!((status.pid, status.counters.connections), (7, 3));
        assert_eq!(status.workers, [worker(2, State::Unknown, false)]);
        assert_eq!(status.queue, None);
    }

    #[cfg(feature = "status")]
    #[test]
    fn what_is_written_is_read() {
        let status = Status {
            scoreboard: ".X ".into(),
            queue: Some(Queue { waiting: 1, limit: 2 }),
            workers: vec![worker(1, State::Draining, true)],
            ..Status::default()
        };
        let line = serde_json::to_string(&status).unwrap();
        assert!(line.contains(r#""state":"draining""#), "{line}");
        assert_eq!(serde_json::from_str::<Status>(&line).unwrap(), status);
    }

    #[test]
    fn what_is_shown_has_no_control_characters() {
        let text = || "\u{1b}[2J\u{202e}".to_owned();
        let status = Status {
            version: text(),
            service: text(),
            model: text(),
            address: text(),
            scoreboard: text(),
            ..Status::default()
        };
        let shown = status.clone().printable();
        for text in [shown.version, shown.service, shown.model, shown.address, shown.scoreboard] {
            assert_eq!(text, r"\u{1b}[2J\u{202e}");
        }
        assert_eq!(status.clone().printable().printable(), status.printable());
    }

    #[test]
    fn a_duration_has_two_units() {
        for (us, text) in [
            (0, "0us"),
            (999, "999us"),
            (1_000, "1ms"),
            (999_999, "999ms"),
            (1_200_000, "1.2s"),
            (59_999_999, "59.9s"),
            (247_000_000, "4m 7s"),
            (3_660_000_000, "1h 1m"),
            (273_600_000_000, "3d 4h"),
        ] {
            assert_eq!(brief(us), text);
        }
    }
}
