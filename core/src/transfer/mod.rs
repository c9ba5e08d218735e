//! Files over datagrams that are lost, doubled, late and out of order: `tftp` and `xfer`, both ends, and
//! the convention by which any shell runs them.
//!
//! # How a shell runs a transfer
//!
//! ```text
//! loop {
//!     want = transfer.want()
//!     want.wake is due .......... transfer.tick(now)
//!     want.write ................ for nth in 0.. while there is room: transfer.render(now, nth, head) is what
//!                                 to send: its head, then its extent of the file. transfer.sent(now, how many)
//!     want.close is Done ........ close, leave the loop
//!     want.file ................. do transfer.storage().op(), now or later, and answer it
//!     want.read ................. receive, then transfer.handle(now, datagram)
//!     otherwise ................. wait for the socket or until want.wake
//! }
//! ```
//!
//! One peer, one transfer: the shell receives from one address (a connected socket, or a table of addresses),
//! and hands over the first datagram of a client, the request, like any other. A server's machine that is
//! made and not yet told of a request is free.
//!
//! **Memory is that of the struct**, whatever the window. What a machine sends it names, a header and an
//! [`Extent`] of the file; to send it again is to name it again. What it receives stays in the shell's buffer
//! until storage has kept it: [`Heard::Store`] says where the block lies in the datagram, and the datagram
//! stays there until [`Want::read`] holds again. Storage may keep a part of it; the operation then names what
//! follows. A block is acknowledged after all of it was kept, and the last one after
//! [`Op::Commit`](crate::file::Op::Commit).
//!
//! **Rendering changes nothing.** [`render`](Transfer::render) names the datagrams that are owed, one by one,
//! so a shell can look at a whole window, read it with one `preadv(2)`, and send it with one system call. What
//! left it tells to [`sent`](Transfer::sent); what did not is still owed.
//!
//! **The end.** [`Close::WriteHalf`](crate::want::Close::WriteHalf): the file is whole and valid, and only the
//! last answer is repeated for a while, in case it was lost. A client's shell may leave then, as soon as
//! nothing is to be written; a server's stays. A transfer that is [`Done`](crate::want::Close::Done) with a
//! fault may want to write one more datagram, which tells the peer; it is sent once, if at all.
//!
//! [`laws`](crate::laws) checks every rule stated here, and [`sim`](crate::sim) runs two transfers against
//! each other in virtual time.

mod end;
mod inbound;
pub mod netascii;
mod outbound;
pub mod parts;
mod run;
pub mod tftp;
mod timer;
pub mod xfer;

pub use timer::{REQUEST_COPIES_US, Timing};

use crate::fault::{Fault, Peer};
use crate::file::{Extent, FileUser};
use crate::time::Instant;
use crate::want::Want;

/// The longest head that a machine renders, in bytes: a shell that lends so much can run any of them.
pub const HEAD_MAX: usize = 4 + crate::wire::xfer::PATH_MAX;

/// One end of a conversation with one peer over datagrams. It can be used as `dyn Transfer`.
pub trait Transfer {
    /// Takes a datagram of the peer. The shell calls this only while [`Want::read`] holds.
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard;

    /// The `nth` datagram that it owes, counted from 0; `None` behind the last one. Its front is written to
    /// `head`, which has [`HEAD_MAX`] bytes or what the machine states.
    fn render(&self, now: Instant, nth: usize, head: &mut [u8]) -> Option<Tx>;

    /// The first `count` of the datagrams that it owed have left.
    fn sent(&mut self, now: Instant, count: usize);

    /// Time passed. Before [`Want::wake`] is due, a no-op; afterwards no wake is due any more.
    fn tick(&mut self, now: Instant);

    /// What it wants now. Changes only in a `&mut` call.
    fn want(&self) -> Want;

    /// The shell gives up: the socket failed, the file shrank, the server stops. The transfer is
    /// [`Done`](crate::want::Close::Done) with this fault, unless it was done before.
    fn abort(&mut self, why: Fault);

    /// Its side of the [`file`](crate::file) contract, if it asks anything of storage.
    fn storage(&mut self) -> Option<&mut dyn FileUser>;
}

/// What is to be sent: so many bytes of the head, and behind them a part of the file, which may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tx {
    /// Bytes that stand in the head.
    pub head: usize,
    /// The bytes of the file that follow.
    pub body: Extent,
}

impl Tx {
    /// Nothing of the file.
    const fn head(head: usize) -> Self {
        Self { head, body: Extent::NONE }
    }
}

/// What came of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Heard {
    /// It was taken: the transfer went on.
    Taken,
    /// It has a block, which begins at this byte of the datagram and is to be kept: the storage operations
    /// that follow are about it.
    Store {
        /// Where the block begins.
        at: usize,
    },
    /// It is of the protocol and of no use: late, repeated, or not expected.
    Ignored,
    /// It is not of the protocol: it is dropped, and the shell counts it.
    Malformed(Peer),
    /// The peer ended the transfer. Its words are not to be shown as they are.
    Ended {
        /// The number of the reason.
        code: u32,
        /// Where in the datagram the words are.
        at: usize,
        /// How many bytes they have.
        len: usize,
    },
    /// The peer asks for something else, or asks anew: this transfer is over, and the datagram is the request
    /// of another one.
    Replaced,
}

#[cfg(test)]
mod tests;
