//! A listener in the supervisor's eyes: what is configured, what was decided, and its processes.

use std::path::Path;
use std::rc::Rc;

use tracing::{debug, error, info, warn};
use windlass_core::pool::supervisor::{
    Action, Event, Exit, Notice, Policy, PolicyError, Signal, Supervisor as Decider, Worker as Id,
};
use windlass_core::time::{Instant, Wake};

use super::child::Own;
use super::reload::Change;
use super::{Cx, SLACK_US, Supervisor, child};
use crate::error::{Error, Result};
use crate::reactor::{Token, Watch};
use crate::server::Offer;
use crate::server::spec::{Opened, Spec};
use crate::sys::handover::has_said_ready;
use crate::sys::listener::Listener;
use crate::sys::pass::Channel;
use crate::sys::pidfd;
use crate::sys::process::{self, Child, Forked};
use crate::sys::user::User;

/// Processes of one listener at a time: one that serves, one that is to replace it, and those that were
/// replaced and still have connections. With that many a reload waits for the first of them to end.
const SLOTS: usize = 8;

/// A listener.
pub(super) struct Member {
    /// Its name for as long as the supervisor lives.
    pub(super) key: u32,
    pub(super) spec: Spec,
    offer: Offer,
    /// Where its processes tell their state.
    pub(super) control: Option<Listener>,
    pub(super) user: Option<User>,
    /// None once nobody is to connect any more.
    pub(super) listener: Option<Listener>,
    decider: Box<Decider<SLOTS, 1>>,
    processes: Vec<Process>,
    /// Rings when the decider wants to be told the time.
    timer: Token,
    is_announced: bool,
    /// The process of the newest configuration is ready, or there is no hope for it.
    pub(super) is_settled: bool,
    /// Its processes keep dying.
    pub(super) is_looping: bool,
    /// It ends when its processes have.
    pub(super) is_leaving: bool,
}

/// A process that serves a listener, or is about to.
struct Process {
    id: Id,
    generation: u32,
    child: Child,
    channel: Rc<Channel>,
    channel_source: Token,
    /// It was asked to end.
    is_asked: bool,
}

impl Member {
    /// As a log calls it.
    pub(super) fn name(&self) -> String {
        let address = self.listener.as_ref().map_or(&self.spec.address, Listener::address);
        format!("{} {address}", self.spec.service.name())
    }

    fn generation(&self) -> u32 {
        self.decider.generation()
    }

    fn process(&self, id: Id) -> Option<&Process> {
        self.processes.iter().find(|process| process.id == id)
    }

    /// Takes a configuration that differs: a process with it is started, and replaces the one that is
    /// there when it is ready.
    pub(super) fn change(&mut self, change: Change) {
        let Change { spec, offer, user, control, .. } = change;
        if let Some(listener) = &self.listener
            && spec.backlog != self.spec.backlog
            && let Err(error) = listener.set_backlog(spec.backlog)
        {
            error!(listener = %self.name(), "{error}");
        }
        let (drain_us, grace_us) = patience(&spec);
        self.decider.set_patience(drain_us, grace_us);
        (self.spec, self.offer, self.user, self.control) = (spec, offer, user, control);
        self.is_settled = false;
    }

    /// Whether that is one of its processes.
    pub(super) fn has(&self, pid: i32) -> bool {
        self.processes.iter().any(|process| process.child.pid() == pid)
    }

    /// Whether its control socket is the one at `path`.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.control.is_some() && self.spec.control.as_deref() == Some(path)
    }

    /// Says so when there is no room for a process of the newest configuration.
    pub(super) fn warn_if_full(&self) {
        let newest = self.generation();
        if self.processes.len() >= SLOTS && self.processes.iter().all(|it| it.generation != newest)
        {
            let (name, count) = (self.name(), self.processes.len());
            warn!(listener = %name, "it is served as before until one of its {count} processes has drained");
        }
    }

    pub(super) fn hang_up(&self) {
        self.processes.iter().for_each(|process| process.child.hang_up());
    }
}

/// After which time a process that was replaced is killed, and one that was stopped: it ends by itself
/// before. That the supervisor stops is timed by itself.
fn patience(spec: &Spec) -> (u64, u64) {
    let [drain, grace] = [spec.drain_us, spec.grace_us].map(|us| us.saturating_add(SLACK_US));
    (drain, drain.max(grace))
}

