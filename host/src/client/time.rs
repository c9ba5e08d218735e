//! The client of the `time` service.

use std::os::fd::AsFd;

use windlass_core::fault::Fault;
use windlass_core::session::TimeClient;
use windlass_core::time::Instant;
use windlass_core::wire::Stamp;

use crate::addr::{Address, Transport};
use crate::drive::{Buffers, Connection, Next, Rules, Turns};
use crate::error::{Error, Result};
use crate::status::brief;
use crate::sys::connect::connect;
use crate::sys::ready::{Interest, Ready};
use crate::sys::{clock, datagram, poll};

const OP: &str = "read the time from";

/// Gets the time of the server at `address`, within `timeout_us`.
///
/// # Errors
/// The server cannot be reached, sends nothing in time, or sends something else.
pub fn time(address: &Address, timeout_us: u64) -> Result<Stamp> {
    let deadline = clock::now().after(timeout_us);
    if address.transport() == Some(Transport::Datagram) {
        return ask(address, deadline, timeout_us);
    }
    let stream = connect(address, deadline)?;
    let mut connection = Connection::new(stream, Box::new(TimeClient::new()), clock::now());
    let mut buffers = Buffers::for_one(Rules::default());
    let mut ready = Ready::NONE;
    loop {
        let next = connection.turn(ready, clock::now(), &mut buffers);
        // After the stamp the client is done, even if the server sends more.
        if let Some(stamp) = connection.session().stamp() {
            return Ok(stamp);
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
                let late = format!("no answer within {}", brief(timeout_us));
                return Err(Error::new(OP, address, late));
            }
        };
    }
}

/// The first question may be lost, and its answer: it is asked again, each time after twice as long.
const AGAIN_US: u64 = 500_000;

/// Asks a datagram socket: anything that it gets it answers with the stamp.
fn ask(address: &Address, deadline: Instant, timeout_us: u64) -> Result<Stamp> {
    let failed = |errno| Error::new(OP, address, errno);
    let socket = datagram::connect(address, deadline)?;
    let (mut wait_us, mut ask_at, mut buf) = (AGAIN_US, clock::now(), [0; Stamp::MAX_LEN + 1]);
    loop {
        let now = clock::now();
        if now >= deadline {
            let late = format!("no answer within {}", brief(timeout_us));
            return Err(Error::new(OP, address, late));
        }
        if now >= ask_at {
            socket.send(b"").map_err(failed)?;
            ask_at = now.after(wait_us);
            wait_us *= 2;
        }
        poll::wait(socket.as_fd(), Interest::READ, None, Some(deadline.min(ask_at)));
        if let Some(len) = socket.receive(&mut buf).map_err(failed)? {
            return Stamp::parse(&buf[..len]).map_err(|why| why_not(address, Some(why.into())));
        }
    }
}

fn why_not(address: &Address, fault: Option<Fault>) -> Error {
    // A session that is done without a stamp is done with a fault.
    Error::new(OP, address, fault.unwrap_or(Fault::Aborted))
}
