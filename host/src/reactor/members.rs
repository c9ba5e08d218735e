//! The sources that are descriptors, in the kernel's set.

use std::os::fd::{AsFd, AsRawFd};

use tracing::debug;

use super::context::NOBODY;
use super::slots::{Handler, Kind, Source};
use super::watch::Watch;
use super::{BELL, Context, EDGE, SIGNALS, Token};
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::epoll::{Epoll, Member};
use crate::sys::ready::Interest;

/// This descriptor was put into the kernel's set for somebody who is no source. A source that had its
/// number, and was closed behind the loop's back, has it no more.
pub(super) fn disown(owners: &mut [u32], io: &impl AsFd) {
    if let Some(owner) = owners.get_mut(io.as_fd().as_raw_fd().unsigned_abs() as usize) {
        *owner = NOBODY;
    }
}

impl<S> Context<S> {
    /// A source for a descriptor, watched, with nobody to call yet.
    pub(super) fn open_source(
        &mut self,
        kind: Kind,
        watch: Watch,
        io: &impl AsFd,
    ) -> Result<Token> {
        let token = self.slots.insert(Source::new(kind, watch, Handler::Away));
        match self.join(token, io) {
            Ok(()) => Ok(token),
            Err(error) => {
                self.slots.remove(token);
                Err(error)
            }
        }
    }

    /// Puts a descriptor into the kernel's set, as `token` is to be watched.
    fn join(&mut self, token: Token, io: &impl AsFd) -> Result<()> {
        let Some(source) = self.slots.get_mut(token) else { return Ok(()) };
        let Watch { interest, trigger, .. } = source.watch;
        match self.epoll.join(io, interest, trigger, token) {
            Ok(member) => {
                source.member = Some(member);
                source.watched = true;
                let number = member.index();
                if number >= self.owners.len() {
                    self.owners.resize(number + 1, NOBODY);
                }
                self.owners[number] = token.index;
                Ok(())
            }
            // Regular files and some devices are always ready: there is nothing to wait for.
            Err(Errno::EPERM) => {
                source.watched = true;
                source.always = true;
                self.always.push(token);
                Ok(())
            }
            Err(errno) => Err(Error::new("watch descriptor", io.as_fd().as_raw_fd(), errno)),
        }
    }

    pub(super) fn is_watched(&self, token: Token) -> bool {
        self.slots.get(token).is_some_and(|source| source.watched)
    }

    /// Watches its descriptor no more, for the time being.
    pub(super) fn pause(&mut self, token: Token) {
        if let Some(source) = self.slots.get_mut(token)
            && std::mem::replace(&mut source.watched, false)
        {
            let member = source.member;
            // If it was closed, nothing is watched: as wanted.
            let _ = self.tell_kernel(token, member);
        }
    }

    pub(super) fn tell_kernel(
        &self,
        token: Token,
        member: Option<Member>,
    ) -> std::result::Result<(), Errno> {
        let (Some(source), Some(member)) = (self.slots.get(token), member) else { return Ok(()) };
        if self.owners[member.index()] != token.index {
            // Its number is somebody else's by now.
            return Err(Errno::EBADF);
        }
        let Watch { interest, mut trigger, .. } = source.watch;
        let interest = if source.watched { interest } else { Interest::NONE };
        // Nothing to watch for still means hang-ups, and those for as long as they last. Once, that is
        // one event that nobody takes.
        trigger.once |= !source.watched;
        self.epoll.change(member, interest, trigger, token)
    }

    /// Makes a new set in the kernel and puts everyone into it again: after a fork, and when a
    /// descriptor was closed that the old set cannot forget, because a copy of it lives on.
    pub(super) fn rebuild(&mut self) -> std::result::Result<(), Errno> {
        debug!("a new epoll set");
        self.stats.rebuilt += 1;
        self.epoll = Epoll::new()?;
        if let Some(inbox) = &self.inbox {
            self.epoll.join(&*inbox.bell, Interest::READ, EDGE, BELL)?;
        }
        if let Some(signals) = &self.signals {
            self.epoll.add(signals, Interest::READ, SIGNALS)?;
        }
        for (token, source) in self.slots.iter_mut() {
            if let Some(member) = source.member
                && self.owners[member.index()] == token.index
            {
                let Watch { interest, mut trigger, .. } = source.watch;
                let interest = if source.watched { interest } else { Interest::NONE };
                trigger.once |= !source.watched;
                // One that was closed is not there to be watched.
                let _ = self.epoll.rejoin(member, interest, trigger, token);
            }
        }
        let watched = |(token, socket, _)| self.epoll.add_edge(socket, token).err().map(|_| token);
        let lost: Vec<_> = self.connections.iter().filter_map(watched).collect();
        for token in lost {
            // Its number was taken over behind the loop's back.
            self.hang_up(token);
        }
        Ok(())
    }
}
