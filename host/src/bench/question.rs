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
}
