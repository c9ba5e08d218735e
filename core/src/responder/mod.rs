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
//! A responder keeps no state of a peer between two datagrams. So it needs no timeout, no limit and no
//! cleanup, and a flood from ten thousand addresses costs the memory of one buffer. A shell may receive
//! many datagrams in one call, each into a buffer of its own, and send the replies in another call.
//!
//! [`laws`](crate::laws) checks every rule stated here.

mod reflect;
mod score;
mod time;

pub use score::ScoreReceiver;
pub use time::TimeResponder;

use crate::fault::Peer;
use crate::time::Instant;

/// Answers each datagram by itself, with at most one datagram. It can be used as `dyn Responder<A>`.
///
/// `A` is the shell's type of an address: a socket address on a host, an endpoint of `smoltcp` on a
/// device, `()` if the address does not matter. The services of this crate accept any type.
pub trait Responder<A = ()> {
    /// Takes a datagram of `len` bytes at the front of `buf`, and writes the reply to the front of
    /// `buf`. The rest of `buf` is room for a reply that is longer than the request; a responder
    /// does not read its contents. A datagram may be empty, and so may a reply. If there is no room
    /// for a reply, none is sent.
    fn datagram(&mut self, now: Instant, from: &A, buf: &mut [u8], len: usize) -> Response;
}

/// The result of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Response {
    /// The reply: send this number of bytes from the front of the buffer to the sender's address.
    Reply(usize),
    /// The datagram was accepted, and there is no reply.
    NoReply,
    /// The datagram does not follow the protocol: the shell drops and counts it.
    Malformed(Peer),
}
