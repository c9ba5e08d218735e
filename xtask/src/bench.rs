//! Windlass against its peers: measures the tables of docs/BENCH.md.
//!
//! Each table is one run in which the programs take turns, so that a change of the machine's speed
//! affects all of them. Figures are medians, and the figure to read is the ratio.

use std::path::{Path, PathBuf};

use crate::bench_http::{http, tls};
use crate::bench_log::log;
use crate::bench_monitor::monitor;
use crate::bench_transfers::{losses, many, transfers};
use crate::plot;
use crate::run::{Result, build_windlass, cargo, has, output, program, root, run, step};

/// How often the programs of a loop take turns.
const ROUNDS: usize = 5;

/// Measures all parts, or those with a name that begins with a word of `parts`.
pub(crate) fn bench(parts: &[String]) -> Result<()> {
    let windlass = build_windlass("release")?;
    let peers = Peers::build(parts.is_empty() || !parts.iter().all(|part| needs_no_peer(part)))?;
    let step = |name: &str, work: &dyn Fn() -> Result<()>| {
        let is_wanted = parts.is_empty() || parts.iter().any(|part| name.starts_with(part));
        if is_wanted { step(name, work) } else { Ok(()) }
    };
    step("messages", &|| messages(&windlass, &peers))?;
    step("files", &|| files(&windlass, &peers))?;
    step("http", &|| http(&windlass, &peers.rust))?;
    step("tls", &|| tls(&windlass, &peers.rust))?;
    step("log and counters", &|| log(&windlass))?;
    step("monitor", &|| monitor(&windlass))?;
    step("transfers by tftp", &|| transfers(&windlass, &peers.c, &|bench| bench.tftp()))?;
    step("transfers by xfer", &|| transfers(&windlass, &peers.c, &|bench| bench.xfer()))?;
    step("transfers at once", &|| transfers(&windlass, &peers.c, &many::at_once))?;
    step("transfers with the largest options", &|| {
        transfers(&windlass, &peers.c, &many::largest_options)
    })?;
    step("transfers over losses", &|| transfers(&windlass, &peers.c, &losses::plain_clients))?;
    step("models", &|| models(&windlass))?;
    step("memory of an idle connection", &|| memory(&windlass, &peers))?;
    step("connections", &|| connects(&windlass, &peers))?;
    step("datagrams", &|| datagrams(&windlass, &peers))?;
    step("faults", &|| resilience(&windlass, &peers))?;
    step("a byte in a ring, ns per event", &|| ring(&peers))?;
    step("1,000,000 timers, ns per timer", &|| timers(&peers))?;
    step("drift of 100 ticks of 10 ms that work for 3 ms, µs", &|| drift(&peers))
}

/// Whether no peer in Rust is measured in this part.
fn needs_no_peer(part: &str) -> bool {
    ["transfers", "log", "monitor"].iter().any(|name| part.starts_with(name))
}

/// The folder of the peers.
struct Peers {
    rust: PathBuf,
    c: PathBuf,
}

impl Peers {
    /// Builds those in C, and with `all` those in Rust.
    fn build(all: bool) -> Result<Self> {
        let target = root().join("peers/target");
        if all {
            run(cargo()
                .args(["build", "--release", "--manifest-path", "peers/Cargo.toml"])
                .env("CARGO_TARGET_DIR", &target))?;
        }
        let c = target.join("c");
        run(program("make").args(["-s", "-C", "peers/c"]).arg(format!("OUT={}", c.display())))
            .map_err(|why| format!("{why} (apt-get install libevent-dev)"))?;
        Ok(Self { rust: target.join("release"), c })
    }

    /// The option of `windlass bench` that names a server.
    fn option(&self, name: &str) -> String {
        let folder = if matches!(name, "raw" | "libevent") { &self.c } else { &self.rust };
        format!("--peer={name}={} 0", folder.join(format!("upper_{name}")).display())
    }
}

