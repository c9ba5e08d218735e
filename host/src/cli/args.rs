//! What the command line may say. Nothing here does anything.

use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};
use serde::Deserialize;

use super::keys::{
    addresses, choice, group, mode, positive, seconds_of_a_request, socket, within_workers,
};
use super::values::{
    Micros, file_mode, interval, request_timeout, socket_path, some_time, workers,
};
use crate::addr::Address;
use crate::bench::Question;
use crate::client::Source;
use crate::log::Format;
use crate::server::{Model, Service};
use crate::sys::user::group_id;

/// Windlass: every classic Linux server model around one sans-IO protocol core.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(super) struct Args {
    /// Log more: -v for each connection, -vv for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Log for people, or a JSON object a line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Format,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve: everything on loopback, or one service on the addresses given
    Serve(Box<ServeAll>),
    /// Print the epoch seconds that a time server says
    Time {
        /// The server: tcp:HOST:PORT, unix:PATH or unix:@NAME
        address: Address,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECS", default_value = "10")]
        timeout: Micros,
    },
    /// Send standard input to a server, and print what it says
    ///
    /// The end of standard input half-closes the connection; the rest still arrives.
    Talk {
        /// The server: tcp:HOST:PORT, unix:PATH or unix:@NAME
        address: Address,
        /// Give up connecting after so many seconds
        #[arg(long, value_name = "SECS", default_value = "10")]
        timeout: Micros,
    },
    /// Fetch a document, and follow it to where it has moved
    Get(Get),
    /// Print what a running server is doing: the scoreboard, counters, workers
    ///
    /// The first line is one character a slot: `.` can take a client, `X` has one, blank is neither.
    Status {
        /// The server's control socket (serve --control)
        #[arg(value_parser = socket_path())]
        path: PathBuf,
        /// Print the document as the server says it: one line of JSON
        #[arg(long)]
        json: bool,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECS", default_value = "10")]
        timeout: Micros,
    },
    /// Watch a running server: q quits, p pauses, s sorts, arrows scroll
    Top {
        /// The server's control socket (serve --control)
        #[arg(value_parser = socket_path())]
        path: PathBuf,
        /// Ask so often
        #[arg(long, value_name = "SECS", default_value = "1", value_parser = interval)]
        interval: Micros,
    },
    /// Read or write a FIFO on the event loop
    Fifo {
        /// Which end
        #[command(subcommand)]
        end: FifoEnd,
    },
    /// Print a script that completes command lines in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands into a folder
    Man {
        /// The folder, which is there; without it windlass(1) goes to standard output
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Measure the models side by side, and other servers beside them
    ///
    /// The server runs on the first processor and the load on the second.
    Bench(Bench),
}

#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The document, `http://HOST[:PORT]/PATH`, or the file, `files://HOST[:PORT]/NAME`
    #[arg(value_name = "URL", value_parser = source())]
    pub(super) source: Source,
    /// Write to this file, which has its name only when it is whole; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write to a file with the name that the URL ends in
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub(super) remote_name: bool,
    /// Go on from where an earlier transfer of the same URL to the same file failed
    #[arg(short, long)]
    pub(super) r#continue: bool,
    /// files: compare the whole file with the server's digest of it (BLAKE3)
    #[arg(long)]
    pub(super) verify: bool,
    /// Give up connecting, and a server that is silent, after so many seconds
    #[arg(long, value_name = "SECS", default_value = "30")]
    pub(super) timeout: Micros,
    /// Give up a server that sends fewer bytes of the document a second, for as long as --timeout; 0 never
    /// does
    #[arg(long, value_name = "BYTES", default_value = "1")]
    pub(super) min_rate: u32,
    /// Give up after so many seconds in all, redirects included; without it, never
    #[arg(long, value_name = "SECS", value_parser = some_time)]
    pub(super) max_time: Option<Micros>,
}

/// A URL may have bytes that are no UTF-8: they are percent-encoded.
fn source() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().try_map(|text| Source::parse(text.as_bytes()))
}

