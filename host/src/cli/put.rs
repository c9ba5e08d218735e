//! `windlass put`: from options to a server.

use std::path::PathBuf;
use std::time::Duration;

use super::get::source;
use super::outcome::Failure;
use super::tftp::{TftpAsks, asks_agree};
use super::values::{Micros, some_time};
use crate::client::file_url::Scheme;
use crate::client::{self, Asks, Got, Source};

#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// The file to send
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Where it goes: `tftp://HOST[:PORT]/NAME`; with `;mode=netascii` it travels as text
    #[arg(value_name = "URL", value_parser = source())]
    pub(super) url: Source,
    /// Have the server compare the complete file with its BLAKE3 digest
    #[arg(long)]
    pub(super) verify: bool,
    #[command(flatten)]
    pub(super) asks: TftpAsks,
    /// Fail if the server has not answered within this time, or if nothing moves for this time
    #[arg(long, value_name = "SECS", default_value = "30")]
    pub(super) timeout: Micros,
    /// Fail if the whole transfer takes longer than this [default: no limit]
    #[arg(long, value_name = "SECS", value_parser = some_time)]
    pub(super) max_time: Option<Micros>,
}

pub(super) fn put(args: &Put) -> Result<(), Failure> {
    let usage = |message: &str| Failure::Usage(message.to_owned());
    let url = match &args.url {
        Source::File(url) if url.scheme() == Scheme::Tftp => url,
        Source::File(_) | Source::Http(_) => return Err(usage("a file is put to tftp:// only")),
    };
    let asks: Asks = args.asks.into();
    asks_agree(&asks, url, args.verify).map_err(usage)?;
    let timeout = Duration::from_micros(args.timeout.0);
    let max = args.max_time.map(|max| Duration::from_micros(max.0));
    match client::put(&args.file, url, &asks, args.verify, timeout, max)? {
        Got::Whole => Ok(()),
        Got::Stopped(signal) => Err(Failure::Signal(signal)),
    }
}
