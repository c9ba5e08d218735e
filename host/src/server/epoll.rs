//! `epoll(7)`, level-triggered: the kernel keeps the set and reports which descriptors are ready, for as long as they are.
//!
//! ```text
//! add each client once
//! loop { epoll_wait; each client that is reported: give it a turn; if it now waits
//!        for something else, tell the kernel }
//! ```
//!
//! The cost of a wait grows with the clients that are ready, not with those that are connected. A turn writes its reply
//! at once, and registers for room only if the socket is full, so a message
//! costs one read and one write and its share of a wait.

use super::common::Server;
use super::hub::Hub;
use crate::drive::{After, Reports};
use crate::error::{Error, Result};
use crate::sys::epoll::Epoll;
use crate::sys::ready::{Interest, Ready, Token};

pub(super) fn serve(server: Server) -> Result<()> {
    let mut hub = Hub::new(server, Reports::WhileReady);
    let mut epoll = Epoll::new().map_err(Error::of("open an epoll instance", ""))?;
    for (token, bell) in hub.bells() {
        epoll.add(bell, Interest::READ, token).map_err(Error::of("watch for signals", ""))?;
    }
    let mut listening = None;
    while !hub.is_over() {
        listening = watch_listener(&epoll, &hub, listening)?;
        hub.server.when_ready.come()?;
        let count = epoll.wait(hub.wait_us()).map_err(Error::of("epoll_wait", ""))?;
        hub.woke();
        for index in 0..count {
            match epoll.event(index) {
                (Token::STOP, _) => hub.stopping(),
                (Token::LISTENER, _) => {
                    while let Some(client) = hub.accept() {
                        let (token, after) = hub.open(client);
                        add(&epoll, &mut hub, token, after);
                    }
                }
                (token, ready) => turn(&epoll, &mut hub, token, ready),
            }
        }
        while let Some(token) = hub.jobs.expired(hub.now) {
            turn(&epoll, &mut hub, token, Ready::NONE);
        }
    }
    Ok(())
}

/// Watches the listener while clients are wanted. At a limit, a listener that stayed in the set
/// would be reported again and again.
pub(super) fn watch_listener(epoll: &Epoll, hub: &Hub, was: Option<bool>) -> Result<Option<bool>> {
    let Some(listener) = hub.server.acceptor.socket() else { return Ok(None) };
    let wanted = hub.wants_clients();
    let interest = if wanted { Interest::READ } else { Interest::NONE };
    match was {
        None => epoll.add(listener, interest, Token::LISTENER),
        Some(was) if was != wanted => epoll.modify(listener, interest, Token::LISTENER),
        Some(_) => Ok(()),
    }
    .map_err(Error::of("watch the listener", ""))?;
    Ok(Some(wanted))
}

fn add(epoll: &Epoll, hub: &mut Hub, token: Token, after: After) {
    let interest = match after {
        After::Changed(interest) => interest,
        After::Same | After::Again => Interest::NONE,
        After::Gone(_) => return,
    };
    let Some(socket) = hub.jobs.socket(token) else { return };
    if let Err(errno) = epoll.add(socket, interest, token) {
        hub.lose(token, errno);
    }
}

fn turn(epoll: &Epoll, hub: &mut Hub, token: Token, ready: Ready) {
    // A closed socket leaves the set by itself: no other process has a copy of it.
    let After::Changed(interest) = hub.turn(token, ready) else { return };
    let Some(socket) = hub.jobs.socket(token) else { return };
    if let Err(errno) = epoll.modify(socket, interest, token) {
        hub.lose(token, errno);
    }
}