impl Supervisor {
    /// One listener more.
    pub(super) fn add(&mut self, cx: &mut Cx, opened: Opened) -> Result<()> {
        let Opened { spec, offer, listener, control, user } = opened;
        let (drain_us, grace_us) = patience(&spec);
        // A surge of all slots but one: those that were replaced and still drain count as well.
        let policy = Policy { surge: SLOTS as u16 - 1, drain_us, grace_us, ..Policy::fixed(1) };
        let decider = Decider::new(policy, cx.now())
            .map_err(|error: PolicyError| Error::new("supervise", &spec.address, error))?;
        let key = self.next_key;
        self.next_key += 1;
        let timer = cx.timer(move |this: &mut Self, cx| this.tell(cx, key, Event::Tick));
        self.members.push(Member {
            key,
            spec,
            offer,
            control,
            user,
            listener: Some(listener),
            decider: Box::new(decider),
            processes: Vec::new(),
            timer,
            is_announced: false,
            is_settled: false,
            is_looping: false,
            is_leaving: false,
        });
        self.tell(cx, key, Event::Tick);
        Ok(())
    }

    /// Asks the processes of a listener to end, and lets nobody connect any more.
    pub(super) fn let_go(&mut self, cx: &mut Cx, key: u32) {
        let urgent = self.is_urgent();
        let Some(member) = self.member(key) else { return };
        if urgent {
            // In place of their own good time.
            let asked = member.processes.iter().filter(|process| process.is_asked);
            asked.for_each(|process| process.child.terminate());
        }
        if !std::mem::replace(&mut member.is_leaving, true) {
            self.tell(cx, key, Event::Signal(Signal::Stop));
        }
        // When they have been told: to find it shut down would be news to them.
        self.close(key);
    }

    /// Nobody connects to it any more.
    pub(super) fn close(&mut self, key: u32) {
        if let Some(listener) = self.member(key).and_then(|member| member.listener.take()) {
            listener.close_everywhere();
        }
    }

