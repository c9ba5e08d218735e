//! A byte port, and a complete shell that runs any session on it without an operating system.

use windlass_core::fault::Fault;
use windlass_core::pump::{Need, Pump};
use windlass_core::session::Session;
use windlass_core::time::Wake;

use crate::{clock, cpu};

/// A source and sink of bytes. Neither call waits.
pub trait Port {
    /// Moves received bytes to the front of `buf`, and returns their number.
    fn read(&mut self, buf: &mut [u8]) -> usize;

    /// Sends bytes from the front while there is room, and returns their number. An interrupt comes when
    /// there is room again.
    fn write(&mut self, bytes: &[u8]) -> usize;
}

/// Runs a session to its end. A UART has no end of the stream and no half-close.
///
/// # Errors
/// The fault with which the session ended.
pub fn run<S: Session>(
    pump: &mut Pump<'_>,
    session: &mut S,
    port: &mut impl Port,
) -> Result<(), Fault> {
    loop {
        let (moved, until) = match pump.next(session, clock::now()) {
            Need::Send { bytes, until } => {
                let n = port.write(bytes);
                pump.sent(n);
                (n, until)
            }
            Need::Recv { buf, until } => {
                let n = port.read(buf);
                pump.received(n);
                (n, until)
            }
            Need::Over(how) => return how,
            Need::Wait(until) => (0, until),
            Need::Shutdown | Need::File { .. } => (0, Wake::Never),
        };
        if moved == 0 {
            clock::alarm(until);
            cpu::sleep();
        }
    }
}
