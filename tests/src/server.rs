//! A running `windlass serve` of a test.

use std::fs;
use std::io::ErrorKind;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::client::Client;
use crate::pipes::Stderr;
use crate::storm::Pelting;
use crate::{PATIENCE, Random, proc, within};

/// A running server. When it is dropped, it and every process it started are ended.
#[derive(Debug)]
pub struct Server {
    pub(crate) child: Child,
    pub(crate) pid: i32,
    pub(crate) members: Vec<Member>,
    pub(crate) stderr: Stderr,
    pub(crate) pelting: Option<Pelting>,
}

/// A line `listening ADDR SERVICE MODEL pid PID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it listens, with the real port.
    pub address: String,
    /// The service, as the line names it.
    pub service: String,
    /// The model, as the line names it.
    pub model: String,
    /// The process.
    pub pid: i32,
}

/// How a server ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code; `None` when a signal killed it.
    pub code: Option<i32>,
    /// All that it wrote to standard error.
    pub stderr: String,
}

impl Server {
    /// Where it listens, the first one if there are several.
    pub fn address(&self) -> &str {
        &self.members[0].address
    }

    /// The process that serves, the first one if there are several.
    pub fn pid(&self) -> i32 {
        self.members[0].pid
    }

    /// The process that was started: the one that serves, unless there are several listeners.
    pub fn parent(&self) -> i32 {
        self.pid
    }

    /// All its listeners.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// A new connection to it.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// CPU time of the process that serves.
    pub fn cpu_time(&self) -> Duration {
        proc::cpu_time(self.pid())
    }

    /// Open descriptors of the process that serves.
    pub fn descriptors(&self) -> usize {
        proc::descriptors(self.pid())
    }

    /// Those of them that are not the channel and the pidfd of a worker: how many workers a pool has
    /// follows the load.
    pub fn own_descriptors(&self) -> usize {
        let look = || (proc::children(self.pid()), self.descriptors());
        let mut before = look();
        loop {
            // The pace of looks. A worker that comes or goes is for a moment a child that has not both of
            // its descriptors yet, or descriptors without a child: two looks that agree show a pool at rest.
            thread::sleep(Duration::from_millis(10));
            let now = look();
            if now == before {
                return now.1 - 2 * now.0.len();
            }
            before = now;
        }
    }

    /// How often the process that serves and its children have a file of this name open.
    pub fn open_files(&self, name: &str) -> usize {
        let family = std::iter::once(self.pid()).chain(proc::children(self.pid()));
        let links = family.flat_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")));
        let links = links.flatten().flatten().filter_map(|link| fs::read_link(link.path()).ok());
        links.filter(|link| link.ends_with(name)).count()
    }

    /// The children that live.
    pub fn workers(&self) -> Vec<i32> {
        proc::children(self.pid()).into_iter().filter(|&pid| proc::runs(pid)).collect()
    }

    /// Kills a worker at random `every` so often until `end`: how many.
    pub fn kill_workers(&self, every: Duration, end: Instant, random: &mut Random) -> usize {
        let mut kills = 0;
        while Instant::now() < end {
            let workers = self.workers();
            if !workers.is_empty() {
                let unlucky = workers[random.up_to(workers.len()) - 1];
                kills += usize::from(kill(Pid::from_raw(unlucky), Signal::SIGKILL).is_ok());
            }
            // The pace of the storm.
            thread::sleep(every);
        }
        kills
    }

    /// Waits until there are workers, and `field` of `/proc/PID/status` is `value` for each.
    #[track_caller]
    pub fn until_workers(&self, field: &str, value: &str) {
        within(PATIENCE, &format!("every worker has {field} {value}"), || {
            let all = self.workers();
            !all.is_empty() && all.iter().all(|&pid| proc::status(pid, field) == value)
        });
    }

    /// Memory of its own, of the process that serves and of its children.
    pub fn private_memory(&self) -> usize {
        let family = std::iter::once(self.pid()).chain(proc::children(self.pid()));
        family.map(proc::private_memory).sum()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until the log has these words.
    #[track_caller]
    pub fn logs(&self, words: &str) {
        within(PATIENCE, words, || self.stderr().contains(words));
    }

    /// Sends a signal to all of its process group, as a terminal does on Ctrl-C.
    pub fn signal_group(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.pid), signal);
    }

    /// Sends it a signal: to the process that was started.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("it is ours and not reaped");
    }

    /// Waits until connecting is refused: it was told to stop, and it knows.
    #[track_caller]
    pub fn until_refused(&self) {
        let refused = [ErrorKind::ConnectionRefused, ErrorKind::NotFound];
        within(PATIENCE / 2, "connecting is refused", || {
            Client::try_connect(self.address()).is_err_and(|error| refused.contains(&error.kind()))
        });
    }

    /// SIGTERM, and its end.
    #[track_caller]
    pub fn stop(self) -> Exit {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits for its end, and for that of every process that it started.
    #[track_caller]
    pub fn wait(mut self) -> Exit {
        let mut status = None;
        // The storm ends before the process is reaped, while its pid is certainly its own.
        within(PATIENCE, "the server ends", || !proc::runs(self.pid));
        self.pelting = None;
        within(PATIENCE, "the server is reaped", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        assert!(self.stderr.has_ended(), "a process that it started outlives it");
        Exit { code: status.and_then(|status| status.code()), stderr: self.stderr.text() }
    }

    /// Ends it, and everything that it started; what it wrote to standard error.
    pub(crate) fn end_now(&mut self) -> String {
        self.pelting = None;
        if let Ok(None) = self.child.try_wait() {
            proc::end_tree(self.pid);
            let _ = self.child.wait();
        }
        // Unless a process got away; a test that ends it this way does not look for it.
        let _ = self.stderr.has_ended();
        self.stderr.text()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stderr = self.end_now();
        if thread::panicking() {
            // The test harness shows it beside the failure.
            eprintln!("--- the server's standard error:\n{stderr}---");
        }
    }
}

impl Member {
    #[track_caller]
    pub(crate) fn parse(line: &str) -> Self {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["listening", address, service, model, "pid", pid] = words[..] else {
            panic!("not a `listening` line: {line:?}");
        };
        Self {
            address: address.to_owned(),
            service: service.to_owned(),
            model: model.to_owned(),
            pid: pid.parse().expect("a pid"),
        }
    }
}
