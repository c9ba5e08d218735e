//! The faults, each against one server.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::load::{self, Outcome, Pace, Speaks};
use crate::proc;
use crate::server::{Kind, Programs, Serve, Server};

/// The result of one run of one scenario.
pub(crate) enum Measured {
    /// Failures, the longest time between two answers, and the 99th percentile, in milliseconds.
    Load { failures: String, gap_ms: f64, p99_ms: f64 },
    /// A number, and its unit.
    Number(f64, &'static str),
    /// The event did not happen within the time limit.
    Never(String),
    /// A count, and its total.
    Share(usize, usize),
}

type Run = fn(&Programs, Kind) -> Result<Option<Measured>, String>;

/// Every scenario: its name, its name in the table, and its function.
pub(crate) const SCENARIOS: [(&str, &str, Run); 11] = [
    ("kill-one", "one worker killed", |programs, kind| {
        chaos(programs, kind, 3000.0, 3.0, |server, begin| {
            until(begin, 1.0);
            server.signal_first(Signal::SIGKILL);
        })
    }),
    ("kill-all", "all workers killed at once", |programs, kind| {
        chaos(programs, kind, 3000.0, 4.0, |server, begin| {
            until(begin, 1.0);
            for pid in server.workers() {
                proc::signal(pid, Signal::SIGKILL);
            }
        })
    }),
    ("stop-one", "one worker stopped for 2 s", |programs, kind| {
        chaos(programs, kind, 3000.0, 4.0, |server, begin| {
            until(begin, 1.0);
            let stopped = server.signal_first(Signal::SIGSTOP);
            until(begin, 3.0);
            if let Some(pid) = stopped {
                proc::signal(pid, Signal::SIGCONT);
            }
        })
    }),
    ("storm", "40 workers killed in 2 s, 1,500 clients/s", |programs, kind| {
        chaos(programs, kind, 1500.0, 2.5, |server, begin| {
            for kill in 0..40_u8 {
                until(begin, 0.1 + f64::from(kill) * 0.05);
                let workers = server.workers();
                if let Some(&unlucky) = workers.get(usize::from(kill) % workers.len().max(1)) {
                    proc::signal(unlucky, Signal::SIGKILL);
                }
            }
        })
    }),
    ("reload", "three reloads", |programs, kind| {
        let Some(reload) = kind.reload() else { return Ok(None) };
        chaos(programs, kind, 3000.0, 4.0, move |server, begin| {
            for time in 1..=3 {
                until(begin, f64::from(time) * 0.8);
                proc::signal(server.pid, reload);
            }
        })
    }),
    ("recycle", "a worker for each client, 16 clients", |programs, kind| {
        let Some(server) = Server::start(programs, kind, Serve::OneEach)? else { return Ok(None) };
        let outcome = load(&server, Pace::Crowd(16), Instant::now(), 3.0)?;
        let served = outcome.took.len() as f64 / outcome.lasted.as_secs_f64();
        Ok(Some(Measured::Number(served, "/s")))
    }),
    ("crash-loop", "each worker killed on sight for 3 s", crash_loop),
    ("kill-parent", "the parent killed: until no worker is left", kill_parent),
    ("ramp", "20 clients at once: until 20 workers", ramp),
    ("slow", "10 silent clients: good ones served of 1,500 in 3 s", slow),
    ("memory", "private memory of a waiting worker", memory),
];

/// A worker that exists may not serve yet, and no server reports when it does.
fn settle() {
    sleep(Duration::from_millis(300));
}

fn until(begin: Instant, seconds: f64) {
    let at = begin + Duration::from_secs_f64(seconds);
    sleep(at.saturating_duration_since(Instant::now()));
}

fn load(server: &Server, pace: Pace, begin: Instant, seconds: f64) -> Result<Outcome, String> {
    let lasts = Duration::from_secs_f64(seconds);
    load::run(server.at, server.speaks, pace, begin, lasts).map_err(|error| error.to_string())
}

/// Runs a load, and an action meanwhile.
fn chaos(
    programs: &Programs,
    kind: Kind,
    rate: f64,
    seconds: f64,
    meanwhile: impl FnOnce(&mut Server, Instant) + Send,
) -> Result<Option<Measured>, String> {
    let Some(mut server) = Server::start(programs, kind, Serve::Short)? else { return Ok(None) };
    let (at, speaks) = (server.at, server.speaks);
    // The first clients warm the server up; they are not counted.
    let warm = |seconds| load(&server, Pace::Crowd(4), Instant::now(), seconds).map(drop);
    warm(0.3)?;
    let begin = Instant::now();
    let lasts = Duration::from_secs_f64(seconds);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| meanwhile(&mut server, begin));
        load::run(at, speaks, Pace::Rate(rate), begin, lasts)
    });
    let mut outcome = outcome.map_err(|error| error.to_string())?;
    let classes: Vec<String> =
        outcome.failures.iter().map(|(class, count)| format!("{count} {class}")).collect();
    let failures = if classes.is_empty() { "0".to_owned() } else { classes.join(" + ") };
    let gap_ms = outcome.gap.as_secs_f64() * 1e3;
    let p99_ms = outcome.quantile(0.99).as_secs_f64() * 1e3;
    Ok(Some(Measured::Load { failures, gap_ms, p99_ms }))
}

