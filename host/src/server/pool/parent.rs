//! The parent of a pool: it tells the core what happened, and does what the core decides.
//!
//! ```text
//!   listener ─┐                                  ┌─▶ fork, kill
//!   workers ──┼─▶ event loop ─▶ core: decides ───┼─▶ pass a descriptor, close the copy
//!   children ─┤   (children/)   (Processes)      ├─▶ watch the listener or not
//!   signals ──┘                                  └─▶ log, exit
//! ```

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};
use windlass_core::pool::processes::{
    Action, Conn, End, Event, Exit, Listen, Pass, Policy, Signal, State as SlotState, Trace,
    WorkerId,
};
use windlass_core::pool::scoreboard::Activity;
use windlass_core::stream::Write;
use windlass_core::time::Instant;

#[cfg(feature = "status")]
use super::document;
use super::document::About;
use super::history::History;
use super::notes::Notes;
use super::queue::QueueWatch;
use super::setup::{Shared, Terms};
use super::worker::{NO_RESOURCES, Worker};
use crate::drive::{AccessLog, Client, Incident, Ledger, Party};
use crate::error::Result;
use crate::reactor::{Context, EventLoop, Token, Watch};
use crate::role;
use crate::server::children::{
    Crew, Order, Parent, ParentState, Process, Report, fail, handle, run as run_loop, spawn,
};
use crate::server::confine::Sandbox;
#[cfg(feature = "status")]
use crate::server::control;
use crate::server::ready::WhenReady;
use crate::server::stop::State;
#[cfg(feature = "status")]
use crate::status::Status;
use crate::sys::pass::Channel;
use crate::sys::root::Root;
use crate::sys::{self, Errno, clock, pidfd, process};
use crate::totals::Count;

/// The parent of a pool, as the state of its event loop.
pub(in crate::server) struct PoolParent {
    state: ParentState,
    crew: Crew<Notes>,
    /// The parent's copies of connections, by place.
    copies: Box<[Option<Client>]>,
    /// The listener of a static pool, which is armed while the core says so.
    pub(in crate::server) listener: Option<Token>,
    /// The accept queue of a static pool.
    pub(in crate::server) queue: Option<QueueWatch>,
    /// The control socket.
    control: Option<Token>,
    about: About,
    history: History,
    root: Option<Arc<Root>>,
    ledger: Option<Arc<Ledger>>,
    log: Option<Arc<AccessLog>>,
    shared: Option<Shared>,
    sandbox: Sandbox,
    when_ready: WhenReady,
    /// The life of a worker; returns its exit status.
    work: Box<dyn Fn(Worker) -> i32>,
}

type Cx = Context<PoolParent>;

/// How often the parent looks at the scoreboard when no worker rings the bell.
pub(in crate::server) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks in a row, under a load that never stands still. The limits of the bell are set by then.
const LOOKS_MAX: usize = 4;

/// Runs a pool until it is over. A worker does `work`, and exits with the status that it returns. `prepare`
/// adds the model's own sources.
pub(in crate::server) fn run(
    terms: Terms,
    policy: Policy,
    work: impl Fn(Worker) -> i32 + 'static,
    prepare: impl FnOnce(&mut EventLoop<PoolParent>, &mut PoolParent) -> Result<()>,
) -> Result<()> {
    let Terms { about, stop, sandbox, when_ready, root, ledger, log, shared } = terms;
    let policy = Policy { grace_us: stop.longest_us(), ..policy };
    let mut events = EventLoop::new()?;
    let timer = events.timer(|parent, cx| handle(parent, cx, (), Event::Tick));
    let mut parent = PoolParent {
        state: ParentState::new(&mut events, stop, false)?,
        crew: Crew::new(policy, timer, clock::now())?,
        copies: (0..policy.conns()).map(|_| None).collect(),
        listener: None,
        queue: None,
        control: None,
        about,
        history: History::new(ledger.clone()),
        root,
        ledger,
        log,
        shared,
        sandbox,
        when_ready,
        work: Box::new(work),
    };
    if let Some(shared) = &parent.shared {
        events.add(
            Rc::clone(&shared.board),
            Watch::READ,
            |board, parent: &mut PoolParent, cx, _| {
                board.silence();
                parent.look(cx);
            },
        )?;
        events.every(LOOK_EVERY, PoolParent::look);
    }
    #[cfg(feature = "status")]
    if let Some(listener) = parent.about.control.take() {
        parent.control = Some(control::listen(&mut events, listener, PoolParent::status)?);
    }
    prepare(&mut events, &mut parent)?;
    handle(&mut parent, &mut events, (), Event::Tick);
    // Sets the limits of the bell: from the first client on it has to ring.
    parent.look(&mut events);
    run_loop(events, parent)
}

