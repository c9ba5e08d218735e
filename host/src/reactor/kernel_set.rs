//! The kernel's set of watched descriptors, and which source each of them belongs to.

use std::os::fd::{AsFd, AsRawFd};

use super::watch::Watch;
use super::{EDGE, Token};
use crate::sys::Errno;
use crate::sys::epoll::{Epoll, Member, Trigger};
use crate::sys::ready::{Interest, Ready};

/// The descriptors that a loop watches.
///
/// A descriptor may be closed behind the loop's back, and its number opened again. The number belongs to
/// the source that joined with it last, and nothing is said to the kernel in the name of another one.
pub(super) struct KernelSet {
    epoll: Epoll,
    /// By the number of a descriptor, the place of the source that joined with it last.
    owners: Vec<Option<u32>>,
    /// Sources that are always ready.
    always: Vec<Token>,
}

/// How the descriptor of a source is watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    member: Where,
    pub(super) watch: Watch,
    /// It can be reported: it was armed, and not reported since if that is to happen once.
    pub(super) is_on: bool,
}

#[derive(Debug, Clone, Copy)]
enum Where {
    InSet(Member),
    /// It is a regular file, or a device that is always ready: epoll refuses it.
    Always,
}

impl Watched {
    /// Whether it is always ready, so that the kernel is not asked.
    pub(super) fn is_always_ready(&self) -> bool {
        matches!(self.member, Where::Always)
    }

    /// What the kernel is told. Nothing to watch for still means hang-ups, and those for as long as they
    /// last: once, that is one event that no source takes.
    fn as_told(&self) -> (Interest, Trigger) {
        let Watch { interest, trigger, .. } = self.watch;
        if self.is_on {
            (interest, trigger)
        } else {
            (Interest::NONE, Trigger { once: true, ..trigger })
        }
    }
}

impl KernelSet {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: Epoll::new()?, owners: Vec::new(), always: Vec::new() })
    }

    /// Watches the descriptor of a source.
    pub(super) fn join(
        &mut self,
        token: Token,
        io: &impl AsFd,
        watch: Watch,
    ) -> Result<Watched, Errno> {
        let member = match self.epoll.join(io, watch.interest, watch.trigger, token) {
            Ok(member) => {
                if member.index() >= self.owners.len() {
                    self.owners.resize(member.index() + 1, None);
                }
                self.owners[member.index()] = Some(token.index);
                Where::InSet(member)
            }
            Err(Errno::EPERM) => {
                self.always.push(token);
                Where::Always
            }
            Err(errno) => return Err(errno),
        };
        Ok(Watched { member, watch, is_on: true })
    }

    /// Watches a socket that leaves the set by being closed, for everything, edge-triggered: that saves a
    /// system call for each.
    pub(super) fn join_until_closed(&mut self, token: Token, io: &impl AsFd) -> Result<(), Errno> {
        self.epoll.add_edge(io, token)?;
        self.forget_owner(io);
        Ok(())
    }

    /// Watches a descriptor of the loop's own for input.
    pub(super) fn join_own(
        &mut self,
        token: Token,
        io: &impl AsFd,
        edge: bool,
    ) -> Result<(), Errno> {
        if edge {
            self.epoll.join(io, Interest::READ, EDGE, token)?;
        } else {
            self.epoll.add(io, Interest::READ, token)?;
        }
        self.forget_owner(io);
        Ok(())
    }

    /// A source that had this number, and was closed behind the loop's back, has it no more.
    fn forget_owner(&mut self, io: &impl AsFd) {
        let number = io.as_fd().as_raw_fd().unsigned_abs() as usize;
        if let Some(owner) = self.owners.get_mut(number) {
            *owner = None;
        }
    }

    /// Tells the kernel how a source is watched from now on.
    pub(super) fn update(&self, token: Token, watched: &Watched) -> Result<(), Errno> {
        let Where::InSet(member) = watched.member else { return Ok(()) };
        if !self.owns(token, member) {
            return Err(Errno::EBADF);
        }
        let (interest, trigger) = watched.as_told();
        self.epoll.change(member, interest, trigger, token)
    }

    /// Takes a source out. Before it is closed: where a copy of its descriptor lives on, closing would not.
    pub(super) fn leave(&mut self, token: Token, watched: &Watched) {
        match watched.member {
            Where::InSet(member) if self.owns(token, member) => {
                self.epoll.remove(member);
                self.owners[member.index()] = None;
            }
            Where::InSet(_) => {}
            Where::Always => self.always.retain(|&file| file != token),
        }
    }

    fn owns(&self, token: Token, member: Member) -> bool {
        self.owners[member.index()] == Some(token.index)
    }

    /// A new set, with nothing in it but what is always ready.
    pub(super) fn renew(&mut self) -> Result<(), Errno> {
        self.epoll = Epoll::new()?;
        Ok(())
    }

    /// Puts a source into a new set.
    pub(super) fn rejoin(&self, token: Token, watched: &Watched) {
        if let Where::InSet(member) = watched.member
            && self.owns(token, member)
        {
            let (interest, trigger) = watched.as_told();
            // A descriptor that was closed cannot be watched.
            let _ = self.epoll.rejoin(member, interest, trigger, token);
        }
    }

    pub(super) fn wait(&mut self, wait_us: Option<u64>) -> Result<usize, Errno> {
        self.epoll.wait(wait_us)
    }

    pub(super) fn event(&self, index: usize) -> (Token, Ready) {
        self.epoll.event(index)
    }

    /// The sources that are always ready.
    pub(super) fn always(&self) -> &[Token] {
        &self.always
    }
}
