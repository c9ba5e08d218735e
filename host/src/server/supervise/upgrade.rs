//! SIGUSR2: the program is started again, as it is on disk now, and takes over.
//!
//! ```text
//! old:  start it, with the listening sockets ──▶ new: read the configuration, start a process a listener
//!       "ready" heard: close the sockets,    ◀──      all of them ready: "ready"
//!       drain, exit 0
//! ```
//!
//! The sockets are the same ones, and the queue of each goes on with them: nobody is refused, and nobody
//! is dropped. If the new one ends before it is ready, however it does, nothing has happened: until then
//! the sockets are not its own to shut down, nor their files to remove.

use std::time::Duration;

use tracing::{error, info, warn};

use super::systemd::Systemd;
use super::{Cx, Supervisor};
use crate::error::{Error, Result};
use crate::reactor::{Token, Watch};
use crate::sys::handover::has_said_ready;
use crate::sys::pass::Channel;
use crate::sys::program::Program;
use crate::sys::{Signal, pidfd::PidFd};

/// How long the new binary may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// What there is to start, and what was started.
pub(super) struct Upgrade {
    program: Program,
    running: Option<Running>,
}

struct Running {
    process: PidFd,
    /// Its end, its word and its deadline.
    sources: [Token; 3],
}

impl Upgrade {
    pub(super) fn of(program: Program) -> Self {
        Self { program, running: None }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether that is the process of the new binary.
    pub(super) fn is(&self, pid: i32) -> bool {
        self.running.as_ref().is_some_and(|running| running.process.pid() == pid)
    }

    /// The new binary is not wanted any more.
    pub(super) fn call_off(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.signal(Signal::SIGTERM);
        }
    }
}

impl Running {
    fn forget(self, cx: &mut Cx) {
        for source in self.sources {
            cx.remove(source);
        }
    }
}

impl Supervisor {
    pub(super) fn start_upgrade(&mut self, cx: &mut Cx) {
        // From old to new there is one step at a time: the one before waits for our word.
        let is_new = self.inherited.is_upgrade();
        if self.stop.is_requested() || self.upgrade.is_running() || is_new {
            warn!("an upgrade or a stop is under way");
            return;
        }
        match self.try_upgrade(cx) {
            Ok(running) => {
                info!(pid = running.process.pid(), "the new binary was started");
                self.upgrade.running = Some(running);
            }
            Err(error) => error!("{error}; the old binary goes on"),
        }
    }

    fn try_upgrade(&self, cx: &mut Cx) -> Result<Running> {
        let (ours, theirs) = Channel::pair().map_err(Error::of("open", "a channel"))?;
        let members = self.members.iter().filter(|member| !member.is_leaving);
        let listeners = members.flat_map(|member| {
            let control = member.control.iter().map(|it| (it, it.address()));
            member.listener.iter().map(|it| (it, &member.spec.address)).chain(control)
        });
        let pid = self.upgrade.program.start(listeners, std::os::fd::AsFd::as_fd(&theirs))?;
        drop(theirs);
        // It is not reaped before its end is heard, so the number is its own.
        let process = PidFd::open(pid.cast_signed()).map_err(Error::of("watch child", pid))?;
        let end = cx.child(pid, |this: &mut Self, cx, exit| {
            if let Some(running) = this.upgrade.running.take() {
                running.forget(cx);
                error!("the new binary {exit} before it was ready; the old one goes on");
            }
            this.reap_strangers();
        })?;
        let word = cx.add(ours, Watch::READ, move |channel, this: &mut Self, cx, _| {
            let is_ready = has_said_ready(channel);
            if is_ready.is_some() {
                cx.remove(cx.current());
            }
            if is_ready == Some(true) {
                this.hand_over(cx, pid);
            }
        })?;
        let late = cx.after(PATIENCE, |this: &mut Self, _| {
            if let Some(running) = &this.upgrade.running {
                warn!("the new binary is not ready after {} s, and is killed", PATIENCE.as_secs());
                running.process.signal(Signal::SIGKILL);
            }
        });
        Ok(Running { process, sources: [end, word, late] })
    }

    /// The new binary serves.
    fn hand_over(&mut self, cx: &mut Cx, pid: u32) {
        let Some(running) = self.upgrade.running.take() else { return };
        running.forget(cx);
        info!(pid, "the new binary has taken over");
        Systemd::replaced_by(pid);
        for member in &mut self.members {
            for listener in member.listener.take().into_iter().chain(member.control.take()) {
                listener.give_up();
            }
        }
        self.stop.retire(cx.now());
        self.leave(cx);
    }
}
