//! `windlass get`: from options to a target.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::outcome::Failure;
use super::tftp::{TftpAsks, asks_agree};
use super::values::{Micros, some_time};
use crate::client::file_url::{FileUrl, Scheme};
use crate::client::{self, Asks, Got, Source, Target, Times, Wishes};
use crate::tls::Roots;

#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The document `http://HOST[:PORT]/PATH` or `https://…`, or the file `files://HOST[:PORT]/NAME`, `tftp://…` or `xfer://…`;
    /// `tftp://HOST/NAME;mode=netascii` is a text
    #[arg(value_name = "URL", value_parser = source())]
    pub(super) source: Source,
    /// Write to this file, which gets its name only when it is complete; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write to a file with the last name of the URL's path
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub(super) remote_name: bool,
    /// Resume a failed download of the same URL to the same file
    #[arg(short, long)]
    pub(super) r#continue: bool,
    /// files, tftp: compare the complete file with the server's BLAKE3 digest
    #[arg(long)]
    pub(super) verify: bool,
    #[command(flatten)]
    pub(super) trust: TrustOptions,
    #[command(flatten)]
    pub(super) asks: TftpAsks,
    /// Fail if connecting takes longer than this, or if the server sends nothing for this time
    #[arg(long, value_name = "SECS", default_value = "30")]
    pub(super) timeout: Micros,
    /// Fail if fewer bytes of the document arrive per second, averaged over --timeout; 0: no limit
    #[arg(long, value_name = "BYTES", default_value = "1")]
    pub(super) min_rate: u32,
    /// Fail if the whole transfer, with redirects, takes longer than this [default: no limit]
    #[arg(long, value_name = "SECS", value_parser = some_time)]
    pub(super) max_time: Option<Micros>,
}

/// Which servers are believed that speak TLS.
#[derive(Debug, Default, clap::Args)]
pub(super) struct TrustOptions {
    /// TLS: trust the authorities in this PEM file in place of those of the system, and the server itself if its
    /// certificate is there
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// TLS: take any certificate. What is sent is encrypted, but the server may be any
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,
}

impl TrustOptions {
    pub(super) fn roots(&self) -> Roots {
        match &self.ca {
            _ if self.insecure => Roots::Unchecked,
            Some(path) => Roots::File(path.clone()),
            None => Roots::System,
        }
    }
}

/// A URL may have bytes that are no UTF-8: they are percent-encoded.
pub(super) fn source() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().try_map(|text| Source::parse(text.as_bytes()))
}

pub(super) fn get(args: &Get) -> Result<(), Failure> {
    let target = target(args)?;
    let asks = args.asks.into();
    let wishes = Wishes { resume: args.r#continue, verify: args.verify, asks };
    if let Some(why) = refusal(&args.source, &wishes) {
        return Err(usage(why));
    }
    if wishes.resume && target == Target::Stdout {
        return Err(usage("--continue needs a file: -o FILE or -O"));
    }
    let times = Times {
        timeout: Duration::from_micros(args.timeout.0),
        min_rate: args.min_rate,
        max: args.max_time.map(|max| Duration::from_micros(max.0)),
    };
    match client::get(&args.source, &target, times, wishes, &args.trust.roots())? {
        Got::Whole => Ok(()),
        Got::Stopped(signal) => Err(Failure::Signal(signal)),
    }
}

/// Why the protocol cannot do what is wished for.
fn refusal(source: &Source, wishes: &Wishes) -> Option<&'static str> {
    let Wishes { resume, verify, asks } = *wishes;
    let url = match source {
        Source::Http(_) if verify => {
            return Some("--verify is for files:// and tftp://: HTTP has no digest of the whole");
        }
        Source::Http(_) => None,
        Source::File(url) => Some(url),
    };
    let scheme = url.map(FileUrl::scheme);
    if scheme != Some(Scheme::Tftp) {
        if asks != Asks::default() {
            return Some("--blksize, --window and --no-options are for tftp://");
        }
        let is_xfer = scheme == Some(Scheme::Xfer);
        return (is_xfer && (verify || resume))
            .then_some("--verify and --continue are not for xfer://: it has no options");
    }
    asks_agree(&asks, url?, verify || resume).err()
}

fn target(args: &Get) -> Result<Target, Failure> {
    if args.remote_name {
        let name = args.source.file_name().map(Target::File);
        return name
            .ok_or_else(|| usage(&format!("{} ends in no name for a file; use -o", args.source)));
    }
    let path = args.output.as_deref().filter(|&path| path != Path::new("-"));
    Ok(path.map_or(Target::Stdout, |path| Target::File(path.to_owned())))
}

fn usage(message: &str) -> Failure {
    Failure::Usage(message.to_owned())
}
