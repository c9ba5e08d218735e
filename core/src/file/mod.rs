//! What a machine asks of storage: one contract for every machine that sends or receives a file.
//!
//! No byte of a file passes through a machine, and no machine waits for a disk. A machine names an
//! operation ([`FileUser::op`]). The program around it, its shell, does the operation in its own way
//! (`sendfile(2)`, `pread(2)`, DMA from flash, an object store) and answers, at once or later
//! ([`FileUser::answer`]). Until then the machine waits, and takes no input that depends on the answer.
//!
//! ```text
//!   sender      Open ─▶ Examine ─▶ Digest* ─▶ FinishDigest ─▶ (pieces are sent) ─▶ FinishDigest ─▶ Close
//!   receiver    Create ─▶ Store* ─▶ Commit
//! ```
//!
//! The bytes that a receiver stores stay where they arrived: in a stream at the front of the input
//! that the session has not consumed, in a datagram behind its header. A machine takes bytes from a
//! stream, and acknowledges them to a peer, only after the storage has answered
//! [`Kept`](Answer::Kept). So a storage that is busy slows the peer down, and no byte is lost.

mod digest;
mod facts;
mod refusal;

pub use digest::{Digest, DigestKind, Digests};
pub use facts::Facts;
pub use refusal::Refusal;

use core::task::{Context, Poll};

use crate::fault::{Fault, StorageFault};
use crate::time::{Instant, Wake};

/// Part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extent {
    /// The offset of its first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Extent {
    /// Nothing of the file.
    pub(crate) const NONE: Self = Self { offset: 0, len: 0 };
}

/// What a peer announces about a file before it sends the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'m> {
    /// The name that the peer gives it. Do not use it as a path without a check.
    pub name: &'m [u8],
    /// The size of the whole file in bytes, if the peer announced it.
    pub size: Option<u64>,
    /// The offset of the first byte that will arrive.
    pub offset: u64,
    /// The kind of the digest that will follow the file. With `None` a changed byte will not be
    /// detected.
    pub digest: Option<DigestKind>,
}

/// An operation on the file of a machine. The doc of each variant names its answer; [`Answer::Failed`]
/// answers every operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'m> {
    /// Open the file of this name, as the peer gave it, to send it. It takes the place of the file before
    /// it. [`Answer::Opened`] or [`Answer::Refused`].
    Open(&'m [u8]),
    /// Say what is known about the version of the open file. [`Answer::Facts`], or
    /// [`Answer::Failed`], which says that nothing is known.
    Examine,
    /// Read this part, or its beginning. If `digest` names a kind, feed the bytes that were read to the
    /// digest. [`Answer::Read`].
    Read {
        /// The part of the file.
        extent: Extent,
        /// The kind of digest, if there is one.
        digest: Option<DigestKind>,
    },
    /// Digest this part, or its beginning. [`Answer::Digested`].
    ///
    /// If the part begins where the digest is, the digest continues. If the part begins elsewhere,
    /// or at byte 0, a new digest begins.
    Digest {
        /// The kind of digest.
        kind: DigestKind,
        /// The part of the file.
        extent: Extent,
    },
    /// Answer with the digest of all bytes since it began, or of no bytes if it did not begin.
    /// [`Answer::Digest`].
    FinishDigest(DigestKind),
    /// The open file is not needed any more, and the session goes on without it. [`Answer::Done`]. A
    /// session that is over need not ask for it.
    Close,
    /// Make a place for a file that is about to arrive. [`Answer::Done`]; or [`Answer::Refused`], for example
    /// because there is no room for it, or a file of its name: a peer that sends it unasked is told.
    Create(Head<'m>),
    /// Keep these bytes of the file, or the first of them. [`Answer::Kept`].
    Store(Extent),
    /// All bytes were kept. Compare the sender's digest of the whole file, if there is one, and
    /// make the file valid. [`Answer::Done`].
    Commit(Option<Digest<&'m [u8; 32]>>),
}

#[cfg(feature = "defmt")]
impl defmt::Format for Head<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Head {{ name: {=usize}, size: {}, offset: {=u64}, digest: {} }}",
            self.name.len(),
            self.size,
            self.offset,
            self.digest,
        );
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Op<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Open(name) => defmt::write!(f, "Open {{ name: {=usize} }}", name.len()),
            Self::Read { extent, digest } => {
                defmt::write!(f, "Read {{ extent: {}, digest: {} }}", extent, digest);
            }
            Self::Digest { kind, extent } => {
                defmt::write!(f, "Digest {{ kind: {}, extent: {} }}", kind, extent);
            }
            Self::Examine | Self::Close => {
                let is_last = matches!(self, Self::Close);
                defmt::write!(f, "{=str}", if is_last { "Close" } else { "Examine" });
            }
            Self::FinishDigest(kind) => defmt::write!(f, "FinishDigest({})", kind),
            Self::Create(head) => defmt::write!(f, "Create({})", head),
            Self::Store(extent) => defmt::write!(f, "Store({})", extent),
            Self::Commit(digest) => defmt::write!(f, "Commit({})", digest),
        }
    }
}