fn messages(windlass: &Path, peers: &Peers) -> Result<()> {
    run(plot::bench(windlass, "messages")?
        .args(["messages", "--models", "epoll,epoll-et,reactor"])
        .args(["--connections", "64,1000,10000", "--sizes", "64,16384"])
        .args(["--rounds", "3", "--seconds", "0.7"])
        .args(["libevent", "raw", "mio", "tokio"].map(|name| peers.option(name))))
}

/// One client, a file of 256 MiB. The plain server knows one size of frames, and HTTP none.
fn files(windlass: &Path, peers: &Peers) -> Result<()> {
    let plain = format!("--peer=plain={} 0 FOLDER", peers.c.join("files_plain").display());
    let mut nginx = Vec::new();
    if has("nginx") {
        let http = peers.rust.join("http_peer");
        nginx.push(format!("--peer=nginx={} nginx 0 1 0 FOLDER", http.display()));
    } else {
        println!("no nginx (apt-get install nginx-light)");
    }
    let bench = |size: &str, peers: &[String]| {
        run(plot::bench(windlass, &format!("files-{size}"))?
            .args(["files", "--models", "epoll,pool-static,iterative"])
            .args(["--sizes", size, "--rounds", "5", "--seconds", "1"])
            .args(peers))
    };
    bench("4096", &[plain])?;
    bench("16777216", &nginx)
}

/// Every model, with a connection for each request.
fn models(windlass: &Path) -> Result<()> {
    const ALL: &str = "iterative,fork,thread,thread-pool,select,poll,epoll,epoll-et,reactor,\
                       pool-static,prefork";
    run(plot::bench(windlass, "models")?
        .args(["connects", "--models", ALL, "--connections", "16"])
        .args(["--rounds", "7", "--seconds", "0.4"]))
}

fn memory(windlass: &Path, peers: &Peers) -> Result<()> {
    run(plot::bench(windlass, "memory")?
        .args(["memory", "--models", "reactor,epoll", "--rounds", "3"])
        .args(["libevent", "raw", "mio", "tokio"].map(|name| peers.option(name))))
}

/// Process pools: 5 and 20 workers, and a pool that follows the load.
fn connects(windlass: &Path, peers: &Peers) -> Result<()> {
    let http = peers.rust.join("http_peer");
    let web: Vec<String> = [("apache", "apache2"), ("nginx", "nginx")]
        .iter()
        .filter(|(_, program)| is_installed(program))
        .map(|(name, _)| format!("--peer={name}={} {name} 0", http.display()))
        .collect();
    for (workers, models) in [("5", "pool-static"), ("20", "pool-static,prefork")] {
        let raw = |name: &str| {
            let path = peers.c.join(format!("time_{name}_raw"));
            format!("--peer={name}-raw={} 0 {workers}", path.display())
        };
        let mut command = plot::bench(windlass, &format!("pools-of-{workers}"))?;
        command.args(["connects", "--connections", "16,64", "--models", models]);
        command.args(["prefork", "fdpass"].map(raw)).args(&web);
        if models == "pool-static" {
            command.args(["--", "--workers", workers]);
        }
        run(&mut command)?;
    }
    Ok(())
}

/// Datagrams: `upper` and `score listen` against plain loops in C, alone and as several processes on one socket.
fn datagrams(windlass: &Path, peers: &Peers) -> Result<()> {
    let upper = |name: &str, how: &str| {
        format!("--peer={name}={} 0 {how}", peers.c.join("upper_udp_raw").display())
    };
    let (batches, epoll) = (upper("batches in C", ""), upper("by epoll in C", "epoll"));
    let single = upper("one at a time in C", "single");
    let score = format!("--peer=loop in C={} 0", peers.c.join("score_udp_raw").display());
    let bench = |name: &str, words: &str, peers: &[&String], options: &str| {
        run(plot::bench(windlass, name)?
            .args(words.split_whitespace())
            .args(peers)
            .args(options.split_whitespace()))
    };
    bench("datagrams", "datagrams --rounds 5 --seconds 0.5", &[&batches, &epoll, &single], "")?;
    bench("latency", "latency --rounds 5 --seconds 0.5", &[&single, &batches], "")?;
    bench("batches", "batches --rounds 3 --seconds 0.5", &[&batches, &epoll, &single], "")?;
    bench("flood", "flood --rounds 5 --seconds 0.4", &[&batches, &epoll], "")?;
    bench("scores", "scores --rounds 5 --seconds 0.4", &[&score], "")?;
    for workers in ["1", "2", "4"] {
        let prefork = upper("prefork in C", workers);
        let options =
            format!("-- --min-spare {workers} --max-spare {workers} --max-workers {workers}");
        bench(
            &format!("flood-of-{workers}"),
            "flood --models prefork --rates 1000000 --rounds 5 --seconds 0.4",
            &[&prefork],
            &options,
        )?;
    }
    Ok(())
}

