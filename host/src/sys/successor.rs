//! The process of a program that takes the place of this one.
//!
//! ```text
//!   this process ──▶ keeper ──▶ successor              until it has taken over: the keeper ends as it ends
//!   this process                successor ◀── init     from then on
//! ```
//!
//! A service manager hears of the end of its own children. So the successor must not be the child of a process that
//! drains for an hour: if it crashed, the manager would not start it again.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::ForkResult;

use super::pidfd::{Exit, PidFd, wait_for};
use super::process::{Child, SingleThreaded, die_with_parent, divide, exit};
use super::signals::die_of;

/// A successor that has not taken over.
#[derive(Debug)]
pub struct Successor {
    keeper: Child,
    pid: i32,
    /// `None`: it has ended.
    process: Option<PidFd>,
}

impl Successor {
    /// Starts `command`; its process calls `prepare` first, which allocates nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn spawn(
        mut command: Command,
        prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (mut said, says) = io::pipe()?;
        let (parent, to) = (std::process::id(), says.as_raw_fd());
        // SAFETY: between fork and exec both make system calls, and allocate nothing.
        unsafe { command.pre_exec(move || part(parent, to)).pre_exec(prepare) };
        let keeper = Child::started(&command.spawn()?);
        drop(says);
        let pid = heard(&mut said)?;
        Ok(Self { keeper, pid, process: PidFd::open(pid).ok() })
    }

    /// The child of this process that ends when the successor does.
    pub fn keeper(&self) -> Child {
        self.keeper
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends SIGTERM: asks it to stop.
    pub fn terminate(&self) {
        self.process.iter().for_each(PidFd::terminate);
    }

    /// Sends SIGKILL: ends it.
    pub fn kill(&self) {
        self.process.iter().for_each(|process| process.signal(Signal::SIGKILL));
    }

    /// It has taken over, and gets the parent of orphans.
    pub fn leave(self) {
        self.keeper.destroy();
    }
}

/// The process id that the successor wrote before it executed the program.
fn heard(said: &mut PipeReader) -> io::Result<i32> {
    let mut bytes = [0; 4];
    said.read_exact(&mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// In the new child: divides it into the keeper, which does not come back, and the successor.
fn part(parent: u32, to: RawFd) -> io::Result<()> {
    match divide(&SingleThreaded::of_forked())? {
        ForkResult::Parent { child } => keep(parent, child.as_raw()),
        ForkResult::Child => {
            let pid = std::process::id().to_ne_bytes();
            // SAFETY: there are so many bytes; the descriptor is that of a pipe that the first process has open.
            let written = unsafe { libc::write(to, pid.as_ptr().cast(), pid.len()) };
            Errno::result(written)?;
            Ok(())
        }
    }
}

/// The life of the keeper: nothing but the end of the successor, or of the process that started both, ends it.
fn keep(parent: u32, successor: i32) -> ! {
    let _ = SigSet::all().thread_block();
    if !die_with_parent(parent) {
        exit(0);
    }
    // The pipe by which a failed exec would be told is among them, and what the successor closes.
    // SAFETY: no value of this process owns what it closes: it leaves through `exit`.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
    match wait_for(libc::P_PID, successor.unsigned_abs(), 0) {
        Ok(Some((_, Exit::Code(status)))) => exit(status),
        Ok(Some((_, Exit::Killed(signal)))) => {
            // The core of the successor is the one that says something.
            let _ = nix::sys::prctl::set_dumpable(false);
            exit(i32::from(die_of(signal)))
        }
        _ => exit(1),
    }
}
