//! The command line: parse it, plan, do it, and turn the outcome into an exit code.

mod args;
mod bench;
mod bridge;
mod choices;
mod config;
mod datagram;
mod get;
mod keys;
mod manual;
mod outcome;
mod plan;
mod put;
mod serve;
mod status;
mod survey;
mod tftp;
mod top;
mod values;

use std::io::{stderr, stdout};
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::client;
use crate::printable::printable;
use crate::sys::signals;
use crate::tls::Trust;
use crate::{log, standard};
use args::{Args, Command, FifoEnd};
use outcome::{Failure, or_signal, print_line};
use values::Partner;

/// Runs the program, and returns its exit code. 0: done. 1: failed; one line on standard error says
/// why. 2: wrong usage.
pub fn main() -> ExitCode {
    signals::prepare_process();
    let parsed = command().try_get_matches().and_then(|it| Args::from_arg_matches(&it));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return not_parsed(&error),
    };
    log::begin(args.verbose, args.log_format);
    match run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => wrong_usage(&message),
        Err(Failure::Signal(signal)) => ExitCode::from(signals::die_of(signal)),
        Err(Failure::Lines(lines)) => {
            for line in &lines {
                complain(line);
            }
            ExitCode::FAILURE
        }
        Err(Failure::Error(error)) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The commands and options. A value that begins with a minus and a digit is a value, so that an error names what is
/// wrong with it. There is no option of that form.
fn command() -> clap::Command {
    fn take_negative_numbers(command: clap::Command) -> clap::Command {
        let take = |arg: clap::Arg| {
            let has_value = arg.get_action().takes_values();
            arg.allow_negative_numbers(has_value)
        };
        command.mut_args(take).mut_subcommands(take_negative_numbers)
    }
    take_negative_numbers(Args::command())
}

/// Help and version go to standard output, and are not errors; an error is one line.
fn not_parsed(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let text = error.render();
    if !error.use_stderr() {
        let escapes = standard::takes_escapes(&stdout());
        let text = if escapes { text.ansi().to_string() } else { text.to_string() };
        return match standard::print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::FAILURE
            }
        };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let escapes = standard::takes_escapes(&stderr());
        standard::print_stderr(&if escapes { text.ansi().to_string() } else { text.to_string() });
        return ExitCode::from(2);
    }
    wrong_usage(&conflict(error).unwrap_or_else(|| one_line(&text.to_string())))
}

/// An option that does not go together with others of its command line. `clap` names all of a group, and not
/// those alone that were given.
fn conflict(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let option = error.get(ContextKind::InvalidArg)?;
    let ContextValue::Strings(group) = error.get(ContextKind::PriorArg)? else { return None };
    let given: Vec<_> = std::env::args_os().filter_map(|it| it.into_string().ok()).collect();
    let name = |text: &str| text.split([' ', '=']).next().unwrap_or_default().to_owned();
    let is_given = |it: &&String| given.iter().any(|other| name(other) == name(it));
    // What has no name is the service.
    let first = group.iter().find(is_given).or(group.first())?;
    Some(format!("the argument '{option}' cannot be used with '{first}'"))
}

fn wrong_usage(message: &str) -> ExitCode {
    complain(&format!("{}; see --help", printable(message)));
    ExitCode::from(2)
}

/// The first paragraph of clap's message has the error, and the next one (`tip:`) a suggestion.
fn one_line(text: &str) -> String {
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let tips = paragraphs.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("tip: "));
    let parts = [first.trim_start_matches("error: ")].into_iter().chain(tips);
    let words = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.map(words).collect::<Vec<_>>().join("; ")
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve::serve(&serve),
        Command::Time { address, timeout } => match client::time(&address, timeout.0)? {
            ControlFlow::Continue(stamp) => Ok(print_line(&stamp.0.to_string())?),
            ControlFlow::Break(signal) => Err(Failure::Signal(signal)),
        },
        Command::Get(args) => get::get(&args),
        Command::Put(args) => put::put(&args),
        Command::Top { path, interval } => or_signal(client::top(&path, interval.0)?),
        Command::Status { path, json, timeout } => Ok(status::status(&path, json, timeout.0)?),
        Command::Completions { shell } => Ok(manual::completions(shell)?),
        Command::Man { folder } => Ok(manual::man(folder.as_deref())?),
        Command::Bench(args) => bench::bench(&args),
        Command::Fifo { end: FifoEnd::Read { path, once } } => {
            or_signal(client::fifo::read(&path, once)?)
        }
        Command::Fifo { end: FifoEnd::Write { path } } => Ok(client::fifo::write(&path)?),
        Command::Talk { address: Partner::Plain(address), timeout, trust: _ } => {
            or_signal(client::talk(&address, timeout.0)?)
        }
        Command::Talk { address: Partner::Secured(server), timeout, trust } => {
            let trust = Trust::new(&trust.roots())?;
            or_signal(client::talk_secured(&server, timeout.0, &trust)?)
        }
        Command::Bridge(args) => Ok(bridge::bridge(&args)?),
        Command::Score { what } => datagram::score(what),
        Command::Cast { what } => datagram::cast(what),
    }
}

/// Prints one line on standard error.
fn complain(what: &str) {
    standard::print_stderr(&format!("windlass: {}\n", printable(what).whole()));
}
