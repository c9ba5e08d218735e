//! Services and clients over a byte stream, and the convention by which any shell runs them.
//!
//! # How a shell runs a session
//!
//! ```text
//! loop {
//!     want = session.want()
//!     want.close is Done ........ flush what was rendered, close, leave the loop
//!     want.wake is due .......... session.tick(now)
//!     output is unsent .......... send it; with no room, wait
//!     want.file ................. do session.file().op(), now or later, and answer it
//!     want.write ................ send session.file().piece(), or else session.render(now, out)
//!     want.read ................. read, then session.input(now, bytes, out); at the end, eof(now)
//!     otherwise ................. wait for the descriptor or until want.wake
//! }
//! ```
//!
//! [`Pump`](crate::pump::Pump) is this loop without the waiting, for a device.
//!
//! Memory belongs to the shell and is lent for one call, so an idle session costs what its own
//! struct costs. Input is lent as `&mut`: a session may transform it in place and say that its
//! front is the reply ([`Consumed::reply`]); `upper` copies nothing that way. Other output is
//! rendered into [`Out`]. Output leaves in the order of the calls, and within a call what was
//! rendered goes before the reply: a shell that sends a reply from where the input lies lends no
//! room until it is gone. A session that consumes fewer bytes than it was lent is offered the rest
//! again after its output drained and its operation is answered: that is how backpressure reaches
//! the peer. What it has not consumed when it is done is the shell's to drop, or to hand to the
//! next session.
//!
//! Only `input` and `render` produce output, so time and the end of the stream can be told at any
//! moment, also while the peer takes nothing. A line without an end, a UART say, never tells `eof`:
//! a session that must end there needs a wake of its own, or a shell with patience.

pub mod files;
mod out;
mod reflect;
mod time;

pub use files::{FilesClient, FilesServer};
pub use out::Out;
pub use reflect::{Echo, Reflect, Upper};
pub use time::{TimeClient, TimeServer};

use crate::fault::Fault;
use crate::file::FileUser;
use crate::time::Instant;
use crate::want::Want;

/// One end of a conversation over a byte stream. It can be used as `dyn Session`.
///
/// [`laws`](crate::laws) checks every rule stated here.
pub trait Session {
    /// Takes input that arrived, and says how much of it. `bytes` is not empty; it may be changed
    /// in place. The shell calls this only while [`Want::read`] holds and all earlier output is on
    /// its way. A session that consumes nothing and renders nothing wants something else than to
    /// read.
    fn input(&mut self, now: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed;

    /// The peer will send no more. Called once at most, after all input was consumed.
    fn eof(&mut self, now: Instant);

    /// There is room for output: render what is owed, as much as fits. A session that wants to
    /// write uses at least one byte of the room it is given. Without anything owed, a no-op.
    fn render(&mut self, _now: Instant, _out: &mut Out<'_>) {}

    /// Time passed. Before [`Want::wake`] is due, a no-op; afterwards no wake is due any more. What
    /// it has to say it says in [`render`](Self::render).
    fn tick(&mut self, _now: Instant) {}

    /// What it wants now. Changes only in a `&mut` call.
    fn want(&self) -> Want;

    /// The shell gives up: the connection failed, timed out or is not wanted any more. The session
    /// is [`Done`](crate::want::Close::Done) with this fault, unless it was done before.
    fn abort(&mut self, why: Fault);

    /// Whether it waits for a request: for words of the peer that have an end, and before which it has
    /// nothing to say. A shell may limit the time that a whole request takes. A conversation has no
    /// requests, and lasts for as long as both ends like.
    fn awaits_request(&self) -> bool {
        false
    }

    /// Its side of the [`file`](crate::file) contract, if it sends or receives a file.
    fn file(&mut self) -> Option<&mut dyn FileUser> {
        None
    }
}

/// What [`Session::input`] did with its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Consumed {
    /// Bytes consumed, from the front.
    pub bytes: usize,
    /// How many of those, from the front and as they now stand, are output. They follow what the
    /// same call rendered into its [`Out`]. At most `bytes`.
    pub reply: usize,
}

impl Consumed {
    /// `bytes` were consumed; no reply in place.
    pub const fn bytes(bytes: usize) -> Self {
        Self { bytes, reply: 0 }
    }

    /// `bytes` were consumed and are, as they now stand, the reply.
    pub const fn reply(bytes: usize) -> Self {
        Self { bytes, reply: bytes }
    }
}
