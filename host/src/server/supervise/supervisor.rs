//! The supervisor, as the state of its event loop: it does what the core decides.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};
use windlass_core::pool::processes::{Action, Event, Exit, Notice, Signal, WorkerId};
use windlass_core::time::Instant;

use super::child;
use super::hooks::Hooks;
use super::listener::{Key, Notes, SLACK_US, Supervised};
use super::log_writer::LogWriter;
use super::probes::{Probe, Probes};
use super::reader::Reader;
use super::systemd::Systemd;
use super::upgrade::Upgrade;
use crate::drive::{Incident, Left};
use crate::error::{Error, Result};
use crate::reactor::{Context, EventLoop, Token};
use crate::server::children::{
    Crew, Parent, ParentState, Process, Report, fail, handle, run, spawn,
};
use crate::server::spec::{Opened, Spec};
use crate::server::stop::{State, Stop};
use crate::sys::handover::Inherited;
use crate::sys::listener::{Access, Listener};
use crate::sys::pidfd::PidFd;
use crate::sys::program::Program;
use crate::sys::shared::Flag;
use crate::sys::{clock, pidfd};
use crate::totals::Count;

/// The supervisor.
pub(super) struct Supervisor {
    pub(super) state: ParentState,
    pub(super) listeners: Vec<Supervised>,
    next_key: Key,
    pub(super) hooks: Hooks,
    pub(super) systemd: Systemd,
    pub(super) inherited: Inherited,
    pub(super) upgrade: Upgrade,
    /// The old binary, for as long as it has clients.
    pub(super) predecessor: Option<Rc<PidFd>>,
    pub(super) reader: Option<Reader>,
    pub(super) log_writers: Vec<LogWriter>,
    pub(super) probes: Probes<Probe>,
    /// Takes samples for the monitor.
    pub(super) sampler: Option<Token>,
    /// The next binary serves.
    pub(super) is_replaced: Rc<Cell<bool>>,
    pub(super) stop_delay_us: u64,
    /// Fires when that is over.
    delay: Token,
    pub(super) started: Instant,
    /// When that was, in microseconds since 1970.
    pub(super) started_us: u64,
    /// All listeners were ready at some time.
    is_served: bool,
}

pub(super) type Cx = Context<Supervisor>;

/// How often the accept queue of a listener that is about to be closed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a supervisor is to do.
pub struct Task {
    /// The listeners.
    pub listeners: Vec<Opened>,
    /// Where it tells how they are.
    pub probes: Probes<Probe>,
    /// How long it says that it stops before it does, in microseconds.
    pub stop_delay_us: u64,
}

/// Serves all listeners of `task`, each in a process of its own, until `stop` is asked for. `inherited` is told
/// when all of them are served.
///
/// # Errors
/// It cannot go on, or cannot say where it listens. That a process ends is no error: another is started.
pub fn serve(
    task: Task,
    stop: Stop,
    inherited: Inherited,
    program: Program,
    hooks: Hooks,
) -> Result<()> {
    let Task { listeners, probes, stop_delay_us } = task;
    let mut events = EventLoop::new()?;
    let mut supervisor = Supervisor {
        state: ParentState::new(&mut events, stop, true)?,
        listeners: Vec::new(),
        next_key: 0,
        hooks,
        systemd: Systemd::default(),
        inherited,
        upgrade: Upgrade::of(program),
        predecessor: None,
        reader: None,
        log_writers: Vec::new(),
        probes,
        sampler: None,
        is_replaced: Rc::default(),
        stop_delay_us,
        delay: events.timer(Supervisor::leave),
        started: events.now(),
        started_us: clock::calendar().as_nanos() / 1000,
        is_served: false,
    };
    // The old binary answers there until this one serves.
    if !supervisor.inherited.is_upgrade() {
        supervisor.answer_probes(&mut events)?;
    }
    if let Some(every) = Systemd::watchdog() {
        // The loop sends it, so the service manager notices when the loop hangs.
        events.every(every / 2, |this: &mut Supervisor, _| this.systemd.alive());
    }
    supervisor.agree(&listeners.iter().map(|opened| &opened.spec));
    for opened in listeners {
        supervisor.add(&mut events, opened)?;
    }
    run(events, supervisor)
}

