//! A transfer of the core on a socket of its own, without a loop: it moves what it can, and says what it waits for.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use tracing::debug;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::Extent;
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::{HEAD_MAX, Heard, Transfer};
use windlass_core::want::Close;

use super::said::Shown;
use crate::drive::{Said, to_stranger};
use crate::error::Error;
use crate::reactor::{Context, Token, Watch};
use crate::status::brief;
use crate::sys::datagram::Conversation;
use crate::sys::datagram::batch::Batch;
use crate::sys::{Errno, clock};

/// A machine, its socket, and the datagrams between them.
pub(in crate::client) struct Carrier<M: Transfer + ?Sized> {
    pub(in crate::client) machine: Box<M>,
    socket: Conversation,
    batch: Batch,
    /// The datagram of the batch that comes next.
    next: usize,
    /// Datagrams of this turn.
    taken: usize,
    /// The last call in this turn found fewer than it had places for.
    is_drained: bool,
    /// Something was sent since the last datagram came: the next one is the answer to that.
    comes_alone: bool,
    /// Where the block begins that storage is to keep, in the datagram before the next one.
    block_at: usize,
    /// Datagrams that are about to leave, and where each of them ends.
    run: Vec<u8>,
    ends: Vec<usize>,
    /// There was no room in the socket's buffer.
    is_full: bool,
    is_answered: bool,
    /// The peer has to answer until then, which is so long.
    until: Instant,
    span_us: u64,
    /// What the peer said as it ended the transfer.
    said: Option<Said>,
    /// Another host that sent something.
    stranger: Option<SocketAddr>,
    /// Datagrams that are not of the protocol.
    malformed: u32,
    failed: Option<Errno>,
    /// The peer needs no answer any more.
    is_over: bool,
}

/// What a transfer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum Step {
    /// The answer to an operation on the file.
    Storage,
    /// Its socket, and the time: [`Carrier::wait`].
    Peer,
    /// Nothing: it is over.
    Over(Result<(), Fault>),
}

/// Reads a part of the file to send.
pub(in crate::client) type ReadAt<'f> = &'f mut dyn FnMut(Extent, &mut [u8]) -> io::Result<()>;

/// Datagrams, and bytes of them, that are put together to leave in one call.
const RUN_COUNT: usize = 64;
const RUN_BYTES: usize = 1 << 18;

/// Datagrams that are taken, at least, before the loop looks at its other sources. What is in the batch is taken in
/// any case: nothing would report it.
const TAKEN_MAX: usize = 256;

impl<M: Transfer + ?Sized> Carrier<M> {
    /// With the server of this socket, which has to answer until then. A datagram of it has `datagram_max` bytes at
    /// most.
    pub(in crate::client) fn new(
        socket: Conversation,
        machine: Box<M>,
        datagram_max: usize,
        until: Instant,
    ) -> Self {
        Self {
            machine,
            socket,
            // One that is too long is seen to be so.
            batch: Batch::new(64, datagram_max + 1),
            next: usize::MAX,
            taken: 0,
            is_drained: false,
            comes_alone: false,
            block_at: 0,
            run: Vec::new(),
            ends: Vec::new(),
            is_full: false,
            is_answered: false,
            until,
            span_us: until.since(clock::now()),
            said: None,
            stranger: None,
            malformed: 0,
            failed: None,
            is_over: false,
        }
    }

    /// Whether the peer has sent anything.
    pub(in crate::client) fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// The turn is over. Waits in the loop, as the source `server`, and no longer than until `timer`.
    pub(in crate::client) fn wait<S>(&mut self, cx: &mut Context<S>, server: Token, timer: Token) {
        (self.taken, self.is_drained) = (0, false);
        let limit = if self.is_answered { Wake::Never } else { Wake::At(self.until) };
        match self.machine.want().wake.min(limit) {
            Wake::Now => cx.arm_at(timer, clock::now()),
            Wake::At(at) => cx.arm_at(timer, at),
            Wake::Never => cx.disarm(timer),
        }
        // It is watched already, for one thing more or less.
        let _ = cx.watch(server, if self.is_full { Watch::BOTH } else { Watch::READ });
    }

    /// The block that storage is to keep.
    pub(in crate::client) fn block(&mut self) -> &[u8] {
        let nth = self.next.wrapping_sub(1);
        let Some(received) = self.batch.iter_mut().nth(nth) else { return &[] };
        let len = received.len;
        received.buf[..len].get(self.block_at..).unwrap_or_default()
    }

    /// Moves what it can now.
    pub(in crate::client) fn step(&mut self, read: ReadAt<'_>) -> Step {
        self.is_full = false;
        loop {
            if self.failed.is_some() {
                return Step::Over(Err(Fault::Aborted));
            }
            if self.is_over {
                return Step::Over(Ok(()));
            }
            let want = self.machine.want();
            if want.write && !self.is_full {
                if let Err(error) = self.send(read) {
                    debug!(%error, "the file cannot be read");
                    self.machine.abort(StorageFault::Failed.into());
                }
            } else if let Close::Done(how) = want.close {
                return Step::Over(how);
            } else if want.file {
                return Step::Storage;
            } else if want.read && self.receive() {
                self.taken += 1;
            } else if !self.is_answered && self.until <= clock::now() {
                return Step::Over(Err(Fault::TimedOut { waited_us: self.span_us }));
            } else if want.wake.is_due(clock::now()) {
                self.machine.tick(clock::now());
            } else {
                return Step::Peer;
            }
        }
    }

