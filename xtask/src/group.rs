//! The processes of a measured server and their CPU time, also of those that leave its process tree: a control group
//! of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::run::{Result, has, program};

/// A control group (version 2). Dropping it ends all that is in it.
pub(crate) struct Group(PathBuf);

impl Group {
    /// An empty group. It needs root.
    pub(crate) fn new() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        });
        let path = root.ok_or("no control groups (cgroup2) are mounted")?;
        let path = path.join(format!("windlass-bench-{}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(Self(path)),
        }
    }

    /// Runs a program in the group, on the first processor.
    pub(crate) fn command(&self, name: &Path) -> Command {
        let mut command = program("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command.args(pinned("0")).arg(name);
        command
    }

    /// The CPU time of all that is or was in it, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        let stat = fs::read_to_string(self.0.join("cpu.stat")).unwrap_or_default();
        let us = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
        us.and_then(|us| us.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e6
    }

    /// The private memory of its processes, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let pids = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.parse().ok()).map(private_memory).sum()
    }

    /// How many processes it has.
    pub(crate) fn processes(&self) -> usize {
        fs::read_to_string(self.0.join("cgroup.procs")).map_or(0, |pids| pids.lines().count())
    }

    /// Waits until it has so many processes, or for five seconds.
    pub(crate) fn settle(&self, count: usize) {
        let begin = Instant::now();
        while self.processes() > count && begin.elapsed() < Duration::from_secs(5) {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Kills what is in it.
    pub(crate) fn end(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        self.settle(0);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir(&self.0);
    }
}

/// The private memory of a process, in bytes.
pub(crate) fn private_memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    lines.filter_map(kib).sum::<u64>() * 1024
}

/// Words before a program that is measured on one processor, before all other work of the machine where that is
/// possible.
pub(crate) fn pinned(processor: &'static str) -> Vec<&'static str> {
    let mut words = Vec::new();
    if has("chrt") && nix::unistd::geteuid().is_root() {
        words.extend(["chrt", "-f", "10"]);
    }
    if has("taskset") {
        words.extend(["taskset", "-c", processor]);
    }
    words
}
