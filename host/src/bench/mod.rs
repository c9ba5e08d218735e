//! Compares servers: Windlass under each model, and any other server that prints a `listening`
//! line.
//!
//! The server has one processor and the load the other. Both are saturated, so messages per second
//! mostly show how fast the load is; the cost of a server is its CPU time per message. Each round
//! runs every server once, so that a change of the machine's speed affects all of them, and the
//! table has medians.

mod asking;
mod connects;
mod files;
mod load;
mod picture;
mod picture_file;
mod plot;
mod question;
mod report;
mod target;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::server::Model;
use crate::standard;
use crate::sys::{account, process};
use asking::{Asking, Flood};
use connects::Connects;
use files::{Fetches, Folder};
use load::{Done, Messages};
use picture::Picture;
use picture_file::PictureFile;
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
    /// Datagrams per second.
    pub rates: Vec<usize>,
    /// Sizes of messages, in bytes.
    pub sizes: Vec<usize>,
    /// Seconds measured in each run.
    pub seconds: f64,
    /// Runs of each server; the table shows the median.
    pub rounds: usize,
    /// Options of `windlass serve`.
    pub options: Vec<String>,
    /// Where the ratios are drawn, as SVG.
    pub plot: Option<PathBuf>,
}

/// The processors of the server and of the load.
const SERVER_CPU: usize = 0;
const LOAD_CPU: usize = 1;

/// Draws the table that an earlier run printed into the file `table`.
///
/// # Errors
/// The file has no such table, or the picture cannot be written.
pub fn draw(table: &Path, plot: &Path) -> Result<()> {
    let picture = Picture::from_file(table)?;
    PictureFile::create(plot)?.keep(&picture)
}

/// Runs the plan, prints a table, and draws it.
///
/// # Errors
/// A server that does not start, or that answers wrongly. A picture that cannot be written: if that can be known
/// before, nothing is measured.
pub fn run(plan: &Plan) -> Result<()> {
    let plot = plan.plot.as_deref().map(PictureFile::create).transpose()?;
    process::raise_nofile();
    let kinds: Vec<Kind> = (plan.peers.iter())
        .map(|(name, command)| Kind::Peer { name: name.clone(), command: command.clone() })
        .chain(ours(plan))
        .collect();
    let sizes = match plan.question {
        Question::Messages
        | Question::Syscalls
        | Question::Fairness
        | Question::Files
        | Question::Datagrams
        | Question::Latency
        | Question::Batches
        | Question::Flood => &plan.sizes[..],
        // `score` chooses its own.
        Question::Connects | Question::Memory | Question::Scores => &[0],
    };
    let folder = match plan.question {
        Question::Files => Some(Folder::new()?),
        _ => None,
    };
    let folder = folder.as_ref().map(Folder::path);
    let mut report = Report::new(plan.question);
    let progress = Progress::new();
    let loads = if plan.question.has_rate() { &plan.rates } else { &plan.connections };
    for &load in loads {
        for &size in sizes {
            let mut cells: Vec<Vec<Cell>> = vec![Vec::new(); kinds.len()];
            for round in 0..plan.rounds {
                for (kind, cells) in kinds.iter().zip(&mut cells) {
                    progress.show(&format!("round {} of {}: {kind}", round + 1, plan.rounds));
                    cells.push(measure(plan, kind, folder, load, size)?);
                }
            }
            progress.clear();
            report.add(load, size, &kinds, &cells);
        }
    }
    standard::print(&format!("{report}\n"))?;
    plot.map_or(Ok(()), |plot| plot.keep(&report.picture))
}

/// Windlass itself, under each model; a listener has none.
fn ours(plan: &Plan) -> Vec<Kind> {
    if plan.question == Question::Scores {
        return vec![Kind::Listener];
    }
    let model = |&model| Kind::Ours { model, options: plan.options.clone() };
    plan.models.iter().map(model).collect()
}

/// One run of one server, with so many `connections`, or at that rate.
fn measure(
    plan: &Plan,
    kind: &Kind,
    folder: Option<&Path>,
    load: usize,
    size: usize,
) -> Result<Cell> {
    account::pin(SERVER_CPU);
    let target = Target::start(kind, plan.question, folder)?;
    account::pin(LOAD_CPU);
    let at = socket_address(&target.address)?;
    let us = (plan.seconds * 1e6) as u64;
    match plan.question {
        Question::Messages => {
            let mut load = Messages::connect(at, load, size, 1)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Datagrams => {
            let mut load = Asking::new(at, load, size)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Latency => {
            let mut load = Asking::new(at, load, size)?;
            load.run(us / 4)?;
            let done = load.run(us)?;
            Ok(Cell { per: done.us as f64 * 1e3 / done.count as f64, ..done.cell() })
        }
        Question::Flood => flooded(&target, at, us, &Flood::of_text(at, load, size)?),
        Question::Scores => flooded(&target, at, us, &Flood::of_scores(at, load)?),
        Question::Connects => {
            let mut load = Connects::new(at, load, target.speaks)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Files => {
            let mut load = Fetches::new(at, size, target.speaks)?;
            timed(&target, us, |us| load.run(us))
        }
        Question::Fairness => {
            let mut load = Messages::connect(at, load, size, 2)?;
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
            let mut crowd = Messages::connect(at, load, 64, 1)?;
            // Each is answered once, so the server has certainly accepted it.
            crowd.answer_each()?;
            let bytes = target.private_bytes()?.saturating_sub(before);
            Ok(Cell { per: bytes as f64 / load as f64, ..Cell::default() })
        }
        Question::Syscalls => {
            let mut load = Messages::connect(at, load, size, 1)?;
            let done = load.run(us)?;
            drop(load);
            traced(target, done)
        }
        Question::Batches => {
            let done = Asking::new(at, load, size)?.run(us)?;
            traced(target, done)
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

fn traced(target: Target, done: Done) -> Result<Cell> {
    Ok(Cell { per: target.traced_calls()? as f64 / done.count as f64, ..done.cell() })
}

/// The server's CPU time per datagram that it received, and how many it did not.
fn flooded(target: &Target, at: SocketAddr, us: u64, load: &Flood) -> Result<Cell> {
    load.run(us / 4)?;
    let (cpu, dropped) = (target.cpu_ns()?, account::dropped_at(at.port())?);
    let done = load.run(us)?;
    let lost = account::dropped_at(at.port())? - dropped;
    let used = target.cpu_ns()?.saturating_sub(cpu);
    let received = Done { count: done.count.saturating_sub(lost).max(1), ..done };
    let (per, lost) =
        (used as f64 / received.count as f64, 100.0 * lost as f64 / done.count as f64);
    Ok(Cell { per, lost, ..received.cell() })
}

fn socket_address(address: &Address) -> Result<SocketAddr> {
    let fail = "the load is for addresses of TCP and UDP";
    let (Address::Tcp(at) | Address::Udp(at)) = address else {
        return Err(Error::new("load", address, fail));
    };
    let mut found =
        (at.host.as_str(), at.port).to_socket_addrs().map_err(Error::of("resolve", address))?;
    found.next().ok_or_else(|| Error::new("load", address, fail))
}
