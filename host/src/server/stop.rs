//! The order to stop a server, and the time that it has for it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tracing::info;
use windlass_core::time::{Instant, Wake};

use crate::drive::{AccessLog, Woken};
use crate::sys::Errno;
use crate::sys::event::Event;
use crate::sys::poll;
use crate::sys::process;
use crate::sys::ready::Interest;
use crate::sys::shared::Flag;
use crate::sys::signals::{Came, Signals};
#[cfg(feature = "tls")]
use crate::tls::Credentials;

/// After the first order a server accepts no more clients, and serves those that it has for its grace.
/// After the second order it stops at once. A server that drains (SIGQUIT) has more time, and
/// can still be ordered to stop.
///
/// A service manager or `killall` may send an order to every process of a server, and the first one passes it
/// on: to the others these are one order.
#[derive(Debug)]
pub struct Stop {
    source: Arc<Source>,
    grace_us: u64,
    drain_us: u64,
    state: State,
    /// The process that passes orders on to this one.
    passes_on: Option<u32>,
    /// Whether the order to stop came from that process, and whether it came from another one.
    heard: [bool; 2],
    minds: Asked,
    /// Whether all children of this process are the server's.
    reaps: bool,
    /// What SIGUSR1 is about.
    logs: Vec<Arc<AccessLog>>,
    /// Set with the first order, for all processes of the server.
    flag: Option<Arc<Flag>>,
    /// What is read again at SIGHUP.
    #[cfg(feature = "tls")]
    credentials: Option<Arc<Credentials>>,
}

/// Other requests by signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// SIGCHLD: examine the children that have ended.
    pub(super) children: bool,
    /// SIGHUP: read the configuration again, or replace the workers.
    pub(super) reload: bool,
    /// SIGUSR2: start the program again.
    pub(super) upgrade: bool,
}

const NO_RELOAD: &str = "this process reads no configuration, and has no workers to replace";
const NO_UPGRADE: &str = "a supervisor starts the next binary, and --config brings one";
const NO_REOPEN: &str = "there is no access log (--access-log), and the log goes to standard error";

/// The source of the order.
#[derive(Debug)]
pub(super) enum Source {
    Signals(Signals),
    Handle(Arc<Event>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Draining { until: Instant, retiring: bool },
    Now,
}

/// Stops a server of this process, from any thread.
#[derive(Debug, Clone)]
pub struct StopHandle(Arc<Event>);

impl StopHandle {
    /// The first call drains the server, the second one stops it at once.
    pub fn stop(&self) {
        self.0.raise();
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Signals(signals) => signals.as_fd(),
            Self::Handle(event) => event.as_fd(),
        }
    }
}

impl Stop {
    /// Stops on SIGTERM and SIGINT: no further clients are taken, and those that are served have `grace_us`
    /// microseconds to end. A second signal ends the server at once. On SIGQUIT they have `drain_us` microseconds,
    /// because another process goes on serving. No other signal of [`Signals`] ends the server: the log says that
    /// the signal has no effect.
    pub fn on_signals(signals: Signals, grace_us: u64, drain_us: u64) -> Self {
        Self::new(Source::Signals(signals), grace_us, drain_us)
    }

    fn new(source: Source, grace_us: u64, drain_us: u64) -> Self {
        Self {
            source: Arc::new(source),
            grace_us,
            drain_us,
            state: State::Running,
            passes_on: None,
            heard: [false; 2],
            minds: Asked::default(),
            reaps: false,
            logs: Vec::new(),
            flag: None,
            #[cfg(feature = "tls")]
            credentials: None,
        }
    }

    /// This process is a part of a server, and `process` passes its orders on.
    #[cfg(feature = "supervise")]
    #[must_use]
    pub(super) fn passed_on_by(mut self, process: u32) -> Self {
        self.will_be_passed_on_by(process);
        self
    }

