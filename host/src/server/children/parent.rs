//! The event loop of a parent: it tells the core what happened to its children, and does what the core
//! says.

use std::rc::Rc;

use windlass_core::pool::processes::{Action, Event, WorkerId};
use windlass_core::time::{Instant, Wake};

use super::crew::{Crew, Heard, Process, receive, watch};
use super::message::Report;
use crate::error::{Error, Result};
use crate::reactor::{Context, EventLoop, Priority, Token, Watch};
use crate::server::stop::{Asked, State, Stop};
use crate::sys::pass::Channel;
use crate::sys::pidfd::Exit;
use crate::sys::process::{self, SingleThreaded};

/// A process that keeps children: the state of its event loop.
pub(in crate::server) trait Parent: Sized + 'static {
    /// Names one of its pools; `()` where there is one.
    type Key: Copy + 'static;
    /// What it notes of each child.
    type Notes;

    fn state(&self) -> &ParentState;

    fn state_mut(&mut self) -> &mut ParentState;

    /// The pool of that name. None: it is gone.
    fn crew(&mut self, key: Self::Key) -> Option<&mut Crew<Self::Notes>>;

    /// Whether `pid` is a child that this process started and has to reap.
    fn is_own_child(&self, pid: i32) -> bool;

    /// Does what the core says.
    fn perform(&mut self, cx: &mut Context<Self>, key: Self::Key, action: Action, now: Instant);

    /// A child sent a message. When it has ended since, it is not in its crew any more.
    fn heard(&mut self, cx: &mut Context<Self>, key: Self::Key, id: WorkerId, report: Report);

    /// A child has been reaped, and is not in its crew any more. To be told to the core.
    fn ended(
        &mut self,
        cx: &mut Context<Self>,
        key: Self::Key,
        process: Process<Self::Notes>,
        exit: Exit,
    );

    /// A signal, or an error, asks for a stop, or for a faster one than `before`.
    fn stop(&mut self, cx: &mut Context<Self>, before: State);

    /// The time for stopping is over.
    fn stop_now(&mut self, cx: &mut Context<Self>);

    /// SIGHUP, while it is not stopping.
    fn reload(&mut self, cx: &mut Context<Self>);

    /// SIGUSR2.
    fn upgrade(&mut self, _: &mut Context<Self>) {}

    /// Of the children that have ended, takes the statuses of those that this process did not start: the
    /// first process of a container inherits the children of others. One of its own may stand before them
    /// in the kernel's list, so this is called again after each end.
    fn reap_strangers(&self) {
        self.state().stop.reap_strangers(|pid| self.is_own_child(pid));
    }
}

/// The state that every parent has.
pub(in crate::server) struct ParentState {
    pub(in crate::server) stop: Stop,
    /// Fires when the time for stopping is over.
    deadline: Token,
    /// Why the loop ends, if that is an error.
    failed: Option<Error>,
    pub(in crate::server) alone: SingleThreaded,
}

impl ParentState {
    /// Adds to the loop what every parent watches.
    pub(in crate::server) fn new<P: Parent>(
        events: &mut EventLoop<P>,
        mut stop: Stop,
        upgrade: bool,
    ) -> Result<Self> {
        let alone = SingleThreaded::check()?;
        stop.mind(Asked { children: true, reload: true, upgrade });
        let signals = stop.source();
        let source = events.add(signals, Watch::READ, |_, parent, cx, _| signalled(parent, cx))?;
        events.set_priority(source, Priority::High);
        let deadline = events.timer(|parent: &mut P, cx| parent.stop_now(cx));
        Ok(Self { stop, deadline, failed: None, alone })
    }

    /// Has [`Parent::stop_now`] called when the stop has lasted as long as it may, and `slack_us` longer.
    pub(in crate::server) fn set_deadline<P>(&self, cx: &mut Context<P>, slack_us: u64) {
        if let Wake::At(end) = self.stop.wake() {
            cx.arm_at(self.deadline, end.after(slack_us));
        }
    }
}

