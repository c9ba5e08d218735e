//! What a process has used, as the kernel counts it, and which processor it may use.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::error::{Error, Result};

/// Processor time of process `pid` and of its children that were reaped, in nanoseconds. Its own
/// part is exact; that of children comes in clock ticks.
///
/// # Errors
/// There is no such process.
pub fn cpu_ns(pid: i32) -> Result<u64> {
    let op = "read the processor time of process";
    let own = clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime);
    let own = own.map_err(Error::of(op, pid))?;
    let own = own.tv_sec() as u64 * 1_000_000_000 + own.tv_nsec() as u64;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(Error::of(op, pid))?;
    // proc(5): the name is in parentheses and may hold anything; cutime and cstime are the fields
    // 16 and 17, the 14th and 15th behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as u64;
    Ok(own + ticks * (1_000_000_000 / hertz))
}

/// Memory that process `pid` has to itself, in bytes (`RssAnon`).
///
/// # Errors
/// There is no such process.
pub fn private_bytes(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).map_err(Error::of("read", &path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::new("read", &path, "no RssAnon"))
}

/// Keeps the calling thread, and what it starts from now on, on one processor. Where that is not
/// allowed, everything stays as it was.
pub fn pin(processor: usize) {
    let mut set = CpuSet::new();
    if set.set(processor).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
