//! What `get` and `put` ask a TFTP server for beside the file.

use crate::client::Asks;
use crate::client::file_url::FileUrl;

/// What a TFTP server is asked for beside the file.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct TftpAsks {
    /// tftp: ask for blocks of this size [default: 1428]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(8..=65464))]
    pub(super) blksize: Option<u16>,
    /// tftp: ask for this number of blocks at once, as far as the socket has room for them [default: 32]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) window: Option<u16>,
    /// tftp: ask for nothing beside the file, for servers that take no options
    #[arg(long)]
    pub(super) no_options: bool,
}

impl From<TftpAsks> for Asks {
    fn from(asks: TftpAsks) -> Self {
        Self { block: asks.blksize, window: asks.window, plain: asks.no_options }
    }
}

/// What is asked for does not exclude each other.
///
/// # Errors
/// What does.
pub(super) fn asks_agree(asks: &Asks, url: &FileUrl, compares: bool) -> Result<(), &'static str> {
    if asks.plain && compares {
        return Err("--verify and --continue need options: not with --no-options");
    }
    if asks.plain && (asks.block.is_some() || asks.window.is_some()) {
        return Err("--blksize and --window are options: not with --no-options");
    }
    if url.is_text() && compares {
        return Err("--verify and --continue need mode=octet: netascii changes bytes on their way");
    }
    Ok(())
}
