//! Services that answer each datagram by itself, and the convention by which any shell runs them.
//!
//! ```text
//! loop {
//!     wait for a datagram
//!     (len, from) = recvfrom(buf)                 one that was cut is dropped and counted
//!     match responder.datagram(now, &from, buf, len) {
//!         Reply(n) ............ sendto(buf[..n], from)
//!         NoReply ............. nothing
//!         Malformed(why) ...... count it
//!     }
//! }
//! ```
//!
//! There is no state of a peer between two datagrams, so there is nothing to time out, to limit or to
//! clean up, and a flood from ten thousand addresses costs the memory of one buffer. A shell may receive
//! many datagrams in one call, each into a buffer of its own, and send the replies in another.
//!
//! [`laws`](crate::laws) checks every rule stated here.

mod reflect;
mod score;
mod time;

pub use score::ScoreReceiver;
pub use time::TimeResponder;

use crate::fault::Peer;
use crate::time::Instant;

/// Answers each datagram by itself, with one datagram at most. It can be used as `dyn Responder<A>`.
///
/// `A` is what the shell calls an address: a socket address on a host, an endpoint of `smoltcp` on a
/// device, `()` where it does not matter. The services of this crate take any.
pub trait Responder<A = ()> {
    /// Takes a datagram of `len` bytes, which is the front of `buf`. The reply is the front of `buf` too;
    /// the rest of `buf` is room for a reply that is longer than the question, and its contents before the
    /// call are not looked at. A datagram may be empty, and so may a reply. A reply for which there is no
    /// room is left out.
    fn datagram(&mut self, now: Instant, from: &A, buf: &mut [u8], len: usize) -> Response;
}

/// What came of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Response {
    /// The first so many bytes of the buffer are to be sent to the address that asked.
    Reply(usize),
    /// It was taken, and there is no reply.
    NoReply,
    /// It is not of the protocol: it is dropped, and the shell counts it.
    Malformed(Peer),
}
