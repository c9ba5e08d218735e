//! The process that writes an access log, as the supervisor has it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::time::Instant;

use crate::sys::process::Child;
use crate::sys::spool::SpoolReader;
use crate::sys::user::User;

/// The process of one file, or the want of one.
pub(super) struct LogWriter {
    pub(super) path: PathBuf,
    pub(super) user: Option<User>,
    /// What it reads. Not the end that lines come from: that would keep the process alive.
    pub(super) reader: Arc<SpoolReader>,
    /// The process, and when it was started.
    pub(super) child: Option<(Child, Instant)>,
    /// That it cannot be started was logged.
    pub(super) is_failing: bool,
}

/// The time between two starts at least.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

impl LogWriter {
    pub(super) fn is(&self, pid: i32) -> bool {
        self.child.is_some_and(|(child, _)| child.pid() == pid)
    }
}
