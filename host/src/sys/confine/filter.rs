//! The system calls that a worker makes, and no other: a list for `seccomp(2)`.
//!
//! What is not on it fails with `ENOSYS`, as on a kernel that has no such call: a C library that tries a
//! newer call first then falls back to one that is listed. A process that is killed instead would turn
//! an update of the library into workers that die one after another.

use std::collections::BTreeMap;

use libc::{
    SYS_accept4, SYS_brk, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_close_range,
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_exit, SYS_exit_group, SYS_fadvise64,
    SYS_fcntl, SYS_fstat, SYS_futex, SYS_getdents64, SYS_getpeername, SYS_getpid, SYS_getppid,
    SYS_getrandom, SYS_getsockname, SYS_getsockopt, SYS_gettid, SYS_gettimeofday, SYS_ioctl,
    SYS_kill, SYS_lseek, SYS_madvise, SYS_memfd_create, SYS_mmap, SYS_mprotect, SYS_mremap,
    SYS_munmap, SYS_nanosleep, SYS_newfstatat, SYS_openat2, SYS_ppoll, SYS_pread64, SYS_preadv,
    SYS_preadv2, SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_restart_syscall,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sched_yield, SYS_sendfile,
    SYS_sendmmsg, SYS_sendmsg, SYS_sendto, SYS_shutdown, SYS_sigaltstack, SYS_write, SYS_writev,
    c_long,
};
use libc::{
    SYS_bind, SYS_fstatfs, SYS_fsync, SYS_pwrite64, SYS_renameat2, SYS_setsockopt, SYS_socket,
    SYS_unlinkat,
};
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::Needs;

/// Whatever their arguments are.
const ALWAYS: [c_long; 49] = [
    // Serving: what is open is read, written, waited for and closed.
    SYS_accept4,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_ppoll,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_read,
    SYS_readv,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_close_range,
    // Files that are open.
    SYS_pread64,
    SYS_preadv,
    SYS_preadv2,
    SYS_sendfile,
    SYS_lseek,
    SYS_fstat,
    SYS_fadvise64,
    // Memory.
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    // Time; where the vDSO has no clock, the C library calls the kernel.
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    // A wait that SIGSTOP interrupted goes on through this.
    SYS_restart_syscall,
    // Signals to oneself, locks, numbers, the end.
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_futex,
    SYS_sched_yield,
    SYS_getrandom,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_exit,
    SYS_exit_group,
];

/// System calls that only older machines have.
#[cfg(target_arch = "x86_64")]
const OLD: [c_long; 3] = [libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [c_long; 0] = [];

/// With files to serve. Which files is Landlock's business: a filter cannot read a path. (`fstat` of
/// glibc 2.33 to 2.38 is `newfstatat`.)
///
/// `memfd_create` is for a copy of a file that does not know its size.
const OPENING: [c_long; 3] = [SYS_openat2, SYS_newfstatat, SYS_memfd_create];

/// With folders to list.
const LISTING: [c_long; 1] = [SYS_getdents64];

/// With files to receive.
const WRITING: [c_long; 5] = [SYS_pwrite64, SYS_fsync, SYS_fstatfs, SYS_renameat2, SYS_unlinkat];

/// With sockets of datagrams to open.
const ADDRESSING: [c_long; 1] = [SYS_bind];

/// The filter, for what a worker needs. None on a machine with
/// numbers that `seccompiler` does not know.
pub(super) fn compile(needs: Needs<'_>) -> Result<Option<BpfProgram>, BackendError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    // No rule: whatever the arguments are.
    let mut always = |calls: &[c_long]| rules.extend(calls.iter().map(|&call| (call, Vec::new())));
    always(&ALWAYS);
    always(&OLD);
    if needs.root.is_some() {
        always(&OPENING);
    }
    if needs.lists {
        always(&LISTING);
    }
    if needs.writes {
        always(&WRITING);
    }
    if needs.sockets {
        always(&ADDRESSING);
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        rules.insert(SYS_socket, one_of(1, &[kind])?);
    }
    let set = |level, name| SeccompRule::new(vec![is(1, level)?, is(2, name)?]);
    // The mark of a socket that was passed; whether errors of the network are kept.
    let options = vec![
        set(libc::SOL_SOCKET, libc::SO_RCVTIMEO)?,
        set(libc::IPPROTO_IP, libc::IP_RECVERR)?,
        set(libc::IPPROTO_IPV6, libc::IPV6_RECVERR)?,
    ];
    rules.insert(SYS_setsockopt, options);
    // Whether a process is there; no signal is sent.
    rules.insert(SYS_kill, one_of(1, &[0])?);
    // Memory that can be written to is never run.
    let not_executable = || is_clear(2, libc::PROT_EXEC);
    rules.insert(SYS_mmap, vec![SeccompRule::new(vec![not_executable()?])?]);
    rules.insert(SYS_mprotect, vec![SeccompRule::new(vec![not_executable()?])?]);
    // F_SETOWN and F_SETSIG are not in the list, because they send signals.
    let flags = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC];
    rules.insert(SYS_fcntl, one_of(1, &flags)?);
    rules.insert(SYS_ioctl, one_of(1, &[libc::FIONREAD as _, libc::TIOCOUTQ as _])?);
    let refuse = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)?.try_into().map(Some)
}

fn is(argument: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, Dword, Eq, u64::from(value.cast_unsigned()))
}

fn is_clear(argument: u8, bits: i32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, Dword, MaskedEq(u64::from(bits.cast_unsigned())), 0)
}

fn one_of(argument: u8, values: &[i32]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|&value| SeccompRule::new(vec![is(argument, value)?])).collect()
}
