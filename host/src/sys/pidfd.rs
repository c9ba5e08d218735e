//! A child as a descriptor (`pidfd_open(2)`): readable once it has ended, and never another process.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status, 0 to 255.
    Code(i32),
    /// This signal killed it.
    Killed(Signal),
    /// The real-time signal of this number killed it.
    KilledByRealTime(i32),
    /// Its status was taken already, or it was not a child of this process.
    Unknown,
}

const CODE: u32 = 1;
const SIGNAL: u32 = 2;

impl Exit {
    /// Whether it exited with status 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// As a number.
    pub fn to_bits(self) -> u32 {
        let (form, number) = match self {
            Self::Code(code) => (CODE, code),
            Self::Killed(signal) => (SIGNAL, signal as i32),
            Self::KilledByRealTime(number) => (SIGNAL, number),
            Self::Unknown => (0, 0),
        };
        form << 16 | number.unsigned_abs() & 0xffff
    }

    /// Of such a number.
    pub fn from_bits(bits: u32) -> Self {
        let number = i32::from(bits as u16);
        match bits >> 16 {
            CODE => Self::Code(number),
            SIGNAL => Signal::try_from(number).map_or(Self::KilledByRealTime(number), Self::Killed),
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Killed(signal) => write!(f, "was killed by {signal}"),
            Self::KilledByRealTime(number) => write!(f, "was killed by signal {number}"),
            Self::Unknown => write!(f, "ended, and its status was taken by other code"),
        }
    }
}

/// A process that the holder may wait for and signal.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: i32,
}

impl PidFd {
    /// Opens the process `pid`, which the caller has not reaped: otherwise the number may be of
    /// another process.
    ///
    /// # Errors
    /// `ESRCH` when there is none, `EMFILE`, `ENFILE`; `ENOSYS` before Linux 5.3.
    pub fn open(pid: i32) -> Result<Self, Errno> {
        // SAFETY: a system call on numbers alone. The descriptor is close-on-exec by itself.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        // A descriptor is an `int`.
        let fd = Errno::result(fd)? as i32;
        // SAFETY: pidfd_open made this descriptor just now, for us alone.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, pid })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Takes its status if it has ended, so that it is no zombie any more.
    pub fn reap(&self) -> Option<Exit> {
        match wait_for(libc::P_PIDFD, self.fd.as_raw_fd().unsigned_abs(), libc::WNOHANG) {
            Ok(ended) => ended.map(|(_, exit)| exit),
            // `ECHILD`: reaped by other code, or SIGCHLD is ignored.
            Err(_) => Some(Exit::Unknown),
        }
    }

    /// Sends SIGTERM: asks it to stop.
    #[cfg(feature = "supervise")]
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends it a signal. Once it has ended that does nothing, even if another process has its
    /// number by then.
    pub fn signal(&self, signal: Signal) {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is ours and open; a null pointer stands for no siginfo.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), signal as i32, none, 0);
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `waitid(2)` for children that have ended: takes the status of one. None when all of them live. (nix
/// has no name for a real-time signal, and loses the child that one killed.)
pub(super) fn wait_for(
    kind: libc::idtype_t,
    id: u32,
    flags: i32,
) -> Result<Option<(i32, Exit)>, Errno> {
    // SAFETY: it is numbers, and all of them may be zero.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: there is room for the answer; a descriptor among the arguments is the caller's.
        let done = unsafe { libc::waitid(kind, id, &raw mut info, libc::WEXITED | flags) };
        match Errno::result(done) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    // SAFETY: waitid(2) filled in the fields of SIGCHLD, or left them zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(status),
        _ => Signal::try_from(status).map_or(Exit::KilledByRealTime(status), Exit::Killed),
    };
    Ok((pid != 0).then_some((pid, exit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_a_sentence() {
        for (exit, text) in [
            (Exit::Code(0), "exited with status 0"),
            (Exit::Code(255), "exited with status 255"),
            (Exit::Killed(Signal::SIGKILL), "was killed by SIGKILL"),
            (Exit::KilledByRealTime(40), "was killed by signal 40"),
            (Exit::Unknown, "ended, and its status was taken by other code"),
        ] {
            assert_eq!(exit.to_string(), text);
            assert_eq!(exit.is_success(), exit == Exit::Code(0));
            assert_eq!(Exit::from_bits(exit.to_bits()), exit);
        }
    }
}
