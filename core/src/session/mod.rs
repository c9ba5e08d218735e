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
//! **Memory.** The shell owns the memory and lends it for one call, so an idle session costs only
//! its own struct. Input is lent as `&mut`: a session may change it in place and return how much of
//! its front is the reply ([`Consumed::reply`]). In this way `upper` copies nothing. Other output
//! is rendered into [`Out`].
//!
//! **Order.** Output is sent in the order of the calls. Within one call the rendered output comes
//! before the reply. A shell that sends a reply from the memory of the input lends this memory
//! again only when the reply has left.
//!
//! **Backpressure.** A session may consume fewer bytes than it was lent. The shell offers it the
//! rest again after its output is sent and its operation is answered; until then the peer has to
//! wait. Bytes that a session has not consumed when it is done belong to the shell, which drops
//! them or gives them to the next session.
//!
//! Only `input` and `render` produce output, so the shell may call `tick` and `eof` at any
//! moment, also while the peer takes nothing. The shell of a line without an end, such as a UART, never
//! calls `eof`: a session on it needs a deadline of its own, or a shell with an idle timeout.

pub mod files;
pub mod http;
mod out;
mod reflect;
mod time;

pub use files::{FilesClient, FilesServer};
pub use http::HttpServer;
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
    /// Takes input, and returns how much of it was consumed. `bytes` is not empty, and may be changed
    /// in place. The shell calls this only while [`Want::read`] holds and all earlier output has been
    /// sent. After a call that consumes nothing and renders nothing, the session must want something
    /// other than to read.
    fn input(&mut self, now: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed;

    /// The peer will send no more. Called once at most, after all input was consumed.
    fn eof(&mut self, now: Instant);

    /// There is room for output: renders as much pending output as fits. A session with
    /// [`Want::write`] uses at least one byte of the room. Without pending output the call has no
    /// effect.
    fn render(&mut self, _now: Instant, _out: &mut Out<'_>) {}

    /// Time passed. Before [`Want::wake`] is due the call has no effect; after the call no wake is due.
    /// Output that the tick causes is rendered by [`render`](Self::render).
    fn tick(&mut self, _now: Instant) {}

    /// What the session wants now. The value changes only in a `&mut` call.
    fn want(&self) -> Want;

    /// The shell gives up: the connection failed, timed out or is not needed any more. The session
    /// is then [`Done`](crate::want::Close::Done) with this fault, unless it was done before.
    fn abort(&mut self, why: Fault);

    /// Whether the session waits for a request: input that has an end, and before which the session
    /// has no output. A shell may limit the time for a whole request. A conversation has no
    /// requests and may last as long as both ends want.
    fn awaits_request(&self) -> bool {
        false
    }

    /// Whether the session awaits the next request of a connection that has had an answer, and no byte of it
    /// has come. The client is then idle, and not slow: the time for a whole request begins with its first
    /// byte.
    fn rests(&self) -> bool {
        false
    }

    /// The time for a request is over. Returns whether the session has a last word to say: it then has
    /// output, and awaits no request. Otherwise the call has no effect, and the shell aborts.
    fn expire(&mut self, _now: Instant) -> bool {
        false
    }

    /// The session's side of the [`file`](crate::file) contract, if it sends or receives a file.
    fn file(&mut self) -> Option<&mut dyn FileUser> {
        None
    }
}

/// The result of [`Session::input`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Consumed {
    /// How many bytes were consumed, from the front.
    pub bytes: usize,
    /// How many of the consumed bytes, from the front and in their changed form, are the reply. The
    /// shell sends them after the output that the same call rendered into its [`Out`]. At most
    /// `bytes`.
    pub reply: usize,
}

impl Consumed {
    /// `bytes` were consumed; there is no reply in place.
    pub const fn bytes(bytes: usize) -> Self {
        Self { bytes, reply: 0 }
    }

    /// `bytes` were consumed, and in their changed form they are the reply.
    pub const fn reply(bytes: usize) -> Self {
        Self { bytes, reply: bytes }
    }
}
