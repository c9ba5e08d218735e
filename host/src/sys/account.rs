//! CPU time and memory of processes, and the processor that they may use.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::error::{Error, Result};

/// CPU time of process `pid` and of all that it started, directly or not, in nanoseconds: those
/// that live and those that were reaped. The part of the living is exact; that of the reaped comes in
/// clock ticks, cut once for each process that reaped some.
///
/// A process that is not reaped yet counts too, in ticks. So does a process that ends meanwhile: at
/// worst it is counted neither as alive nor as reaped, and the next look has it.
///
/// # Errors
/// There is no such process.
pub fn cpu_ns(pid: i32) -> Result<u64> {
    let root = Stat::of(pid).map_err(Error::of(READ_CPU, pid))?;
    let mut others: Vec<Stat> = processes().collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|stat| stat.pid) {
        family.extend(others.extract_if(.., |stat| stat.parent == parent && stat.pid != pid));
        next += 1;
    }
    Ok(family.iter().map(Stat::cpu_ns).sum())
}

/// The fields of `/proc/PID/stat` that count here (proc(5)).
struct Stat {
    pid: i32,
    parent: i32,
    /// CPU time of its own and of the children that it reaped, in clock ticks.
    own: u64,
    reaped: u64,
}

impl Stat {
    fn of(pid: i32) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name is in parentheses and may hold anything. The state behind it is field 3.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = rest.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0));
        let parent = fields.next().unwrap_or(0);
        let mut times = fields.skip(9).map(i64::cast_unsigned);
        let mut two = || times.next().unwrap_or(0) + times.next().unwrap_or(0);
        let (own, reaped) = (two(), two());
        Ok(Self { pid, parent: i32::try_from(parent).unwrap_or(0), own, reaped })
    }

    fn cpu_ns(&self) -> u64 {
        let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as u64;
        let tick_ns = 1_000_000_000 / hertz;
        // A process that has ended has no clock any more.
        let own = own_cpu_ns(self.pid).unwrap_or(self.own * tick_ns);
        own + self.reaped * tick_ns
    }
}

fn processes() -> impl Iterator<Item = Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Stat::of(entry.file_name().to_str()?.parse().ok()?).ok())
}

/// CPU time of process `pid` without its children, in nanoseconds. It costs two system calls.
///
/// # Errors
/// There is no such process.
pub fn own_cpu_ns(pid: i32) -> Result<u64> {
    let own = clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime);
    let own = own.map_err(Error::of(READ_CPU, pid))?;
    Ok(own.tv_sec() as u64 * 1_000_000_000 + own.tv_nsec() as u64)
}

const READ_CPU: &str = "read the CPU time of process";

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

/// Memory that only process `pid` has mapped, in bytes (`Private_Clean` and `Private_Dirty`): what
/// it shares with the parent that it was forked from does not count, unlike in [`private_bytes`]. Walks
/// the page tables of the process: some tens of microseconds for a small one.
///
/// # Errors
/// There is no such process, or it belongs to another user.
pub fn unshared_bytes(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = std::fs::read_to_string(&path).map_err(Error::of("read", &path))?;
    let private = rollup.lines().filter_map(|line| line.strip_prefix("Private_"));
    let kib = private.filter_map(|line| {
        let (kind, size) = line.split_once(':')?;
        let counted = matches!(kind, "Clean" | "Dirty");
        size.split_whitespace().next()?.parse::<u64>().ok().filter(|_| counted)
    });
    Ok(kib.sum::<u64>() * 1024)
}

/// Datagrams that the kernel has dropped because they found no room in the UDP sockets of an IPv4 port.
///
/// # Errors
/// There is no `/proc`.
pub fn dropped_at(port: u16) -> Result<u64> {
    const PATH: &str = "/proc/net/udp";
    let sockets = std::fs::read_to_string(PATH).map_err(Error::of("read", PATH))?;
    // `sl local_address rem_address … drops`: addresses are hexadecimal.
    let port = format!(":{port:04X}");
    let dropped = sockets.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let is_it = fields.nth(1)?.ends_with(&port);
        fields.next_back()?.parse::<u64>().ok().filter(|_| is_it)
    });
    Ok(dropped.sum())
}

/// Sends SIGTERM to the process of `command` when this one ends, however it ends.
pub fn end_with_us(command: &mut Command) {
    let ask = || Ok(nix::sys::prctl::set_pdeathsig(Some(Signal::SIGTERM))?);
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// Keeps the calling thread, and what it starts from now on, on one processor. Where that is not
/// allowed, everything stays as it was.
pub fn pin(processor: usize) {
    let mut set = CpuSet::new();
    if set.set(processor).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::sched_getaffinity;

    use super::*;

    fn own() -> i32 {
        std::process::id().cast_signed()
    }

    #[test]
    fn processor_time_grows_with_work() {
        let before = cpu_ns(own()).unwrap();
        let mut sum = 0_u64;
        while cpu_ns(own()).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_ns(own()).unwrap() > before);
    }

    #[test]
    fn private_memory_counts_what_is_written() {
        const SIZE: usize = 64 << 20;
        let written = vec![1_u8; SIZE];
        assert!(private_bytes(own()).unwrap() >= SIZE as u64);
        assert!(unshared_bytes(own()).unwrap() >= SIZE as u64);
        assert_eq!(std::hint::black_box(written)[4096], 1);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        // Above the largest process id (pid_max is at most 2^22).
        let missing = 1 << 23;
        let error = cpu_ns(missing).unwrap_err().to_string();
        assert!(error.starts_with("read the CPU time of process 8388608: "), "{error}");
        let error = private_bytes(missing).unwrap_err().to_string();
        assert!(error.starts_with("read /proc/8388608/status: "), "{error}");
        let error = unshared_bytes(missing).unwrap_err().to_string();
        assert!(error.starts_with("read /proc/8388608/smaps_rollup: "), "{error}");
    }

    #[test]
    fn a_pinned_thread_has_one_processor() {
        // In a thread of its own: the others keep theirs.
        let pinned = std::thread::spawn(|| {
            let me = Pid::from_raw(0);
            let before = sched_getaffinity(me).unwrap();
            let all = || 0..CpuSet::count();
            pin(CpuSet::count());
            assert!(all().all(|i| sched_getaffinity(me).unwrap().is_set(i) == before.is_set(i)));
            let first = all().find(|&i| before.is_set(i) == Ok(true)).unwrap();
            pin(first);
            let after = sched_getaffinity(me).unwrap();
            assert!(all().all(|i| after.is_set(i) == Ok(i == first)));
        });
        assert!(pinned.join().is_ok());
    }
}
