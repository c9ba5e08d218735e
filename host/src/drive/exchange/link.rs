//! The socket of a transfer, and what the network says: most of it is about one datagram.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use windlass_core::fault::{Fault, Peer as PeerFault};
use windlass_core::time::Instant;

use super::super::peers::Mark;
use super::outcome::{Counts, Told, to_stranger};
use crate::sys::Errno;
use crate::sys::clock;
use crate::sys::datagram::batch::{Batch, Received};
use crate::sys::datagram::{Conversation, Left};
use crate::sys::poll::{Woken, wait};
use crate::sys::ready::{Interest, Ready};

/// The socket of a transfer, with all that is known of it without a system call.
pub(super) struct Link {
    pub(super) socket: Conversation,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// A datagram is in the batch: the call that waited has received it.
    pub(super) has_one: bool,
    /// The last datagram that came was answered, so the next one is the answer to that.
    pub(super) comes_alone: bool,
    /// Where other processes see that the peer is served here, of a server's.
    pub(super) mark: Option<Mark>,
    /// The network says that the peer is gone.
    pub(super) gone: Option<Fault>,
    /// An event reported an error, or that the socket was shut down.
    troubled: bool,
    /// The caller is a client, which is told at once that it has no network.
    is_client: bool,
    pub(super) counts: Counts,
    pub(super) told: Told,
}

impl Link {
    pub(super) fn new(socket: Conversation, is_client: bool) -> Self {
        Self {
            // Of a shared socket another one receives.
            readable: !socket.is_shared(),
            socket,
            writable: true,
            has_one: false,
            comes_alone: false,
            mark: None,
            gone: None,
            troubled: false,
            is_client,
            counts: Counts::default(),
            told: Told::default(),
        }
    }

    pub(super) fn note(&mut self, ready: Ready) {
        self.readable |= ready.read || ready.hup;
        self.writable |= ready.write || ready.dead;
        self.troubled |= ready.dead;
    }

    /// What an event reported beside input and room, and what another process has to say.
    pub(super) fn look_for_trouble(&mut self) -> Result<(), Fault> {
        if self.mark.as_ref().is_some_and(Mark::is_replaced) {
            self.counts.replaced = true;
            return Err(PeerFault::Aborted.into());
        }
        if !std::mem::take(&mut self.troubled) {
            return Ok(());
        }
        match self.socket.take_error() {
            Some(errno) => self.network_said(errno),
            None if self.is_shut_down() => Err(Fault::Aborted),
            None => Ok(()),
        }
    }

    /// Waits for a datagram, for [`receive`](Self::receive) to take. False: the socket is not to be waited in.
    pub(super) fn wait_and_receive(&mut self, batch: &mut Batch, until: Instant) -> bool {
        match self.socket.wait_and_receive(batch, until) {
            Ok(came) => self.has_one = came,
            // Of a socket that was shut down the next receive says so.
            Err(Errno::EAGAIN | Errno::EINTR) => self.readable = true,
            // A server's is not ended by the others.
            Err(errno) => drop(self.network_said(errno)),
        }
        self.has_one || self.readable || self.gone.is_some()
    }

    /// Receives a batch. False: there is none. `tells_again`: the wait reports what is left.
    pub(super) fn receive(&mut self, batch: &mut Batch, tells_again: bool) -> Result<bool, Fault> {
        if std::mem::take(&mut self.has_one) {
            return Ok(true);
        }
        match self.socket.receive(batch, tells_again && self.comes_alone) {
            Ok(()) => {
                self.readable = batch.is_full();
                return Ok(true);
            }
            Err(Errno::EAGAIN) => {
                self.readable = false;
                // A socket that was shut down is readable.
                if self.is_shut_down() {
                    return Err(Fault::Aborted);
                }
            }
            Err(errno) => self.network_said(errno)?,
        }
        Ok(false)
    }

    /// Whether a datagram is the peer's. A stranger is told that it is not.
    pub(super) fn is_of_peer(&mut self, received: &Received<'_>) -> bool {
        let is_of_peer = self.socket.is_of_peer(received.peer);
        if !is_of_peer {
            if let Some(word) = to_stranger(received.datagram()) {
                self.socket.send_to_stranger(word, received.peer);
            }
            // A server that took two copies of a request for two has two ports.
            let stranger = received.peer.socket_addr();
            let is_other_host = |at: &SocketAddr| at.ip() != self.socket.peer().ip();
            self.told.stranger = stranger.filter(is_other_host).or(self.told.stranger);
        }
        is_of_peer
    }

    /// Sends a run of datagrams. Returns how many left, or were lost on their way.
    pub(super) fn send(&mut self, run: &[u8], ends: &[usize]) -> Result<usize, Fault> {
        if self.counts.sent == 0 && !self.is_client {
            self.note_moved();
            self.socket.set_answer(run.get(..ends.first().copied().unwrap_or(0)));
        }
        let left = self.socket.send(run, ends);
        self.took(ends.len(), left)
    }

