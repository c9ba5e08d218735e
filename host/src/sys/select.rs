//! `select(2)`, with its limit of 1024 in the open.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};

use super::ready::{Interest, Ready};

/// The first descriptor number that does not fit in an `fd_set`. The original macros write past
/// the set for it and beyond.
pub const FD_SETSIZE: i32 = libc::FD_SETSIZE as i32;

/// Whether `select` can watch this descriptor.
pub fn can_watch(fd: BorrowedFd<'_>) -> bool {
    fd.as_raw_fd() < FD_SETSIZE
}

/// The descriptors of one wait. The sets are in-out arguments, so they are filled for every wait.
#[derive(Debug)]
pub struct SelectSet<'fd> {
    read: FdSet<'fd>,
    write: FdSet<'fd>,
    max: i32,
}

impl<'fd> SelectSet<'fd> {
    /// Three sets with nobody in them.
    pub fn new() -> Self {
        Self { read: FdSet::new(), write: FdSet::new(), max: -1 }
    }

    /// Watches `fd`. One that [`can_watch`] refuses is left out.
    pub fn add(&mut self, fd: BorrowedFd<'fd>, interest: Interest) {
        debug_assert!(can_watch(fd), "the caller refuses it before");
        if !can_watch(fd) {
            return;
        }
        if interest.read {
            self.read.insert(fd);
        }
        if interest.write {
            self.write.insert(fd);
        }
        self.max = self.max.max(fd.as_raw_fd());
    }

    /// Waits until one is ready or `wait_us` is over. A signal counts as nothing ready.
    ///
    /// # Errors
    /// `EBADF`, `ENOMEM`.
    pub fn wait(&mut self, wait_us: Option<u64>) -> Result<usize, Errno> {
        let mut timeout =
            wait_us.map(|us| TimeVal::microseconds(i64::try_from(us).unwrap_or(i64::MAX)));
        match select(self.max + 1, &mut self.read, &mut self.write, None, timeout.as_mut()) {
            // Not negative after success.
            Ok(count) => Ok(count as usize),
            Err(Errno::EINTR) => {
                self.read.clear();
                self.write.clear();
                Ok(0)
            }
            Err(errno) => Err(errno),
        }
    }

    /// What `fd` is ready for. `select` knows no hang-up: it reports the end as input.
    pub fn ready(&self, fd: BorrowedFd<'fd>) -> Ready {
        if !can_watch(fd) {
            return Ready::NONE;
        }
        let (read, write) = (self.read.contains(fd), self.write.contains(fd));
        Ready { read, write, ..Ready::NONE }
    }
}

impl Default for SelectSet<'_> {
    fn default() -> Self {
        Self::new()
    }
}
