//! `http` beside nginx and Apache, plain and over TLS: what clients ask for, and the CPU time of all processes of the
//! server.

mod idle;
mod load;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use windlass_certs::{Authority, Certificate, Validity};

use self::load::{Asks, Figures, Load};
use crate::run::{Result, has, program};

const ROUNDS: usize = 3;

/// What is asked of which servers.
struct Case {
    name: &'static str,
    load: Load,
    /// The first server is the one that the others are compared with.
    servers: &'static [Server],
}

/// The name of a server, and the arguments of `http_peer` if it is not a model of ours.
type Server = (&'static str, &'static [&'static str]);

const NGINX: Server = ("nginx", &["nginx", "0", "1", "0"]);
const APACHE: Server = ("apache", &["apache", "0", "20", "0"]);

/// Files of 1 KiB and of 1 GiB.
const KIB: &str = "/small";
const GIB: &str = "/large";

const PLAIN: [Case; 6] = [
    Case {
        name: "1 KiB, 64 connections",
        load: Load::Requests { path: KIB, connections: "64", seconds: "3", asks: Asks::Whole },
        servers: &[NGINX, ("epoll", &[]), ("reactor", &[])],
    },
    Case {
        name: "1 KiB, 16 connections, process pools",
        load: Load::Requests { path: KIB, connections: "16", seconds: "3", asks: Asks::Whole },
        servers: &[APACHE, ("prefork", &[])],
    },
    Case {
        name: "1 KiB that the client has (304), 64 connections",
        load: Load::Requests { path: KIB, connections: "64", seconds: "3", asks: Asks::Known },
        servers: &[NGINX, ("epoll", &[])],
    },
    Case {
        name: "no such file (404), 64 connections",
        load: Load::Requests {
            path: "/none",
            connections: "64",
            seconds: "3",
            asks: Asks::Missing,
        },
        servers: &[NGINX, ("epoll", &[])],
    },
    Case {
        name: "1 MiB of 1 GiB, at 10,000 offsets",
        load: Load::Requests {
            path: "/large?parts",
            connections: "16",
            seconds: "3",
            asks: Asks::Part,
        },
        servers: &[NGINX, ("epoll", &[])],
    },
    Case {
        name: "1 GiB",
        load: Load::Requests { path: GIB, connections: "1", seconds: "6", asks: Asks::Whole },
        servers: &[NGINX, ("epoll", &[])],
    },
];

const SECURED: [Case; 4] = [
    Case {
        name: "1 KiB, 64 connections",
        load: Load::Requests { path: KIB, connections: "64", seconds: "3", asks: Asks::Whole },
        servers: &[NGINX, ("epoll", &[]), ("reactor", &[])],
    },
    Case {
        name: "1 GiB",
        load: Load::Requests { path: GIB, connections: "1", seconds: "6", asks: Asks::Whole },
        servers: &[NGINX, ("epoll", &[])],
    },
    Case {
        name: "a full handshake and 1 KiB",
        load: Load::Handshakes { resumed: false, path: KIB, seconds: "3" },
        servers: &[NGINX, ("epoll", &[]), ("prefork", &[])],
    },
    Case {
        name: "a resumed handshake and 1 KiB",
        load: Load::Handshakes { resumed: true, path: KIB, seconds: "3" },
        servers: &[NGINX, ("epoll", &[]), ("prefork", &[])],
    },
];

/// Without TLS. `peers`: where `http_peer` is.
pub(crate) fn http(windlass: &Path, peers: &Path) -> Result<()> {
    let Some(site) = Site::new(false)? else { return Ok(()) };
    table(windlass, peers, &PLAIN, &site)?;
    idle::table(windlass, peers, &site)
}

/// TLS 1.3 with AES-256-GCM and a key for ECDSA on P-256: what the clients ask for first.
pub(crate) fn tls(windlass: &Path, peers: &Path) -> Result<()> {
    let Some(site) = Site::new(true)? else { return Ok(()) };
    table(windlass, peers, &SECURED, &site)
}

fn table(windlass: &Path, peers: &Path, cases: &[Case], site: &Site) -> Result<()> {
    println!(
        "| | server | requests/s | MB/s | CPU µs/request | ratio |\n|---|---|---|---|---|---|"
    );
    for case in cases {
        let mut rounds = vec![Vec::new(); case.servers.len()];
        for _ in 0..ROUNDS {
            for (server, all) in case.servers.iter().zip(&mut rounds) {
                all.push(measure(site.command(windlass, peers, *server), case, site)?);
            }
        }
        let medians = rounds.into_iter().map(|mut all: Vec<(f64, Figures)>| {
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            all[all.len() / 2]
        });
        let medians: Vec<_> = medians.collect();
        for ((name, _), (micros, Figures { rate, megabytes, .. })) in
            case.servers.iter().zip(&medians)
        {
            let (what, ratio) = (case.name, micros / medians[0].0);
            let megabytes = megabytes.map_or("–".to_owned(), |it| format!("{it:.0}"));
            let rate = if *rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
            println!("| {what} | {name} | {rate} | {megabytes} | {micros:.1} | {ratio:.2} |");
        }
    }
    Ok(())
}

/// The files that are served, and for TLS a certificate.
struct Site {
    folder: TempDir,
    is_secured: bool,
}

impl Site {
    /// `None`: a program is missing.
    fn new(is_secured: bool) -> Result<Option<Self>> {
        for tool in ["wrk", "nginx", "apache2", "openssl"] {
            if !has(tool) && !Path::new("/usr/sbin").join(tool).exists() {
                println!("no {tool} (apt-get install wrk nginx-light apache2-bin openssl)");
                return Ok(None);
            }
        }
        let site = Self::fill(is_secured);
        site.map(Some).map_err(|error| format!("the files of the servers: {error}"))
    }

    fn fill(is_secured: bool) -> std::io::Result<Self> {
        let site = Self { folder: tempfile::tempdir()?, is_secured };
        fs::create_dir(site.path("root"))?;
        fs::write(site.path("root/small"), [b'x'; 1024])?;
        let mut large = fs::File::create(site.path("root/large"))?;
        let piece = vec![b'x'; 1 << 20];
        (0..1024).try_for_each(|_| large.write_all(&piece))?;
        let authority = Authority::new();
        let Certificate { cert, key } = authority.issue(&["localhost", "127.0.0.1"], Validity::Now);
        for (name, text) in [("ca.pem", &authority.cert), ("cert.pem", &cert), ("key.pem", &key)] {
            fs::write(site.path(name), text)?;
        }
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What starts a server, on the first processor.
    fn command(&self, windlass: &Path, peers: &Path, (name, args): Server) -> Command {
        let mut command = program("taskset");
        command.args(["-c", "0"]);
        let pair = self.is_secured.then(|| ["cert.pem", "key.pem"].map(|name| self.path(name)));
        if args.is_empty() {
            command.arg(windlass).args(["serve", "http", "--listen", "tcp:127.0.0.1:0"]);
            command.args(["--model", name, "--root"]).arg(self.path("root"));
            if let Some([cert, key]) = pair {
                command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
            }
        } else {
            command.arg(peers.join("http_peer")).args(args).arg(self.path("root"));
            command.args(pair.into_iter().flatten());
        }
        command
    }
}

/// CPU time of the server per request in microseconds, and what it did.
fn measure(command: Command, case: &Case, site: &Site) -> Result<(f64, Figures)> {
    let (_server, address, pid) = Running::start(command)?;
    let ca = site.is_secured.then(|| site.path("ca.pem"));
    let before = cpu_ticks(pid);
    let figures = case.load.ask(&address, ca.as_deref(), site.folder.path())?;
    let ticks = cpu_ticks(pid) - before;
    // A tick has 10 ms.
    Ok((ticks * 10_000.0 / figures.count.max(1.0), figures))
}

/// A server of a measurement. Dropping it ends it.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts it. Returns its address and its process too.
    fn start(mut command: Command) -> Result<(Self, String, i32)> {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut server = Self(spawned.map_err(|error| format!("{command:?}: {error}"))?);
        let (address, pid) = server.listening()?;
        Ok((server, address, pid))
    }

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

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// A process and all its descendants.
fn family(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// CPU time of a process and of all its descendants, in ticks.
fn cpu_ticks(pid: i32) -> f64 {
    let ticks = |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let behind = stat.rsplit(')').next().unwrap_or_default();
        // From the state on; user and system time, then those of children that are gone.
        behind
            .split_whitespace()
            .skip(11)
            .take(4)
            .filter_map(|n| n.parse::<f64>().ok())
            .sum::<f64>()
    };
    family(pid).into_iter().map(ticks).sum()
}
