//! A process for each client.
//!
//! ```text
//! parent: accept; fork; close the client; reap the children that ended
//! child:  close the listener; serve; say if it only repeats its last answer; exit
//! ```
//!
//! The strongest isolation of clients: a child that dies harms no other client. It costs a copy of
//! the page tables for each client, so it is for few or long connections. Each side closes the
//! descriptors of the other: a client sees the end only when the last copy of its socket is closed.
//! No child outlives the parent: a signal that kills the server is meant for all of it.

use std::collections::HashSet;

use tracing::warn;
use windlass_core::time::Wake;

use super::common::{Server, log_end};
use super::repeaters::Repeaters;
use super::stop::Asked;
use crate::drive::{Buffers, Client, repeat_until, run_alone};
use crate::error::Result;
use crate::sys::Errno;
use crate::sys::clock;
use crate::sys::process::{self, Child, Forked, SingleThreaded};

pub(super) fn serve(mut server: Server) -> Result<()> {
    let alone = SingleThreaded::check()?;
    server.keep_children_from_privileges();
    // The children inherit these pages untouched.
    let mut buffers = Buffers::for_one(server.rules());
    let mut children = HashSet::new();
    let repeaters = Repeaters::new(server.limits.max_connections)?;
    server.stop.mind(Asked { children: true, ..Asked::default() });
    server.when_ready.come()?;
    loop {
        let live = children.len().saturating_sub(repeaters.count());
        let client = server.next_client(live, Some(&repeaters.bell), Wake::Never);
        // A signal says that at least one child has ended: reap them all.
        while let Some((child, exit)) = process::reap() {
            // The first process of a container inherits children of others too.
            if children.remove(&child) {
                repeaters.leave(child.pid());
                server.acceptor.closed();
                if !exit.is_success() {
                    warn!(pid = child.pid(), "a child {exit}");
                }
            }
        }
        if let Some(client) = client {
            match process::fork(&alone) {
                Ok(Forked::Child) => child(server, client, &mut buffers, &repeaters),
                Ok(Forked::Parent(child)) => drop(children.insert(child)),
                Err(errno) => refuse(&mut server, &client, errno, children.len()),
            }
        }
        let repeating = repeaters.count();
        if server.is_over(clock::now(), children.len().saturating_sub(repeating), repeating) {
            break;
        }
    }
    children.iter().copied().for_each(Child::kill);
    while !children.is_empty() {
        if let Some((child, _)) = process::wait() {
            children.remove(&child);
        } else {
            break;
        }
    }
    Ok(())
}

fn child(server: Server, client: Client, buffers: &mut Buffers, repeaters: &Repeaters) -> ! {
    let mut job = server.offer.open(client, clock::now());
    server.leave_to_parent();
    // It never asks for a stop: the parent kills it.
    let how = run_alone(&mut *job, buffers);
    log_end(how);
    if job.only_repeats() {
        repeaters.enter();
        repeat_until(&mut *job, buffers, || false);
    }
    process::exit(0)
}

/// There is no process for this client: its connection is closed, and further clients wait.
fn refuse(server: &mut Server, client: &Client, errno: Errno, live: usize) {
    let now = clock::now();
    server.acceptor.pause("fork", errno, now, live);
    server.acceptor.refuse(client, "no process could be made", now);
}
