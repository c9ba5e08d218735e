//! Several listeners: a process for each, and a supervisor that keeps them running.
//!
//! ```text
//!                  ┌─ listener ─ decider ─▶ process, and for a while the one that it replaces
//!   supervisor ────┼─ listener ─ decider ─▶ process
//!   (event loop)   └─ …
//!      SIGTERM, SIGQUIT, SIGHUP, SIGUSR2
//! ```
//!
//! Every model waits in its own way, so each listener has a process to itself and the models stay the
//! textbook's. The supervisor holds every listening socket and never accepts: whoever connects while a
//! process is missing waits in the kernel's queue. When to start one, to wait after a crash, to replace
//! one and to give up on it is decided by what decides it for the workers of a pool: to the core's
//! supervisor a listener is a pool of one.

mod child;
mod member;
mod reload;
mod reread;
mod systemd;
mod upgrade;

use std::path::PathBuf;

use tracing::{error, info, warn};
use windlass_core::pool::supervisor::{Event, Signal};
use windlass_core::time::Wake;

use super::spec::{Opened, Spec};
use super::stop::{Asked, State, Stop};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::reactor::{Context, EventLoop, Priority, Token, Watch};
use crate::sys::handover::Inherited;
use crate::sys::listener::Access;
use crate::sys::process::SingleThreaded;
use crate::sys::program::Program;
use member::Member;
use reread::Reader;
use systemd::Systemd;
use upgrade::Upgrade;

/// What the supervisor asks of whoever configures it.
pub struct Hooks {
    /// The configuration, to be read again. `None`: there is nothing to read, and SIGHUP is passed on.
    pub reread: Option<Reread>,
    /// A listener is ready for the first time, in the process of that id.
    pub announce: Announce,
}

/// See [`Hooks::reread`].
pub struct Reread {
    /// Where it is.
    pub path: PathBuf,
    /// What it says, or every mistake in it.
    pub understand: Understand,
}

/// See [`Reread::understand`].
pub type Understand = Box<dyn Fn(&[u8]) -> std::result::Result<Vec<Spec>, Vec<String>>>;

/// See [`Hooks::announce`].
pub type Announce = Box<dyn Fn(&Spec, &Address, i32) -> Result<()>>;

/// The supervisor, between two events.
struct Supervisor {
    members: Vec<Member>,
    /// The key of the next member.
    next_key: u32,
    stop: Stop,
    hooks: Hooks,
    systemd: Systemd,
    inherited: Inherited,
    upgrade: Upgrade,
    reading: Option<Reader>,
    /// Rings when the stop has lasted long enough.
    deadline: Option<Token>,
    /// All of it was served once.
    is_served: bool,
    failed: Option<Error>,
    alone: SingleThreaded,
    pid: u32,
}

type Cx = Context<Supervisor>;

/// How much longer than its own deadline a process may take before it is killed, in microseconds.
const SLACK_US: u64 = 1_000_000;

/// Serves all of `members`, each in a process of its own, until `stop` says so. `inherited` hears when
/// all of them are served.
///
/// # Errors
/// It cannot go on, or cannot say where it listens. That a process ends is no error: another is started.
pub fn serve(
    members: Vec<Opened>,
    stop: Stop,
    inherited: Inherited,
    program: Program,
    hooks: Hooks,
) -> Result<()> {
    let mut events = EventLoop::new()?;
    let mut supervisor = Supervisor {
        members: Vec::new(),
        next_key: 0,
        stop,
        hooks,
        systemd: Systemd::default(),
        inherited,
        upgrade: Upgrade::of(program),
        reading: None,
        deadline: None,
        is_served: false,
        failed: None,
        alone: SingleThreaded::check()?,
        pid: std::process::id(),
    };
    supervisor.stop.mind(Asked { children: true, reload: true, upgrade: true });
    let source = supervisor.stop.source();
    let stop = events.add(source, Watch::READ, |_, this: &mut Supervisor, cx, _| this.heed(cx))?;
    events.set_priority(stop, Priority::High);
    let deadline = events.timer(|this: &mut Supervisor, cx| this.stop_now(cx));
    supervisor.deadline = Some(deadline);
    if let Some(every) = Systemd::watchdog() {
        // From the loop, so that it stops when the loop does.
        events.every(every / 2, |_: &mut Supervisor, _| Systemd::alive());
    }
    supervisor.agree(&members.iter().map(|opened| &opened.spec));
    for member in members {
        supervisor.add(&mut events, member)?;
    }
    events.run(&mut supervisor)?;
    supervisor.failed.map_or(Ok(()), Err)
}