    /// The same from now on.
    #[cfg(feature = "supervise")]
    pub(super) fn will_be_passed_on_by(&mut self, process: u32) {
        (self.passes_on, self.heard) = (Some(process), [false; 2]);
    }

    /// At SIGHUP the certificate is read again.
    #[cfg(feature = "tls")]
    pub(super) fn renew(&mut self, credentials: Option<Arc<Credentials>>) {
        self.credentials = credentials;
    }

    /// SIGHUP. Whether it has an effect in every process.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self))]
    fn has_renewed(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(credentials) = &self.credentials {
            credentials.renew();
            return true;
        }
        false
    }

    /// The whole process belongs to the server: children that it did not start are orphans of the
    /// first process of a container, and it reaps them. Do not use it in a program that starts
    /// children itself.
    #[must_use]
    pub fn and_reap(mut self) -> Self {
        self.reaps = true;
        // Children that ended before their signal was caught.
        self.reap_strangers(|_| false);
        self
    }

    /// Stops by the returned handle, for instance from another thread. Clients that are served then have `grace_us`
    /// microseconds to end.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: it needs a descriptor.
    pub fn by_handle(grace_us: u64) -> Result<(Self, StopHandle), Errno> {
        let event = Arc::new(Event::new()?);
        let handle = StopHandle(Arc::clone(&event));
        Ok((Self::new(Source::Handle(event), grace_us, grace_us), handle))
    }

    /// The longest time that connections may have after the first order, in microseconds.
    pub(super) fn longest_us(&self) -> u64 {
        self.grace_us.max(self.drain_us)
    }

    /// SIGUSR1 is about these.
    pub(super) fn log_to(&mut self, logs: Vec<Arc<AccessLog>>) {
        self.logs = logs;
    }

    /// Sets `flag` with the first order. Another process may set it before.
    #[cfg(feature = "supervise")]
    pub(super) fn tell(&mut self, flag: Option<Arc<Flag>>) {
        self.flag = flag;
    }

    /// What is set with the first order. Without memory for it, connections end without notice.
    pub(super) fn flag(&mut self) -> Option<Arc<Flag>> {
        if self.flag.is_none() {
            self.flag = Flag::new().map(Arc::new).ok();
        }
        self.flag.clone()
    }

    /// Changes the time that connections have after an order.
    #[cfg(feature = "supervise")]
    pub(super) fn set_grace(&mut self, grace_us: u64, drain_us: u64) {
        (self.grace_us, self.drain_us) = (grace_us, drain_us);
    }

    /// Sets the requests that the server itself handles.
    pub(super) fn mind(&mut self, what: Asked) {
        self.minds = what;
    }

    /// Reaps the children that have ended and are not `ours`. If a child that is `ours` comes before them in
    /// the list of the kernel, call this again after its status was taken.
    pub(super) fn reap_strangers(&self, ours: impl Fn(i32) -> bool) {
        if self.reaps {
            process::reap_strangers(ours);
        }
    }

    /// The state of the stop.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The descriptor to watch: when it is readable, [`notice`](Self::notice).
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// A shared handle of that descriptor, for a loop that owns its descriptors.
    pub(super) fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// Notes the signals that arrived. Returns those that the server [handles](Self::mind).
    pub(super) fn notice(&mut self, now: Instant) -> Asked {
        let source = Arc::clone(&self.source);
        let mut asked = Asked::default();
        match &*source {
            Source::Signals(signals) => {
                while let Some(came) = signals.next() {
                    match came {
                        Came::Stop { sender } => self.request_of(sender, now),
                        Came::Retire => self.retire(now),
                        Came::Child if self.minds.children => asked.children = true,
                        // It has no such request of its own.
                        Came::Child => self.reap_strangers(|_| false),
                        Came::Reload if self.has_renewed() | self.minds.reload => {
                            asked.reload = self.minds.reload;
                        }
                        Came::Upgrade if self.minds.upgrade => asked.upgrade = true,
                        Came::Reload => info!("SIGHUP has no effect here: {NO_RELOAD}"),
                        Came::Upgrade => info!("SIGUSR2 has no effect here: {NO_UPGRADE}"),
                        Came::Reopen if !self.logs.is_empty() => {
                            self.logs.iter().for_each(|log| log.reopen());
                        }
                        Came::Reopen => info!("SIGUSR1 has no effect here: {NO_REOPEN}"),
                    }
                }
            }
            Source::Handle(event) => (0..event.take().min(2)).for_each(|_| self.request(now)),
        }
        asked
    }

