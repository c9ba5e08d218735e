//! The next binary: the process in which the program was started again, until it has taken over or failed.

use std::os::fd::AsFd;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::reactor::{Context, Token};
use crate::server::children::{Watched, watch};
use crate::sys::handover::has_said_ready;
use crate::sys::listener::Listener;
use crate::sys::pass::Channel;
use crate::sys::program::Program;
use crate::sys::successor::Successor;

/// How long the next binary may take to be ready.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The program, and the process in which it was started again.
pub(super) struct Upgrade {
    program: Program,
    pub(super) running: Option<Running>,
}

/// The process of the next binary.
pub(super) struct Running {
    successor: Successor,
    watched: Watched,
    late: Token,
}

impl Upgrade {
    pub(super) fn of(program: Program) -> Self {
        Self { program, running: None }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether `pid` is the child that keeps the process of the next binary.
    pub(super) fn is(&self, pid: i32) -> bool {
        self.running.as_ref().is_some_and(|running| running.successor.keeper().pid() == pid)
    }

    /// The next binary is not wanted any more.
    pub(super) fn call_off(&mut self) {
        if let Some(running) = self.running.take() {
            running.successor.terminate();
        }
    }

    /// Starts the program with `listeners`, each with its configured address. In the loop's state `of` finds
    /// this; `ready` is called when the next binary serves.
    pub(super) fn start<'a, S: 'static>(
        &self,
        cx: &mut Context<S>,
        listeners: impl Iterator<Item = (&'a Listener, &'a Address)>,
        of: fn(&mut S) -> &mut Self,
        ready: fn(&mut S, &mut Context<S>, i32),
    ) -> Result<Running> {
        let (ours, theirs) = Channel::pair().map_err(Error::of("open", "a channel"))?;
        let successor = self.program.start(listeners, theirs.as_fd())?;
        drop(theirs);
        let pid = successor.pid();
        let readable = move |channel: &mut Channel, state: &mut S, cx: &mut Context<S>| {
            let Some(is_ready) = has_said_ready(channel) else { return };
            cx.remove(cx.current());
            if is_ready && let Some(running) = of(state).running.take() {
                running.forget(cx).leave();
                info!(pid, "the new binary has taken over");
                ready(state, cx, pid);
            }
        };
        let ended = move |state: &mut S, cx: &mut Context<S>, exit| {
            if let Some(running) = of(state).running.take() {
                // If the keeper was killed, it has not ended.
                running.forget(cx).kill();
                error!("the new binary {exit} before it was ready; the old one goes on");
            }
        };
        let watched = watch(cx, successor.keeper(), ours, readable, ended);
        let watched = watched.inspect_err(|_| successor.kill())?;
        let late = cx.after(TIMEOUT, move |state: &mut S, _| {
            if let Some(running) = &of(state).running {
                warn!("the new binary is not ready after {} s, and is killed", TIMEOUT.as_secs());
                running.successor.kill();
            }
        });
        info!(pid, "the new binary was started");
        Ok(Running { successor, watched, late })
    }
}

impl Running {
    fn forget<S>(self, cx: &mut Context<S>) -> Successor {
        for source in self.watched.into_iter().chain([self.late]) {
            cx.remove(source);
        }
        self.successor
    }
}