    /// The kernel took some of so many datagrams. Returns how many left, or were lost on their way.
    fn took(&mut self, all: usize, Left { count, why }: Left) -> Result<usize, Fault> {
        self.counts.sent += count as u64;
        match why {
            None => {}
            Some(Errno::EAGAIN) => self.writable = false,
            // The device has no room, and tells nothing when it has: as if all had been lost on the way.
            Some(Errno::ENOBUFS) => {
                self.counts.lost += (all - count) as u64;
                return Ok(all);
            }
            // It would be too long the next time too.
            Some(errno @ Errno::EMSGSIZE) if self.is_client => return Err(self.ends_by(errno)),
            Some(errno) => {
                self.network_said(errno)?;
                return Ok(count + 1);
            }
        }
        Ok(count)
    }

    /// The peer answered something new, and it `was_last`.
    pub(super) fn moved(&mut self, was_last: bool) {
        if !was_last {
            self.note_moved();
        }
        if self.counts.heard == 2 {
            // The first datagram was the request: it has the answer to that.
            self.socket.set_answer(None);
        }
    }

    /// Other processes see that it moved: now, because the time of the turn may be before what came last.
    fn note_moved(&self) {
        if let Some(mark) = &self.mark {
            mark.note_progress(clock::now());
        }
    }

    /// The network says so of what was sent to the peer.
    pub(super) fn network_said(&mut self, errno: Errno) -> Result<(), Fault> {
        match errno {
            // Its last datagrams may wait to be received: it leaves behind its last acknowledgement.
            Errno::ECONNREFUSED => {
                self.told.errno = Some(errno);
                self.gone = Some(PeerFault::Reset.into());
                self.readable = !self.socket.is_shared();
            }
            // Later only the peer itself can say that it is gone: a link that is down may come up again.
            _ if self.is_unanswered() => return Err(self.ends_by(errno)),
            _ => self.counts.lost += 1,
        }
        Ok(())
    }

    /// Whether this is a client that has heard nothing of its server.
    pub(super) fn is_unanswered(&self) -> bool {
        self.is_client && self.counts.heard == 0
    }

    /// The fault of a client that ends because of this error of the network.
    fn ends_by(&mut self, errno: Errno) -> Fault {
        self.told.errno = Some(errno);
        Fault::Aborted
    }

    /// Whether this process has shut the socket down: the server stops, or the peer asks for something else.
    fn is_shut_down(&self) -> bool {
        let woken = wait(self.socket.as_fd(), Interest::READ, None, Some(Instant::ZERO));
        matches!(woken, Woken::Ready(ready) if ready.hup || ready.dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with a peer that has answered so often: the kernel says this of five datagrams, and took two.
    fn took(is_client: bool, heard: u64, why: Option<Errno>) -> (Result<usize, Fault>, Link) {
        let nowhere = "127.0.0.1:9".parse().unwrap();
        let mut link = Link::new(Conversation::with_server(nowhere).unwrap(), is_client);
        link.counts.heard = heard;
        let count = if why.is_some() { 2 } else { 5 };
        (link.took(5, Left { count, why }), link)
    }

    #[test]
    fn datagrams_that_the_kernel_does_not_take_wait_or_are_lost() {
        for is_client in [false, true] {
            let (left, link) = took(is_client, 1, None);
            assert_eq!((left, link.counts.lost, link.writable), (Ok(5), 0, true));
            // The buffer of the socket is full: an event says when it is not.
            let (left, link) = took(is_client, 1, Some(Errno::EAGAIN));
            assert_eq!((left, link.counts.lost, link.writable), (Ok(2), 0, false));
            // The queue of the device is full: no event will say when it is not, the timer sends them again.
            let (left, link) = took(is_client, 1, Some(Errno::ENOBUFS));
            assert_eq!((left, link.counts.lost, link.writable), (Ok(5), 3, true));
            // It is about one datagram, or about one before.
            let (left, link) = took(is_client, 1, Some(Errno::EHOSTUNREACH));
            assert_eq!((left, link.counts.lost, link.gone), (Ok(3), 1, None));
            let (left, link) = took(is_client, 1, Some(Errno::ECONNREFUSED));
            assert_eq!((left, link.gone), (Ok(3), Some(PeerFault::Reset.into())));
        }
    }

    #[test]
    fn a_client_that_cannot_send_ends() {
        for (heard, errno) in [(0, Errno::ENETUNREACH), (0, Errno::EPERM), (1, Errno::EMSGSIZE)] {
            let (left, link) = took(true, heard, Some(errno));
            assert_eq!((left, link.told.errno), (Err(Fault::Aborted), Some(errno)));
            let (left, link) = took(false, heard, Some(errno));
            assert_eq!((left, link.counts.lost, link.told.errno), (Ok(3), 1, None));
        }
    }
}
