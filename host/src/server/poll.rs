//! `poll(2)`: an array of descriptors and interests; the kernel marks the ready ones.
//!
//! ```text
//! loop { fill the array; poll; for each marked one: give it a turn }
//! ```
//!
//! It has no limit of 1024, and separates interest and result. But the whole array is passed to the
//! kernel for each wait: with a hundred busy connections that is as fast as `epoll`, with ten
//! thousand idle ones a wait costs more than a millisecond.

use super::common::Server;
use super::hub::Hub;
use crate::drive::Reports;
use crate::error::{Error, Result};
use crate::sys::poll::PollSet;
use crate::sys::ready::{Ready, Token};

pub(super) fn serve(server: Server) -> Result<()> {
    let mut hub = Hub::new(server, Reports::WhileReady);
    let mut set = PollSet::new();
    hub.server.when_ready.come()?;
    while !hub.is_over() {
        set.clear();
        hub.watched().for_each(|(token, fd, interest)| set.add(fd, interest, token));
        let count = set.wait(hub.wait_us()).map_err(Error::of("poll", ""))?;
        hub.woke();
        for (token, ready) in set.ready(count) {
            match token {
                Token::STOP => hub.stopping(),
                Token::LISTENER => {
                    while let Some(client) = hub.accept() {
                        let _ = hub.open(client);
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
