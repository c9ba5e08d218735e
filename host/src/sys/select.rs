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
    /// Three empty sets.
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
        // A day: longer waits are broken into days. A `timeval` of any size is not valid.
        const MAX_US: u64 = 86_400_000_000;
        let mut timeout = wait_us.map(|us| TimeVal::microseconds(us.min(MAX_US) as i64));
        match select(self.max + 1, &mut self.read, &mut self.write, None, timeout.as_mut()) {
            // `select` returns a number that is not negative here.
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

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;
    use crate::sys::event::Event;
    use crate::sys::process::raise_nofile;
    use crate::sys::stream::Stream;

    #[test]
    fn the_sets_tell_which_descriptors_are_ready_for_what() {
        let (quiet, loud) = (Event::new().unwrap(), Event::new().unwrap());
        loud.raise();
        let mut set = SelectSet::new();
        set.add(quiet.as_fd(), Interest { read: true, write: true });
        set.add(loud.as_fd(), Interest::READ);
        // It counts the marks in the sets.
        assert_eq!(set.wait(None), Ok(2));
        assert_eq!(set.ready(quiet.as_fd()), Ready { write: true, ..Ready::NONE });
        assert_eq!(set.ready(loud.as_fd()), Ready { read: true, ..Ready::NONE });
    }

    #[test]
    fn without_a_ready_descriptor_the_sets_are_empty() {
        let event = Event::new().unwrap();
        let mut set = SelectSet::new();
        set.add(event.as_fd(), Interest::READ);
        assert_eq!(set.wait(Some(1)), Ok(0));
        assert_eq!(set.ready(event.as_fd()), Ready::NONE);
    }

    #[test]
    fn a_wait_of_any_length_is_valid() {
        let event = Event::new().unwrap();
        event.raise();
        for wait_us in [1 << 40, i64::MAX as u64, u64::MAX] {
            let mut set = SelectSet::new();
            set.add(event.as_fd(), Interest::READ);
            assert_eq!(set.wait(Some(wait_us)), Ok(1), "{wait_us}");
        }
    }

    #[test]
    fn an_empty_set_is_a_timer() {
        assert_eq!(SelectSet::default().wait(Some(0)), Ok(0));
    }

    #[test]
    fn the_end_is_reported_as_input() {
        let (ours, peer) = Stream::pair().unwrap();
        drop(peer);
        let mut set = SelectSet::new();
        set.add(ours.as_fd(), Interest::READ);
        assert_eq!(set.wait(None), Ok(1));
        assert_eq!(set.ready(ours.as_fd()), Ready { read: true, ..Ready::NONE });
    }

    #[test]
    fn a_descriptor_from_1024_on_cannot_be_watched() {
        let event = Event::new().unwrap();
        assert!(can_watch(event.as_fd()));
        if raise_nofile() <= 1024 {
            // Then no descriptor is that high.
            return;
        }
        let high = fcntl(&event, FcntlArg::F_DUPFD_CLOEXEC(FD_SETSIZE)).unwrap();
        // SAFETY: fcntl made it just now, for us alone.
        let high = unsafe { OwnedFd::from_raw_fd(high) };
        assert!(high.as_raw_fd() >= 1024);
        assert!(!can_watch(high.as_fd()));
        assert_eq!(SelectSet::new().ready(high.as_fd()), Ready::NONE);
    }
}
