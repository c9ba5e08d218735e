//! Processes: fork, reap, signal, and resource limits.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, getppid};
use tracing::debug;

use super::pidfd::{Exit, wait_for};
use super::signals::Hold;
use crate::error::{Error, Result};

/// Proof that this process had one thread when it was looked at. Its holder starts no thread.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads of this process.
    ///
    /// # Errors
    /// The process has other threads: a fork would copy the locks that they hold, and not the threads.
    pub fn check() -> Result<Self> {
        let tasks = std::fs::read_dir("/proc/self/task")
            .map_err(Error::of("count the threads in", "/proc/self/task"))?
            .count();
        if tasks == 1 {
            Ok(Self(()))
        } else {
            Err(Error::new("fork", "", format!("this process has {tasks} threads, not one")))
        }
    }

    /// For a child that was forked and has executed no program: a fork copies one thread.
    #[cfg(feature = "supervise")]
    pub(super) const fn of_forked() -> Self {
        Self(())
    }
}

/// Which side of a [`fork`] this is.
#[derive(Debug, Clone, Copy)]
pub enum Forked {
    /// The parent, and its new child.
    Parent(Child),
    /// The child. It leaves through [`exit`].
    Child,
}

/// A child process that has not been reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Child(Pid);

/// The id of this process, or 0 until it is asked for.
static ID: AtomicU32 = AtomicU32::new(0);

