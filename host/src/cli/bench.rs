//! `windlass bench`: from options to a plan.

use std::num::NonZeroUsize;

use crate::bench::{self, Plan, Question};
use crate::server::Model;

use super::args::Bench;
use super::outcome::Failure;

/// Datagrams per second: the last is more than a server of one processor receives.
const RATES: &[usize] = &[50_000, 100_000, 200_000, 400_000, 1_000_000];

pub(super) fn bench(args: &Bench) -> Result<(), Failure> {
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
    };
    Ok(bench::run(&plan)?)
}
