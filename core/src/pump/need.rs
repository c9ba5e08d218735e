//! What a pump asks of its driver.

use crate::fault::Fault;
use crate::file::Op;
use crate::time::Wake;

/// What the pump needs next. It stays the same until the driver has done it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Need<'p, 's> {
    /// Send these bytes, or the first of them, then [`Pump::sent`](super::Pump::sent).
    Send {
        /// The bytes: at least one.
        bytes: &'p [u8],
        /// When to call the pump again even if no byte could be sent: the session's wake, or the end of
        /// the idle timeout.
        until: Wake,
    },
    /// Receive into this memory, then [`Pump::received`](super::Pump::received) or [`Pump::eof`](super::Pump::eof).
    Recv {
        /// The memory: at least one byte.
        buf: &'p mut [u8],
        /// When to call the pump again even if no byte arrived: the session's wake, or the end of the
        /// idle timeout.
        until: Wake,
    },
    /// Do this operation, then [`Pump::answer`](super::Pump::answer).
    File {
        /// The operation.
        op: Op<'s>,
        /// The memory to fill for [`Op::Read`], or to keep for [`Op::Store`]; as long as the extent.
        /// It stays in its place until the answer.
        memory: &'p mut [u8],
    },
    /// No more output will come: half-close the line, if the line can do that. Returned once.
    Shutdown,
    /// Nothing before this time, or before the program calls the session.
    Wait(Wake),
    /// The session is over. After a fault, unsent output is dropped.
    Over(Result<(), Fault>),
}

#[cfg(feature = "defmt")]
impl defmt::Format for Need<'_, '_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Send { bytes, until } => {
                defmt::write!(f, "Send {{ bytes: {=usize}, until: {} }}", bytes.len(), until);
            }
            Self::Recv { buf, until } => {
                defmt::write!(f, "Recv {{ room: {=usize}, until: {} }}", buf.len(), until);
            }
            Self::File { op, memory } => {
                defmt::write!(f, "File {{ op: {}, memory: {=usize} }}", op, memory.len());
            }
            Self::Shutdown => defmt::write!(f, "Shutdown"),
            Self::Wait(until) => defmt::write!(f, "Wait({})", until),
            Self::Over(how) => defmt::write!(f, "Over({})", how),
        }
    }
}
