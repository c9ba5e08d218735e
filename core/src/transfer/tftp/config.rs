//! What a server does for its clients.

use crate::file::Digests;
use crate::transfer::Timing;
use crate::wire::tftp::BLOCK_MAX;

/// What a server does for its clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// How long it waits.
    pub timing: Timing,
    /// Bytes of a block at most: larger ones that are asked for are cut to it.
    pub block_max: u16,
    /// Blocks of a window at most.
    pub window_max: u16,
    /// Bytes of the blocks of a window at most, of either end: half of what a socket has room for. A larger window
    /// overflows the buffer that it arrives in, and is sent again and again.
    pub window_bytes: u32,
    /// It takes files too.
    pub writes: bool,
    /// The digests that the shell can make or compare.
    pub digests: Digests,
    /// No digest is made of a longer file: the request costs the asker nothing.
    pub digest_max: u64,
}

impl Config {
    /// Reads only, blocks of any size, windows of up to 64 blocks and of half of the buffer that Linux gives a socket,
    /// digests of files of up to 1 GiB.
    pub const DEFAULT: Self = Self {
        timing: Timing::SERVER,
        block_max: BLOCK_MAX,
        window_max: 64,
        window_bytes: 212_992 / 2,
        writes: false,
        digests: Digests::ALL,
        digest_max: 1 << 30,
    };
}
