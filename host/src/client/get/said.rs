//! What was said in a dialogue, whatever the protocol.

use windlass_core::file::Digest;

use super::facts::Facts;

pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a server said, or what is to be done for what it said, as a
/// [`FileUser`](windlass_core::file::FileUser) asks for it.
pub(super) enum Said<'i> {
    /// Nothing more so far.
    More,
    /// It does not have the rest that was asked for: it is to be asked for all.
    Again,
    /// The document is there.
    Elsewhere(Box<[u8]>),
    /// The document follows, and needs a place.
    Create { begin: Beginning, rest: &'i [u8] },
    /// These bytes of it are to be kept.
    Store { bytes: &'i [u8], rest: &'i [u8] },
    /// All bytes were kept; this is the sender's digest of them.
    Commit(Option<Digest>),
}

/// What follows.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Bytes of the whole document, if that is known.
    pub(super) length: Option<u64>,
    /// The first byte that comes.
    pub(super) from: u64,
    /// Of the part that is written.
    pub(super) facts: Facts,
}
