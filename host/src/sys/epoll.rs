//! `epoll(7)`: the kernel keeps the set.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as NixEpoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::ready::{Interest, Ready, Token, millis};

/// Events taken from the kernel at a time.
const BATCH: usize = 256;

/// An epoll instance and the batch of events it last gave.
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

    /// Waits until a member is ready or `wait_us` is over; how many events are in the batch. A
    /// signal counts as none.
    ///
    /// # Errors
    /// None that an instance of ours can give.
    pub fn wait(&mut self, wait_us: Option<u64>) -> Result<usize, Errno> {
        let timeout = millis(wait_us).map_or(EpollTimeout::NONE, |ms| {
            EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
        });
        match self.epoll.wait(&mut self.batch[..], timeout) {
            Err(Errno::EINTR) => Ok(0),
            result => result,
        }
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

fn level(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.read);
    flags.set(EpollFlags::EPOLLOUT, interest.write);
    flags
}

#[cfg(test)]
mod tests;
