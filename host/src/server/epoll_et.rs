//! `epoll(7)`, edge-triggered: the kernel reports a change once.
//!
//! ```text
//! add each client once, for everything, and never change it
//! loop { epoll_wait; for everyone reported or in the run queue: give it a turn;
//!        if it is not drained, it goes to the end of the run queue }
//! ```
//!
//! No system call to change what is watched, ever. The price: whoever is reported must be served
//! until it would block, so a busy client could keep the loop to itself. A turn therefore has a
//! budget, and who has more to say waits in the run queue for the next round. And a short read ends
//! a turn only while no hang-up was reported: an end that came with the data has no edge of its own
//! ([`Connection`](crate::drive::Connection) sees to that).

use std::collections::VecDeque;

use super::Server;
use super::epoll::watch_listener;
use super::hub::Hub;
use crate::drive::After;
use crate::error::{Error, Result};
use crate::sys::epoll::Epoll;
use crate::sys::ready::{Interest, Ready, Token};

pub(super) fn serve(server: Server) -> Result<()> {
    let mut hub = Hub::new(server);
    let mut epoll = Epoll::new().map_err(Error::of("open an epoll instance", ""))?;
    epoll
        .add(hub.stop_socket(), Interest::READ, Token::STOP)
        .map_err(Error::of("watch for signals", ""))?;
    let mut listening = None;
    let mut run_queue = VecDeque::new();
    while !hub.is_over() {
        // The listener stays level-triggered: an edge missed while it was paused would strand
        // everyone who waits in the kernel's queue.
        listening = watch_listener(&epoll, &hub, listening)?;
        let wait_us = if run_queue.is_empty() { hub.wait_us() } else { Some(0) };
        let count = epoll.wait(wait_us).map_err(Error::of("epoll_wait", ""))?;
        hub.woke();
        // Those who were unfinished before this wait; who joins now has the next round.
        let unfinished = run_queue.len();
        for index in 0..count {
            match epoll.event(index) {
                (Token::STOP, _) => hub.stopping(),
                (Token::LISTENER, _) => {
                    while let Some(stream) = hub.accept() {
                        if let Some((token, after)) = hub.open(stream) {
                            add(&epoll, &mut hub, token);
                            requeue(&mut run_queue, token, after);
                        }
                    }
                }
                (token, ready) => {
                    let after = hub.turn(token, ready);
                    requeue(&mut run_queue, token, after);
                }
            }
        }
        for _ in 0..unfinished {
            if let Some(token) = run_queue.pop_front() {
                let after = hub.turn(token, Ready::NONE);
                requeue(&mut run_queue, token, after);
            }
        }
        while let Some(token) = hub.expired() {
            let after = hub.turn(token, Ready::NONE);
            requeue(&mut run_queue, token, after);
        }
    }
    Ok(())
}

fn add(epoll: &Epoll, hub: &mut Hub, token: Token) {
    let Some(socket) = hub.socket(token) else { return };
    if let Err(errno) = epoll.add_edge(socket, token) {
        hub.lose(token, errno);
    }
}

fn requeue(run_queue: &mut VecDeque<Token>, token: Token, after: After) {
    match after {
        After::Again => run_queue.push_back(token),
        After::Same | After::Changed(_) | After::Gone => {}
    }
}
