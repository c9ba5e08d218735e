//! The parent of a pool: an event loop that tells the supervisor what happened, and does what it says.
//!
//! ```text
//!   listener ─┐                                   ┌─▶ fork, kill
//!   workers ──┼─▶ event loop ─▶ supervisor ─▶ act ─┼─▶ pass a descriptor, close the copy
//!   children ─┤   (host)        (core: decides)    ├─▶ listen or not
//!   signals ──┘                                   └─▶ log, exit
//! ```
//!
//! No decision is made here. That is what lets the core's search try every order of events.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};
use windlass_core::pool::scoreboard::Activity;
use windlass_core::pool::supervisor::{
    Action, Conn, End, Event, Exit, Listen, Pass, Policy, PolicyError, Signal, State, Supervisor,
    Trace, Worker as Id,
};
use windlass_core::stream::Write;
use windlass_core::time::{Instant, Wake};

use super::board::Board;
use super::ledger::{About, Ledger};
use super::member::Member;
use super::message::{Order, Report};
use super::notice::log;
use super::queue::Queue;
use super::worker::Worker;
use crate::drive::Client;
use crate::error::{Error, Result};
use crate::reactor::{Context, EventLoop, Priority, Token, Watch};
use crate::server::Stop;
use crate::server::confine::Sandbox;
#[cfg(feature = "status")]
use crate::server::control;
use crate::server::ready::WhenReady;
use crate::server::stop::{Asked, State as StopState};
use crate::sys::listener::Listener;
use crate::sys::pass::{Channel, Received};
use crate::sys::process::SingleThreaded;
use crate::sys::root::Root;
use crate::sys::{Errno, clock, pidfd};

/// The parent of a pool with at most `N` workers, the surge included.
pub(in crate::server) struct Parent<const N: usize> {
    pub(super) supervisor: Box<Supervisor<N, N>>,
    /// By slot.
    pub(super) members: [Option<Member>; N],
    /// The parent's copies of connections, by place.
    copies: [Option<Client>; N],
    /// Watched while [`Action::Listen`] says so.
    pub(in crate::server) listener: Option<Token>,
    /// Its accept queue, of a static pool.
    pub(super) queue: Option<Queue>,
    /// Where those come who ask for its state.
    control: Option<Token>,
    /// Rings when the supervisor wants to be told the time.
    timer: Option<Token>,
    /// Rings when the stop has lasted long enough.
    deadline: Option<Token>,
    stop: Stop,
    /// What a worker does; its exit status.
    pub(super) work: Box<dyn Fn(Worker) -> i32>,
    /// The folder that workers serve, if they serve one.
    pub(super) root: Option<Arc<Root>>,
    /// What workers share, where they accept by themselves.
    pub(super) shared: Option<Shared>,
    /// What a worker enters before it hears a client.
    pub(super) sandbox: Sandbox,
    /// Until the first worker is ready.
    when_ready: WhenReady,
    failed: Option<Error>,
    pub(super) ledger: Ledger,
    pub(super) alone: SingleThreaded,
    pub(super) pid: u32,
}

/// What workers share that accept by themselves.
#[derive(Clone)]
pub(in crate::server) struct Shared {
    pub(in crate::server) listener: Rc<Listener>,
    pub(in crate::server) board: Rc<Board>,
}

/// What came of listening to a worker.
pub(super) enum Heard {
    Something,
    Nothing,
    End,
}

const STOP_NOW: Event = Event::Signal(Signal::StopNow);

pub(super) type Cx<const N: usize> = Context<Parent<N>>;

/// How often the parent looks at the scoreboard when nobody rings.
pub(in crate::server) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks in a row, under a load that never stands still. The limits are set by then.
const LOOKS_MAX: usize = 4;

/// Which of the sizes that pools are made in takes this many workers and one more.
macro_rules! fit {
    ($workers:expr, $with:ident $args:tt) => {
        match $workers {
            0..=7 => $with::<8> $args,
            8..=31 => $with::<32> $args,
            32..=255 => $with::<256> $args,
            _ => Err($crate::error::Error::new("start", "a pool", "255 workers are the most")),
        }
    };
}
pub(in crate::server) use fit;

