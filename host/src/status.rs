//! The state of a server as a document: its control socket answers with it, and
//! `windlass status` and `windlass top` read it.
//!
//! It is one line of JSON. Times are in microseconds, sizes in bytes, counters begin at 0 with the
//! server and never shrink. A reader ignores fields that it does not know, and takes those that are
//! missing for 0, so that the two ends may be of different versions.

#[cfg(feature = "status")]
use serde::{Deserialize, Serialize};

use crate::printable::printable;
use crate::totals::Totals;

/// A running server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// The process id of the parent of the workers.
    pub pid: u32,
    /// The service.
    pub service: String,
    /// The model.
    pub model: String,
    /// The address, as on the command line.
    pub address: String,
    /// How long it has been running.
    pub uptime_us: u64,
    /// When its counters were 0, in microseconds since 1970.
    pub started_us: u64,
    /// Reloads so far.
    pub generation: u32,
    /// Whether the server was told to stop.
    pub stopping: bool,
    /// Whether workers are in a crash loop, so that they are started one at a time.
    pub crash_loop: bool,
    /// One character for each slot: `.` can take a client, `X` has one, blank is neither.
    pub scoreboard: String,
    /// The limits of the number of workers.
    pub limits: Limits,
    /// Events so far.
    pub counters: Counters,
    /// What was counted so far of clients, bytes, files and workers.
    pub totals: Totals,
    /// Clients that wait in the kernel to be accepted; none if that cannot be known.
    pub queue: Option<Queue>,
    /// When the certificate expires that its clients are shown, in microseconds since 1970; none without TLS.
    pub certificate_expires_us: Option<u64>,
    /// The workers that exist, by slot.
    pub workers: Vec<WorkerStatus>,
    /// The last faults of clients and workers, the newest first.
    pub last_faults: Vec<LastFault>,
}

/// A client that was not served as it should have been, or a process that should not have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct LastFault {
    /// The name of the counter in [`Totals`] that has it: `reset`, `timed_out`, `crashed`, …
    pub kind: String,
    /// How long ago it was.
    pub ago_us: u64,
    /// The address of the client, if it is known.
    pub peer: Option<String>,
    /// The process that ended.
    pub pid: Option<u32>,
    /// How it ended, or what ended with it.
    pub words: Option<String>,
    /// How long the client was served.
    pub took_us: Option<u64>,
}

/// The numbers of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Limits {
    /// Workers at most, without those that replace others.
    pub max_workers: u16,
    /// Idle workers at least; none if their number is fixed.
    pub min_spare: Option<u16>,
    /// Idle workers at most; none if their number is fixed.
    pub max_spare: Option<u16>,
    /// The number of connections after which a worker is replaced.
    pub requests_per_worker: Option<u64>,
}

/// Events since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Counters {
    /// Connections served to their end.
    pub connections: u64,
    /// Connections passed to another worker, because the first one died before it read or wrote a byte.
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
    /// Workers that ended without an order.
    pub crashed: u64,
    /// Workers that were killed because they were out of time.
    pub killed: u64,
    /// Reloads that are done: every worker was replaced.
    pub reloads: u64,
}

impl Counters {
    /// What of the sums is about workers, and about the connections that they had.
    pub fn of(totals: &Totals) -> Self {
        Self {
            connections: totals.ended() - totals.lost,
            redispatched: totals.redispatched,
            shed: totals.shed,
            lost: totals.lost,
            spawned: totals.spawned,
            failed_spawns: totals.failed_spawns,
            crashed: totals.crashed,
            killed: totals.killed,
            reloads: totals.reloads,
        }
    }
}

/// An accept queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Queue {
    /// Connections that wait.
    pub waiting: u32,
    /// The length of the queue: the kernel refuses or drops further connections.
    pub limit: u32,
}

