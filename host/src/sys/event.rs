//! A counter that other threads add to and a wait can watch: `eventfd(2)`.

use std::os::fd::{AsFd, BorrowedFd};

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
