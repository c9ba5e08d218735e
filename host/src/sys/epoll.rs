//! `epoll(7)`: the kernel keeps the set.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as NixEpoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

use super::ready::{Interest, Ready, Token, millis};

/// Events taken from the kernel at a time.
const BATCH: usize = 256;

/// Whether `epoll_pwait2(2)` is not available: then waits are rounded up to milliseconds.
static COARSE: AtomicBool = AtomicBool::new(false);

/// How a member is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trigger {
    /// When something changes (`EPOLLET`); otherwise in every wait, for as long as it is ready.
    pub edge: bool,
    /// Once (`EPOLLONESHOT`): after that it is not reported until it is modified.
    pub once: bool,
}

/// A descriptor in the set of an [`Epoll`], by its number.
///
/// The number is only ever looked up in the set. If the descriptor was closed meanwhile, and even if
/// another has its number by now, the worst that comes of it is an error, or silence for that other
/// one: so [`Epoll::remove`] is for a caller that knows that the number is still its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member(RawFd);

impl Member {
    /// The number of the descriptor, for a table.
    pub fn index(self) -> usize {
        // Descriptors are never negative.
        self.0.unsigned_abs() as usize
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: used for nothing but epoll_ctl(2) on our own instance, which takes a number that
        // is not open, or not a member, for an error.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// An epoll instance and its last batch of events.
#[derive(Debug)]
pub struct Epoll {
    epoll: NixEpoll,
    batch: Box<[EpollEvent; BATCH]>,
}

impl Epoll {
    /// An instance that watches nothing.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        let epoll = NixEpoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, batch: Box::new([EpollEvent::empty(); BATCH]) })
    }

    /// Watches `fd`, level-triggered: it is reported in every wait while it is ready.
    ///
    /// # Errors
    /// `ENOSPC` (`max_user_watches`), `ENOMEM`, `EPERM` for a regular file.
    pub fn add(&self, fd: impl AsFd, interest: Interest, token: Token) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(level(interest), token.to_bits()))
    }

    /// Watches a member for something else.
    ///
    /// # Errors
    /// `ENOENT` when it is not a member.
    pub fn modify(&self, fd: impl AsFd, interest: Interest, token: Token) -> Result<(), Errno> {
        self.epoll.modify(fd, &mut EpollEvent::new(level(interest), token.to_bits()))
    }

    /// Watches `fd`, edge-triggered and for everything: it is reported when something changes, so
    /// the caller reads and writes until it would block.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_edge(&self, fd: impl AsFd, token: Token) -> Result<(), Errno> {
        let all = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLPRI
            | EpollFlags::EPOLLET;
        self.epoll.add(fd, EpollEvent::new(all, token.to_bits()))
    }

    /// Watches `fd` for `interest`, reported as `trigger` says.
    ///
    /// # Errors
    /// As [`add`](Self::add); `EEXIST`: the descriptor is a member already.
    pub fn join(
        &self,
        fd: impl AsFd,
        interest: Interest,
        trigger: Trigger,
        token: Token,
    ) -> Result<Member, Errno> {
        let member = Member(fd.as_fd().as_raw_fd());
        self.epoll.add(fd, EpollEvent::new(flags(interest, trigger), token.to_bits()))?;
        Ok(member)
    }

    /// Puts a member of another set into this one, by its number.
    ///
    /// # Errors
    /// `EBADF`: it was closed.
    pub fn rejoin(
        &self,
        member: Member,
        interest: Interest,
        trigger: Trigger,
        token: Token,
    ) -> Result<(), Errno> {
        self.epoll.add(member.fd(), EpollEvent::new(flags(interest, trigger), token.to_bits()))
    }

    /// Watches a member for something else, or again after it was reported once.
    ///
    /// # Errors
    /// `ENOENT` or `EBADF`: it was closed.
    pub fn change(
        &self,
        member: Member,
        interest: Interest,
        trigger: Trigger,
        token: Token,
    ) -> Result<(), Errno> {
        let mut event = EpollEvent::new(flags(interest, trigger), token.to_bits());
        self.epoll.modify(member.fd(), &mut event)
    }

    /// Takes a member out of the set. One that was closed has left it already.
    pub fn remove(&self, member: Member) {
        let _ = self.epoll.delete(member.fd());
    }

    /// Waits until a member is ready or `wait_us` is over; returns the number of events in the batch. A
    /// signal counts as none.
    ///
    /// # Errors
    /// `epoll_wait(2)` has no error for an instance that is open.
    pub fn wait(&mut self, wait_us: Option<u64>) -> Result<usize, Errno> {
        let count = match wait_us {
            // A wait of less than a day is exact if the kernel supports that.
            Some(us @ 1..=86_400_000_000) if !COARSE.load(Ordering::Relaxed) => {
                self.wait_exactly(us)
            }
            _ => self.wait_millis(wait_us),
        };
        // A stop and SIGCONT end a wait too (signal(7)), and time has passed: what came meanwhile has to
        // be seen before it is reported that nothing happened.
        let count = if count == Err(Errno::EINTR) { self.wait_millis(Some(0)) } else { count };
        match count {
            Err(Errno::EINTR) => Ok(0),
            // Before Linux 5.11, or behind a filter that does not know the call.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                COARSE.store(true, Ordering::Relaxed);
                Ok(0)
            }
            result => result,
        }
    }

    fn wait_millis(&mut self, wait_us: Option<u64>) -> Result<usize, Errno> {
        let timeout = millis(wait_us).map_or(EpollTimeout::NONE, |ms| {
            EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
        });
        self.epoll.wait(&mut self.batch[..], timeout)
    }

    /// `epoll_pwait2(2)`: the timeout keeps its microseconds. `us` is at most a day.
    fn wait_exactly(&mut self, us: u64) -> Result<usize, Errno> {
        let timeout = TimeSpec::new((us / 1_000_000) as i64, (us % 1_000_000 * 1_000) as i64);
        // SAFETY: the batch and the timeout outlive the call, the length is the batch's own, and
        // `EpollEvent` is a transparent `epoll_event`. Without a mask its size is not looked at.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.0.as_raw_fd(),
                self.batch.as_mut_ptr(),
                BATCH,
                std::ptr::from_ref(timeout.as_ref()),
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        // At most the length of the batch, so it fits.
        Errno::result(count).map(|count| count as usize)
    }

    /// An event of the batch.
    pub fn event(&self, index: usize) -> (Token, Ready) {
        let event = self.batch[index];
        let has = |bits| event.events().intersects(bits);
        let dead = has(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        let ready = Ready {
            read: has(EpollFlags::EPOLLIN) || dead,
            write: has(EpollFlags::EPOLLOUT),
            // A read also stops short at urgent data (tcp(7)), and more may lie behind that mark.
            hup: has(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI) || dead,
            dead,
        };
        (Token::from_bits(event.data()), ready)
    }
}

/// Readable while a member is ready: a set can be a member of another one.
impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

fn flags(interest: Interest, trigger: Trigger) -> EpollFlags {
    let mut flags = level(interest);
    flags.set(EpollFlags::EPOLLRDHUP, interest.read);
    flags.set(EpollFlags::EPOLLPRI, interest.read && trigger.edge);
    flags.set(EpollFlags::EPOLLET, trigger.edge);
    flags.set(EpollFlags::EPOLLONESHOT, trigger.once);
    flags
}

fn level(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.read);
    flags.set(EpollFlags::EPOLLOUT, interest.write);
    flags
}

#[cfg(test)]
mod tests;