/// What a model runs its pool with.
pub(in crate::server) struct Terms {
    pub(in crate::server) policy: Policy,
    pub(in crate::server) about: About,
    pub(in crate::server) stop: Stop,
    pub(in crate::server) root: Option<Arc<Root>>,
    /// Where workers accept by themselves.
    pub(in crate::server) shared: Option<Shared>,
    pub(in crate::server) sandbox: Sandbox,
    pub(in crate::server) when_ready: WhenReady,
    /// What a worker does; its exit status.
    pub(in crate::server) work: Box<dyn Fn(Worker) -> i32>,
}

/// Runs a pool until it is over. `prepare` adds the model's own sources.
pub(in crate::server) fn run<const N: usize>(
    terms: Terms,
    prepare: impl FnOnce(&mut EventLoop<Parent<N>>, &mut Parent<N>) -> Result<()>,
) -> Result<()> {
    let Terms { policy, about, stop, root, shared, sandbox, when_ready, work } = terms;
    let mut events = EventLoop::new()?;
    let supervisor = Supervisor::new(policy, clock::now())
        .map_err(|error: PolicyError| Error::new("start", "a pool", error))?;
    let mut parent = Parent {
        supervisor: Box::new(supervisor),
        members: [const { None }; N],
        copies: [const { None }; N],
        listener: None,
        queue: None,
        control: None,
        timer: None,
        deadline: None,
        stop,
        work,
        root,
        shared,
        sandbox,
        when_ready,
        failed: None,
        ledger: Ledger::new(about),
        alone: SingleThreaded::check()?,
        pid: std::process::id(),
    };
    let timer = events.timer(|parent: &mut Parent<N>, cx| parent.tell(cx, Event::Tick));
    parent.timer = Some(timer);
    let deadline = events.timer(|parent: &mut Parent<N>, cx| parent.tell(cx, STOP_NOW));
    parent.deadline = Some(deadline);
    parent.stop.mind(Asked { children: true, reload: true, upgrade: false });
    let stop = events.add(parent.stop.source(), Watch::READ, |_, parent, cx, _| parent.heed(cx))?;
    events.set_priority(stop, Priority::High);
    if let Some(shared) = &parent.shared {
        let bell = Rc::clone(&shared.board);
        events.add(bell, Watch::READ, |board, parent: &mut Parent<N>, cx, _| {
            board.heard();
            parent.look(cx);
        })?;
        events.every(LOOK_EVERY, Parent::look);
    }
    #[cfg(feature = "status")]
    if let Some(listener) = parent.ledger.take_control() {
        parent.control = Some(control::listen(&mut events, listener, Parent::status)?);
    }
    prepare(&mut events, &mut parent)?;
    parent.tell(&mut events, Event::Tick);
    // The limits of the bell: from the first client on it has to ring.
    parent.look(&mut events);
    events.run(&mut parent)?;
    parent.failed.map_or(Ok(()), Err)
}

impl<const N: usize> Parent<N> {
    /// Something happened.
    pub(in crate::server) fn tell(&mut self, cx: &mut Cx<N>, event: Event) {
        let now = cx.now();
        self.supervisor.handle(event, now);
        while let Some(action) = self.supervisor.poll_action(now) {
            self.act(cx, action, now);
        }
        let Some(timer) = self.timer else { return };
        match self.supervisor.wake() {
            Wake::Now => cx.arm_at(timer, now),
            Wake::At(at) => cx.arm_at(timer, at),
            Wake::Never => cx.disarm(timer),
        }
    }

