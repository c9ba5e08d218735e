//! `windlass bench`: its options, and the plan that they make.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::bench::{self, Plan, Question};
use crate::server::Model;

use super::outcome::Failure;
use super::values::Micros;

#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// What to measure
    #[arg(default_value = "messages")]
    pub(super) question: Question,
    /// Models of windlass to measure, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "MODEL")]
    pub(super) models: Vec<Model>,
    /// Another server to measure, which prints a `listening` line; ratios are to the first one
    #[arg(long, value_name = "NAME=COMMAND", value_parser = peer)]
    pub(super) peer: Vec<(String, String)>,
    /// Numbers of connections, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(super) connections: Vec<NonZeroUsize>,
    /// Datagrams per second, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(super) rates: Vec<NonZeroUsize>,
    /// Sizes of messages in bytes, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub(super) sizes: Vec<NonZeroUsize>,
    /// Seconds measured in each run
    #[arg(long, value_name = "SECS", default_value = "1")]
    pub(super) seconds: Micros,
    /// Runs of each server, in turns; the table has the medians
    #[arg(long, value_name = "N", default_value = "5")]
    pub(super) rounds: NonZeroUsize,
    /// Draw the ratios with their ranges as SVG into this file
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
    /// Measure nothing: draw the table in this file, which an earlier run printed
    #[arg(long, value_name = "FILE", requires = "plot", conflicts_with_all = [
        "question", "models", "peer", "connections", "rates", "sizes", "seconds", "rounds", "server_options",
    ])]
    pub(super) table: Option<PathBuf>,
    /// Options of `windlass serve` for the measured models, after --
    #[arg(last = true)]
    pub(super) server_options: Vec<String>,
}

fn peer(text: &str) -> Result<(String, String), &'static str> {
    let (name, command) = text.split_once('=').ok_or("a peer is NAME=COMMAND")?;
    Ok((name.to_owned(), command.to_owned()))
}

/// Datagrams per second: the last is more than a server of one processor receives.
const RATES: &[usize] = &[50_000, 100_000, 200_000, 400_000, 1_000_000];

pub(super) fn bench(args: &Bench) -> Result<(), Failure> {
    if let (Some(table), Some(plot)) = (&args.table, &args.plot) {
        return Ok(bench::draw(table, plot)?);
    }
    let question = args.question;
    let (models, connections, sizes): (&[Model], &[usize], &[usize]) = match question {
        Question::Messages => {
            (&[Model::Epoll, Model::EpollEt, Model::Reactor], &[64, 1000], &[64, 16_384])
        }
        Question::Connects => (&[Model::Fork, Model::ThreadPool], &[16, 64], &[]),
        Question::Files => (&[Model::Epoll, Model::PoolStatic], &[1], &[4096, 16 << 20]),
        Question::Fairness => {
            (&[Model::Epoll, Model::EpollEt, Model::Reactor], &[50], &[1_000_000])
        }
        Question::Memory => (&[Model::Epoll, Model::Reactor, Model::Poll], &[10_000], &[]),
        Question::Datagrams | Question::Batches | Question::Flood => {
            (&[Model::Iterative, Model::Epoll, Model::Reactor], &[64], &[64])
        }
        Question::Latency => (&[Model::Iterative, Model::Epoll, Model::Reactor], &[1], &[64]),
        Question::Scores => (&[], &[], &[]),
        Question::Syscalls => {
            (&[Model::Epoll, Model::EpollEt, Model::Reactor], &[64], &[64, 16_384])
        }
    };
    let or = |given: &[NonZeroUsize], default: &[usize]| {
        if given.is_empty() { default.to_vec() } else { given.iter().map(|n| n.get()).collect() }
    };
    let plan = Plan {
        question,
        models: if args.models.is_empty() { models.to_vec() } else { args.models.clone() },
        peers: args.peer.clone(),
        connections: or(&args.connections, connections),
        rates: or(&args.rates, RATES),
        sizes: or(&args.sizes, sizes),
        seconds: args.seconds.0 as f64 / 1e6,
        rounds: args.rounds.get(),
        options: args.server_options.clone(),
        plot: args.plot.clone(),
    };
    Ok(bench::run(&plan)?)
}