/// The answer to an [`Op`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// The file is open; its size in bytes.
    Opened(u64),
    /// What is known about the version of the file.
    Facts(Facts),
    /// The peer does not get the file, or may not send it, for this reason.
    Refused(Refusal),
    /// How many bytes were read: at least one, at most the extent.
    Read(usize),
    /// How many bytes were digested: at least one, at most the extent.
    Digested(u64),
    /// The digest.
    Digest(Digest),
    /// How many bytes are kept: at least one, at most the extent.
    Kept(usize),
    /// The operation is done.
    Done,
    /// The storage is busy: ask it again at this time. With [`Wake::Never`] the answer will come
    /// without being asked for. The shell handles this answer; a machine that gets it waits on.
    Busy(Wake),
    /// The operation failed. The machine ends with this fault.
    Failed(Fault),
}

/// A machine with a file. The shell asks it for an operation while
/// [`Want::file`](crate::want::Want::file) holds, and for a piece to send while
/// [`Want::write`](crate::want::Want::write) holds.
pub trait FileUser {
    /// The operation that the machine waits for. It stays the same until it is answered.
    fn op(&self) -> Option<Op<'_>>;

    /// Takes the answer to [`op`](Self::op). An answer to another operation has no effect.
    fn answer(&mut self, now: Instant, answer: Answer);

    /// The piece of the stream that begins `ahead` bytes behind the bytes sent so far. `None` where the
    /// session renders its output itself, and behind the end.
    fn piece(&self, _ahead: u64) -> Option<Piece> {
        None
    }

    /// Renders the piece [`Piece::Head`] that begins `ahead` bytes behind the bytes sent so far, as much of
    /// it as fits. Returns the number of bytes.
    fn head(&self, _ahead: u64, _to: &mut [u8]) -> usize {
        0
    }

    /// Notes that `bytes` more bytes of the pieces have been sent.
    fn sent(&mut self, _now: Instant, _bytes: u64) {}

    /// The kind of the digest to which the shell feeds the bytes of the file as it sends them.
    fn digests(&self) -> Option<DigestKind> {
        None
    }

    /// Whether the file travels as text. The shell then translates it
    /// (`transfer::netascii`), and every size and offset that the machine names or is told
    /// is one of the translated file.
    fn text(&self) -> bool {
        false
    }
}

/// The next piece of a stream to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece {
    /// Bytes that the machine renders ([`FileUser::head`]): `len` of them up to the next piece.
    Head {
        /// How many are left.
        len: usize,
    },
    /// Part of the file.
    File(Extent),
}

/// The shell's side of the contract on a device: flash, a card, memory.
///
/// A machine has one operation at a time. For several machines use one value of the storage for each.
pub trait Storage {
    /// Does `op`, or answers when to ask again. [`Op::Read`] fills `memory` and [`Op::Store`] keeps
    /// its bytes; it is as long as the operation's extent. For other operations it is empty.
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer;

    /// The answer that it owes since it was [`Busy`](Answer::Busy) until [`Wake::Never`]: it comes from
    /// an interrupt or from another task, which wakes `cx` then. An operation that needs the memory
    /// again is answered with `Busy(Wake::Now)`. Only an async driver calls this.
    fn poll_answer(&mut self, _cx: &mut Context<'_>) -> Poll<Answer> {
        Poll::Pending
    }
}

/// No storage at all: every operation fails, and every file is refused.
impl Storage for () {
    fn perform(&mut self, _: Instant, op: Op<'_>, _: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => Answer::Refused(Refusal::NotFound),
            Op::Read { .. }
            | Op::Digest { .. }
            | Op::Examine
            | Op::FinishDigest(_)
            | Op::Close
            | Op::Create(_)
            | Op::Store(_)
            | Op::Commit(_) => Answer::Failed(StorageFault::Unsupported.into()),
        }
    }
}