    fn act(&mut self, cx: &mut Cx<N>, action: Action, now: Instant) {
        self.ledger.note(&action);
        match action {
            Action::Spawn { worker, generation } => {
                if let Err(error) = self.spawn(cx, worker) {
                    debug!(slot = worker.slot, generation, "{error}");
                    self.ledger.counters.failed_spawns += 1;
                    self.ledger.spawn_error = Some(error);
                    self.supervisor.handle(Event::SpawnFailed(worker), now);
                }
            }
            Action::Quit(worker) => {
                self.mark(worker, 0, now);
                if let Some(member) = self.member(worker) {
                    // One of the two reaches it, whether it waits for an order or for a client.
                    let _ = member.channel.send(&Order::Quit.to_bytes(), None);
                    member.child.terminate();
                }
            }
            Action::Kill(worker) => {
                self.mark(worker, 0, now);
                if let Some(member) = self.member(worker) {
                    warn!(pid = member.child.pid(), "a worker is killed");
                    member.child.kill();
                }
            }
            Action::Pass { worker, conn, again } => {
                if again {
                    info!(slot = worker.slot, "a connection that nobody touched is served again");
                }
                self.mark(worker, 0, now);
                let pass = self.pass(worker, conn);
                self.supervisor.handle(Event::Passed { worker, conn, pass }, now);
            }
            Action::Inspect(conn) => {
                let copy = self.copies[usize::from(conn.index)].as_ref();
                let untouched = copy.is_some_and(Client::is_untouched);
                let trace = if untouched { Trace::Untouched } else { Trace::Touched };
                self.supervisor.handle(Event::Inspected { conn, trace }, now);
            }
            Action::Close { conn, end } => {
                self.copies[usize::from(conn.index)] = None;
                match end {
                    End::Served => {}
                    End::Lost => warn!("a connection was lost with its worker"),
                    End::Shed(why) => warn!("a connection is shed: {why}"),
                }
            }
            Action::Listen(listen) => {
                if let Some(listener) = self.listener {
                    match listen {
                        // It was opened, and stays open.
                        Listen::On => drop(cx.arm(listener)),
                        Listen::Off => cx.disarm(listener),
                    }
                }
                self.set_all_busy(cx, listen == Listen::Off);
            }
            Action::Notice(notice) => log(notice, self.ledger.spawn_error.as_ref()),
            Action::Exit => cx.exit(),
        }
    }

    fn pass(&self, worker: Id, conn: Conn) -> Pass {
        let (Some(member), Some(copy)) =
            (self.member(worker), &self.copies[usize::from(conn.index)])
        else {
            return Pass::Broken;
        };
        match member.channel.send(&Order::Serve(conn).to_bytes(), Some(copy.as_fd())) {
            Ok(Write::Moved(_)) => Pass::Sent,
            Ok(Write::WouldBlock | Write::Interrupted | Write::Nothing)
            | Err(Errno::ETOOMANYREFS) => Pass::WouldBlock,
            Err(_) => Pass::Broken,
        }
    }

    /// A client was accepted; the supervisor listened, so there is a place.
    pub(in crate::server) fn accepted(&mut self, cx: &mut Cx<N>, client: Client) {
        let Some(conn) = self.supervisor.vacant() else {
            debug_assert!(false, "the listener is not watched without a place");
            return;
        };
        self.copies[usize::from(conn.index)] = Some(client);
        self.tell(cx, Event::Accepted(conn));
    }

    /// Hears the next thing that a worker has to say. What follows it is reported again by the kernel,
    /// and rarely anything does: to look each time would cost a system call a connection.
    pub(super) fn hear(&mut self, cx: &mut Cx<N>, worker: Id, channel: &Channel) -> Heard {
        let mut buf = [0; 8];
        let len = match channel.recv(&mut buf) {
            Ok(Received::Message { len, .. } | Received::Lost { len }) => len,
            Ok(Received::WouldBlock) => return Heard::Nothing,
            Ok(Received::Eof) | Err(_) => return Heard::End,
        };
        let event = match Report::from_bytes(&buf[..len]) {
            Some(Report::Ready) => {
                self.mark(worker, 0, cx.now());
                Event::Ready(worker)
            }
            Some(Report::Done(conn)) => {
                self.mark(worker, 1, cx.now());
                Event::Done { worker, conn }
            }
            Some(Report::Returned(conn)) => Event::Returned { worker, conn },
            Some(Report::Retiring) => Event::Retiring(worker),
            None => return Heard::Something,
        };
        self.tell(cx, event);
        if let Event::Ready(_) = event
            && let Err(error) = self.when_ready.come()
        {
            self.failed = Some(error);
            self.tell(cx, STOP_NOW);
        }
        Heard::Something
    }

