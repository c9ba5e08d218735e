//! What of a transfer an image has.
//!
//! The last parameter of each machine is a set of these parts. `new` makes a machine with [`ALL`] of them, which is what
//! a host runs. A device names those that it has a use for. The compiler leaves the others out, and every machine
//! understands every other one: a part that is missing is an option that is not asked for or not granted, or a text
//! that is empty. What a program asks of a client beyond its parts is not asked of the server.
//!
//! ```
//! use windlass_core::transfer::tftp::{Offer, TftpGet};
//! use windlass_core::transfer::{Timing, parts};
//! let get = TftpGet::<_, { parts::WINDOWS }>::with_parts(b"image", Offer::DEFAULT, &Timing::CLIENT);
//! ```

/// An ERROR says in words why a transfer ended. Without this part its text is empty, and its number says it.
pub const TEXTS: u8 = 1;

/// The round trip is measured, and the timeout follows it. Without this part it is always the first one.
pub const ROUND_TRIPS: u8 = 1 << 1;

/// The options `blksize` and `tsize` of TFTP. Without this part blocks have 512 bytes.
pub const OPTIONS: u8 = 1 << 2;

/// The option `windowsize`, and [`OPTIONS`]. Without this part one block at a time is on its way.
pub const WINDOWS: u8 = OPTIONS | 1 << 3;

/// The options of TFTP that are in no RFC, `utimeout`, `seek`, `rsize`, `x-blake3` and `x-crc32`, and [`WINDOWS`].
pub const EXTENSIONS: u8 = WINDOWS | 1 << 4;

/// A TFTP server sends files. Without this part it refuses each request to read.
pub const READS: u8 = 1 << 5;

/// A TFTP server takes files, if its configuration says so. Without this part it refuses each request to write.
pub const WRITES: u8 = 1 << 6;

/// Every part.
pub const ALL: u8 = TEXTS | ROUND_TRIPS | EXTENSIONS | READS | WRITES;

/// No part.
pub const NONE: u8 = 0;

/// Whether a part is one of these.
pub(super) const fn has(parts: u8, part: u8) -> bool {
    parts & part == part
}