impl Parent for Supervisor {
    type Key = Key;
    type Notes = Notes;

    fn state(&self) -> &ParentState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut ParentState {
        &mut self.state
    }

    fn crew(&mut self, key: Key) -> Option<&mut Crew<Notes>> {
        self.get_mut(key).map(|listener| &mut listener.crew)
    }

    fn is_own_child(&self, pid: i32) -> bool {
        self.upgrade.is(pid)
            || self.log_writers.iter().any(|it| it.is(pid))
            || self.reader.as_ref().is_some_and(|reader| reader.child.pid() == pid)
            || self
                .listeners
                .iter()
                .any(|listener| listener.crew.iter().any(|it| it.child.pid() == pid))
    }

    fn perform(&mut self, cx: &mut Cx, key: Key, action: Action, now: Instant) {
        let urgent = self.is_urgent();
        let Some(listener) = self.get_mut(key) else { return };
        match action {
            Action::Spawn { worker, generation } => {
                if let Err(error) = self.start(cx, key, worker, generation) {
                    debug!("{error}");
                    if let Some(crew) = self.crew(key) {
                        crew.pool.handle(Event::SpawnFailed(worker), now);
                    }
                }
            }
            Action::Quit(worker) => {
                if let Some(process) = listener.crew.get(worker) {
                    process.notes.is_asked = true;
                    if urgent { process.child.terminate() } else { process.child.retire() }
                }
            }
            Action::Kill(worker) => {
                let name = listener.name();
                if let Some(process) = listener.crew.get(worker) {
                    warn!(listener = %name, pid = process.child.pid(), "its process is killed");
                    process.child.kill();
                }
            }
            Action::Notice(notice) => {
                listener.log(notice);
                if !matches!(notice, Notice::Reloaded { .. }) {
                    self.report(cx);
                }
            }
            Action::Exit => {
                cx.remove(listener.crew.timer);
                if let Some(answers) = listener.answers.take() {
                    cx.remove(answers);
                }
                self.listeners.retain(|listener| listener.key != key);
                self.know_logs(cx);
                if self.state.stop.is_requested() {
                    self.exit_if_alone(cx);
                }
            }
            // A pool of one has no connections, and the supervisor does not accept.
            Action::Listen(_) | Action::Pass { .. } | Action::Inspect(_) | Action::Close { .. } => {
            }
        }
    }

    fn heard(&mut self, cx: &mut Cx, key: Key, id: WorkerId, report: Report) {
        match report {
            Report::Ready => {}
            Report::Done(_) | Report::Returned(_) | Report::Retiring | Report::Repeating => return,
        }
        handle(self, cx, key, Event::Ready(id));
        let Some(at) = self.listeners.iter().position(|listener| listener.key == key) else {
            return;
        };
        let listener = &mut self.listeners[at];
        // A process that has ended since serves no client.
        let Some(process) = listener.crew.get(id) else { return };
        let (pid, generation) = (process.child.pid(), process.notes.generation);
        if listener.ready(generation, pid)
            && let Some(socket) = &listener.listener
            && let Err(error) = (self.hooks.announce)(&listener.spec, socket.address(), pid)
        {
            // The program that read the lines may have ended since the start.
            if !self.is_served && !self.inherited.is_upgrade() {
                return fail(self, cx, error);
            }
            warn!("{error}");
        }
        self.report(cx);
    }