impl Parent for PoolParent {
    type Key = ();
    type Notes = Notes;

    fn state(&self) -> &ParentState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut ParentState {
        &mut self.state
    }

    fn crew(&mut self, (): ()) -> Option<&mut Crew<Notes>> {
        Some(&mut self.crew)
    }

    fn is_own_child(&self, pid: i32) -> bool {
        self.crew.iter().any(|worker| worker.child.pid() == pid)
    }

    fn perform(&mut self, cx: &mut Cx, (): (), action: Action, now: Instant) {
        if let Action::Kill(worker) = action
            && let Some(process) = self.crew.get(worker).filter(|it| it.notes.only_repeats)
        {
            // Its clients have all that they asked for.
            return process.child.kill();
        }
        self.history.note(&action);
        match action {
            Action::Spawn { worker, generation } => {
                if let Err(error) = self.start(cx, worker) {
                    debug!(slot = worker.slot, generation, "{error}");
                    self.history.count(Count::FailedSpawns);
                    let (kind, party) = (Count::FailedSpawns, Party::Unknown);
                    self.history.remember(&Incident { kind, at: now, party, took_us: 0 });
                    self.history.spawn_error = Some(error);
                    self.crew.pool.handle(Event::SpawnFailed(worker), now);
                }
            }
            Action::Quit(worker) => {
                if let Some(process) = self.crew.get(worker) {
                    process.notes.mark(0, now);
                    // One of the two reaches it, whether it waits for an order or for a client.
                    let order = Order::to_end(self.state.stop.is_requested());
                    let _ = process.channel.send(&order.to_bytes(), None);
                    process.child.terminate();
                }
            }
            Action::Kill(worker) => {
                if let Some(process) = self.crew.get(worker) {
                    process.notes.mark(0, now);
                    let pid = process.child.pid();
                    warn!(pid, "a worker is killed");
                    process.child.kill();
                    let exit = pidfd::Exit::Killed(sys::Signal::SIGKILL);
                    self.history.remember(&Incident::of_process(Count::Killed, now, pid, exit));
                }
            }
            Action::Pass { worker, conn, again } => {
                if again {
                    info!(
                        slot = worker.slot,
                        "a connection that its worker did not touch is served again"
                    );
                }
                let pass = self.pass(worker, conn, now);
                self.crew.pool.handle(Event::Passed { worker, conn, pass }, now);
            }
            Action::Inspect(conn) => {
                let copy = self.copies[usize::from(conn.index)].as_ref();
                let untouched = copy.is_some_and(Client::is_untouched);
                let trace = if untouched { Trace::Untouched } else { Trace::Touched };
                self.crew.pool.handle(Event::Inspected { conn, trace }, now);
            }
            Action::Close { conn, end } => {
                let client = self.copies[usize::from(conn.index)].take();
                let kind = match end {
                    End::Served => return,
                    End::Lost => {
                        warn!("a connection was lost with its worker");
                        Count::Lost
                    }
                    End::Shed(why) => {
                        warn!("a connection was closed unserved: {why}");
                        Count::Shed
                    }
                };
                let address = client.as_ref().and_then(Client::address);
                self.history.remember(&Incident::of_client(kind, now, address, 0));
            }
            Action::Listen(listen) => self.listen(cx, listen),
            Action::Notice(notice) => self.history.log(notice),
            Action::Exit => cx.exit(),
        }
    }

    fn heard(&mut self, cx: &mut Cx, (): (), id: WorkerId, report: Report) {
        let (event, finished) = match report {
            Report::Ready => (Event::Ready(id), Some(0)),
            Report::Done(conn) => (Event::Done { worker: id, conn }, Some(1)),
            Report::Returned(conn) => (Event::Returned { worker: id, conn }, None),
            Report::Retiring => (Event::Retiring(id), None),
            Report::Repeating => {
                self.crew.get(id).iter_mut().for_each(|it| it.notes.only_repeats = true);
                return self.end_those_that_repeat();
            }
        };
        if let (Some(finished), Some(process)) = (finished, self.crew.get(id)) {
            process.notes.mark(finished, cx.now());
        }
        handle(self, cx, (), event);
        if report == Report::Ready
            && let Err(error) = self.when_ready.come()
        {
            fail(self, cx, error);
        }
    }

