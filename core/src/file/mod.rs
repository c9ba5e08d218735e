//! What a machine asks of storage: one contract for all that send or receive a file.
//!
//! No byte of a file passes through a machine, and no machine waits for a disk. A machine names an
//! operation ([`FileUser::op`]); the program around it, its shell, does the operation its own way
//! (`sendfile(2)`, `pread(2)`, DMA from flash, an object store) and answers, now or later
//! ([`FileUser::answer`]). Until then the machine waits, and takes no input that depends on the answer.
//!
//! ```text
//!   sender      Open ─▶ Digest* ─▶ FinishDigest ─▶ (pieces are sent) ─▶ FinishDigest
//!   receiver    Create ─▶ Store* ─▶ Commit
//! ```
//!
//! What a receiver stores lies where it came: in a stream, at the front of the input that the
//! session has not consumed; in a datagram, behind its header. Bytes are taken from a stream, and
//! acknowledged to a peer, only after storage has said [`Kept`](Answer::Kept). So a storage that is
//! busy slows the peer down, and loses nothing.

mod digest;
mod refusal;

pub use digest::{Digest, DigestKind, Digests};
pub use refusal::Refusal;

use crate::fault::{Fault, Storage as StorageFault};
use crate::time::{Instant, Wake};
use crate::wire::FrameHeader;

/// Part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extent {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// What a peer says of a file before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head<'m> {
    /// Its name: a claim of the peer, and no path to write to.
    pub name: &'m [u8],
    /// Bytes of the whole file, if the peer said.
    pub size: Option<u64>,
    /// The first byte that will come.
    pub offset: u64,
    /// The kind of the digest that will follow the file. With `None` nothing will tell whether the
    /// bytes came as they were.
    pub digest: Option<DigestKind>,
}

/// An operation on the file of a machine. Each names its answer; [`Answer::Failed`] answers all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Op<'m> {
    /// Open the file of this name, as the peer gave it, to send it. [`Answer::Opened`] or
    /// [`Answer::Refused`].
    Open(&'m [u8]),
    /// Read this part, or its beginning, and digest what was read if a kind is named.
    /// [`Answer::Read`].
    Read {
        /// Which part.
        extent: Extent,
        /// The kind of digest, if there is one.
        digest: Option<DigestKind>,
    },
    /// Digest this part, or its beginning. [`Answer::Digested`].
    ///
    /// A digest goes on where it was, and begins anew for a part that begins elsewhere, or at
    /// byte 0.
    Digest {
        /// The kind of digest.
        kind: DigestKind,
        /// Which part.
        extent: Extent,
    },
    /// Say what the digest is, of all bytes since it began; of none, if it did not begin.
    /// [`Answer::Digest`].
    FinishDigest(DigestKind),
    /// A file is about to come. [`Answer::Done`] when there is a place for it.
    Create(Head<'m>),
    /// Keep these bytes of the file, or the first of them. [`Answer::Kept`].
    Store(Extent),
    /// All bytes were kept; this is the sender's digest of the whole file, if there is one. Compare
    /// it, and make the file valid. [`Answer::Done`].
    Commit(Option<Digest>),
}

/// The answer to an [`Op`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// The file is open and has so many bytes.
    Opened(u64),
    /// There is no such file for this peer.
    Refused(Refusal),
    /// So many bytes were read: all that were asked for, or fewer, but not none.
    Read(usize),
    /// So many bytes were digested: all that were asked for, or fewer, but not none.
    Digested(u64),
    /// The digest.
    Digest(Digest),
    /// So many bytes are kept: all that were offered, or fewer, but not none.
    Kept(usize),
    /// It is done.
    Done,
    /// Not now: the operation is to be named again then. With [`Wake::Never`] the answer will come
    /// unasked. This is for the shell; a machine that is told waits on.
    Busy(Wake),
    /// It cannot be done. The machine ends with this fault.
    Failed(Fault),
}

/// A machine with a file. The shell looks here while [`Want::file`](crate::want::Want::file) holds,
/// and for what to send while [`Want::write`](crate::want::Want::write) holds.
pub trait FileUser {
    /// The operation that the machine waits for. It stays the same until it is answered.
    fn op(&self) -> Option<Op<'_>>;

    /// The answer to [`op`](Self::op). One that answers another operation changes nothing.
    fn answer(&mut self, now: Instant, answer: Answer);

    /// What a stream carries `ahead` bytes behind what has been sent. `None` where the session
    /// renders itself, and behind the end.
    fn piece(&self, _ahead: u64) -> Option<Piece> {
        None
    }

    /// So many bytes of the pieces have been sent.
    fn sent(&mut self, _now: Instant, _bytes: u64) {}

    /// The kind of digest that the bytes of the file are to be fed to as they are sent.
    fn digests(&self) -> Option<DigestKind> {
        None
    }
}

/// The next thing that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece {
    /// A frame's header, from its byte `from` on.
    Header {
        /// The whole header.
        header: FrameHeader,
        /// Bytes of it that have left: 0 to 3.
        from: usize,
    },
    /// Part of the file.
    File(Extent),
}

/// A shell's side of the contract, for a device: flash, a card, memory.
///
/// The operations of one machine come one at a time. A storage that serves several machines is
/// made of one value for each.
pub trait Storage {
    /// Does `op`, or says when to ask again. `memory` is what a [`Op::Read`] fills and what a
    /// [`Op::Store`] keeps, as long as the operation's extent, and empty for the others.
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer;
}

/// No storage at all: every operation fails, and every file is refused.
impl Storage for () {
    fn perform(&mut self, _: Instant, op: Op<'_>, _: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => Answer::Refused(Refusal::NotFound),
            Op::Read { .. }
            | Op::Digest { .. }
            | Op::FinishDigest(_)
            | Op::Create(_)
            | Op::Store(_)
            | Op::Commit(_) => Answer::Failed(StorageFault::Unsupported.into()),
        }
    }
}