/// A worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct WorkerStatus {
    /// Its slot, from 0.
    pub slot: u16,
    /// Its epoch: the number of this worker in its slot, from 1.
    pub epoch: u32,
    /// Its process id.
    pub pid: u32,
    /// Its state.
    pub state: State,
    /// Whether it has a client.
    pub client: bool,
    /// How long it has been in this state.
    pub since_us: u64,
    /// Connections that it finished.
    pub requests: u64,
    /// CPU time that it has used; none when that cannot be read.
    pub cpu_us: Option<u64>,
    /// Memory that no other process has mapped; none if that cannot be read.
    pub private_bytes: Option<u64>,
}

/// The state of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(rename_all = "lowercase"))]
pub enum State {
    /// It has not reported yet.
    Starting,
    /// It waits for a client.
    Idle,
    /// It serves a client.
    Busy,
    /// It was asked to finish and end.
    Draining,
    /// It was killed and has not ended yet.
    Killed,
    /// A state that this version does not know.
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

impl State {
    /// Its letter on a scoreboard for people.
    pub const fn letter(self) -> char {
        match self {
            Self::Starting => 'S',
            Self::Idle => '.',
            Self::Busy => 'X',
            Self::Draining => 'D',
            Self::Killed => 'K',
            Self::Unknown => '?',
        }
    }
}

impl LastFault {
    /// The client or the process that had it, and what is known of it: `192.0.2.7:4711, after 1.2s`.
    pub fn party(&self) -> String {
        let Self { peer, pid, words, took_us, .. } = self;
        let parts = [
            peer.clone(),
            pid.map(|pid| format!("pid {pid}")),
            words.clone(),
            took_us.map(|us| format!("after {}", brief(us))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Status {
    /// The same with printable texts.
    #[must_use]
    pub fn printable(mut self) -> Self {
        let texts = [
            &mut self.version,
            &mut self.service,
            &mut self.model,
            &mut self.address,
            &mut self.scoreboard,
        ];
        let faults = self.last_faults.iter_mut().flat_map(|fault| {
            let LastFault { kind, peer, words, .. } = fault;
            [Some(kind), peer.as_mut(), words.as_mut()].into_iter().flatten()
        });
        for text in texts.into_iter().chain(faults) {
            *text = printable(text).to_string();
        }
        self
    }
}

impl WorkerStatus {
    /// Its character on the scoreboard.
    pub const fn glyph(&self) -> char {
        match (self.client, self.state) {
            (true, _) => 'X',
            (false, State::Idle) => '.',
            (false, _) => ' ',
        }
    }
}

/// The scoreboard of `slots` slots, or of as many as are in use.
pub fn scoreboard(workers: &[WorkerStatus], slots: usize) -> String {
    let used = workers.iter().map(|worker| usize::from(worker.slot) + 1).max().unwrap_or(0);
    let mut board = vec![' '; slots.max(used)];
    for worker in workers {
        board[usize::from(worker.slot)] = worker.glyph();
    }
    board.into_iter().collect()
}

/// The answer of the control socket to a request that it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize))]
pub struct Refusal {
    /// The reason.
    pub error: String,
}

/// A span of time in its two largest units: `3d 4h`, `4m 7s`, `1.2s`, `250us`.
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

    fn worker(slot: u16, state: State, client: bool) -> WorkerStatus {
        WorkerStatus { slot, state, client, ..WorkerStatus::default() }
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

    #[test]
    fn what_is_known_of_a_fault_is_told() {
        let fault = LastFault { took_us: Some(1_200_000), ..LastFault::default() };
        assert_eq!(fault.party(), "after 1.2s");
        let fault = LastFault { peer: Some("192.0.2.7:4711".into()), ..fault };
        assert_eq!(fault.party(), "192.0.2.7:4711, after 1.2s");
        assert_eq!(LastFault::default().party(), "");
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
            last_faults: vec![LastFault { kind: "reset".into(), ..LastFault::default() }],
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
            last_faults: vec![LastFault {
                kind: text(),
                peer: Some(text()),
                words: Some(text()),
                ..LastFault::default()
            }],
            ..Status::default()
        };
        let mut shown = status.clone().printable();
        let fault = shown.last_faults.remove(0);
        for text in [fault.kind, fault.peer.unwrap(), fault.words.unwrap()] {
            assert_eq!(text, r"\u{1b}[2J\u{202e}");
        }
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
