//! How a worker begins.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use tracing::{debug, error};
use windlass_core::pool::supervisor::Worker as Id;

use super::member::Member;
use super::parent::{Cx, Heard, Parent};
use super::worker::{NO_RESOURCES, Worker};
use crate::error::{Error, Result};
use crate::reactor::{Token, Watch};
use crate::role;
use crate::sys::pass::Channel;
use crate::sys::process::{self, Child, Forked};

impl<const N: usize> Parent<N> {
    /// Starts a worker.
    pub(super) fn spawn(&mut self, cx: &mut Cx<N>, id: Id) -> Result<()> {
        self.sandbox.prepare(&self.alone)?;
        let (channel, theirs) = Channel::pair().map_err(Error::of("open", "a channel"))?;
        let child = match process::fork(&self.alone).map_err(Error::of("fork", "a worker"))? {
            Forked::Child => process::exit(self.live(id, theirs)),
            Forked::Parent(child) => child,
        };
        drop(theirs);
        let channel = Rc::new(channel);
        let watched = Self::watch(cx, id, child, &channel);
        if watched.is_err() {
            child.kill();
            child.reap();
        }
        let member = Member::new(id, child, channel, watched?, cx.now());
        self.members[usize::from(id.slot)] = Some(member);
        self.ledger.counters.spawned += 1;
        debug!(pid = child.pid(), slot = id.slot, epoch = id.epoch, "a worker was started");
        Ok(())
    }

    fn watch(cx: &mut Cx<N>, id: Id, child: Child, channel: &Rc<Channel>) -> Result<Token> {
        let source = cx.add(Rc::clone(channel), Watch::READ, move |channel, parent, cx, _| {
            if let Heard::End = parent.hear(cx, id, channel) {
                // Its end is told by its exit.
                cx.remove(cx.current());
            }
        })?;
        let exit = cx.child(child.pid(), move |parent, cx, exit| parent.bury(cx, id, exit));
        if exit.is_err() {
            cx.remove(source);
        }
        exit.map(|_| source)
    }

    /// The whole life of a worker; its exit status.
    fn live(&self, id: Id, channel: Channel) -> i32 {
        if !process::die_with_parent(self.pid) {
            return 1;
        }
        role::take_part(&format!("worker {}", id.slot));
        process::leave_terminal_group();
        if let Err(error) = self.sandbox.enter() {
            error!("{error}");
            // It was tried before, so what is lacking now is a descriptor or memory.
            return NO_RESOURCES;
        }
        let shared = self.shared.iter().flat_map(|it| [it.listener.as_fd(), it.board.as_fd()]);
        let root = self.root.iter().map(|root| root.as_fd());
        let keep: Vec<BorrowedFd<'_>> = shared.chain(root).chain([channel.as_fd()]).collect();
        process::close_others(&keep);
        match Worker::new(id, channel) {
            Ok(worker) => (self.work)(worker),
            Err(_) => 1,
        }
    }
}
