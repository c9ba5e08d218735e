//! `poll(2)`: a whole set at once, or the one descriptor of a blocking caller.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use windlass_core::time::Instant;

use super::clock;
use super::ready::{Interest, Ready, Token};

/// The array that `poll(2)` takes, kept between waits so that filling it allocates nothing.
#[derive(Debug, Default)]
pub struct PollSet {
    fds: Vec<libc::pollfd>,
    tokens: Vec<Token>,
}

impl PollSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all members.
    pub fn clear(&mut self) {
        self.fds.clear();
        self.tokens.clear();
    }

    /// Watches `fd` until the next [`clear`](Self::clear). The kernel looks at it in the next wait
    /// only, so a member must not outlive its descriptor by more than events that are not taken.
    pub fn add(&mut self, fd: BorrowedFd<'_>, interest: Interest, token: Token) {
        self.fds.push(pollfd(fd, interest));
        self.tokens.push(token);
    }

    /// Waits until a member is ready or `wait_us` is over; 0 members are ready after a signal.
    ///
    /// # Errors
    /// `ENOMEM`, or `EINVAL` for more members than descriptors are allowed.
    pub fn wait(&mut self, wait_us: Option<u64>) -> Result<usize, Errno> {
        poll(&mut self.fds, wait_us)
    }

    /// The members that are ready, `count` of them as [`wait`](Self::wait) said.
    pub fn ready(&self, count: usize) -> impl Iterator<Item = (Token, Ready)> {
        let all = self.fds.iter().zip(&self.tokens);
        all.filter(|(fd, _)| fd.revents != 0).map(|(fd, &token)| (token, ready(*fd))).take(count)
    }
}

/// Why [`wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The descriptor is ready.
    Ready(Ready),
    /// The other descriptor is readable.
    Other,
    /// The deadline came.
    TimedOut,
    /// A signal came.
    Interrupted,
}

/// How a blocking caller waits: for `fd`, for input on `other` (the order to stop), for `deadline`.
pub fn wait(
    fd: BorrowedFd<'_>,
    interest: Interest,
    other: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
) -> Woken {
    let mut fds = [pollfd(fd, interest), other.map_or(NO_FD, |fd| pollfd(fd, Interest::READ))];
    let wait_us = deadline.map(|at| at.since(clock::now()));
    // `ENOMEM`: the caller checks its state and calls again, as after a signal.
    match poll(&mut fds, wait_us).unwrap_or(0) {
        _ if fds[1].revents != 0 => Woken::Other,
        _ if fds[0].revents != 0 => Woken::Ready(ready(fds[0])),
        _ if deadline.is_some_and(|at| at <= clock::now()) => Woken::TimedOut,
        _ => Woken::Interrupted,
    }
}

/// Waits for input on any of three, and returns which have some; none after a signal.
pub fn wait_for_input(fds: [Option<BorrowedFd<'_>>; 3], wait_us: Option<u64>) -> [bool; 3] {
    let mut fds = fds.map(|fd| fd.map_or(NO_FD, |fd| pollfd(fd, Interest::READ)));
    match poll(&mut fds, wait_us) {
        Ok(1..) => fds.map(|fd| fd.revents != 0),
        Ok(0) | Err(_) => [false; 3],
    }
}

/// Waits until `until` for room in any of `fds`, or for an error there. Returns which of them are
/// ready; none at the deadline, and after a signal.
pub fn wait_for_output(fds: &[BorrowedFd<'_>], until: Instant) -> Vec<usize> {
    let mut fds: Vec<_> = fds.iter().map(|fd| pollfd(*fd, Interest::WRITE)).collect();
    match poll(&mut fds, Some(until.since(clock::now()))) {
        Ok(1..) => (0..fds.len()).filter(|&n| fds[n].revents != 0).collect(),
        Ok(0) | Err(_) => Vec::new(),
    }
}

/// A negative descriptor is ignored by the kernel.
const NO_FD: libc::pollfd = libc::pollfd { fd: -1, events: 0, revents: 0 };

fn pollfd(fd: BorrowedFd<'_>, interest: Interest) -> libc::pollfd {
    let read = if interest.read { libc::POLLIN | libc::POLLRDHUP } else { 0 };
    let write = if interest.write { libc::POLLOUT } else { 0 };
    libc::pollfd { fd: fd.as_raw_fd(), events: read | write, revents: 0 }
}

fn ready(fd: libc::pollfd) -> Ready {
    let has = |bits| fd.revents & bits != 0;
    let dead = has(libc::POLLHUP | libc::POLLERR | libc::POLLNVAL);
    Ready {
        read: has(libc::POLLIN) || dead,
        write: has(libc::POLLOUT),
        hup: has(libc::POLLRDHUP) || dead,
        dead,
    }
}

/// `ppoll(2)`: the timeout keeps its microseconds. A signal counts as nothing ready.
fn poll(fds: &mut [libc::pollfd], wait_us: Option<u64>) -> Result<usize, Errno> {
    let timeout = wait_us.map(|us| {
        let us = i64::try_from(us).unwrap_or(i64::MAX);
        TimeSpec::new(us / 1_000_000, us % 1_000_000 * 1_000)
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |t| std::ptr::from_ref(t.as_ref()));
    // SAFETY: the array and the timeout outlive the call, and the length is the array's own.
    let count = unsafe {
        libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, std::ptr::null())
    };
    match Errno::result(count) {
        // At most the length of the array, so it fits.
        Ok(count) => Ok(count as usize),
        Err(Errno::EINTR) => {
            // The kernel leaves `revents` as they were before.
            for fd in fds {
                fd.revents = 0;
            }
            Ok(0)
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests;
