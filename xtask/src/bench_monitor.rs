//! What a scrape costs: each document of the monitor of a server with 12 listeners of 20 workers.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::bench_http::Running;
use crate::median::median;
use crate::run::{Result, program};

const LISTENERS: usize = 12;

/// Requests for each document.
const REQUESTS: usize = 200;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs all of it.
pub(crate) fn monitor(windlass: &Path) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let at = folder.path().join("monitor");
    let mut command = program(windlass);
    command.args(["serve", "upper", "--model", "pool-static", "--workers", "20"]);
    command.args(["--listen", "tcp:127.0.0.1:0"].repeat(LISTENERS));
    command.args(["--monitor", &format!("unix:{}", at.display())]);
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = Running(spawned.map_err(|error| format!("{command:?}: {error}"))?);
    measure(&mut server.0, &at)
}

fn measure(server: &mut Child, at: &Path) -> Result<()> {
    let stdout = server.stdout.take().ok_or("no standard output")?;
    let lines = BufReader::new(stdout).lines().take(LISTENERS).map_while(std::io::Result::ok);
    if lines.count() < LISTENERS {
        return Err("the server has ended".into());
    }
    println!("| | KB | ms | CPU ms of the supervisor |\n|---|---|---|---|");
    for path in ["/metrics", "/", "/status.json"] {
        let (mut size, mut times) = (0, Vec::new());
        let before = cpu_ms(server.id())?;
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            size = ask(at, path).map_err(|error| format!("{path}: {error}"))?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let cpu = (cpu_ms(server.id())? - before) / REQUESTS as f64;
        let kilobytes = size as f64 / 1e3;
        println!("| `{path}` | {kilobytes:.0} | {:.2} | {cpu:.2} |", median(times));
    }
    Ok(())
}

/// Bytes of an answer.
fn ask(at: &Path, path: &str) -> std::io::Result<usize> {
    let mut stream = UnixStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.len())
}

/// The CPU time of a process in milliseconds.
fn cpu_ms(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let nanos = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    Ok(nanos.ok_or_else(|| format!("{path}: {text}"))? / 1e6)
}