    fn ended(&mut self, cx: &mut Cx, (): (), mut process: Process<Notes>, exit: pidfd::Exit) {
        let Process { id, child, .. } = process;
        self.take_off_board(&mut process, cx.now());
        // A connection that was passed is the parent's still: the core decides what becomes of it.
        self.history.settle(child.pid(), self.shared.is_none());
        let is_stopping = self.state.stop.is_requested();
        let how = match exit {
            pidfd::Exit::Code(0) => Exit::Clean,
            pidfd::Exit::Code(NO_RESOURCES) => Exit::Resource,
            pidfd::Exit::Code(_)
            | pidfd::Exit::Killed(_)
            | pidfd::Exit::KilledByRealTime(_)
            | pidfd::Exit::Unknown => {
                if !is_stopping {
                    warn!(pid = child.pid(), slot = id.slot, "a worker {exit}");
                }
                Exit::Crash
            }
        };
        // A worker that was killed is counted already, and a worker that was asked to end may end.
        let expected = match self.crew.pool.state(id) {
            Some(SlotState::Killed { .. }) => true,
            Some(SlotState::Quitting { .. }) => how == Exit::Clean,
            _ => is_stopping,
        };
        if !expected {
            self.history.count(Count::Crashed);
            let crash = Incident::of_process(Count::Crashed, cx.now(), child.pid(), exit);
            self.history.remember(&crash);
        }
        handle(self, cx, (), Event::Exited { worker: id, exit: how });
        self.look(cx);
        self.end_those_that_repeat();
    }

    fn stop(&mut self, cx: &mut Cx, before: State) {
        if let Some(listener) = self.listener.take() {
            cx.remove(listener);
        }
        // Our copy of the listener.
        self.about.listener = None;
        if let Some(queue) = self.queue.take() {
            queue.close(cx);
        }
        // From now on another process serves here, and answers for it.
        let retires = matches!(self.state.stop.state(), State::Draining { retiring: true, .. });
        if let Some(control) = self.control.take_if(|_| retires) {
            cx.remove(control);
        }
        if let Some(shared) = &self.shared {
            shared.listener.close_everywhere();
        }
        self.state.set_deadline(cx, 0);
        if self.state.stop.is_over(cx.now(), 1, 0) {
            self.stop_now(cx);
        } else if before == State::Running {
            handle(self, cx, (), Event::Signal(Signal::Stop));
        }
        self.end_those_that_repeat();
    }

    fn stop_now(&mut self, cx: &mut Cx) {
        handle(self, cx, (), Event::Signal(Signal::StopNow));
    }

    fn reload(&mut self, cx: &mut Cx) {
        info!("reloading: every worker is replaced when its replacement is ready");
        handle(self, cx, (), Event::Signal(Signal::Reload));
    }
}

impl PoolParent {
    /// A stop waits for no worker that only repeats last answers, once no other one is left.
    fn end_those_that_repeat(&self) {
        let all = self.crew.iter();
        let stops = matches!(self.state.stop.state(), State::Draining { retiring: false, .. });
        if stops && all.clone().all(|worker| worker.notes.only_repeats) {
            all.for_each(|worker| _ = worker.channel.send(&Order::Quit.to_bytes(), None));
        }
    }

    fn start(&mut self, cx: &mut Cx, id: WorkerId) -> Result<()> {
        self.sandbox.prepare(&self.state.alone)?;
        let child = (id, Notes::new(cx.now()));
        spawn(self, cx, (), child, |parent, channel| parent.live(id, channel))?;
        self.history.count(Count::Spawned);
        debug!(slot = id.slot, epoch = id.epoch, "a worker was started");
        Ok(())
    }

