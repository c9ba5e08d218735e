//! `windlass get`: from options to a target.

use std::path::Path;
use std::time::Duration;

use super::args::Get;
use super::outcome::Failure;
use crate::client::{self, Got, Source, Target, Times, Wishes};

pub(super) fn get(args: &Get) -> Result<(), Failure> {
    let target = target(args)?;
    let wishes = Wishes { resume: args.r#continue, verify: args.verify };
    if wishes.verify && matches!(args.source, Source::Http(_)) {
        return Err(usage("--verify is for files://: HTTP has no digest of the whole"));
    }
    if wishes.resume && target == Target::Stdout {
        return Err(usage("--continue needs a file: -o FILE or -O"));
    }
    let times = Times {
        timeout: Duration::from_micros(args.timeout.0),
        min_rate: args.min_rate,
        max: args.max_time.map(|max| Duration::from_micros(max.0)),
    };
    match client::get(&args.source, &target, times, wishes)? {
        Got::Whole => Ok(()),
        Got::Stopped(signal) => Err(Failure::Signal(signal)),
    }
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