    /// Takes one datagram. False: there is none, or it is the turn of others.
    fn receive(&mut self) -> bool {
        if self.batch.iter_mut().nth(self.next).is_none() {
            if self.taken >= TAKEN_MAX || self.is_drained {
                return false;
            }
            match self.socket.receive(&mut self.batch, self.comes_alone) {
                Ok(()) => (self.next, self.is_drained) = (0, !self.batch.is_full()),
                Err(Errno::EAGAIN) => return false,
                Err(errno) => self.report(errno),
            }
        }
        let Some(received) = self.batch.iter_mut().nth(self.next) else { return true };
        self.next += 1;
        self.comes_alone = false;
        if !self.socket.is_of_peer(received.peer) {
            if let Some(word) = to_stranger(received.datagram()) {
                self.socket.send_to_stranger(word, received.peer);
            }
            // A server that took two copies of the request for two has two ports.
            let host = received.peer.socket_addr().map(|at| at.ip());
            if host != Some(self.socket.peer().ip()) {
                self.stranger = received.peer.socket_addr();
            }
            return true;
        }
        self.is_answered = true;
        let now = clock::now();
        match self.machine.handle(now, received.datagram()) {
            Heard::Store { at } => self.block_at = at,
            Heard::Ended { code, at, len } => {
                let text = received.datagram().get(at..at + len).unwrap_or_default();
                self.said = Some(Said { code, text: text.into() });
            }
            Heard::Malformed(_) => self.malformed += 1,
            Heard::Taken | Heard::Ignored | Heard::Replaced => {}
        }
        true
    }

    /// Sends what is owed, as much as fits.
    fn send(&mut self, read: ReadAt<'_>) -> io::Result<()> {
        let now = clock::now();
        self.comes_alone = true;
        self.run.clear();
        self.ends.clear();
        let mut head = [0; HEAD_MAX];
        while self.ends.len() < RUN_COUNT && self.run.len() < RUN_BYTES {
            let Some(tx) = self.machine.render(now, self.ends.len(), &mut head) else { break };
            self.run.extend_from_slice(&head[..tx.head]);
            let at = self.run.len();
            // A block is shorter than a datagram.
            self.run.resize(at + tx.body.len as usize, 0);
            if tx.body.len > 0 {
                read(tx.body, &mut self.run[at..])?;
            }
            self.ends.push(self.run.len());
        }
        let left = self.socket.send(&self.run, &self.ends);
        // After the call, which takes its time: the wait begins now.
        match left.why {
            None => self.machine.sent(clock::now(), left.count),
            Some(Errno::EAGAIN) => {
                self.machine.sent(clock::now(), left.count);
                self.is_full = true;
            }
            // The device has no room, and tells nothing when it has: as if they had been lost on the way.
            Some(Errno::ENOBUFS) => self.machine.sent(clock::now(), self.ends.len()),
            Some(errno @ Errno::EMSGSIZE) => {
                self.machine.sent(clock::now(), left.count);
                self.failed = Some(errno);
            }
            // About what was sent before: this one is sent again when its time comes.
            Some(errno) => {
                self.machine.sent(clock::now(), self.ends.len());
                self.report(errno);
            }
        }
        Ok(())
    }

    /// The network says that a datagram did not arrive. Before the first answer that counts; later only the peer
    /// itself can say that it is gone, and a link that is down for a while may come up again.
    fn report(&mut self, errno: Errno) {
        if self.machine.want().close == Close::WriteHalf {
            // It has the last answer, and is gone.
            self.is_over = true;
        } else if !self.is_answered || errno == Errno::ECONNREFUSED {
            self.failed = Some(errno);
        } else {
            debug!(%errno, "the network reports");
        }
    }

    /// The error of a transfer that is over with `fault`: what the peer said, and what else came.
    pub(in crate::client) fn error(
        &self,
        op: &'static str,
        target: impl fmt::Display,
        fault: Fault,
    ) -> Error {
        let error = match (&self.said, self.failed) {
            (Some(said), _) => {
                Error::new(op, target, format!("the server refused: {}", Shown(said)))
            }
            (None, Some(errno)) => Error::new(op, target, errno),
            (None, None) if !self.is_answered => {
                let (peer, span) = (self.socket.peer(), brief(self.span_us));
                Error::new(op, target, format!("no answer from {peer} within {span}"))
            }
            (None, None) => Error::new(op, target, fault),
        };
        let error = match self.stranger {
            Some(stranger) => error.and(format!("another host answered: {}", stranger.ip())),
            None => error,
        };
        match self.malformed {
            0 => error,
            n => error.and(format!("{n} datagrams were not of the protocol")),
        }
    }
}

/// A transfer that is given up: the peer is told, once, so that it need not wait.
impl<M: Transfer + ?Sized> Drop for Carrier<M> {
    fn drop(&mut self) {
        if self.is_answered && self.machine.want().close != Close::WriteHalf {
            self.machine.abort(Fault::Aborted);
            let _ = self.send(&mut |_, _| Err(io::ErrorKind::Unsupported.into()));
        }
    }
}

impl<M: Transfer + ?Sized> AsFd for Carrier<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