    /// Reads the scoreboard, and tells the supervisor who is busy by now and who is not.
    ///
    /// Workers that change while this looks, the ones that it starts above all, are counted by the
    /// limits of before, and perhaps do not ring: so it looks again, until nobody has changed.
    fn look(&mut self, cx: &mut Cx<N>) {
        let Some(Shared { listener, board }) = self.shared.clone() else { return };
        for _ in 0..LOOKS_MAX {
            for member in self.members.iter_mut().flatten() {
                member.tell(&board, &mut self.supervisor, cx.now());
            }
            self.tell(cx, Event::Queue(listener.waiting()));
            let members = self.members.iter().flatten();
            let activity = |member: &Member| board.report(member.id).map(|report| report.activity);
            let is_idle = |member: &&Member| activity(member) == Some(Activity::Idle);
            let idle = members.clone().filter(is_idle).count();
            board.set(idle, members.clone().count());
            let is_told = |member: &Member| member.is_told(&board);
            if members.into_iter().all(is_told) {
                break;
            }
        }
    }

    /// A worker has ended.
    pub(super) fn bury(&mut self, cx: &mut Cx<N>, worker: Id, exit: pidfd::Exit) {
        let place = usize::from(worker.slot);
        let Some(mut member) = self.members[place].take_if(|member| member.id == worker) else {
            return;
        };
        // What it said before it died counts.
        while let Heard::Something = self.hear(cx, worker, &member.channel) {}
        cx.remove(member.channel_source);
        if let Some(shared) = &self.shared {
            member.tell(&shared.board, &mut self.supervisor, cx.now());
        }
        let held = self.settle(&member);
        let exit = match exit {
            pidfd::Exit::Code(0) => Exit::Clean,
            pidfd::Exit::Code(super::worker::NO_RESOURCES) => Exit::Resource,
            pidfd::Exit::Code(_)
            | pidfd::Exit::Killed(_)
            | pidfd::Exit::KilledByRealTime(_)
            | pidfd::Exit::Unknown => {
                if !self.stop.is_requested() {
                    warn!(pid = member.child.pid(), slot = worker.slot, "a worker {exit}");
                }
                self.ledger.counters.lost += u64::from(held);
                Exit::Crash
            }
        };
        // Who was killed is counted already, and who was asked to end may.
        let asked = match self.supervisor.state(worker) {
            Some(State::Killed { .. }) => true,
            Some(State::Quitting { .. }) => exit == Exit::Clean,
            _ => self.stop.is_requested(),
        };
        self.ledger.counters.crashed += u64::from(!asked);
        self.tell(cx, Event::Exited { worker, exit });
        self.look(cx);
        self.reap_strangers();
    }

    /// Of the children that ended, those that are no workers. A worker may stand before them.
    fn reap_strangers(&self) {
        let is_worker = |pid| self.members.iter().flatten().any(|it| it.child.pid() == pid);
        self.stop.reap_strangers(is_worker);
    }

    fn member(&self, worker: Id) -> Option<&Member> {
        let member = self.members.get(usize::from(worker.slot))?.as_ref()?;
        (member.id == worker).then_some(member)
    }

    /// A signal came: once to stop gently, twice at once; to replace the workers; or a child ended.
    fn heed(&mut self, cx: &mut Cx<N>) {
        let before = self.stop.state();
        let asked = self.stop.notice(cx.now());
        if asked.children {
            self.reap_strangers();
        }
        if asked.reload {
            info!("reloading: every worker is replaced when its replacement is ready");
            self.tell(cx, Event::Signal(Signal::Reload));
        }
        if self.stop.state() == before {
            return;
        }
        if let Some(listener) = self.listener.take() {
            cx.remove(listener);
        }
        self.ledger.close_gauge();
        self.close_queue(cx);
        // Then somebody else serves here from now on, and answers for it.
        let retires = matches!(self.stop.state(), StopState::Draining { retiring: true, .. });
        if let Some(control) = self.control.take_if(|_| retires) {
            cx.remove(control);
        }
        if let Some(shared) = &self.shared {
            shared.listener.close_everywhere();
        }
        if let (Wake::At(end), Some(deadline)) = (self.stop.wake(), self.deadline) {
            cx.arm_at(deadline, end);
        }
        if self.stop.is_over(cx.now(), usize::MAX) {
            self.tell(cx, STOP_NOW);
        } else if before == StopState::Running {
            self.tell(cx, Event::Signal(Signal::Stop));
        }
    }
}
