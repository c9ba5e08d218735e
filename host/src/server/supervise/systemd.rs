//! Notifications of a service manager (`sd_notify(3)`). Without a service manager nothing is sent.

use std::fmt::Write as _;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;
use windlass_core::time::Instant;

use crate::sys::notify::notify;

/// The state that the service manager was told last.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    is_ready: bool,
    status: String,
    /// It listens to another process from now on.
    is_replaced: bool,
}

impl Systemd {
    /// How often it wants to hear that we live, if it does.
    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled().filter(|every| !every.is_zero())
    }

    pub(super) fn alive(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// Everything is served, except what keeps dying.
    pub(super) fn ready(&mut self, serving: usize, looping: usize) {
        let status = match looping {
            0 => format!("serving {serving} listeners"),
            _ => format!("serving {serving} listeners; {looping} keep dying"),
        };
        if !std::mem::replace(&mut self.is_ready, true) {
            self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
        } else if status != self.status {
            self.send(&[NotifyState::Status(&status)]);
        }
        self.status = status;
    }

    pub(super) fn reloading(&mut self, now: Instant) {
        self.is_ready = false;
        let since = NotifyState::MonotonicUsec(i128::from(now.as_micros()));
        self.send(&[NotifyState::Reloading, since, NotifyState::Status("reloading")]);
    }

    /// The process that is to be watched from now on.
    pub(super) fn replaced_by(&mut self, pid: u32) {
        self.send(&[NotifyState::MainPid(pid)]);
        self.is_replaced = true;
    }

    pub(super) fn stopping(&self) {
        self.send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    fn send(&self, what: &[NotifyState<'_>]) {
        if self.is_replaced {
            return;
        }
        // Unset and empty are the same to sd_notify(3).
        let Some(to) = std::env::var_os("NOTIFY_SOCKET").filter(|to| !to.is_empty()) else {
            return;
        };
        let mut message = String::new();
        for state in what {
            // Writing to a string does not fail.
            let _ = writeln!(message, "{state}");
        }
        if let Err(error) = notify(&to, &message) {
            warn!("{error}");
        }
    }
}