/// The id of this process, for what is done for each client. The C library asks the kernel each time.
pub fn id() -> u32 {
    match ID.load(Ordering::Relaxed) {
        0 => {
            let id = std::process::id();
            ID.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

/// `fork(2)`. The child is killed when the parent ends. In it the signals that the parent catches are blocked
/// until the child catches them itself: a signal that comes before that waits.
///
/// # Errors
/// `EAGAIN` (`RLIMIT_NPROC`, or no pid is left), `ENOMEM`.
pub fn fork(alone: &SingleThreaded) -> std::result::Result<Forked, Errno> {
    fork_a_child(alone, true)
}

/// `fork(2)` and nothing else: signals stay as they are, and the child outlives its parent.
pub(super) fn divide(_: &SingleThreaded) -> std::result::Result<ForkResult, Errno> {
    // SAFETY: the process has one thread, so no lock is held that its owner cannot release.
    let forked = unsafe { nix::unistd::fork() }?;
    if forked.is_child() {
        ID.store(0, Ordering::Relaxed);
    }
    Ok(forked)
}

fn fork_a_child(
    alone: &SingleThreaded,
    dies_with_parent: bool,
) -> std::result::Result<Forked, Errno> {
    let parent = std::process::id();
    let hold = Hold::new()?;
    match divide(alone) {
        Ok(ForkResult::Child) if !dies_with_parent || die_with_parent(parent) => Ok(Forked::Child),
        Ok(ForkResult::Child) => exit(1),
        Ok(ForkResult::Parent { child }) => {
            hold.undo();
            Ok(Forked::Parent(Child(child)))
        }
        Err(errno) => {
            hold.undo();
            Err(errno)
        }
    }
}

/// [`fork`]s a child that does `life`, and exits with the status that it returns.
///
/// # Errors
/// As [`fork`].
pub fn spawn(
    alone: &SingleThreaded,
    life: impl FnOnce() -> i32,
) -> std::result::Result<Child, Errno> {
    live(fork(alone)?, life)
}

/// The same for a child that goes on when its parent ends, also if that is before its first step.
///
/// # Errors
/// As [`fork`].
pub fn spawn_to_outlive(
    alone: &SingleThreaded,
    life: impl FnOnce() -> i32,
) -> std::result::Result<Child, Errno> {
    live(fork_a_child(alone, false)?, life)
}

fn live(forked: Forked, life: impl FnOnce() -> i32) -> std::result::Result<Child, Errno> {
    match forked {
        Forked::Child => exit(life()),
        Forked::Parent(child) => Ok(child),
    }
}

/// Ends a forked child at once: no destructors and no exit handlers of the parent run.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Takes the status of one child that has ended, if there is one. SIGCHLD coalesces, so ask until
/// `None`.
pub fn reap() -> Option<(Child, Exit)> {
    wait_any(libc::WNOHANG)
}

/// Waits until a child has ended; `None` when there is no child.
pub fn wait() -> Option<(Child, Exit)> {
    wait_any(0)
}

/// Takes the status of children that ended and that this process did not start: orphans, if this is
/// the first process of a container, or children of the program that this process ran before. Looks
/// no further than the first one that is `ours`: its owner takes that, and calls this again.
pub fn reap_strangers(ours: impl Fn(i32) -> bool) {
    while let Ok(Some((pid, exit))) = wait_for(libc::P_ALL, 0, libc::WNOHANG | libc::WNOWAIT) {
        if ours(pid) || wait_for(libc::P_PID, pid.cast_unsigned(), libc::WNOHANG).is_err() {
            break;
        }
        debug!(pid, "a child that this server did not start {exit}");
    }
}

fn wait_any(flags: i32) -> Option<(Child, Exit)> {
    let (pid, exit) = wait_for(libc::P_ALL, 0, flags).ok()??;
    Some((Child(Pid::from_raw(pid)), exit))
}

impl Child {
    /// A child that the standard library started, and does not wait for.
    #[cfg(feature = "supervise")]
    pub(super) fn started(child: &std::process::Child) -> Self {
        Self(Pid::from_raw(child.id().cast_signed()))
    }

    /// Its process id.
    pub fn pid(self) -> i32 {
        self.0.as_raw()
    }

    /// Sends SIGTERM: asks it to stop. Until it is reaped its pid cannot belong to another process.
    pub fn terminate(self) {
        let _ = kill(self.0, Signal::SIGTERM);
    }

    /// Sends SIGQUIT: asks it to drain.
    pub fn retire(self) {
        let _ = kill(self.0, Signal::SIGQUIT);
    }

    /// Sends SIGHUP: asks it to read its configuration again.
    pub fn hang_up(self) {
        let _ = kill(self.0, Signal::SIGHUP);
    }

    /// Sends SIGKILL: ends it.
    pub fn kill(self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }

    /// Ends it and takes its status.
    pub fn destroy(self) {
        self.kill();
        self.reap();
    }

    /// Waits for its end and takes its status.
    pub fn reap(self) -> Exit {
        let ended = wait_for(libc::P_PID, self.0.as_raw().unsigned_abs(), 0);
        ended.ok().flatten().map_or(Exit::Unknown, |(_, exit)| exit)
    }
}

/// In a forked child: closes every descriptor but standard input, output and error, and those in
/// `keep`. What the parent's values own by number is gone with that, so nothing of them may be
/// dropped: the child leaves through [`exit`].
pub fn close_others(keep: &[BorrowedFd<'_>]) {
    let mut numbers: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers.into_iter().chain([u32::MAX]) {
        if first < number {
            // SAFETY: it takes numbers alone; no value of this process owns what it closes.
            unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) };
        }
        first = number.saturating_add(1);
    }
}

/// The parent of this process.
pub fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// Whether there is a process `pid`: one that has ended and was not reaped is there still.
pub fn exists(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Sends SIGTERM to a process that is not a child of this one.
pub fn terminate(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}

/// Whether no process has this id any more. A process that may not be signalled is there.
pub fn is_gone(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

/// In a forked child: the kernel kills it when the parent ends, however it ends. To be asked for again after
/// a change of user, which the kernel takes as a withdrawal. False when the parent has ended before.
pub fn die_with_parent(parent: u32) -> bool {
    let _ = nix::sys::prctl::set_pdeathsig(Some(Signal::SIGKILL));
    // A parent that ended a moment ago sent nothing, and was replaced by a reaper.
    u32::try_from(getppid().as_raw()) == Ok(parent)
}

/// In a forked child: leaves the terminal's process group, so that Ctrl-C goes to the parent alone.
pub fn leave_terminal_group() {
    let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
}

/// Gives freed memory back to the system. What start-up has used would otherwise be copied, page by
/// page, into the tables of every child.
pub fn trim_memory() {
    // musl keeps little of what is freed, and has no call for it.
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) has no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Raises the soft limit of open descriptors to the hard one; returns the new limit.
pub fn raise_nofile() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

#[cfg(test)]
mod tests {
    // No test here has children: between fork and exec a child holds copies of all descriptors, and
    // what another test closes at that moment stays open.

    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_process_with_threads_must_not_fork() {
        let (done, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || wait.recv());
            let error = SingleThreaded::check().unwrap_err().to_string();
            assert!(error.starts_with("fork: this process has "), "{error}");
            assert!(error.ends_with(" threads, not one"), "{error}");
            drop(done);
        });
    }

    #[test]
    fn the_limit_of_descriptors_is_raised_to_the_hard_one() {
        let limit = raise_nofile();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((limit, soft), (hard, hard));
        assert_eq!(raise_nofile(), limit);
    }
}
