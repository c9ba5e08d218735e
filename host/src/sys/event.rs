//! A counter that other threads add to and a wait can watch: `eventfd(2)`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

/// A counter with a descriptor that is readable while it is not zero.
#[derive(Debug)]
pub struct Event(EventFd);

impl Event {
    /// A counter at zero.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> Result<Self, Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        EventFd::from_value_and_flags(0, flags).map(Self)
    }

    /// Adds one. At the top of its range it stays there, which still reads as "something came".
    pub fn raise(&self) {
        let _ = self.0.write(1);
    }

    /// In a forked child: puts a counter of its own under the same number, so that raising it does
    /// not wake the parent.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn renew(&self) -> Result<(), Errno> {
        let other = Self::new()?;
        // SAFETY: both are open and ours. A holder of the number goes on with the new counter.
        let done = unsafe { libc::dup3(other.0.as_raw_fd(), self.0.as_raw_fd(), libc::O_CLOEXEC) };
        Errno::result(done).map(drop)
    }

    /// Takes the count and sets it to zero.
    pub fn take(&self) -> u64 {
        self.0.read().unwrap_or(0)
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

    use super::*;

    #[test]
    fn it_counts_until_it_is_taken() {
        let event = Event::new().unwrap();
        assert_eq!(event.take(), 0);
        event.raise();
        event.raise();
        assert_eq!(event.take(), 2);
        assert_eq!(event.take(), 0);
    }

    #[test]
    fn at_the_top_it_stays_there() {
        let event = Event::new().unwrap();
        // eventfd(2): the largest count.
        assert_eq!(event.0.write(u64::MAX - 1), Ok(8));
        event.raise();
        assert_eq!(event.take(), u64::MAX - 1);
    }

    #[test]
    fn it_is_closed_on_exec_and_never_blocks() {
        let event = Event::new().unwrap();
        let of = |what| fcntl(&event, what).unwrap();
        let kept = FdFlag::from_bits_truncate(of(FcntlArg::F_GETFD));
        assert!(kept.contains(FdFlag::FD_CLOEXEC));
        let status = OFlag::from_bits_truncate(of(FcntlArg::F_GETFL));
        assert!(status.contains(OFlag::O_NONBLOCK));
    }
}
