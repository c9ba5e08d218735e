//! The outcome of a command: a line on standard output, or the reason why it failed.

use crate::error::{Error, Result};
use crate::standard;
use crate::sys::Signal;

/// Why a command did not succeed.
pub(super) enum Failure {
    /// The options contradict each other.
    Usage(String),
    /// The operation failed.
    Error(Error),
    /// The operation failed for several reasons, each in a line.
    Lines(Vec<String>),
    /// A signal ended the command, and it has cleaned up.
    Signal(Signal),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

/// The outcome of a command that a signal may have ended.
pub(super) fn or_signal(ended_by: Option<Signal>) -> std::result::Result<(), Failure> {
    ended_by.map_or(Ok(()), |signal| Err(Failure::Signal(signal)))
}

/// Prints one line on standard output, at once.
pub(super) fn print_line(line: &str) -> Result<()> {
    standard::print(&format!("{line}\n"))
}
