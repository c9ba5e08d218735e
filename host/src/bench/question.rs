//! The quantities that can be measured.

/// The quantity to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// CPU time and messages per second of `upper`.
    Messages,
    /// CPU time and connections per second of `time`, one request each. If a peer's `listening`
    /// line says `http` is asked for `/` instead.
    Connects,
    /// CPU time and MiB per second of `files`, for one client; sizes are those of frames. In the
    /// command of a peer, `FOLDER` is the folder of the file; a peer with `http` in its `listening`
    /// line is asked for it by HTTP.
    Files,
    /// Replies on the connections with the most and the fewest, of 50 connections with messages of
    /// 1 MB.
    Fairness,
    /// Private memory of an idle connection.
    Memory,
    /// System calls per message, as strace counts them.
    Syscalls,
    /// CPU time and datagrams per second of `upper` over UDP, for clients that wait for each answer.
    Datagrams,
    /// The time from a lone datagram to its answer, under `upper` over UDP.
    Latency,
    /// System calls per datagram of `upper` over UDP, as strace counts them.
    Batches,
    /// CPU time per received datagram of `upper` over UDP, and lost datagrams, by the rate at which they are
    /// sent.
    Flood,
    /// The same of `score listen`. A peer prints its `listening` line on standard error.
    Scores,
}

impl Question {
    /// Whether it is about datagrams.
    pub(super) fn has_datagrams(self) -> bool {
        match self {
            Self::Datagrams | Self::Latency | Self::Batches | Self::Flood | Self::Scores => true,
            Self::Messages
            | Self::Connects
            | Self::Files
            | Self::Fairness
            | Self::Memory
            | Self::Syscalls => false,
        }
    }

    /// Whether datagrams are sent at a rate.
    pub(super) fn has_rate(self) -> bool {
        matches!(self, Self::Flood | Self::Scores)
    }

    /// Whether strace counts the system calls.
    pub(super) fn is_traced(self) -> bool {
        matches!(self, Self::Syscalls | Self::Batches)
    }
}
