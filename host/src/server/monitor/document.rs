//! What the monitor knows of the whole server.

use serde::Serialize;

use crate::status::Status;

/// The state of a server with all its listeners.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::server) struct Overview {
    /// The version.
    pub(in crate::server) version: &'static str,
    /// The supervisor.
    pub(in crate::server) pid: u32,
    /// When it started, in microseconds since 1970.
    pub(in crate::server) started_us: u64,
    /// How long it has been running.
    pub(in crate::server) uptime_us: u64,
    /// Whether every listener serves, and the server was not told to stop.
    pub(in crate::server) ready: bool,
    /// Whether it was told to stop.
    pub(in crate::server) stopping: bool,
    /// The listeners.
    pub(in crate::server) listeners: Vec<Told>,
}

/// A listener.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::server) struct Told {
    /// Whether it serves.
    pub(in crate::server) ready: bool,
    /// Whether its clients are datagrams, each answered by itself.
    #[serde(skip)]
    pub(in crate::server) answers_datagrams: bool,
    #[serde(flatten)]
    pub(in crate::server) status: Status,
}

impl Overview {
    /// As one line of JSON.
    pub(in crate::server) fn json(&self) -> Vec<u8> {
        // Numbers, strings and lists of them can always be JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}