    fn ended(&mut self, cx: &mut Cx, key: Key, process: Process<Notes>, exit: pidfd::Exit) {
        let Some(listener) = self.get(key) else { return };
        let left = if exit.is_success() { Left::Stopped } else { Left::Lost };
        listener.ledger.settle(process.child.pid(), left);
        if listener.crew.iter().next().is_none() {
            // The children that it had were killed when it ended.
            listener.ledger.settle_rest(left);
        }
        if !listener.is_leaving && !process.notes.is_asked {
            let pid = process.child.pid();
            warn!(listener = %listener.name(), pid, "its process {exit}");
            listener.ledger.add(Count::Crashed, 1);
            listener.ledger.remember(&Incident::of_process(Count::Crashed, cx.now(), pid, exit));
        }
        let exit = if exit.is_success() { Exit::Clean } else { Exit::Crash };
        handle(self, cx, key, Event::Exited { worker: process.id, exit });
    }

    fn stop(&mut self, cx: &mut Cx, before: State) {
        self.systemd.stopping();
        self.upgrade.call_off();
        self.stop_predecessor();
        // What was never ready has no clients. Another signal ends the delay.
        if before == State::Running && self.is_served && self.stop_delay_us > 0 {
            info!(delay_ms = self.stop_delay_us / 1000, "for this time clients are still taken");
            let all = self.listeners.iter().flat_map(|listener| listener.crew.iter());
            all.filter_map(|it| it.notes.ending.as_ref()).for_each(|ending| ending.set());
            self.state.stop.extend(self.stop_delay_us);
            cx.arm_at(self.delay, cx.now().after(self.stop_delay_us));
        } else {
            cx.disarm(self.delay);
            self.leave(cx);
        }
    }

    fn stop_now(&mut self, cx: &mut Cx) {
        for key in self.keys() {
            handle(self, cx, key, Event::Signal(Signal::StopNow));
            self.close(key);
        }
        self.exit_if_alone(cx);
    }

    fn reload(&mut self, cx: &mut Cx) {
        self.reload_all(cx);
    }

    fn upgrade(&mut self, cx: &mut Cx) {
        self.start_upgrade(cx);
    }
}

impl Supervisor {
    /// Adds a listener, and starts its process.
    pub(super) fn add(&mut self, cx: &mut Cx, opened: Opened) -> Result<()> {
        let key = self.next_key;
        let timer = cx.timer(move |this: &mut Self, cx| handle(this, cx, key, Event::Tick));
        self.listeners.push(Supervised::new(key, opened, timer, cx.now())?);
        self.next_key += 1;
        self.answer(cx, key)?;
        self.know_logs(cx);
        handle(self, cx, key, Event::Tick);
        Ok(())
    }

    pub(super) fn get(&self, key: Key) -> Option<&Supervised> {
        self.listeners.iter().find(|listener| listener.key == key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Supervised> {
        self.listeners.iter_mut().find(|listener| listener.key == key)
    }

    fn start(&mut self, cx: &mut Cx, key: Key, id: WorkerId, generation: u32) -> Result<()> {
        let Some(it) = self.get(key) else { return Ok(()) };
        let Some(listener) = &it.listener else {
            return Err(Error::new("start a process for", &it.spec.address, "it was closed"));
        };
        let listener = listener.share()?;
        let control = it.control.as_ref().filter(|_| it.spec.model.is_pool());
        let control = control.map(Listener::share).transpose()?;
        let ledger = Arc::clone(&it.ledger);
        let is_stopping = self.state.stop.is_requested();
        let announces = it.offer.announces_ends();
        // Without memory for it, connections end without notice.
        let ending = announces.then(|| Flag::new().ok().map(Arc::new)).flatten();
        ending.iter().filter(|_| is_stopping).for_each(|ending| ending.set());
        let child = (id, Notes { generation, is_asked: false, ending: ending.clone() });
        let parent = std::process::id();
        spawn(self, cx, key, child, move |this, channel| {
            this.get(key).map_or(1, |it| {
                let own = child::Own { listener, control, ledger, ending, user: it.user.as_ref() };
                child::live(&it.spec, &it.offer, own, channel, parent)
            })
        })?;
        if let Some(it) = self.get(key) {
            debug!(listener = %it.name(), generation, "a process was started");
        }
        Ok(())
    }

    /// The supervisor has as long to stop as the listener that has longest.
    pub(super) fn agree<'a>(&mut self, specs: &(impl Iterator<Item = &'a Spec> + Clone)) {
        let longest = |of: fn(&Spec) -> u64| specs.clone().map(of).max().unwrap_or(0);
        self.state.stop.set_grace(longest(|spec| spec.grace_us), longest(|spec| spec.drain_us));
    }

