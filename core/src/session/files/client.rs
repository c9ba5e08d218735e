//! The client's end.

use super::name_and_options;
use super::receive::{Found, Receiver};
use crate::bytes::after;
use crate::fault::{Fault, Peer, Storage};
use crate::file::{Answer, Extent, FileUser, Head, Op};
use crate::session::{Consumed, Out, Session};
use crate::time::Instant;
use crate::want::Want;

/// Asks for a file, and has it kept by its shell, as [`file`](crate::file) says.
///
/// `B` is the memory for the name with its options, for a reason and for a digest.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FilesClient<'r, B> {
    /// What is left of the request.
    request: &'r [u8],
    receiver: Receiver<B>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Waits for more of the server's stream.
    Receiving,
    /// The shell finds a place for the file; its name and options are `len` bytes of the memory.
    Creating {
        len: usize,
    },
    /// The shell keeps the next `len` bytes of the input.
    Storing {
        len: usize,
    },
    /// The shell compares the digest, which is `len` bytes of the memory, and makes the file valid.
    Committing {
        len: usize,
    },
    /// The reason of the server's refusal is `len` bytes of the memory.
    Refused {
        len: usize,
    },
    Done(Result<(), Fault>),
}

impl<'r, B: AsRef<[u8]> + AsMut<[u8]>> FilesClient<'r, B> {
    /// Will send `request`, as a [`Request`](super::Request) rendered it; nothing, to a server that
    /// pushes. A name that does not fit into `memory` ends in [`Fault::Local`].
    pub const fn new(request: &'r [u8], memory: B) -> Self {
        Self { request, receiver: Receiver::new(memory), state: State::Receiving }
    }

    /// Why the server refused, if it did: the peer's words, not to be shown as they are.
    pub fn reason(&self) -> Option<&[u8]> {
        match self.state {
            State::Refused { len } => Some(self.receiver.memory(len)),
            State::Receiving
            | State::Creating { .. }
            | State::Storing { .. }
            | State::Committing { .. }
            | State::Done(_) => None,
        }
    }

    /// Bytes of the file that are kept so far, those before the offset included.
    pub const fn kept(&self) -> u64 {
        self.receiver.at()
    }

    /// Takes input up to the next operation. How much of it is left.
    fn receive(&mut self, input: &[u8]) -> usize {
        let State::Receiving = self.state else { return input.len() };
        match self.receiver.find(input) {
            Ok((found, rest)) => {
                self.state = match found {
                    Found::More => State::Receiving,
                    Found::Answered(len) => State::Creating { len },
                    Found::Refused(len) => State::Refused { len },
                    Found::Body(len) => State::Storing { len },
                    Found::End(len) => State::Committing { len },
                };
                rest.len()
            }
            Err(fault) => {
                self.state = State::Done(Err(fault));
                0
            }
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self.state, State::Refused { .. } | State::Done(_))
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Session for FilesClient<'_, B> {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        Consumed::bytes(bytes.len() - self.receive(bytes))
    }

    fn eof(&mut self, _: Instant) {
        // All that the file needs has come when there is nothing left but to commit it.
        if !matches!(self.state, State::Committing { .. }) {
            self.abort(Peer::Truncated.into());
        }
    }

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        if !self.is_done() {
            self.request = after(self.request, out.put(self.request));
        }
    }

    fn want(&self) -> Want {
        let write = !self.request.is_empty();
        match self.state {
            State::Receiving => Want { write, ..Want::READ },
            State::Creating { .. } | State::Storing { .. } | State::Committing { .. } => {
                Want { write, ..Want::FILE }
            }
            State::Refused { .. } => Want::done(Err(Fault::Peer(Peer::Refused))),
            State::Done(how) => Want::done(how),
        }
    }

    fn abort(&mut self, why: Fault) {
        if !self.is_done() {
            self.state = State::Done(Err(why));
        }
    }

    fn file(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> FileUser for FilesClient<'_, B> {
    fn op(&self) -> Option<Op<'_>> {
        match self.state {
            State::Creating { len } => Some(Op::Create(Head {
                name: name_and_options(self.receiver.memory(len)).0,
                size: self.receiver.size(),
                offset: self.receiver.at(),
                digest: self.receiver.digest(),
            })),
            State::Storing { len } => {
                Some(Op::Store(Extent { offset: self.receiver.at(), len: len as u64 }))
            }
            State::Committing { len } => Some(Op::Commit(self.receiver.digest_in(len))),
            State::Receiving | State::Refused { .. } | State::Done(_) => None,
        }
    }

    fn answer(&mut self, _: Instant, answer: Answer) {
        match (&self.state, answer) {
            (State::Creating { .. }, Answer::Done) => self.state = State::Receiving,
            (State::Storing { len }, Answer::Kept(kept)) if kept > 0 => {
                debug_assert!(kept <= *len, "more was kept than was offered");
                self.receiver.consume(kept.min(*len));
                self.state = State::Receiving;
            }
            // It would be offered the same again, for ever.
            (State::Storing { .. }, Answer::Kept(_)) => self.abort(Storage::Failed.into()),
            (State::Committing { .. }, Answer::Done) => self.state = State::Done(Ok(())),
            (
                State::Creating { .. } | State::Storing { .. } | State::Committing { .. },
                Answer::Failed(fault),
            ) => self.abort(fault),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