    /// Handles one order of this process. The same order may have come another way.
    fn request_of(&mut self, sender: u32, now: Instant) {
        if let Some(process) = self.passes_on {
            let is_first =
                !std::mem::replace(&mut self.heard[usize::from(sender == process)], true);
            if is_first && matches!(self.state, State::Draining { retiring: false, .. }) {
                return;
            }
        }
        self.request(now);
    }

    /// Handles one order.
    pub(super) fn request(&mut self, now: Instant) {
        self.raise_flag();
        let end = now.after(self.grace_us);
        self.state = match self.state {
            State::Running => {
                info!(grace_ms = self.grace_us / 1000, "stopping: no new clients");
                State::Draining { until: end, retiring: false }
            }
            State::Draining { until, retiring: true } => {
                info!(
                    grace_ms = self.grace_us / 1000,
                    "stopping: connections and transfers have this time to end"
                );
                State::Draining { until: until.min(end), retiring: false }
            }
            State::Draining { retiring: false, .. } | State::Now => State::Now,
        };
    }

    /// It ends when its connections have ended, and without hurry.
    pub(super) fn retire(&mut self, now: Instant) {
        if self.state == State::Running {
            self.raise_flag();
            info!(drain_ms = self.drain_us / 1000, "draining: no new clients");
            self.state = State::Draining { until: now.after(self.drain_us), retiring: true };
        }
    }

    fn raise_flag(&self) {
        if let Some(flag) = &self.flag {
            flag.set();
        }
    }

    /// Its connections have this time more, in microseconds.
    #[cfg(feature = "supervise")]
    pub(super) fn extend(&mut self, us: u64) {
        if let State::Draining { until, .. } = &mut self.state {
            *until = until.after(us);
        }
    }

    /// Whether the server was told to stop.
    pub(super) fn is_requested(&self) -> bool {
        self.state != State::Running
    }

    /// Whether the server ends now, with `live` connections open, and others that only repeat their last answer.
    /// A stop does not wait for those. A server that drains does: it has the time, because another process serves.
    pub(super) fn is_over(&self, now: Instant, live: usize, repeating: usize) -> bool {
        match self.state {
            State::Running => false,
            State::Draining { until, retiring } => {
                let is_awaited = live > 0 || (retiring && repeating > 0);
                !is_awaited || until <= now
            }
            State::Now => true,
        }
    }

    /// The next deadline.
    pub(super) fn wake(&self) -> Wake {
        match self.state {
            State::Running => Wake::Never,
            State::Draining { until, .. } => Wake::At(until),
            State::Now => Wake::Now,
        }
    }

    /// Waits for a connection and for the stop at the same time, for a model with one connection at
    /// a time.
    pub(super) fn wait(
        &mut self,
        socket: BorrowedFd<'_>,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Woken {
        use crate::sys::clock::now;
        let end = match self.state {
            State::Draining { until, .. } => Some(until),
            State::Running | State::Now => None,
        };
        let earlier = [deadline, end].into_iter().flatten().min();
        let woken = match poll::wait(socket, interest, Some(self.socket()), earlier) {
            poll::Woken::Ready(ready) => Woken::Ready(ready),
            poll::Woken::Other => {
                self.notice(now());
                Woken::Look
            }
            poll::Woken::TimedOut | poll::Woken::Interrupted => Woken::Look,
        };
        if self.is_over(now(), 1, 0) { Woken::Cut } else { woken }
    }
}

#[cfg(test)]
mod tests;