    /// Ends every process as the stop says: when it begins, and when it is to be faster than that.
    pub(super) fn leave(&mut self, cx: &mut Cx) {
        if self.state.stop.is_over(cx.now(), 1, 0) {
            self.stop_now(cx);
            return;
        }
        for key in self.keys() {
            self.remove(cx, key);
        }
        self.state.set_deadline(cx, SLACK_US);
        self.exit_if_alone(cx);
    }

    /// Closes a listener and asks its processes to end, once its last clients are accepted.
    pub(super) fn remove(&mut self, cx: &mut Cx, key: Key) {
        let urgent = self.is_urgent();
        let Some(listener) = self.get_mut(key) else { return };
        listener.is_leaving = true;
        if listener.has_last_clients(cx.now()) {
            cx.after(LOOK_EVERY, move |this: &mut Self, cx| this.remove(cx, key));
            return;
        }
        if urgent {
            // Processes that were asked to end when their connections do are to hurry.
            let asked = listener.crew.iter().filter(|process| process.notes.is_asked);
            asked.for_each(|process| process.child.terminate());
        }
        if !std::mem::replace(&mut listener.is_asked, true) {
            handle(self, cx, key, Event::Signal(Signal::Stop));
        }
        // After they were asked: a process that finds its socket shut down without that takes it for a fault.
        self.close(key);
    }

    /// Closes the socket of a listener: from now on no client can connect.
    fn close(&mut self, key: Key) {
        if let Some(socket) = self.get_mut(key).and_then(|listener| listener.listener.take()) {
            socket.close_everywhere();
        }
    }

    /// Whether processes are to end within their grace, and not when their connections do.
    fn is_urgent(&self) -> bool {
        match self.state.stop.state() {
            State::Running | State::Draining { retiring: true, .. } => false,
            State::Draining { retiring: false, .. } | State::Now => true,
        }
    }

    fn keys(&self) -> Vec<Key> {
        self.listeners.iter().map(|listener| listener.key).collect()
    }

    pub(super) fn exit_if_alone(&self, cx: &mut Cx) {
        if self.listeners.is_empty() && self.predecessor.is_none() {
            cx.exit();
        }
    }

    /// Once all listeners are served, tells the old binary and the service manager so.
    pub(super) fn report(&mut self, cx: &mut Cx) {
        let waits = |it: &Supervised| !it.is_settled && !it.is_leaving;
        if self.state.stop.is_requested() || self.listeners.iter().any(waits) {
            return;
        }
        if self.inherited.is_upgrade() {
            info!("taking over from the old binary");
        }
        for it in &mut self.listeners {
            let listener = it.listener.iter_mut().map(|socket| (socket, it.spec.access));
            let control = it.control.iter_mut().map(|socket| (socket, Access::PRIVATE));
            for (socket, access) in listener.chain(control) {
                if socket.is_of_old_binary()
                    && let Err(error) = socket.give_to(it.user.as_ref(), access)
                {
                    warn!(listener = %socket.address(), "{error}");
                }
                socket.adopt();
            }
        }
        self.probes
            .as_mut()
            .into_iter()
            .filter_map(|it| it.socket.as_mut())
            .for_each(Listener::adopt);
        if let Err(error) = self.answer_probes(cx) {
            error!("{error}");
        }
        if let Some(old) = self.inherited.ready() {
            self.follow(cx, old);
        }
        self.is_served = true;
        let looping = self.listeners.iter().filter(|it| it.is_looping).count();
        let serving = self.listeners.iter().filter(|it| !it.is_leaving).count() - looping;
        self.systemd.ready(serving, looping);
    }
}

/// Says why the configuration was not taken.
pub(super) fn refuse(errors: &[String]) {
    for error in errors {
        error!("{error}");
    }
    error!("not reloaded: everything goes on as before");
}
