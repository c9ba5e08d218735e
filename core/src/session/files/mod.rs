//! The `files` service, both ends: a client requests a file by its name, and gets it in frames.
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
//! Both ends are [`FileUser`](crate::file::FileUser)s: the shell has the file. The server names the
//! file, the shell opens it; the server names parts of it, and the shell sends them in its own way.
//! Between two calls the shell can be at any byte of a part: the session keeps one number, how much
//! of the stream was sent. The client names the bytes to keep, which are in the input.

mod client;
mod options;
mod receive;
mod request;
mod response;
mod server;

pub use client::FilesClient;
pub use options::Options;
pub use request::Request;
pub use server::FilesServer;

use crate::wire::FrameHeader;

/// The longest name in bytes: `PATH_MAX` without the NUL.
pub const NAME_MAX: usize = 4095;

/// The largest payload of a frame with a name: the name, its NUL and the options.
pub const REQUEST_MAX: usize = NAME_MAX + 1 + options::OPTIONS_MAX;

/// The digest of a prefix is of at most this many bytes, the last ones before the offset.
pub const PREFIX_WINDOW: u64 = 64 << 20;

/// The longest beginning of a file that is digested and not sent, so that a
/// short request cannot make a server work for long.
pub const UNSENT_MAX: u64 = 8 << 30;

/// The largest payload of a frame of the file, unless the two ends agree on another one.
pub const FRAME_DEFAULT: u32 = 4096;

/// The header of a frame with a length of at most about [`REQUEST_MAX`].
fn header_of(len: usize) -> FrameHeader {
    FrameHeader::new(u32::try_from(len).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
