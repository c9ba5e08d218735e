//! The log: one line for each event, on standard error, in one of four forms.
//!
//! ```text
//! a pipe      INFO upper tcp:127.0.0.1:9527: a worker was replaced slot=3
//! a terminal  17:04:12.123  INFO upper tcp:127.0.0.1:9527: a worker was replaced slot=3
//! the journal <6>upper tcp:127.0.0.1:9527: a worker was replaced slot=3
//! json        {"time":"2026-11-29T17:04:12.123456Z","level":"info","listener":"upper tcp:…","slot":3,"message":"…"}
//! ```
//!
//! The journal gets its priorities as prefixes (sd-daemon(3)) and not by its native protocol. A
//! prefix needs nothing but the standard error that is there: it works in a worker after
//! `close_range`, under seccomp and Landlock, as another user, in a container without the journal's
//! socket, and through an upgrade. A socket of a library would be a descriptor; after `close_range`
//! its number would go to the next client. Fields are in the text as `name=value`, or, with
//! `--log-format json`, in the line as JSON (`journalctl -o cat | jq`).

mod line;

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::LevelFilter;

use crate::standard;
use crate::sys::output::Output;
use crate::sys::{clock, journal};
use line::{Lines, Style};

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Text.
    #[default]
    Text,
    /// A JSON object in each line, for programs.
    Json,
}

/// Starts the log. `verbose`: 0 for events that concern an operator, 1 for each connection, 2 for
/// everything.
pub fn begin(verbose: u8, format: Format) {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let style = match format {
        Format::Json => Style::Json,
        Format::Text if journal::has_stderr() => Style::Journal,
        Format::Text if stderr().is_terminal() => {
            Style::Terminal { colors: standard::takes_escapes(&stderr()) }
        }
        Format::Text => Style::Plain,
    };
    // A worker that is confined cannot read the time zone any more.
    clock::prepare_calendar();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Output(stderr()))
        .with_ansi(false)
        // A log that cannot be written is no reason to stop serving.
        .log_internal_errors(false)
        .event_format(Lines { style, prefixed: journal::has_stderr() })
        .init();
}
