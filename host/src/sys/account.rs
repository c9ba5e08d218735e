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
        assert_eq!(std::hint::black_box(written)[4096], 1);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        // Above the largest process id (pid_max is at most 2^22).
        let nobody = 1 << 23;
        let error = cpu_ns(nobody).unwrap_err().to_string();
        assert!(error.starts_with("read the processor time of process 8388608: "), "{error}");
        let error = private_bytes(nobody).unwrap_err().to_string();
        assert!(error.starts_with("read /proc/8388608/status: "), "{error}");
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
