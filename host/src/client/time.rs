//! The client of the `time` service.

use std::ops::ControlFlow;
use std::os::fd::AsFd;

use windlass_core::session::TimeClient;
use windlass_core::wire::Stamp;

use super::datagram;
use super::datagram::time::{late, why_not};
use crate::addr::{Address, Transport};
use crate::drive::{Buffers, Connection, Next, Rules, Turns};
use crate::error::Result;
use crate::sys::connect::connect;
use crate::sys::ready::{Interest, Ready};
use crate::sys::{Signal, clock, poll};

/// Gets the time of the server at `address`, within `timeout_us`; or the signal that came first, of those
/// that end a program.
///
/// # Errors
/// The server cannot be reached, sends nothing in time, or sends something else.
pub fn time(address: &Address, timeout_us: u64) -> Result<ControlFlow<Signal, Stamp>> {
    if address.transport() == Some(Transport::Datagram) {
        return datagram::time(address, timeout_us);
    }
    let deadline = clock::now().after(timeout_us);
    let stream = connect(address, deadline)?;
    let mut connection = Connection::new(stream, Box::new(TimeClient::new()), clock::now());
    let mut buffers = Buffers::for_one(Rules::default());
    let mut ready = Ready::NONE;
    loop {
        let next = connection.turn(ready, clock::now(), &mut buffers);
        // After the stamp the client is done, even if the server sends more.
        if let Some(stamp) = connection.session().stamp() {
            return Ok(ControlFlow::Continue(stamp));
        }
        let interest = match next {
            Next::Wait(interest) => interest,
            Next::Again => Interest::READ,
            Next::Closed(how) => return Err(why_not(address, how.err())),
        };
        ready = match poll::wait(connection.as_fd(), interest, None, Some(deadline)) {
            poll::Woken::Ready(ready) => ready,
            poll::Woken::Other | poll::Woken::Interrupted => Ready::NONE,
            poll::Woken::TimedOut => {
                // The server may have sent something, and may send more.
                return Err(late(address, timeout_us));
            }
        };
    }
}