    fn member(&mut self, key: u32) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.key == key)
    }

    /// Something happened.
    pub(super) fn tell(&mut self, cx: &mut Cx, key: u32, event: Event) {
        let now = cx.now();
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        self.members[at].decider.handle(event, now);
        while let Some(action) = self.members[at].decider.poll_action(now) {
            if action == Action::Exit {
                let member = self.members.remove(at);
                cx.remove(member.timer);
                if self.stop.is_requested() && self.members.is_empty() {
                    cx.exit();
                }
                return;
            }
            self.act(cx, at, action, now);
        }
        let member = &self.members[at];
        match member.decider.wake() {
            Wake::Now => cx.arm_at(member.timer, now),
            Wake::At(at) => cx.arm_at(member.timer, at),
            Wake::Never => cx.disarm(member.timer),
        }
    }

    fn act(&mut self, cx: &mut Cx, at: usize, action: Action, now: Instant) {
        let urgent = self.is_urgent();
        match action {
            Action::Spawn { worker, generation } => {
                if let Err(error) = self.spawn(cx, at, worker, generation) {
                    debug!("{error}");
                    self.members[at].decider.handle(Event::SpawnFailed(worker), now);
                }
            }
            Action::Quit(worker) => {
                let mut processes = self.members[at].processes.iter_mut();
                if let Some(process) = processes.find(|process| process.id == worker) {
                    process.is_asked = true;
                    if urgent { process.child.terminate() } else { process.child.retire() }
                }
            }
            Action::Kill(worker) => {
                if let Some(process) = self.members[at].process(worker) {
                    let name = self.members[at].name();
                    warn!(listener = %name, pid = process.child.pid(), "its process is killed");
                    process.child.kill();
                }
            }
            Action::Notice(notice) => self.log(at, notice),
            // It has no connections, and listens to nobody; its end is dealt with by whoever asked.
            Action::Listen(_)
            | Action::Pass { .. }
            | Action::Inspect(_)
            | Action::Close { .. }
            | Action::Exit => {}
        }
    }

    fn log(&mut self, at: usize, notice: Notice) {
        let member = &mut self.members[at];
        let name = member.name();
        match notice {
            Notice::CrashLoop => {
                error!(listener = %name, "its process keeps dying young: one start a second from now on");
                (member.is_looping, member.is_settled) = (true, true);
            }
            Notice::Recovered => {
                info!(listener = %name, "its process lives again");
                member.is_looping = false;
            }
            Notice::SpawnsFail => {
                error!(listener = %name, "its process cannot be started: trying more and more slowly");
            }
            Notice::SpawnsWork => info!(listener = %name, "its process can be started again"),
            Notice::Reloaded { .. } => return info!(listener = %name, "its process was replaced"),
        }
        self.report();
    }

    /// Starts a process.
    fn spawn(&mut self, cx: &mut Cx, at: usize, id: Id, generation: u32) -> Result<()> {
        let member = &self.members[at];
        let key = member.key;
        let Some(listener) = &member.listener else {
            return Err(Error::new("start a process for", &member.spec.address, "it was closed"));
        };
        let listener = listener.share()?;
        let control = member.control.as_ref().map(Listener::share).transpose()?;
        let (channel, theirs) = Channel::pair().map_err(Error::of("open", "a channel"))?;
        let forked = process::fork(&self.alone);
        let child = match forked.map_err(Error::of("start a process for", listener.address()))? {
            Forked::Child => {
                process::exit({
                    let own = Own { listener, control, user: member.user.as_ref() };
                    child::live(&member.spec, &member.offer, own, theirs, self.pid)
                });
            }
            Forked::Parent(child) => child,
        };
        drop((listener, control, theirs));
        let channel = Rc::new(channel);
        let watched = Self::watch(cx, key, id, child, &channel);
        if watched.is_err() {
            child.kill();
            child.reap();
        }
        let channel_source = watched?;
        debug!(listener = %member.name(), pid = child.pid(), generation, "a process was started");
        let process = Process { id, generation, child, channel, channel_source, is_asked: false };
        self.members[at].processes.push(process);
        Ok(())
    }

    fn watch(cx: &mut Cx, key: u32, id: Id, child: Child, channel: &Rc<Channel>) -> Result<Token> {
        let source = cx.add(Rc::clone(channel), Watch::READ, move |channel, this, cx, _| {
            if this.hear(cx, key, id, channel) {
                // That was all; its end is told by its exit.
                cx.remove(cx.current());
            }
        })?;
        let exit =
            cx.child(child.pid(), move |this: &mut Self, cx, exit| this.bury(cx, key, id, exit));
        if exit.is_err() {
            cx.remove(source);
        }
        exit.map(|_| source)
    }

    /// Hears whether a process is ready. False when it has said nothing yet.
    fn hear(&mut self, cx: &mut Cx, key: u32, id: Id, channel: &Channel) -> bool {
        let said = has_said_ready(channel);
        if said == Some(true) {
            self.is_ready(cx, key, id);
        }
        said.is_some()
    }

    fn is_ready(&mut self, cx: &mut Cx, key: u32, id: Id) {
        self.tell(cx, key, Event::Ready(id));
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        let member = &mut self.members[at];
        let Some(process) = member.processes.iter().find(|process| process.id == id) else {
            return;
        };
        let (pid, newest) = (process.child.pid(), process.generation == member.generation());
        member.is_settled |= newest;
        if let Some(listener) = &member.listener {
            if std::mem::replace(&mut member.is_announced, true) {
                info!(listener = %member.name(), pid, "it is served by a new process");
            } else {
                let told = (self.hooks.announce)(&member.spec, listener.address(), pid);
                if let Err(error) = told {
                    // Who read the lines may have left since the start.
                    if !self.is_served && !self.inherited.is_upgrade() {
                        return self.fail(cx, error);
                    }
                    warn!("{error}");
                }
            }
        }
        self.report();
    }

    /// A process has ended.
    fn bury(&mut self, cx: &mut Cx, key: u32, id: Id, exit: pidfd::Exit) {
        let Some(member) = self.member(key) else { return };
        let Some(place) = member.processes.iter().position(|process| process.id == id) else {
            return;
        };
        // What it said before it died counts.
        let channel = Rc::clone(&member.processes[place].channel);
        self.hear(cx, key, id, &channel);
        let Some(member) = self.member(key) else { return };
        let Some(place) = member.processes.iter().position(|process| process.id == id) else {
            return;
        };
        let process = member.processes.remove(place);
        cx.remove(process.channel_source);
        let asked = member.is_leaving || process.is_asked;
        if !asked {
            warn!(listener = %member.name(), pid = process.child.pid(), "its process {exit}");
        }
        let exit = if exit.is_success() { Exit::Clean } else { Exit::Crash };
        self.tell(cx, key, Event::Exited { worker: id, exit });
        self.reap_strangers();
    }
}