/// Runs the loop until it is told to exit.
pub(in crate::server) fn run<P: Parent>(mut events: EventLoop<P>, mut parent: P) -> Result<()> {
    events.run(&mut parent)?;
    parent.state_mut().failed.take().map_or(Ok(()), Err)
}

/// Something happened to the pool `key`, or to one of its children.
pub(in crate::server) fn handle<P: Parent>(
    parent: &mut P,
    cx: &mut Context<P>,
    key: P::Key,
    event: Event,
) {
    let now = cx.now();
    let Some(crew) = parent.crew(key) else { return };
    crew.pool.handle(event, now);
    while let Some(action) = parent.crew(key).and_then(|crew| crew.pool.poll_action(now)) {
        parent.perform(cx, key, action, now);
    }
    if let Some(crew) = parent.crew(key) {
        crew.set_timer(cx, now);
    }
}

/// Forks a child. In it `life` runs, with the parent's state as it was and the child's end of the channel; its
/// result is the child's exit status.
pub(in crate::server) fn spawn<P: Parent>(
    parent: &mut P,
    cx: &mut Context<P>,
    key: P::Key,
    (id, notes): (WorkerId, P::Notes),
    life: impl FnOnce(&P, Channel) -> i32,
) -> Result<()> {
    let (channel, theirs) = Channel::pair().map_err(Error::of("open", "a channel"))?;
    let child = process::spawn(&parent.state().alone, || life(parent, theirs))
        .map_err(Error::of("fork", "a process"))?;
    let channel = Rc::new(channel);
    let readable = move |channel: &mut Rc<Channel>, parent: &mut P, cx: &mut _| {
        // What follows the first message is reported again by the kernel, and rarely anything does: to look
        // each time would cost a system call for each connection.
        match receive(channel) {
            Some(Heard::Report(report)) => parent.heard(cx, key, id, report),
            Some(Heard::End) => {
                cx.remove(cx.current());
            }
            None => {}
        }
    };
    let ended = move |parent: &mut P, cx: &mut Context<P>, exit| end(parent, cx, key, id, exit);
    let watched = watch(cx, child, Rc::clone(&channel), readable, ended)?;
    if let Some(crew) = parent.crew(key) {
        let process = Process { id, child, channel, watched, notes };
        crew.processes[usize::from(id.slot)] = Some(process);
    }
    Ok(())
}

/// A child has ended.
fn end<P: Parent>(parent: &mut P, cx: &mut Context<P>, key: P::Key, id: WorkerId, exit: Exit) {
    // Out of the crew first: its process id may be another process's by now.
    let place = parent.crew(key).map(|crew| &mut crew.processes[usize::from(id.slot)]);
    if let Some(process) = place.and_then(|place| place.take_if(|process| process.id == id)) {
        // Messages that the child sent before it ended count.
        while let Some(Heard::Report(report)) = receive(&process.channel) {
            parent.heard(cx, key, id, report);
        }
        for source in process.watched {
            cx.remove(source);
        }
        parent.ended(cx, key, process, exit);
    }
    parent.reap_strangers();
}

/// The parent cannot go on: it stops, and its loop ends with `error`.
pub(in crate::server) fn fail<P: Parent>(parent: &mut P, cx: &mut Context<P>, error: Error) {
    let state = parent.state_mut();
    let before = state.stop.state();
    state.failed.get_or_insert(error);
    state.stop.request(cx.now());
    parent.stop(cx, before);
}

/// Signals came.
fn signalled<P: Parent>(parent: &mut P, cx: &mut Context<P>) {
    let stop = &mut parent.state_mut().stop;
    let before = stop.state();
    let asked = stop.notice(cx.now());
    let (state, is_stopping) = (stop.state(), stop.is_requested());
    if state != before {
        parent.stop(cx, before);
    }
    if asked.children {
        parent.reap_strangers();
    }
    if asked.reload && !is_stopping {
        parent.reload(cx);
    }
    if asked.upgrade {
        parent.upgrade(cx);
    }
}