impl Supervisor {
    /// The whole has as long to stop as the listener that has longest.
    fn agree<'a>(&mut self, specs: &(impl Iterator<Item = &'a Spec> + Clone)) {
        let longest = |of: fn(&Spec) -> u64| specs.clone().map(of).max().unwrap_or(0);
        self.stop.set_patience(longest(|spec| spec.grace_us), longest(|spec| spec.drain_us));
    }

    /// A signal came: to stop gently, when all connections are done, or at once; to reload; to upgrade; or
    /// a child ended.
    fn heed(&mut self, cx: &mut Cx) {
        let before = self.stop.state();
        let asked = self.stop.notice(cx.now());
        if self.stop.state() != before {
            Systemd::stopping();
            self.leave(cx);
        }
        if asked.children {
            self.reap_strangers();
        }
        if asked.reload {
            self.reload(cx);
        }
        if asked.upgrade {
            self.start_upgrade(cx);
        }
    }

    /// Of the children that ended, those that serve no listener. One that does may stand before them.
    fn reap_strangers(&self) {
        let is_ours = |pid| {
            self.upgrade.is(pid)
                || self.reading.as_ref().is_some_and(|reading| reading.is(pid))
                || self.members.iter().any(|it| it.has(pid))
        };
        self.stop.reap_strangers(is_ours);
    }

    /// Ends every process, as the stop says: the first time, and when it is to be faster than that.
    fn leave(&mut self, cx: &mut Cx) {
        self.upgrade.call_off();
        if self.stop.is_over(cx.now(), usize::MAX) {
            self.stop_now(cx);
            return;
        }
        for key in self.keys() {
            self.let_go(cx, key);
        }
        if let (Wake::At(end), Some(deadline)) = (self.stop.wake(), self.deadline) {
            cx.arm_at(deadline, end.after(SLACK_US));
        }
        if self.members.is_empty() {
            cx.exit();
        }
    }

    fn stop_now(&mut self, cx: &mut Cx) {
        for key in self.keys() {
            self.tell(cx, key, Event::Signal(Signal::StopNow));
            self.close(key);
        }
        if self.members.is_empty() {
            cx.exit();
        }
    }

    /// It cannot go on.
    fn fail(&mut self, cx: &mut Cx, error: Error) {
        if self.failed.is_none() {
            self.failed = Some(error);
        }
        self.stop.request(cx.now());
        Systemd::stopping();
        self.leave(cx);
    }

    /// Whether the processes are to hurry.
    fn is_urgent(&self) -> bool {
        match self.stop.state() {
            State::Running | State::Draining { retiring: true, .. } => false,
            State::Draining { retiring: false, .. } | State::Now => true,
        }
    }

    fn keys(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.key).collect()
    }

    /// Tells whoever waits to hear that all is served, once it is.
    fn report(&mut self) {
        let waits = |member: &&Member| !member.is_settled && !member.is_leaving;
        if self.stop.is_requested() || self.members.iter().any(|member| waits(&member)) {
            return;
        }
        if self.inherited.is_upgrade() {
            info!("taking over from the old binary");
        }
        for member in &mut self.members {
            let listener = member.listener.iter_mut().map(|it| (it, member.spec.access));
            let control = member.control.iter_mut().map(|it| (it, Access::PRIVATE));
            for (listener, access) in listener.chain(control) {
                if listener.is_lent()
                    && let Err(error) = listener.give_to(member.user.as_ref(), access)
                {
                    warn!(listener = %listener.address(), "{error}");
                }
                listener.adopt();
            }
        }
        self.inherited.ready();
        self.is_served = true;
        let looping = self.members.iter().filter(|member| member.is_looping).count();
        let serving = self.members.iter().filter(|member| !member.is_leaving).count() - looping;
        self.systemd.ready(serving, looping);
    }
}

/// Says why the configuration was not taken.
fn refuse(errors: &[String]) {
    for error in errors {
        error!("{error}");
    }
    error!("not reloaded: everything goes on as before");
}
