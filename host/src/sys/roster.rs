//! The sockets that the threads of a process are serving, so that another thread can end them.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::socket::{Shutdown, SockType, getsockopt, shutdown, sockopt};

/// The sockets in service. Invariant: every descriptor listed is open, because it is struck off
/// before it is closed, both under the lock.
#[derive(Debug, Default)]
pub struct Roster(Mutex<HashSet<RawFd>>);

/// An entry in the roster. It is to be dropped before the socket is closed: declare it after.
#[derive(Debug)]
pub struct Entry<'a> {
    roster: &'a Roster,
    fd: RawFd,
}

impl Roster {
    /// No client is served.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists a socket until the place is dropped.
    pub fn enter(&self, socket: &impl AsFd) -> Entry<'_> {
        let fd = socket.as_fd().as_raw_fd();
        self.lock().insert(fd);
        Entry { roster: self, fd }
    }

    /// `shutdown(2)` on every socket listed: a thread that waits for one finds it at its end. A stream cannot be
    /// written to any more either, or one that waits for a slow reader would go on; a datagram can still be sent,
    /// and tells the peer.
    pub fn shutdown_all(&self) {
        for &fd in self.lock().iter() {
            // SAFETY: it is open, as every descriptor that is listed.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            let is_datagram = getsockopt(&socket, sockopt::SockType) == Ok(SockType::Datagram);
            let _ = shutdown(fd, if is_datagram { Shutdown::Read } else { Shutdown::Both });
        }
    }

    /// The lock. A thread that panicked while it held it left a set that is still true.
    fn lock(&self) -> MutexGuard<'_, HashSet<RawFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.fd);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use windlass_core::stream::Read;

    use super::*;
    use crate::sys::clock;
    use crate::sys::poll::{Woken, wait};
    use crate::sys::ready::Interest;
    use crate::sys::stream::Stream;

    #[test]
    fn a_thread_that_waits_for_a_listed_socket_is_woken() {
        let roster = Roster::new();
        let (listed, waiting) = mpsc::channel();
        let (ours, _peer) = Stream::pair().unwrap();
        std::thread::scope(|scope| {
            let (roster, ours) = (&roster, &ours);
            let thread = scope.spawn(move || {
                let _place = roster.enter(ours);
                listed.send(()).unwrap();
                let far = clock::now().after(60_000_000);
                wait(ours.as_fd(), Interest::READ, None, Some(far))
            });
            waiting.recv().unwrap();
            roster.shutdown_all();
            assert!(matches!(thread.join(), Ok(Woken::Ready(ready)) if ready.hup));
        });
    }

    #[test]
    fn only_listed_sockets_are_shut_down() {
        let roster = Roster::new();
        let (stays, stays_peer) = Stream::pair().unwrap();
        let (leaves, leaves_peer) = Stream::pair().unwrap();
        let (_never, never_peer) = Stream::pair().unwrap();
        let _place = roster.enter(&stays);
        drop(roster.enter(&leaves));
        roster.shutdown_all();
        let read = |peer: &Stream| peer.recv(&mut [0; 8]).unwrap();
        assert_eq!(read(&stays_peer), Read::Eof);
        assert_eq!(read(&leaves_peer), Read::WouldBlock);
        assert_eq!(read(&never_peer), Read::WouldBlock);
        // Once more does no harm.
        roster.shutdown_all();
    }

    #[test]
    fn a_thread_that_panicked_left_its_place() {
        let roster = Roster::new();
        let (ours, peer) = Stream::pair().unwrap();
        let panicked = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let _place = roster.enter(&ours);
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            thread.join().is_err()
        });
        assert!(panicked);
        roster.shutdown_all();
        assert_eq!(peer.recv(&mut [0; 8]), Ok(Read::WouldBlock));
    }
}