#[derive(Debug, Subcommand)]
pub(super) enum FifoEnd {
    /// Print what is written to it; writers come and go, SIGINT or SIGTERM ends it
    Read {
        /// The FIFO; made if it is not there, and then removed at the end
        path: PathBuf,
        /// End when the last writer leaves
        #[arg(long)]
        once: bool,
    },
    /// Write standard input to it; waits until somebody reads
    Write {
        /// The FIFO; made if it is not there
        path: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// What to measure
    #[arg(default_value = "messages")]
    pub(super) question: Question,
    /// Our models, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "MODEL")]
    pub(super) models: Vec<Model>,
    /// Another server that prints a `listening` line; ratios are to the first of them
    #[arg(long, value_name = "NAME=COMMAND", value_parser = peer)]
    pub(super) peer: Vec<(String, String)>,
    /// Numbers of connections, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(super) connections: Vec<NonZeroUsize>,
    /// Sizes of messages in bytes, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(super) sizes: Vec<NonZeroUsize>,
    /// Seconds measured in each run
    #[arg(long, value_name = "SECS", default_value = "1")]
    pub(super) seconds: Micros,
    /// Runs of each server, interleaved; the table shows medians
    #[arg(long, value_name = "N", default_value = "5")]
    pub(super) rounds: NonZeroUsize,
    /// Options for our servers, after --
    #[arg(last = true)]
    pub(super) server_options: Vec<String>,
}

fn peer(text: &str) -> Result<(String, String), &'static str> {
    let (name, command) = text.split_once('=').ok_or("a peer is NAME=COMMAND")?;
    Ok((name.to_owned(), command.to_owned()))
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeAll {
    /// Serve what this file says (TOML); SIGHUP reads it again
    #[arg(long, value_name = "FILE", conflicts_with = "Serve")]
    pub(super) config: Option<PathBuf>,
    /// Say what would be served, or what is wrong, and serve nothing
    #[arg(long)]
    pub(super) check: bool,
    /// Give connections so many seconds to end after SIGTERM or SIGINT
    #[arg(long, value_name = "SECS", default_value = "5")]
    pub(super) grace: Micros,
    /// Give connections so many seconds to end when another process goes on serving, or after SIGQUIT
    #[arg(long, value_name = "SECS", default_value = "3600")]
    pub(super) drain: Micros,
    #[command(flatten)]
    pub(super) serve: Serve,
}

/// What is served, and within which limits: on the command line, and in a `[[listener]]` of the
/// configuration, where the keys are called as the options are.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[command(group = clap::ArgGroup::new("what").args(["service", "push"]).multiple(true))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Serve {
    /// What to serve; without it, every service of the built-in configuration
    #[serde(deserialize_with = "choice")]
    pub(super) service: Option<Service>,
    /// Where to listen: tcp:HOST:PORT, unix:PATH, unix:@NAME or fd:N; several get a process each
    #[arg(long, value_name = "ADDR", requires = "what")]
    #[serde(deserialize_with = "addresses")]
    pub(super) listen: Vec<Address>,
    /// How to wait for many clients
    #[arg(long, requires = "what")]
    #[serde(deserialize_with = "choice")]
    pub(super) model: Option<Model>,
    /// Serve on the socket that the service manager passes under this name (`FileDescriptorName=`)
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub(super) name: Option<String>,
    /// unix:PATH: the permissions of the socket file, 0660 say; connecting takes permission to write
    #[arg(long, value_name = "OCTAL", requires = "listen", value_parser = file_mode)]
    #[serde(deserialize_with = "mode")]
    pub(super) mode: Option<u32>,
    /// unix:PATH: the group of the socket file
    #[arg(long, value_name = "NAME", requires = "listen", value_parser = group_id)]
    #[serde(deserialize_with = "group")]
    pub(super) socket_group: Option<u32>,
    /// Serve so many connections at a time; the next ones wait
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) max_connections: Option<u32>,
    /// Cut a connection on which nothing moved for so many seconds; 0 never does [default: 60]
    #[arg(long, value_name = "SECS")]
    pub(super) idle_timeout: Option<Micros>,
    /// files: cut a client whose whole request takes longer than so many seconds; 0 never does
    /// [default: 30, or the idle timeout where that is shorter]
    #[arg(long, value_name = "SECS", value_parser = request_timeout)]
    #[serde(deserialize_with = "seconds_of_a_request")]
    pub(super) request_timeout: Option<Micros>,
    /// Cut a client that takes fewer bytes a second of what waits for it, once it is the idle timeout
    /// behind; 0 never does [default: 100]
    #[arg(long, value_name = "BYTES")]
    pub(super) min_rate: Option<u32>,
    /// thread-pool, pool-static, prefork: while clients wait and every worker has one, give a client so
    /// many seconds for its request, or to catch up; 0: as at other times [default: 1]
    #[arg(long, value_name = "SECS")]
    pub(super) busy_timeout: Option<Micros>,
    /// Let so many connections wait to be accepted [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) backlog: Option<u32>,
    /// thread-pool: threads kept even when idle [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) min_threads: Option<u32>,
    /// thread-pool: threads at most [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) max_threads: Option<u32>,
    /// thread-pool: connections that may wait for a thread [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) queue: Option<u32>,
    /// files: the folder whose files are served
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// files, which need not be named then: send this file to each client, unasked
    #[arg(long, value_name = "FILE")]
    pub(super) push: Option<PathBuf>,
    /// pool-static: workers [default: 5]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) workers: Option<u16>,
    /// prefork: idle workers at least [default: 5]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) min_spare: Option<u16>,
    /// prefork: idle workers at most [default: 10]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) max_spare: Option<u16>,
    /// prefork: workers at most [default: 20]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) max_workers: Option<u16>,
    /// pool-static, prefork: replace a worker after so many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) requests_per_worker: Option<u64>,
    /// pool-static, prefork: a worker stays busy so long after each connection
    #[arg(long, value_name = "MS")]
    pub(super) hold: Option<u64>,
    /// pool-static, prefork: answer `windlass status` and `windlass top` on this socket file
    #[arg(long, value_name = "PATH", value_parser = socket_path(), requires = "what")]
    #[serde(deserialize_with = "socket")]
    pub(super) control: Option<PathBuf>,
    /// Become this user once everything is open; only root can
    #[arg(long, value_name = "NAME[:GROUP]", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) user: Option<String>,
    /// pool-static, prefork, fork: do not confine workers; for debugging
    #[arg(long)]
    pub(super) no_sandbox: bool,
}