    /// The whole life of a worker, in its process; its exit status.
    fn live(&self, id: WorkerId, channel: Channel) -> i32 {
        role::take_part(&format!("worker {}", id.slot));
        process::leave_terminal_group();
        if let Err(error) = self.sandbox.enter() {
            error!("{error}");
            // It was tried before, so what is lacking now is a descriptor or memory.
            return NO_RESOURCES;
        }
        let shared = self.shared.iter().flat_map(Shared::descriptors);
        let root = self.root.iter().map(|root| root.as_fd());
        let log = self.log.iter().filter_map(|log| log.descriptor());
        let keep: Vec<BorrowedFd<'_>> =
            shared.chain(root).chain(log).chain([channel.as_fd()]).collect();
        process::close_others(&keep);
        if let Some(ledger) = &self.ledger {
            ledger.enter(id.slot, id.epoch, process::parent());
        }
        let accepts = self.shared.is_some();
        Worker::new(id, channel, accepts).map_or(1, |worker| (self.work)(worker))
    }

    fn pass(&mut self, worker: WorkerId, conn: Conn, now: Instant) -> Pass {
        let (Some(process), Some(copy)) =
            (self.crew.get(worker), &self.copies[usize::from(conn.index)])
        else {
            return Pass::Broken;
        };
        process.notes.mark(0, now);
        let order = [&Order::Serve(conn).to_bytes()[..], &copy.note()].concat();
        match process.channel.send(&order, Some(copy.as_fd())) {
            Ok(Write::Moved(_)) => Pass::Sent,
            Ok(Write::WouldBlock | Write::Interrupted | Write::Nothing)
            | Err(Errno::ETOOMANYREFS) => Pass::WouldBlock,
            Err(_) => Pass::Broken,
        }
    }

    /// A client was accepted; the core listened, so there is a place for it.
    pub(in crate::server) fn accepted(&mut self, cx: &mut Cx, client: Client) {
        let Some(conn) = self.crew.pool.vacant() else {
            debug_assert!(false, "the listener is not watched without a place");
            return;
        };
        self.copies[usize::from(conn.index)] = Some(client);
        self.history.count(Count::Accepted);
        handle(self, cx, (), Event::Accepted(conn));
    }

    fn listen(&self, cx: &mut Cx, listen: Listen) {
        if let Some(listener) = self.listener {
            match listen {
                // It was opened, and stays open.
                Listen::On => drop(cx.arm(listener)),
                Listen::Off => cx.disarm(listener),
            }
        }
        if let Some(queue) = &self.queue {
            queue.all_busy(cx, listen == Listen::Off);
        }
    }

    /// Reads the scoreboard, and tells the core which workers are busy.
    ///
    /// Workers that change meanwhile, above all those that this starts, count by the limits of before, and
    /// perhaps do not ring the bell: so it looks again until none has changed.
    fn look(&mut self, cx: &mut Cx) {
        let Some(Shared { listener, board }) = self.shared.clone() else { return };
        for _ in 0..LOOKS_MAX {
            let Crew { pool, processes, .. } = &mut self.crew;
            for worker in processes.iter_mut().flatten() {
                for event in worker.notes.changes(&board, worker.id).into_iter().flatten() {
                    pool.handle(event, cx.now());
                }
            }
            handle(
                self,
                cx,
                (),
                Event::Queue(listener.accept_queue().map_or(0, |queue| queue.waiting)),
            );
            let workers = self.crew.iter();
            let is_idle = |worker: &&Process<Notes>| {
                board.report(worker.id).is_some_and(|it| it.activity == Activity::Idle)
            };
            let idle = workers.clone().filter(is_idle).count();
            board.set_limits(idle, workers.clone().count());
            if workers.into_iter().all(|worker| worker.notes.are_true(&board, worker.id)) {
                break;
            }
        }
    }

    /// Takes what a dead worker wrote off the scoreboard.
    fn take_off_board(&mut self, process: &mut Process<Notes>, now: Instant) {
        let Some(shared) = &self.shared else { return };
        for event in process.notes.changes(&shared.board, process.id).into_iter().flatten() {
            self.crew.pool.handle(event, now);
        }
        shared.board.clear(process.id);
    }

    #[cfg(feature = "status")]
    fn status(&mut self, now: Instant) -> Status {
        let board = self.shared.as_ref().map(|shared| &*shared.board);
        let (ledger, crash_loop) = (self.ledger.as_deref(), self.history.crash_loop);
        document::status(&mut self.about, ledger, crash_loop, &mut self.crew, board, now)
    }
}
