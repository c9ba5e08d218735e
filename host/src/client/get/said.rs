//! The parts of a dialogue, for any protocol.

use windlass_core::file::Digest;

use super::facts::Facts;

pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A part of the answer of a server, or an operation for it, as a
/// [`FileUser`](windlass_core::file::FileUser) asks for it.
pub(super) enum Said<'i> {
    /// Nothing yet.
    More,
    /// The server does not have the requested rest: request the whole document.
    Again,
    /// The document is at this URL.
    Elsewhere(Box<[u8]>),
    /// The document follows, and needs a place.
    Create { begin: Beginning, rest: &'i [u8] },
    /// Keep these bytes of the document.
    Store { bytes: &'i [u8], rest: &'i [u8] },
    /// All bytes were kept; this is the sender's digest of them.
    Commit(Option<Digest>),
}

/// The document that follows.
#[derive(Debug)]
pub(super) struct Beginning {
    /// The length of the whole document in bytes, if it is known.
    pub(super) length: Option<u64>,
    /// The offset of the first byte that arrives.
    pub(super) from: u64,
    /// The facts of the part that is written.
    pub(super) facts: Facts,
}
