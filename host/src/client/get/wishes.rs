//! What a download is to be beside complete.

use crate::client::transfer::Asks;

/// The options of a transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Resume an earlier transfer to the same file that failed.
    pub resume: bool,
    /// Compare the whole file with the server's digest. For `files` and `tftp`.
    pub verify: bool,
    /// What else a TFTP server is asked for.
    pub asks: Asks,
}
