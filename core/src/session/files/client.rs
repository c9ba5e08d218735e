//! The client of `files`.

use super::options::split_word;
use super::receive::{Found, Receiver};
use crate::bytes::after;
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Answer, Extent, FileUser, Head, Op};
use crate::session::{Consumed, Out, Session};
use crate::time::Instant;
use crate::want::Want;

/// Requests a file, and lets its shell keep the bytes, by the contract of [`file`](crate::file).
///
/// `B` is the memory for the name with its options, for a reason and for a digest.
#[derive(Debug, Clone)]
pub struct FilesClient<'r, B> {
    /// The rest of the request.
    request: &'r [u8],
    receiver: Receiver<B>,
    state: State,
}

#[cfg(feature = "defmt")]
impl<B: AsRef<[u8]>> defmt::Format for FilesClient<'_, B> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "FilesClient {{ request: {=usize}, receiver: {}, state: {} }}",
            self.request.len(),
            self.receiver,
            self.state,
        );
    }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// The stream is at this part, and the shell does the operation for it.
    At(Found),
    Done(Result<(), Fault>),
}

impl<'r, B: AsRef<[u8]> + AsMut<[u8]>> FilesClient<'r, B> {
    /// Will send `request`, rendered by [`Request`](super::Request). An empty one is for a server that
    /// pushes. If a name in the answer does not fit into `memory`, the fault is [`Fault::Local`].
    pub const fn new(request: &'r [u8], memory: B) -> Self {
        Self { request, receiver: Receiver::new(memory), state: State::At(Found::More) }
    }

    /// The reason of the server if it refused: bytes of the peer, to be escaped before they are
    /// printed.
    pub fn reason(&self) -> Option<&[u8]> {
        match self.state {
            State::At(Found::Refused(len)) => Some(self.receiver.memory(len)),
            State::At(Found::More | Found::Answered(_) | Found::Body(_) | Found::End(_))
            | State::Done(_) => None,
        }
    }

    /// The number of bytes kept so far, with those before the offset.
    pub const fn kept(&self) -> u64 {
        self.receiver.at()
    }

    /// Takes input up to the next operation, as [`Session::input`] does, but does not write
    /// to it. Returns the rest of it, with the bytes of an [`Op::Store`] at its front.
    // Inlined into `input`, this would make images larger.
    #[inline(never)]
    pub fn receive<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let State::At(Found::More) = self.state else { return input };
        let (state, rest) = match self.receiver.find(input) {
            Ok((found, rest)) => (State::At(found), rest),
            Err(fault) => (State::Done(Err(fault)), &[][..]),
        };
        self.state = state;
        rest
    }

    const fn is_done(&self) -> bool {
        matches!(self.state, State::At(Found::Refused(_)) | State::Done(_))
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Session for FilesClient<'_, B> {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        Consumed::bytes(bytes.len() - self.receive(bytes).len())
    }

    fn eof(&mut self, _: Instant) {
        // When only the commit is left, all bytes of the file have arrived.
        if !matches!(self.state, State::At(Found::End(_))) {
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
            State::At(Found::More) => Want { write, ..Want::READ },
            State::At(Found::Answered(_) | Found::Body(_) | Found::End(_)) => {
                Want { write, ..Want::FILE }
            }
            State::At(Found::Refused(_)) => Want::done(Err(Fault::Peer(Peer::Refused))),
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
            State::At(Found::Answered(len)) => Some(Op::Create(Head {
                name: split_word(self.receiver.memory(len)).0,
                size: self.receiver.size(),
                offset: self.receiver.at(),
                digest: self.receiver.digest(),
            })),
            State::At(Found::Body(len)) => {
                Some(Op::Store(Extent { offset: self.receiver.at(), len: len as u64 }))
            }
            State::At(Found::End(len)) => Some(Op::Commit(self.receiver.digest_in(len))),
            State::At(Found::More | Found::Refused(_)) | State::Done(_) => None,
        }
    }

    fn answer(&mut self, _: Instant, answer: Answer) {
        match (&self.state, answer) {
            (State::At(Found::Answered(_)), Answer::Done) => self.state = State::At(Found::More),
            // There is no room for the file, or its name is taken.
            (State::At(Found::Answered(_)), Answer::Refused(_)) => self.abort(Fault::Aborted),
            (State::At(Found::Body(len)), Answer::Kept(kept)) if kept > 0 => {
                debug_assert!(kept <= *len, "more was kept than was offered");
                self.receiver.consume(kept.min(*len));
                self.state = State::At(Found::More);
            }
            // Otherwise the same bytes would be offered again for ever.
            (State::At(Found::Body(_)), Answer::Kept(_)) => self.abort(StorageFault::Failed.into()),
            (State::At(Found::End(_)), Answer::Done) => self.state = State::Done(Ok(())),
            (
                State::At(Found::Answered(_) | Found::Body(_) | Found::End(_)),
                Answer::Failed(fault),
            ) => self.abort(fault),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
