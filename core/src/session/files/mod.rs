//! The `files` service, both ends: a name for a file, in frames.
//!
//! ```text
//!   client                                         server
//!     │ frame: name NUL options                       │
//!     ├──────────────────────────────────────────────▶│ open
//!     │            frame: name NUL options (accepted) │
//!     │◀──────────────────────────────────────────────┤
//!     │            frame* of the file, then the empty │
//!     │◀──────────────────────────────────────────────┤
//!     │            frame: digest, if it was accepted  │
//!     │◀──────────────────────────────────────────────┤
//! ```
//!
//! A refusal is the empty frame and a frame with the reason. A server that pushes sends its answer
//! without a request. The options are in [`Options`].
//!
//! # The file is the shell's
//!
//! No byte of a file passes through a session. The server names it, the shell opens it; the server
//! names parts of it, and the shell sends them its own way: `sendfile(2)`, `writev(2)`, DMA from
//! flash. Between two calls of [`FileSender`] the shell can be anywhere in a part: the session keeps
//! one number, how much of the stream has left.

mod answer;
mod client;
mod options;
mod receive;
mod request;
mod server;

pub use client::{FilesClient, Sink};
pub use options::Options;
pub use receive::{Fed, Head, Receiver};
pub use request::Request;
pub use server::FilesServer;

use crate::time::Instant;
use crate::wire::FrameHeader;

/// The digest of a file: BLAKE3.
pub type Digest = [u8; 32];

/// Bytes of a name at most: `PATH_MAX` without the NUL.
pub const NAME_MAX: usize = 4095;

/// Bytes of payload in a frame of a name at most: the name, its NUL and the options.
pub const REQUEST_MAX: usize = NAME_MAX + 1 + options::OPTIONS_MAX;

/// Bytes before the offset, the last ones, that the digest of a prefix is of.
pub const PREFIX_WINDOW: u64 = 64 << 20;

/// The longest beginning of a file that is digested for a client that does not want it sent, so that a
/// short request cannot make a server work for long.
pub const UNSENT_MAX: u64 = 8 << 30;

/// Bytes of payload in a frame of the file at most, where nothing else was agreed on.
pub const FRAME_DEFAULT: u32 = 4096;

/// Part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extent {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// The side of a session that sends a file which it does not have.
///
/// The shell asks for it while [`Want::write`](crate::want::Want::write) holds and all earlier output
/// is gone, and does its [`task`](Self::task).
pub trait FileSender {
    /// What the shell is to do now.
    fn task(&self) -> Task<'_>;

    /// The answer to [`Task::Open`]: how many bytes the file has, or why there is none.
    fn opened(&mut self, now: Instant, file: Result<u64, Refusal>);

    /// The answer to [`Task::Digest`]: of so many bytes more, and what the digest is so far.
    fn digested(&mut self, now: Instant, bytes: u64, so_far: &Digest);

    /// What is to be sent `ahead` bytes behind what has been sent. `None` behind the end.
    fn piece(&self, ahead: u64) -> Option<Piece>;

    /// So many bytes of the pieces have been sent.
    fn sent(&mut self, now: Instant, bytes: u64);
}

/// What a shell does for a [`FileSender`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task<'s> {
    /// Nothing: it renders, in [`space`](super::Session::space).
    Render,
    /// Open the file of this name, as the peer gave it, then [`FileSender::opened`].
    Open(&'s [u8]),
    /// Digest this part, or its beginning, then [`FileSender::digested`]. A digest goes on where it was,
    /// and begins anew for a part that begins elsewhere, or at byte 0.
    Digest(Extent),
    /// Send as many pieces as the peer takes, then [`FileSender::sent`]. With `digest`, what of the
    /// file was sent is digested too.
    Send {
        /// Whether to.
        digest: bool,
    },
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

/// Why a file is not sent. Its text says nothing of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The name is empty, absolute, or has a component `..`.
    BadName,
    /// The request is longer than any name.
    TooLong,
    /// There is no file of that name, below the root.
    NotFound,
    /// It is a directory, a FIFO, a socket or a device.
    NotAFile,
    /// It leads out of the root, or may not be read.
    NotAllowed,
    /// The server has no descriptor or memory left for it.
    Busy,
    /// The server could not read it.
    Failed,
}

impl Refusal {
    /// The reason, for the peer.
    pub const fn text(self) -> &'static str {
        match self {
            Self::BadName => "a name is relative, and has no `..` in it",
            Self::TooLong => "the name is too long",
            Self::NotFound => "there is no such file",
            Self::NotAFile => "it is not a file",
            Self::NotAllowed => "it is not to be read",
            Self::Busy => "the server is out of resources, try again later",
            Self::Failed => "the server cannot read it",
        }
    }
}

impl core::error::Error for Refusal {}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests;
