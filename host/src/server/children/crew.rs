//! The children of one pool: the core's bookkeeping, and for each slot in use a process with a channel.

use std::os::fd::AsFd;
use std::rc::Rc;

use windlass_core::pool::processes::{ConnSlot, Policy, PolicyError, Processes, Slot, WorkerId};
use windlass_core::time::{Instant, Wake};

use super::message::Report;
use crate::error::{Error, Result};
use crate::reactor::{Context, Token, Watch};
use crate::sys::pass::{Channel, Received};
use crate::sys::pidfd::Exit;
use crate::sys::process::Child;

/// The children of one pool. `T` is what the parent notes of each.
pub(in crate::server) struct Crew<T> {
    /// Decides which workers are started, asked to end and killed.
    pub(in crate::server) pool: Processes<Box<[Slot]>, Box<[ConnSlot]>>,
    /// By slot.
    pub(in crate::server) processes: Box<[Option<Process<T>>]>,
    /// Fires when the pool wants to be told the time.
    pub(in crate::server) timer: Token,
}

/// A child process that has not been reaped.
pub(in crate::server) struct Process<T> {
    pub(in crate::server) id: WorkerId,
    pub(in crate::server) child: Child,
    pub(in crate::server) channel: Rc<Channel>,
    pub(super) watched: Watched,
    pub(in crate::server) notes: T,
}

/// The event sources of a child: its exit and its channel.
pub(in crate::server) type Watched = [Token; 2];

impl<T> Crew<T> {
    /// A pool without children. `timer` has to tell it the time.
    pub(in crate::server) fn new(policy: Policy, timer: Token, now: Instant) -> Result<Self> {
        let slots = vec![Slot::FREE; policy.slots()].into();
        let conns = vec![ConnSlot::FREE; policy.conns()].into();
        let pool = Processes::new(policy, slots, conns, now)
            .map_err(|error: PolicyError| Error::new("start", "a pool", error))?;
        Ok(Self { pool, processes: (0..policy.slots()).map(|_| None).collect(), timer })
    }

    /// Its processes.
    pub(in crate::server) fn iter(&self) -> impl Iterator<Item = &Process<T>> + Clone {
        self.processes.iter().flatten()
    }

    /// The process of a worker. None: it has ended.
    pub(in crate::server) fn get(&mut self, id: WorkerId) -> Option<&mut Process<T>> {
        let process = self.processes.get_mut(usize::from(id.slot))?.as_mut()?;
        (process.id == id).then_some(process)
    }

    /// Has the timer fire when the pool wants to be told the time.
    pub(super) fn set_timer<S>(&self, cx: &mut Context<S>, now: Instant) {
        match self.pool.wake() {
            Wake::Now => cx.arm_at(self.timer, now),
            Wake::At(at) => cx.arm_at(self.timer, at),
            Wake::Never => cx.disarm(self.timer),
        }
    }
}

/// Watches a child: calls `readable` when its channel can be read, and `ended` when it has been reaped. A
/// child that cannot be watched is killed.
pub(in crate::server) fn watch<S: 'static, C: AsFd + 'static>(
    cx: &mut Context<S>,
    child: Child,
    channel: C,
    mut readable: impl FnMut(&mut C, &mut S, &mut Context<S>) + 'static,
    ended: impl FnOnce(&mut S, &mut Context<S>, Exit) + 'static,
) -> Result<Watched> {
    let watched = cx.child(child.pid(), ended).and_then(|exit| {
        let call =
            move |channel: &mut C, state: &mut S, cx: &mut _, _| readable(channel, state, cx);
        let source = cx.add(channel, Watch::READ, call);
        if source.is_err() {
            cx.remove(exit);
        }
        Ok([exit, source?])
    });
    watched.inspect_err(|_| child.destroy())
}

/// The next message of a child. None: nothing is there yet.
pub(super) fn receive(channel: &Channel) -> Option<Heard> {
    let mut buf = [0; 8];
    loop {
        match channel.recv(&mut buf) {
            Ok(Received::Message { len, .. } | Received::Lost { len }) => {
                // Other bytes are no message, and are passed over.
                if let Some(report) = Report::from_bytes(&buf[..len]) {
                    return Some(Heard::Report(report));
                }
            }
            Ok(Received::WouldBlock) => return None,
            Ok(Received::Eof) | Err(_) => return Some(Heard::End),
        }
    }
}

/// The next thing that a channel of a child has.
pub(super) enum Heard {
    Report(Report),
    /// The child has closed its end.
    End,
}
