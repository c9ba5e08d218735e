//! Asks a time server.

use windlass_core::fault::Fault;
use windlass_core::session::TimeClient;
use windlass_core::time::Instant;
use windlass_core::wire::Stamp;

use crate::addr::Address;
use crate::drive::{Connection, Lent, Patience, Woken, run};
use crate::error::{Error, Result};
use crate::sys::connect::connect;
use crate::sys::{clock, poll};

/// The time that the server at `address` says, if it says it within `timeout_us`.
///
/// # Errors
/// It cannot be reached, says nothing in time, or says something else.
pub fn time(address: &Address, timeout_us: u64) -> Result<Stamp> {
    let deadline = clock::now().after(timeout_us);
    let stream = connect(address, deadline)?;
    let mut connection = Connection::new(stream, Box::new(TimeClient::new()), clock::now());
    let mut lent = Lent::for_one(Patience { idle_us: None });
    run(&mut connection, &mut lent, |socket, interest, _: Option<Instant>| {
        match poll::wait(socket, interest, None, Some(deadline)) {
            poll::Woken::Ready(ready) => Woken::Ready(ready),
            poll::Woken::TimedOut => Woken::Cut,
            poll::Woken::Other | poll::Woken::Interrupted => Woken::Look,
        }
    })
    .map_err(|fault| match fault {
        Fault::Aborted => Fault::TimedOut { waited_us: timeout_us },
        fault => fault,
    })
    .map_err(Error::of("read the time from", address))?;
    connection
        .session()
        .stamp()
        .ok_or_else(|| Error::new("read the time from", address, "it said nothing"))
}
