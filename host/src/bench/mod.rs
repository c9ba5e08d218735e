//! Compares servers: Windlass under each model, and any other server that prints a `listening`
//! line.
//!
//! The server has one processor and the load the other. Both are saturated, so messages per second
//! mostly show how fast the load is; the cost of a server is its CPU time per message. Each round
//! runs every server once, so that a change of the machine's speed affects all of them, and the
//! table has medians.

mod connects;
mod files;
mod load;
mod question;
mod report;
mod target;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::server::{Model, Service};
use crate::standard;
use crate::sys::{account, process};
use connects::Connects;
use files::{Fetches, Folder};
use load::{Done, Messages};
pub use question::Question;
use report::{Cell, Progress, Report};
use target::{Kind, Target};

/// What to measure, on which servers, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The quantity to measure.
    pub question: Question,
    /// The models of Windlass.
    pub models: Vec<Model>,
    /// Other servers, by name and command. Each prints a `listening` line as Windlass does. Ratios
    /// are to the first of them, or else to the first model.
    pub peers: Vec<(String, String)>,
    /// Numbers of connections.
    pub connections: Vec<usize>,
    /// Sizes of messages, in bytes.
    pub sizes: Vec<usize>,
    /// Seconds measured in each run.
    pub seconds: f64,
    /// Runs of each server; the table shows the median.
    pub rounds: usize,
    /// Options of `windlass serve`.
    pub options: Vec<String>,
}

/// The processors of the server and of the load.
const SERVER_CPU: usize = 0;
const LOAD_CPU: usize = 1;

/// Runs the plan and prints a table.
///
/// # Errors
/// A server that does not start, or that answers wrongly.
pub fn run(plan: &Plan) -> Result<()> {
    process::raise_nofile();
    let kinds: Vec<Kind> = (plan.peers.iter())
        .map(|(name, command)| Kind::Peer { name: name.clone(), command: command.clone() })
        .chain(plan.models.iter().map(|&model| Kind::Ours { model, options: plan.options.clone() }))
        .collect();
    let sizes = match plan.question {
        Question::Messages | Question::Syscalls | Question::Fairness | Question::Files => {
            &plan.sizes[..]
        }
        Question::Connects | Question::Memory => &[0],
    };
    let folder = match plan.question {
        Question::Files => Some(Folder::new()?),
        _ => None,
    };
    let folder = folder.as_ref().map(Folder::path);
    let mut report = Report::new(plan.question);
    let progress = Progress::new();
    for &connections in &plan.connections {
        for &size in sizes {
            let mut cells: Vec<Vec<Cell>> = vec![Vec::new(); kinds.len()];
            for round in 0..plan.rounds {
                for (kind, cells) in kinds.iter().zip(&mut cells) {
                    progress.show(&format!("round {} of {}: {kind}", round + 1, plan.rounds));
                    cells.push(measure(plan, kind, folder, connections, size)?);
                }
            }
            progress.clear();
            report.add(connections, size, &kinds, &cells);
        }
    }
    standard::print(&format!("{report}\n"))
}

/// One run of one server.
fn measure(
    plan: &Plan,
    kind: &Kind,
    folder: Option<&Path>,
    connections: usize,
    size: usize,
) -> Result<Cell> {
    let service = match plan.question {
        Question::Connects => Service::Time,
        Question::Files => Service::Files,
        Question::Messages | Question::Fairness | Question::Memory | Question::Syscalls => {
            Service::Upper
        }
    };
    account::pin(SERVER_CPU);
    let target = Target::start(kind, service, folder, plan.question == Question::Syscalls)?;
    account::pin(LOAD_CPU);
    let at = socket_address(&target.address)?;
    let us = (plan.seconds * 1e6) as u64;
    match plan.question {
        Question::Messages => {
            let mut load = Messages::connect(at, connections, size, 1)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Connects => {
            let mut load = Connects::new(at, connections, target.speaks)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Files => {
            let mut load = Fetches::new(at, size, target.speaks)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Fairness => {
            let mut load = Messages::connect(at, connections, size, 2)?;
            load.run(us / 4)?;
            let before = load.replies();
            let done = load.run(us)?;
            let replies = load.replies();
            let mine = replies.iter().zip(&before).map(|(now, was)| (now - was) as f64);
            let most = mine.clone().fold(0.0, f64::max);
            let fewest = mine.fold(f64::MAX, f64::min);
            Ok(Cell { per: most / fewest.max(1.0), ..done.cell() })
        }
        Question::Memory => {
            // The first connection allocates the table and the buffers, so it is not counted.
            Messages::connect(at, 1, 64, 1)?.run(50_000)?;
            let before = target.private_bytes()?;
            let mut crowd = Messages::connect(at, connections, 64, 1)?;
            // Each is answered once, so the server has certainly accepted it.
            crowd.answer_each()?;
            let bytes = target.private_bytes()?.saturating_sub(before);
            Ok(Cell { per: bytes as f64 / connections as f64, per_second: 0.0 })
        }
        Question::Syscalls => {
            let mut load = Messages::connect(at, connections, size, 1)?;
            let done = load.run(us)?;
            drop(load);
            Ok(Cell { per: target.traced_calls()? as f64 / done.count as f64, ..done.cell() })
        }
    }
}

/// The server's CPU time per unit of the load in `us` microseconds, after a warm-up.
fn timed(target: &Target, us: u64, mut load: impl FnMut(u64) -> Result<Done>) -> Result<Cell> {
    load(us / 4)?;
    let before = target.cpu_ns()?;
    let done = load(us)?;
    let used = target.cpu_ns()?.saturating_sub(before);
    Ok(Cell { per: used as f64 / done.count as f64, ..done.cell() })
}

fn socket_address(address: &Address) -> Result<SocketAddr> {
    let fail = "the load is for tcp addresses";
    let Address::Tcp(at) = address else { return Err(Error::new("load", address, fail)) };
    let mut found =
        (at.host.as_str(), at.port).to_socket_addrs().map_err(Error::of("resolve", address))?;
    found.next().ok_or_else(|| Error::new("load", address, fail))
}
