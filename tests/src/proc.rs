//! Reads the state of a process from `/proc` (proc(5)).

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// CPU time that `pid` has used, user and system together, without its children.
pub fn cpu_time(pid: i32) -> Duration {
    let stat = stat(pid).unwrap_or_else(|| panic!("process {pid} is gone"));
    let ticks: u64 = [stat.field(14), stat.field(15)].iter().sum();
    let hertz = sysconf(SysconfVar::CLK_TCK).expect("sysconf").expect("CLK_TCK");
    Duration::from_millis(ticks * 1000 / u64::try_from(hertz).expect("positive"))
}

/// How many descriptors `pid` has open.
pub fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}

/// The command line of `pid`, its words joined by spaces; empty when it has ended.
pub fn command(pid: i32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}

/// Memory that `pid` has to itself, in bytes: pages that it wrote and shares with no process, the
/// parent that it was forked from included. 0 when it has ended.
pub fn private_memory(pid: i32) -> usize {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    let kib = |line: &str| line.trim_end_matches(" kB").trim().parse::<usize>().unwrap_or(0);
    let (mut sum, mut dirty) = (0, 0);
    for line in smaps.lines() {
        if let Some(size) = line.strip_prefix("Private_Dirty:") {
            dirty = kib(size);
        } else if let Some(size) = line.strip_prefix("Anonymous:") {
            // Pages of a program that was written a moment ago are dirty too, and are the file's.
            sum += dirty.min(kib(size));
        }
    }
    sum * 1024
}

/// Memory that `pid` has written, in bytes, shared or not (`RssAnon`); 0 when it has ended.
pub fn written_memory(pid: i32) -> usize {
    let kib = status(pid, "RssAnon");
    kib.trim_end_matches(" kB").parse::<usize>().map_or(0, |kib| kib * 1024)
}

/// A field of `/proc/PID/status`, without the white space around it; nothing when the process is gone.
pub fn status(pid: i32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}

/// Whether it has a handler for a signal.
pub fn catches(pid: i32, signal: Signal) -> bool {
    let caught = u64::from_str_radix(&status(pid, "SigCgt"), 16).unwrap_or(0);
    caught >> (signal as i32 - 1) & 1 == 1
}

/// The children of `pid` that it has not reaped, zombies included.
pub fn children(pid: i32) -> Vec<i32> {
    all().filter(|stat| stat.field(4) == u64::from(pid.unsigned_abs())).map(|it| it.pid).collect()
}

/// Whether `pid` exists and has not ended.
pub fn runs(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.state() != "Z")
}

/// Whether `pid` is stopped (SIGSTOP takes its time).
pub fn is_stopped(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.state() == "T")
}

/// The threads of `pid`.
pub fn threads(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process listens on this TCP port of 127.0.0.1.
pub fn listens_on_port(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
    // sl local_address rem_address st: the address is in the order of the machine, 0A is LISTEN.
    let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&local) && fields.nth(1) == Some("0A")
    })
}

/// Whether a process listens on this socket file.
pub fn listens_on_path(path: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/net/unix").expect("/proc/net/unix");
    // Num RefCount Protocol Flags Type St Inode Path: __SO_ACCEPTCON is 1 << 16.
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(3);
        fields.next() == Some("00010000") && fields.nth(3).map(Path::new) == Some(path)
    })
}

/// Ends `pid` and everything it started. Each process is stopped before its children are looked
/// up: a stopped process reaps no child, so no pid in the list can be that of another process.
pub(crate) fn end_tree(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
    children(pid).into_iter().for_each(end_tree);
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// A line of `/proc/PID/stat`.
struct Stat {
    pid: i32,
    /// What follows the name: field 3 and on, as proc(5) counts.
    rest: String,
}

impl Stat {
    fn state(&self) -> &str {
        self.rest.split_whitespace().next().unwrap_or_default()
    }

    fn field(&self, number: usize) -> u64 {
        let field = self.rest.split_whitespace().nth(number - 3).unwrap_or_default();
        field.parse().unwrap_or(0)
    }
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    Some(Stat { pid, rest: rest.to_owned() })
}

fn all() -> impl Iterator<Item = Stat> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
}