impl Serve {
    /// What is served, if it is one service: `--push` says that it is `files`.
    pub(super) fn service(&self) -> Option<Service> {
        self.service.or(self.push.as_ref().map(|_| Service::Files))
    }

    /// The options that are given and are not for `model`, each with the models that it is for.
    pub(super) fn strangers(
        &self,
        model: Model,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let (threads, fixed, spare, pools, workers, queues) = (
            "thread-pool",
            "pool-static",
            "prefork",
            "pool-static or prefork",
            "pool-static or prefork or fork",
            "thread-pool or pool-static or prefork",
        );
        let options = [
            ("min-threads", self.min_threads.is_some(), threads),
            ("max-threads", self.max_threads.is_some(), threads),
            ("queue", self.queue.is_some(), threads),
            ("workers", self.workers.is_some(), fixed),
            ("min-spare", self.min_spare.is_some(), spare),
            ("max-spare", self.max_spare.is_some(), spare),
            ("max-workers", self.max_workers.is_some(), spare),
            ("requests-per-worker", self.requests_per_worker.is_some(), pools),
            ("hold", self.hold.is_some(), pools),
            ("control", self.control.is_some(), pools),
            ("no-sandbox", self.no_sandbox, workers),
            ("busy-timeout", self.busy_timeout.is_some(), queues),
        ];
        let for_it = move |models: &str| models.split(" or ").any(|name| name == model.name());
        options
            .into_iter()
            .filter(move |&(_, given, models)| given && !for_it(models))
            .map(|(option, _, models)| (option, models))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        for (text, micros) in [("0", 0), ("5", 5_000_000), ("0.25", 250_000), (".5", 500_000)] {
            assert_eq!(text.parse(), Ok(Micros(micros)), "{text}");
        }
        for text in ["", "x", "-1", "inf", "nan", "1e10"] {
            assert!(text.parse::<Micros>().is_err(), "{text}");
        }
    }
}
