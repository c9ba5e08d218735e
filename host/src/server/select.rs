//! `select(2)`: tell the kernel everything before each wait, look at everything after it.
//!
//! ```text
//! loop { fill the sets; select; for everyone: is it in a set? give it a turn }
//! ```
//!
//! It is everywhere, and it cannot watch a descriptor numbered 1024 or higher: the original macros
//! write past the set and corrupt whatever lies there. Here the client behind that number is turned
//! away with a clean end and a line in the log.

use std::os::fd::AsFd;

use super::common::Server;
use super::hub::Hub;
use crate::error::{Error, Result};
use crate::sys::ready::{Ready, Token};
use crate::sys::select::{FD_SETSIZE, SelectSet, can_watch};

pub(super) fn serve(server: Server) -> Result<()> {
    let mut hub = Hub::level_triggered(server);
    if !hub.watched().all(|(_, fd, _)| can_watch(fd)) {
        let why = "a descriptor that the server needs is numbered 1024 or higher";
        return Err(Error::new("select", "", why));
    }
    let mut ready: Vec<(Token, Ready)> = Vec::new();
    hub.is_ready()?;
    while !hub.is_over() {
        wait(&hub, &mut ready)?;
        hub.woke();
        for (token, ready) in ready.drain(..) {
            match token {
                Token::STOP => hub.stopping(),
                Token::LISTENER => {
                    while let Some(stream) = hub.accept() {
                        if can_watch(stream.as_fd()) {
                            let _ = hub.open(stream);
                        } else {
                            hub.refuse(
                                &stream,
                                &format!("select watches {FD_SETSIZE} descriptors"),
                            );
                        }
                    }
                }
                token => drop(hub.turn(token, ready)),
            }
        }
        while let Some(token) = hub.expired() {
            let _ = hub.turn(token, Ready::NONE);
        }
    }
    Ok(())
}

/// One `select`; who is ready goes to the list.
fn wait(hub: &Hub, ready: &mut Vec<(Token, Ready)>) -> Result<()> {
    let mut set = SelectSet::new();
    hub.watched().for_each(|(_, fd, interest)| set.add(fd, interest));
    if set.wait(hub.wait_us()).map_err(Error::of("select", ""))? > 0 {
        let found = hub.watched().map(|(token, fd, _)| (token, set.ready(fd)));
        ready.extend(found.filter(|(_, ready)| ready.any()));
    }
    Ok(())
}
