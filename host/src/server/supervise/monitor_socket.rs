//! The socket of the monitor.

use crate::addr::Address;
use crate::error::Result;
use crate::reactor::Token;
use crate::sys::listener::{Access, Listener};

/// The monitor, if there is one.
#[derive(Default)]
pub(super) struct Monitor {
    /// Its address, as configured.
    pub(super) address: Option<Address>,
    /// Its socket.
    pub(super) socket: Option<Listener>,
    /// Its source in the loop.
    pub(super) source: Option<Token>,
}

/// The backlog of its socket.
const BACKLOG: u32 = 128;

/// Opens the socket of a monitor.
///
/// # Errors
/// The address is taken, or is not one of this host.
pub fn open_monitor(address: &Address) -> Result<Listener> {
    Listener::bind_with(address, BACKLOG, Access::PRIVATE)
}