fn resilience(windlass: &Path, peers: &Peers) -> Result<()> {
    run(program(peers.rust.join("resilience")).arg(windlass).arg(&peers.c))
}

/// Whether a server is installed. If not, prints that.
fn is_installed(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.any(|folder| folder.join(name).exists());
    if !found {
        println!("{name} is not installed: it is left out");
    }
    found
}

fn ring(peers: &Peers) -> Result<()> {
    println!("| pairs | active | added anew before each run | libevent | windlass | ratio |");
    println!("|---|---|---|---|---|---|");
    for (pipes, active, writes) in
        [(100, 1, 1000), (1000, 1, 1000), (9900, 1, 200), (1000, 100, 1000)]
    {
        for anew in [true, false] {
            let args =
                format!("{pipes} {active} {writes} 9{}", if anew { "" } else { " register-once" });
            let [theirs, ours] = in_turn(peers, "ring", &args)?;
            let (theirs, ours) = (median(&theirs, number)?, median(&ours, number)?);
            println!(
                "| {pipes} | {active} | {} | {theirs:.0} | {ours:.0} | {:.2} |",
                if anew { "yes" } else { "no" },
                ours / theirs
            );
        }
    }
    Ok(())
}

fn timers(peers: &Peers) -> Result<()> {
    let [theirs, ours] = in_turn(peers, "timers", "1000000 2")?;
    println!("| | libevent | windlass | ratio |\n|---|---|---|---|");
    for what in ["add", "cancel", "fire", "rearm", "rearm-aged"] {
        let figure = |line: &str| {
            let mut words = line.split_whitespace().skip_while(|&word| word != what);
            words.nth(1)?.parse().ok()
        };
        let (theirs, ours) = (median(&theirs, figure)?, median(&ours, figure)?);
        println!("| {what} | {theirs:.1} | {ours:.1} | {:.2} |", ours / theirs);
    }
    Ok(())
}

fn drift(peers: &Peers) -> Result<()> {
    let [theirs, ours] = in_turn(peers, "drift", "")?;
    println!("libevent {:.0}, windlass {:.0}", median(&theirs, number)?, median(&ours, number)?);
    Ok(())
}

/// Runs both programs of a kind in turn, and returns the lines that they printed: libevent's and ours.
fn in_turn(peers: &Peers, kind: &str, args: &str) -> Result<[Vec<String>; 2]> {
    let programs =
        [peers.c.join(format!("{kind}_libevent")), peers.rust.join(format!("{kind}_windlass"))];
    let mut lines = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (path, lines) in programs.iter().zip(&mut lines) {
            let mut command = if has("taskset") {
                let mut pinned = program("taskset");
                pinned.args(["-c", "0"]).arg(path);
                pinned
            } else {
                program(path)
            };
            let printed = output(command.args(args.split_whitespace()))?;
            lines.extend(printed.lines().map(str::to_owned));
        }
    }
    Ok(lines)
}

fn number(line: &str) -> Option<f64> {
    line.trim().parse().ok()
}

/// The median of what `figure` finds in the lines.
fn median(lines: &[String], figure: impl Fn(&str) -> Option<f64>) -> Result<f64> {
    let mut figures: Vec<f64> = lines.iter().filter_map(|line| figure(line)).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().ok_or_else(|| "no figures were printed".to_owned())
}
