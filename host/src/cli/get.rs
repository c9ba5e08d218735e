//! `windlass get`: from options to a target.

use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Failure;
use super::args::{Args, Get};
use crate::client::{self, Got, Target};

pub(super) fn get(args: Get) -> Result<(), Failure> {
    let target = target(&args)?;
    match client::get(args.url, &target, Duration::from_micros(args.timeout.0))? {
        Got::Whole => Ok(()),
        Got::Stopped(signal) => Err(Failure::Signal(signal)),
    }
}

fn target(args: &Get) -> Result<Target, Failure> {
    if args.remote_name {
        return args.url.file_name().map(|name| Target::File(name.into())).ok_or_else(|| {
            let message = format!("{} ends in no name for a file; use -o", args.url);
            Failure::Usage(Args::command().error(ErrorKind::ValueValidation, message))
        });
    }
    let path = args.output.as_deref().filter(|&path| path != Path::new("-"));
    Ok(path.map_or(Target::Stdout, |path| Target::File(path.to_owned())))
}
