//! Several listeners: one process for each.
//!
//! Every model waits in its own way, so each listener has a process to itself and the models stay
//! the textbook's. The parent passes a stop on and waits. When one of the processes ends unasked,
//! the parent says so, stops the rest and fails.

use std::collections::HashMap;
use std::os::fd::AsFd;

use tracing::{error, warn};

use super::{Limits, Model, Offer, Server, Stop};
use crate::error::{Error, Result};
use crate::sys::listener::Listener;
use crate::sys::poll;
use crate::sys::process::{self, Child, Forked, SingleThreaded};
use crate::sys::ready::Interest;
use crate::sys::signals::{Came, Signals};

/// One listener and what is served on it.
#[derive(Debug)]
pub struct Member {
    /// Where.
    pub listener: Listener,
    /// What.
    pub offer: Offer,
    /// How.
    pub model: Model,
}

/// Serves all of `members`, each in a process of its own, until one of `signals` says to stop. `ready` is
/// called in each process when it is about to serve.
///
/// # Errors
/// A process that could not be made, or that ended without being asked to.
pub fn serve(
    members: Vec<Member>,
    limits: Limits,
    grace_us: u64,
    signals: Signals,
    ready: impl Fn(&Member) -> Result<()>,
) -> Result<()> {
    let alone = SingleThreaded::check()?;
    let parent = std::process::id();
    let mut children: HashMap<Child, String> = HashMap::new();
    let mut failed = None;
    let mut members = members.into_iter();
    for member in members.by_ref() {
        let name = format!("{} on {}", member.offer.service().name(), member.listener.address());
        match process::fork(&alone) {
            Ok(Forked::Parent(child)) => {
                children.insert(child, name);
                member.listener.give_up();
            }
            Ok(Forked::Child) => {
                drop((signals, members));
                process::exit(i32::from(!run(member, limits, grace_us, parent, &ready)));
            }
            Err(errno) => {
                failed = Some(Error::new("start a process for", name, errno));
                break;
            }
        }
    }
    drop(members);
    if failed.is_some() {
        children.keys().copied().for_each(Child::terminate);
    }
    let mut stops = 0;
    while !children.is_empty() {
        let _ = poll::wait(signals.as_fd(), Interest::READ, None, None);
        while let Some(came) = signals.next() {
            if came == Came::Stop {
                stops += 1;
                children.keys().copied().for_each(Child::terminate);
            }
        }
        while let Some((child, exit)) = process::reap() {
            let Some(name) = children.remove(&child) else { continue };
            if stops == 0 && failed.is_none() {
                let why = if exit.is_success() { "ended".to_owned() } else { exit.to_string() };
                warn!(pid = child.pid(), "the server of {name} {why}; stopping the others");
                failed = Some(Error::new("serve", name, why));
                children.keys().copied().for_each(Child::terminate);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The child's side. Whether it went well.
fn run(
    mut member: Member,
    limits: Limits,
    grace_us: u64,
    parent: u32,
    ready: impl Fn(&Member) -> Result<()>,
) -> bool {
    member.listener.adopt();
    // Ctrl-C is for the parent, which passes it on: heard twice, it would mean at once.
    process::leave_terminal_group();
    if !process::stop_with_parent(parent) {
        return true;
    }
    let served = ready(&member).and_then(|()| {
        let signals = Signals::block().map_err(Error::of("block signals", ""))?;
        let stop = Stop::on_signals(signals, grace_us);
        Server::new(member.listener, member.offer, limits, stop).run(member.model)
    });
    if let Err(error) = &served {
        error!("{error}");
    }
    served.is_ok()
}
