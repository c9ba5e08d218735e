//! The servers: how each is started, and the request to it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::load::Speaks;
use crate::proc;

/// The kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Static,
    Prefork,
    FdpassRaw,
    PreforkRaw,
    Apache,
    Nginx,
}

/// The service of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serve {
    /// A short answer to every client.
    Short,
    /// The same, by a worker that is replaced after each.
    OneEach,
    /// A client can hold a worker.
    Holding,
}

/// The folders of the programs.
pub(crate) struct Programs {
    pub(crate) windlass: String,
    pub(crate) c: PathBuf,
    pub(crate) rust: PathBuf,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Static, Self::Prefork, Self::FdpassRaw, Self::PreforkRaw, Self::Apache, Self::Nginx];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Static => "pool-static",
            Self::Prefork => "prefork",
            Self::FdpassRaw => "passing in C",
            Self::PreforkRaw => "prefork in C",
            Self::Apache => "Apache prefork",
            Self::Nginx => "nginx",
        }
    }

    /// Whether it is installed.
    pub(crate) fn is_here(self) -> bool {
        let program = match self {
            Self::Apache => "apache2",
            Self::Nginx => "nginx",
            Self::Static | Self::Prefork | Self::FdpassRaw | Self::PreforkRaw => return true,
        };
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let here = std::env::split_paths(&paths)
            .chain([PathBuf::from("/usr/sbin")])
            .any(|path| path.join(program).exists());
        if !here {
            eprintln!("{program} is not installed: it is left out");
        }
        here
    }

    /// What makes it replace its workers, if it can.
    pub(crate) fn reload(self) -> Option<Signal> {
        match self {
            Self::Static | Self::Prefork | Self::Nginx => Some(Signal::SIGHUP),
            Self::Apache => Some(Signal::SIGUSR1),
            Self::FdpassRaw | Self::PreforkRaw => None,
        }
    }

    /// The command, if it can serve that.
    fn command(self, programs: &Programs, serve: Serve) -> Option<String> {
        let each = u8::from(serve == Serve::OneEach);
        let ours = |model: &str, holding: &str| {
            let (service, options) = match serve {
                Serve::Short => ("time", ""),
                Serve::OneEach => ("time", "--requests-per-worker 1"),
                Serve::Holding => ("upper", holding),
            };
            let windlass = &programs.windlass;
            format!("{windlass} serve {service} --listen tcp:127.0.0.1:0 --model {model} {options}")
        };
        let raw = |name: &str| {
            let path = programs.c.join(name);
            (serve != Serve::Holding).then(|| format!("{} 0 5 {each}", path.display()))
        };
        let http = |name: &str| format!("{} {name} 0 2 {each}", programs.rust.display());
        match self {
            // It does not grow: where clients hold workers it has as many as a prefork pool may have.
            Self::Static => Some(ours("pool-static", "--workers 20")),
            Self::Prefork => Some(ours("prefork", "")),
            Self::FdpassRaw => raw("time_fdpass_raw"),
            Self::PreforkRaw => raw("time_prefork_raw"),
            Self::Apache => Some(http("apache")),
            // Its workers are not replaced by count.
            Self::Nginx => (serve != Serve::OneEach).then(|| http("nginx")),
        }
    }
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) pid: i32,
    pub(crate) speaks: Speaks,
    child: Child,
    /// Every process that was seen: some servers leave their workers behind.
    seen: Vec<i32>,
}

const CPU: usize = 0;
const LOAD_CPU: usize = 1;

impl Server {
    /// Starts it and waits until its workers are there. `None`: it cannot serve that.
    pub(crate) fn start(
        programs: &Programs,
        kind: Kind,
        serve: Serve,
    ) -> Result<Option<Self>, String> {
        let Some(command) = kind.command(programs, serve) else { return Ok(None) };
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        proc::pin(CPU);
        let child = Command::new(Path::new(program))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        proc::pin(LOAD_CPU);
        let mut child = child.map_err(|error| format!("{command}: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.get(1).and_then(|at| at.strip_prefix("tcp:")?.parse().ok());
        let pid = words.last().and_then(|pid| pid.parse().ok());
        let (Some(at), Some(pid)) = (at, pid) else {
            let _ = child.kill();
            return Err(format!("{command}: it printed {line:?}"));
        };
        let speaks = match words.get(2) {
            Some(&"http") => Speaks::Http,
            Some(&"upper") => Speaks::Upper,
            _ => Speaks::Time,
        };
        let mut server = Self { at, pid, speaks, child, seen: Vec::new() };
        let least = if kind == Kind::Nginx { 2 } else { 5 };
        let patience = Instant::now() + Duration::from_secs(10);
        while server.workers().len() < least {
            if Instant::now() > patience {
                return Err(format!("{command}: it has no {least} workers"));
            }
            sleep(Duration::from_millis(1));
        }
        Ok(Some(server))
    }

    /// Sends a signal to one of its workers; which.
    pub(crate) fn signal_first(&mut self, signal: Signal) -> Option<i32> {
        let first = self.workers().first().copied()?;
        proc::signal(first, signal);
        Some(first)
    }

    /// Its workers.
    pub(crate) fn workers(&mut self) -> Vec<i32> {
        let workers = proc::children(self.pid);
        self.seen.extend(&workers);
        workers
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.workers();
        proc::signal(self.pid, Signal::SIGCONT);
        proc::signal(self.pid, Signal::SIGTERM);
        proc::signal(self.pid, Signal::SIGTERM);
        let patience = Instant::now() + Duration::from_secs(3);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience {
            sleep(Duration::from_millis(1));
        }
        // Processes that did not end by themselves. A pid is not reused so soon.
        for &pid in &self.seen {
            if proc::runs(pid) {
                proc::signal(pid, Signal::SIGKILL);
            }
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            proc::signal(self.pid, Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
