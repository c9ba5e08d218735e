//! `epoll(7)`, edge-triggered: the kernel reports a change once.
//!
//! ```text
//! add each client once, for everything, and never change it
//! loop { epoll_wait; each client that is reported joins the run queue; each client in
//!        it has a turn; a client that is not drained joins again }
//! ```
//!
//! No system call changes the interest. The price: a client that is reported must be served
//! until it would block, so a busy client could keep the loop to itself. A turn therefore has a
//! budget, and in each round each client has one turn, however often it was reported. And a short read
//! ends a turn only while no hang-up was reported: an end that came with the data has no edge of its
//! own ([`Connection`](crate::drive::Connection) handles that).

use std::collections::VecDeque;

use super::common::Server;
use super::epoll::watch_listener;
use super::hub::Hub;
use crate::drive::{After, Reports};
use crate::error::{Error, Result};
use crate::sys::epoll::Epoll;
use crate::sys::ready::{Interest, Ready, Token};

pub(super) fn serve(server: Server) -> Result<()> {
    let mut hub = Hub::new(server, Reports::OnChange);
    let mut epoll = Epoll::new().map_err(Error::of("open an epoll instance", ""))?;
    for (token, bell) in hub.bells() {
        epoll.add(bell, Interest::READ, token).map_err(Error::of("watch for signals", ""))?;
    }
    let mut listening = None;
    let mut run_queue = VecDeque::new();
    while !hub.is_over() {
        // The listener stays level-triggered: an edge missed while it was paused would strand
        // every client in the accept queue.
        listening = watch_listener(&epoll, &hub, listening)?;
        hub.server.when_ready.come()?;
        let wait_us = if run_queue.is_empty() { hub.wait_us() } else { Some(0) };
        let count = epoll.wait(wait_us).map_err(Error::of("epoll_wait", ""))?;
        hub.woke();
        for index in 0..count {
            match epoll.event(index) {
                (Token::STOP, _) => hub.stopping(),
                (Token::LISTENER, _) => accept(&mut hub, &epoll, &mut run_queue),
                (token, ready) => join(&mut hub, &mut run_queue, token, ready),
            }
        }
        while let Some(token) = hub.jobs.expired(hub.now) {
            join(&mut hub, &mut run_queue, token, Ready::NONE);
        }
        for _ in 0..run_queue.len() {
            if let Some(token) = run_queue.pop_front()
                && hub.turn(token, Ready::NONE) == After::Again
            {
                join(&mut hub, &mut run_queue, token, Ready::NONE);
            }
        }
    }
    Ok(())
}

fn accept(hub: &mut Hub, epoll: &Epoll, run_queue: &mut VecDeque<Token>) {
    while let Some(client) = hub.accept() {
        let (token, after) = hub.open(client);
        let Some(socket) = hub.jobs.socket(token) else { continue };
        if let Err(errno) = epoll.add_edge(socket, token) {
            hub.lose(token, errno);
        } else if after == After::Again {
            join(hub, run_queue, token, Ready::NONE);
        }
    }
}

/// Joins the run queue, unless it is in it already.
fn join(hub: &mut Hub, run_queue: &mut VecDeque<Token>, token: Token, ready: Ready) {
    if hub.jobs.note(token, ready) {
        run_queue.push_back(token);
    }
}
