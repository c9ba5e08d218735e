//! Drivers: run a [`Pump`](crate::pump::Pump) on the ports of `embedded-io` and `embedded-io-async`.
//!
//! - `blocking`, with feature `embedded-io`: a loop that waits in a function of the program.
//! - `asynch`, with feature `embedded-io-async`: a future for any executor.
//!
//! Both drive an [`Engine`]: a pump, or [`Linked`], a pump over the link layer for an unreliable line.
//!
//! Another port, such as smoltcp's sockets or a bare UART, needs a `match` on
//! [`Need`](crate::pump::Need) of about 15 lines.

mod engine;
mod linked;

pub use engine::Engine;
pub use linked::Linked;

#[cfg(feature = "embedded-io-async")]
pub mod asynch;
#[cfg(feature = "embedded-io")]
pub mod blocking;

#[cfg(all(feature = "embedded-io-async", feature = "embassy-time"))]
mod embassy;
#[cfg(all(feature = "embedded-io-async", feature = "embassy-time"))]
pub use embassy::EmbassyClock;

use crate::fault::Fault;

/// Why a driver ended before its session was over with `Ok`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<E> {
    /// The session's fault.
    Session(Fault),
    /// The port's error. The session was aborted with a lost connection.
    Port(E),
}

impl<E: core::fmt::Debug> core::fmt::Display for Error<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Session(fault) => fault.fmt(f),
            Self::Port(error) => write!(f, "the port failed: {error:?}"),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for Error<E> {}
