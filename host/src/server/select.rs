//! `select(2)`: pass all descriptors to the kernel before each wait, examine all after it.
//!
//! ```text
//! loop { fill the sets; select; for each connection: is it in a set? give it a turn }
//! ```
//!
//! Every Unix has it. It cannot watch a descriptor numbered 1024 or higher: the original macros
//! write past the set and corrupt the memory behind it. Here the connection with that number is closed
//! with a clean end and a line in the log.

use std::os::fd::AsFd;

use super::common::Server;
use super::hub::Hub;
use crate::drive::Reports;
use crate::error::{Error, Result};
use crate::sys::ready::{Ready, Token};
use crate::sys::select::{FD_SETSIZE, SelectSet, can_watch};

pub(super) fn serve(server: Server) -> Result<()> {
    let mut hub = Hub::new(server, Reports::WhileReady);
    if !hub.watched().all(|(_, fd, _)| can_watch(fd)) {
        let why = "a descriptor that the server needs is numbered 1024 or higher";
        return Err(Error::new("select", "", why));
    }
    let mut ready: Vec<(Token, Ready)> = Vec::new();
    hub.server.when_ready.come()?;
    while !hub.is_over() {
        wait(&mut hub, &mut ready)?;
        hub.woke();
        for (token, ready) in ready.drain(..) {
            match token {
                Token::STOP => hub.stopping(),
                Token::LISTENER => {
                    while let Some(client) = hub.accept() {
                        if can_watch(client.as_fd()) {
                            let _ = hub.open(client);
                        } else {
                            let why = format!("select watches {FD_SETSIZE} descriptors");
                            hub.server.acceptor.refuse(&client, &why, hub.now);
                        }
                    }
                }
                token => drop(hub.turn(token, ready)),
            }
        }
        while let Some(token) = hub.jobs.expired(hub.now) {
            let _ = hub.turn(token, Ready::NONE);
        }
    }
    Ok(())
}

/// One `select`; the ready connections go to the list.
fn wait(hub: &mut Hub, ready: &mut Vec<(Token, Ready)>) -> Result<()> {
    let (mut set, wait_us) = (SelectSet::new(), hub.wait_us());
    hub.watched().for_each(|(_, fd, interest)| set.add(fd, interest));
    if set.wait(wait_us).map_err(Error::of("select", ""))? > 0 {
        let found = hub.watched().map(|(token, fd, _)| (token, set.ready(fd)));
        ready.extend(found.filter(|(_, ready)| ready.any()));
    }
    Ok(())
}
