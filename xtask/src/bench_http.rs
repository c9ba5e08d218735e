//! `http` beside nginx and Apache: requests by `wrk`, and the CPU time of all processes of the server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::run::{Result, has, output, program};

const ROUNDS: usize = 3;

/// What is asked for, of which servers, over how many connections.
struct Case {
    name: &'static str,
    path: &'static str,
    connections: &'static str,
    seconds: &'static str,
    /// A script that makes each request.
    script: Option<&'static str>,
    /// The first server is the one that the others are compared with.
    servers: &'static [(&'static str, &'static [&'static str])],
}

const NGINX: &[&str] = &["nginx", "0", "1", "0"];
const APACHE: &[&str] = &["apache", "0", "20", "0"];

const CASES: [Case; 4] = [
    Case {
        name: "1 KiB, 64 connections",
        path: "/small",
        connections: "64",
        seconds: "3",
        script: None,
        servers: &[("nginx", NGINX), ("epoll", &[]), ("reactor", &[])],
    },
    Case {
        name: "1 KiB, 16 connections, process pools",
        path: "/small",
        connections: "16",
        seconds: "3",
        script: None,
        servers: &[("apache", APACHE), ("prefork", &[])],
    },
    Case {
        name: "1 MiB of 1 GiB, at 10,000 offsets",
        path: "/large",
        connections: "16",
        seconds: "3",
        script: Some(
            "request = function()\n\
             local at = math.random(0, 9999) * 106000\n\
             return wrk.format('GET', nil, {['Range'] = 'bytes=' .. at .. '-' .. at + 1048575})\n\
             end\n",
        ),
        servers: &[("nginx", NGINX), ("epoll", &[])],
    },
    Case {
        name: "1 GiB",
        path: "/large",
        connections: "1",
        seconds: "6",
        script: None,
        servers: &[("nginx", NGINX), ("epoll", &[])],
    },
];

/// Runs all of it. `peers`: where `http_peer` is.
pub(crate) fn http(windlass: &Path, peers: &Path) -> Result<()> {
    for tool in ["wrk", "nginx", "apache2"] {
        if !has(tool) && !Path::new("/usr/sbin").join(tool).exists() {
            println!("no {tool} (apt-get install wrk nginx-light apache2-bin)");
            return Ok(());
        }
    }
    let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes);
    let made = write("small", &[b'x'; 1024]).and_then(|()| {
        let mut large = fs::File::create(folder.path().join("large"))?;
        let piece = vec![b'x'; 1 << 20];
        (0..1024).try_for_each(|_| std::io::Write::write_all(&mut large, &piece))
    });
    made.map_err(|error| format!("files in {}: {error}", folder.path().display()))?;
    println!(
        "| | server | requests/s | MB/s | CPU µs/request | ratio |\n|---|---|---|---|---|---|"
    );
    for case in CASES {
        let mut rounds = vec![Vec::new(); case.servers.len()];
        for _ in 0..ROUNDS {
            for ((name, args), figures) in case.servers.iter().zip(&mut rounds) {
                let command = start(windlass, peers, folder.path(), name, args);
                figures.push(measure(command, &case, folder.path())?);
            }
        }
        let medians = rounds.into_iter().map(|mut figures: Vec<Figures>| {
            figures.sort_by(|a, b| a.micros.total_cmp(&b.micros));
            figures[figures.len() / 2]
        });
        let medians: Vec<_> = medians.collect();
        for ((name, _), Figures { rate, megabytes, micros }) in case.servers.iter().zip(&medians) {
            let (what, ratio) = (case.name, micros / medians[0].micros);
            println!("| {what} | {name} | {rate:.0} | {megabytes:.0} | {micros:.1} | {ratio:.2} |");
        }
    }
    Ok(())
}

fn start(windlass: &Path, peers: &Path, folder: &Path, name: &str, args: &[&str]) -> Command {
    let mut command = program("taskset");
    command.args(["-c", "0"]);
    if args.is_empty() {
        command.arg(windlass).args(["serve", "http", "--listen", "tcp:127.0.0.1:0"]);
        command.args(["--model", name, "--root"]).arg(folder);
    } else {
        command.arg(peers.join("http_peer")).args(args).arg(folder);
    }
    command
}

/// Requests and megabytes per second, and CPU time of the server per request.
#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    megabytes: f64,
    micros: f64,
}

fn measure(mut command: Command, case: &Case, folder: &Path) -> Result<Figures> {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = Server(spawned.map_err(|error| format!("{command:?}: {error}"))?);
    let (address, pid) = server.listening()?;
    let mut wrk = program("taskset");
    wrk.args(["-c", "1", "wrk", "-t1", "-c", case.connections, "-d", case.seconds]);
    if let Some(script) = case.script {
        let path = folder.join("wrk.lua");
        fs::write(&path, script).map_err(|error| format!("{}: {error}", path.display()))?;
        wrk.arg("-s").arg(path);
    }
    let before = cpu_ticks(pid);
    let said = output(wrk.arg(format!("http://{address}{}", case.path)))?;
    let ticks = cpu_ticks(pid) - before;
    let line = |word: &str| said.lines().find(|line| line.contains(word));
    if let Some(bad) = line("Non-2xx").or(line("Socket errors")) {
        println!("{bad}");
    }
    // "  123456 requests in 3.00s, 150.1MB read"
    let words: Vec<_> = line("requests in").unwrap_or_default().split_whitespace().collect();
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<f64>();
    let [count, _, _, seconds, read, _] = words[..] else { return Err(format!("wrk: {said}")) };
    let unit = match read.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "GB" => 1024.0,
        "KB" => 1.0 / 1024.0,
        _ => 1.0,
    };
    let (Ok(count), Ok(seconds), Ok(read)) = (number(count), number(seconds), number(read)) else {
        return Err(format!("wrk: {said}"));
    };
    Ok(Figures {
        rate: count / seconds,
        megabytes: read * unit / seconds,
        // A tick has 10 ms.
        micros: ticks * 10_000.0 / count.max(1.0),
    })
}

/// A server of a measurement. Dropping it ends it.
struct Server(Child);

impl Server {
    /// Its address and its process.
    fn listening(&mut self) -> Result<(String, i32)> {
        let mut line = String::new();
        let stdout = self.0.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let words: Vec<_> = line.split_whitespace().collect();
        let ["listening", address, _, _, "pid", pid] = words[..] else {
            return Err(format!("it says {line:?}"));
        };
        let pid = pid.parse().map_err(|_| format!("it says {line:?}"))?;
        Ok((address.trim_start_matches("tcp:").to_owned(), pid))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// CPU time of a process and of all its descendants, in ticks.
fn cpu_ticks(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default();
    // From the state on; user and system time, then those of children that are gone.
    let own: f64 =
        behind.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<f64>().ok()).sum();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    own + children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(cpu_ticks).sum::<f64>()
}