fn crash_loop(programs: &Programs, kind: Kind) -> Result<Option<Measured>, String> {
    let Some(mut server) = Server::start(programs, kind, Serve::Short)? else { return Ok(None) };
    settle();
    let first: HashSet<i32> = server.workers().into_iter().collect();
    let mut seen = HashSet::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        for pid in server.workers() {
            seen.insert(pid);
            proc::signal(pid, Signal::SIGKILL);
        }
    }
    Ok(Some(Measured::Number(seen.difference(&first).count() as f64, " started")))
}

fn kill_parent(programs: &Programs, kind: Kind) -> Result<Option<Measured>, String> {
    let Some(mut server) = Server::start(programs, kind, Serve::Short)? else { return Ok(None) };
    settle();
    let workers = server.workers();
    let begin = Instant::now();
    proc::signal(server.pid, Signal::SIGKILL);
    let left = || workers.iter().filter(|&&pid| proc::runs(pid)).count();
    while left() > 0 {
        if begin.elapsed() > Duration::from_secs(3) {
            return Ok(Some(Measured::Never(format!("{} left after 3 s", left()))));
        }
    }
    Ok(Some(Measured::Number(begin.elapsed().as_secs_f64() * 1e3, " ms")))
}

fn ramp(programs: &Programs, kind: Kind) -> Result<Option<Measured>, String> {
    // The others do not grow.
    if !matches!(kind, Kind::Prefork | Kind::Apache) {
        return Ok(None);
    }
    let Some(mut server) = Server::start(programs, kind, Serve::Holding)? else { return Ok(None) };
    settle();
    let begin = Instant::now();
    let _held = silent(&server, 20)?;
    while server.workers().len() < 20 {
        if begin.elapsed() > Duration::from_secs(10) {
            return Ok(Some(Measured::Never(format!("{} after 10 s", server.workers().len()))));
        }
    }
    Ok(Some(Measured::Number(begin.elapsed().as_secs_f64() * 1e3, " ms")))
}

/// Clients that send one byte and no more.
fn silent(server: &Server, count: usize) -> Result<Vec<TcpStream>, String> {
    let connect = || {
        let mut stream = TcpStream::connect(server.at)?;
        // Apache does not accept a client that sends nothing (TCP_DEFER_ACCEPT).
        stream.write_all(b"G")?;
        Ok(stream)
    };
    (0..count).map(|_| connect().map_err(|error: std::io::Error| error.to_string())).collect()
}

fn slow(programs: &Programs, kind: Kind) -> Result<Option<Measured>, String> {
    let Some(server) = Server::start(programs, kind, Serve::Holding)? else { return Ok(None) };
    debug_assert!(server.speaks != Speaks::Time, "which says it to silent clients too");
    let _held = silent(&server, 10)?;
    let begin = Instant::now();
    let outcome = load(&server, Pace::Rate(500.0), begin, 3.0)?;
    // Within those 3 s and half a second: a client that waits longer has given up.
    let patience = Duration::from_millis(500);
    let good = outcome.took.iter().filter(|took| **took <= patience).count();
    Ok(Some(Measured::Share(good, outcome.clients)))
}

fn memory(programs: &Programs, kind: Kind) -> Result<Option<Measured>, String> {
    let Some(mut server) = Server::start(programs, kind, Serve::Short)? else { return Ok(None) };
    load(&server, Pace::Rate(500.0), Instant::now(), 1.0)?;
    let mut each: Vec<u64> = server.workers().into_iter().filter_map(proc::private_kib).collect();
    each.sort_unstable();
    let median = each.get(each.len() / 2).copied().unwrap_or(0);
    Ok(Some(Measured::Number(median as f64, " KiB")))
}

impl Measured {
    /// A cell of the table: the failures of each round, medians of the rest, and the least and the
    /// most where the machine has its part in it.
    pub(crate) fn summary(rounds: &[Self]) -> String {
        let sorted = |of: fn(&Self) -> Option<f64>| {
            let mut values: Vec<f64> = rounds.iter().filter_map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |of| short(sorted(of)[rounds.len() / 2]);
        let range = |of| {
            let values = sorted(of);
            format!("{}–{}", short(values[0]), short(values[values.len() - 1]))
        };
        let each = || rounds.iter().map(Self::in_words).collect::<Vec<_>>().join(", ");
        match rounds.first() {
            None => "–".to_owned(),
            // One that did not happen may be any round.
            Some(_) if rounds.iter().any(|it| matches!(it, Self::Never(_))) => each(),
            Some(Self::Load { .. }) => {
                let gap = |it: &Self| {
                    if let Self::Load { gap_ms, .. } = it { Some(*gap_ms) } else { None }
                };
                let p99 = |it: &Self| {
                    if let Self::Load { p99_ms, .. } = it { Some(*p99_ms) } else { None }
                };
                let (middle, between) = (median(gap), range(gap));
                format!("failed {}; gap {middle} ms ({between}); p99 {} ms", each(), median(p99))
            }
            Some(Self::Number(_, unit)) => {
                let number = |it: &Self| if let Self::Number(n, _) = it { Some(*n) } else { None };
                format!("{}{unit} ({})", median(number), range(number))
            }
            Some(Self::Never(_) | Self::Share(..)) => each(),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Load { failures, .. } => failures.clone(),
            Self::Number(n, unit) => format!("{}{unit}", short(*n)),
            Self::Never(why) => why.clone(),
            Self::Share(n, of) => format!("{n}/{of}"),
        }
    }
}

/// Three digits or so.
fn short(value: f64) -> String {
    let digits = usize::from(value < 10.0);
    format!("{value:.digits$}")
}
