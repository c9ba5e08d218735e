//! The server of `files`.

use super::options::{Granted, split_word};
use super::response::{Response, Work};
use super::{FRAME_DEFAULT, NAME_MAX, Options, UNSENT_MAX, header_of};
use crate::bytes::{after, fill, first, put, split};
use crate::fault::{Fault, Peer};
use crate::file::{Answer, Digest, DigestKind, Digests, Extent, FileUser, Op, Piece, Refusal};
use crate::frame::{Cut, HeaderReader, Part};
use crate::session::{Consumed, Out, Session};
use crate::time::Instant;
use crate::want::Want;
use crate::wire::FrameHeader;

/// Sends one file to one client. `B` is the memory for the name with its options: an array, a slice
/// that is lent, or another type. It is not used before a request arrives.
#[derive(Debug, Clone)]
pub struct FilesServer<B> {
    /// The payload of the request.
    memory: B,
    /// The end of the name in the memory.
    name_len: usize,
    /// The options of the answer, once the file is open.
    granted: Granted,
    /// The digests that the shell can compute.
    digests: Digests,
    state: State,
}

#[cfg(feature = "defmt")]
impl<B: AsRef<[u8]>> defmt::Format for FilesServer<B> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "FilesServer {{ memory: {=usize}, name: {=usize}, granted: {}, digests: {}, state: {} }}",
            self.memory.as_ref().len(),
            self.name_len,
            self.granted,
            self.digests,
            self.state,
        );
    }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Inside the header of the request.
    Header(HeaderReader),
    /// Inside the request of `len` bytes: `have < len` of them arrived, and `len` bytes fit.
    Gathering {
        len: usize,
        have: usize,
    },
    /// The shell is opening the file. The request has `len` bytes.
    Opening {
        len: usize,
    },
    /// The answer is being sent, and the shell digests the bytes that its end depends on.
    Answering(Response),
    /// `sent` bytes of the frames were sent.
    Sending {
        sent: u64,
    },
    /// The shell is finishing the digest of the whole file.
    Digesting {
        kind: DigestKind,
    },
    /// `rendered` bytes of the empty frame and of the digest were rendered.
    Ending {
        digest: Digest,
        rendered: usize,
    },
    /// `rendered` bytes of the refusal were rendered.
    Refusing {
        why: Refusal,
        rendered: usize,
    },
    Done(Result<(), Fault>),
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> FilesServer<B> {
    /// Will wait for a request. A request that does not fit into `memory` is refused.
    pub const fn new(memory: B) -> Self {
        Self {
            memory,
            name_len: 0,
            granted: Granted::NONE,
            digests: Digests::ALL,
            state: State::Header(HeaderReader::START),
        }
    }

    /// Will send the file `name` without a request. A name that does not fit into `memory` is refused.
    pub fn pushing(memory: B, name: &[u8]) -> Self {
        let mut server = Self::new(memory);
        server.name_len = fill(server.memory.as_mut(), name);
        server.state = if server.name_len == name.len() {
            State::Opening { len: name.len() }
        } else {
            State::Refusing { why: Refusal::TooLong, rendered: 0 }
        };
        server
    }

    /// Sets the digests that the shell can compute.
    #[must_use]
    pub const fn offering(mut self, digests: Digests) -> Self {
        self.digests = digests;
        self
    }

    /// The requested name. Empty until the request is complete.
    pub fn name(&self) -> &[u8] {
        first(self.memory.as_ref(), self.name_len)
    }

    /// The requested options, and after the file is open the granted ones.
    pub fn options(&self) -> Options {
        match self.state {
            State::Header(_) | State::Gathering { .. } => Options::NONE,
            State::Opening { len } => self.requested(len),
            State::Answering(_)
            | State::Sending { .. }
            | State::Digesting { .. }
            | State::Ending { .. }
            | State::Refusing { .. }
            | State::Done(_) => self.granted.options(),
        }
    }

    /// The options of a request of `len` bytes.
    fn requested(&self, len: usize) -> Options {
        let (_, options) = split_word(first(self.memory.as_ref(), len));
        Options::parse(options)
    }

    /// Takes bytes of the request.
    fn receive(&mut self, mut input: &[u8]) {
        loop {
            match &mut self.state {
                State::Header(header) => {
                    let (header, rest) = header.take(input);
                    let Some(header) = header else { return };
                    input = rest;
                    match usize::try_from(header.len()) {
                        Ok(0) => self.refuse(Refusal::BadName),
                        Ok(len) if len <= self.memory.as_mut().len() => {
                            self.state = State::Gathering { len, have: 0 };
                        }
                        _ => self.refuse(Refusal::TooLong),
                    }
                }
                State::Gathering { len, have } => {
                    let (piece, _) = split(input, *len - *have);
                    *have = put(self.memory.as_mut(), *have, piece);
                    if have == len {
                        let len = *len;
                        self.received(len);
                    }
                    return;
                }
                State::Opening { .. }
                | State::Answering(_)
                | State::Sending { .. }
                | State::Digesting { .. }
                | State::Ending { .. }
                | State::Refusing { .. }
                | State::Done(_) => return,
            }
        }
    }

    /// The request is complete.
    fn received(&mut self, len: usize) {
        let (name, _) = split_word(first(self.memory.as_ref(), len));
        self.name_len = name.len();
        match self.name_len {
            0 => self.refuse(Refusal::BadName),
            1..=NAME_MAX => self.state = State::Opening { len },
            _ => self.refuse(Refusal::TooLong),
        }
    }

    fn refuse(&mut self, why: Refusal) {
        self.state = State::Refusing { why, rendered: 0 };
    }

    /// The file is open: decides which options are granted, as far as that is known.
    fn opened(&mut self, len: usize, size: u64) {
        let (asked, can) = (self.requested(len), self.digests);
        // A copy that is longer than the file is of another file: send from byte 0. The same holds
        // for a copy that cannot be compared.
        let comparable = asked.prefix.is_none_or(|prefix| can.contains(prefix.kind()));
        let from = asked.offset.filter(|&offset| offset <= size && comparable).unwrap_or(0);
        self.granted = Granted {
            size,
            offset: asked.offset.map(|_| from),
            frame: asked.frame.map(|frame| frame.max(Cut::FRAME_MIN)),
            digest: asked.digest.filter(|&kind| can.contains(kind) && from <= UNSENT_MAX),
        };
        let work = Work::of(from, asked.prefix, self.granted.digest);
        let response = Response::new(self.name_len, &self.granted.options(), from, work);
        self.state = State::Answering(response);
    }

    /// The offset of the first byte that is sent.
    fn offset(&self) -> u64 {
        self.granted.offset.unwrap_or(0)
    }

    fn cut(&self) -> Cut {
        let len = self.granted.size.saturating_sub(self.offset());
        Cut::new(len, self.granted.frame.unwrap_or(FRAME_DEFAULT))
    }

    /// The length of the frames: those of the cut, and the empty one if no digest is to be known before it.
    fn frames_len(&self) -> u64 {
        let last = if self.granted.digest.is_none() { FrameHeader::LEN } else { 0 };
        self.cut().wire_len().saturating_add(last as u64)
    }

    /// The part of the frames that begins `ahead` bytes behind the bytes sent so far.
    fn part(&self, ahead: u64) -> Option<Part> {
        let State::Sending { sent } = self.state else { return None };
        let (cut, at) = (self.cut(), sent.checked_add(ahead)?);
        cut.at(at).or_else(|| {
            let from = usize::try_from(at.checked_sub(cut.wire_len())?).ok()?;
            let is_last = self.granted.digest.is_none() && from < FrameHeader::LEN;
            is_last.then_some(Part::Header { header: header_of(0), from })
        })
    }

    /// The frames were sent.
    fn end(&mut self) {
        self.state = match self.granted.digest {
            Some(kind) => State::Digesting { kind },
            None => State::Done(Ok(())),
        };
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Session for FilesServer<B> {
    /// There is one request; input behind it is consumed and dropped.
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        self.receive(bytes);
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {
        match self.state {
            // A client that connects and sends no request checks whether a server listens.
            State::Header(header) if header.is_empty() => self.state = State::Done(Ok(())),
            State::Header(_) | State::Gathering { .. } => self.abort(Peer::Truncated.into()),
            State::Opening { .. }
            | State::Answering(_)
            | State::Sending { .. }
            | State::Digesting { .. }
            | State::Ending { .. }
            | State::Refusing { .. }
            | State::Done(_) => {}
        }
    }

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        match &mut self.state {
            State::Answering(response) => {
                let name = first(self.memory.as_ref(), self.name_len);
                if response.render(name, &self.granted.options(), out) {
                    self.state = State::Sending { sent: 0 };
                    if self.frames_len() == 0 {
                        self.end();
                    }
                }
            }
            State::Ending { digest, rendered } => {
                if render_last(digest.bytes(&mut [0; 4]), out, rendered) {
                    self.state = State::Done(Ok(()));
                }
            }
            State::Refusing { why, rendered } => {
                if render_last(why.text().as_bytes(), out, rendered) {
                    self.state = State::Done(Ok(()));
                }
            }
            State::Header(_)
            | State::Gathering { .. }
            | State::Opening { .. }
            | State::Sending { .. }
            | State::Digesting { .. }
            | State::Done(_) => {}
        }
    }

    fn want(&self) -> Want {
        match self.state {
            State::Header(_) | State::Gathering { .. } => Want::READ,
            State::Answering(response) if response.op().is_some() => Want::FILE,
            State::Opening { .. } | State::Digesting { .. } => Want::FILE,
            State::Answering(_)
            | State::Sending { .. }
            | State::Ending { .. }
            | State::Refusing { .. } => Want::WRITE,
            State::Done(how) => Want::done(how),
        }
    }

    fn abort(&mut self, why: Fault) {
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Done(Err(why));
        }
    }

    fn awaits_request(&self) -> bool {
        matches!(self.state, State::Header(_) | State::Gathering { .. })
    }

    fn file(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> FileUser for FilesServer<B> {
    fn op(&self) -> Option<Op<'_>> {
        match self.state {
            State::Opening { .. } => Some(Op::Open(self.name())),
            State::Answering(response) => response.op(),
            State::Digesting { kind } => Some(Op::FinishDigest(kind)),
            State::Header(_)
            | State::Gathering { .. }
            | State::Sending { .. }
            | State::Ending { .. }
            | State::Refusing { .. }
            | State::Done(_) => None,
        }
    }

    fn answer(&mut self, _: Instant, answer: Answer) {
        match (&mut self.state, answer) {
            (&mut State::Opening { len }, Answer::Opened(size)) => self.opened(len, size),
            (State::Opening { .. }, Answer::Refused(why)) => self.refuse(why),
            (State::Opening { .. }, Answer::Failed(_)) => self.refuse(Refusal::Failed),
            (
                State::Answering(_) | State::Sending { .. } | State::Digesting { .. },
                Answer::Failed(fault),
            ) => self.state = State::Done(Err(fault)),
            (State::Answering(response), answer) => response.answer(answer, &mut self.granted),
            (State::Digesting { .. }, Answer::Digest(digest)) => {
                self.state = State::Ending { digest, rendered: 0 };
            }
            _ => {}
        }
    }

    fn piece(&self, ahead: u64) -> Option<Piece> {
        Some(match self.part(ahead)? {
            Part::Header { header, from } => {
                Piece::Head { len: header.as_bytes().len().saturating_sub(from) }
            }
            Part::Payload { from, len } => {
                Piece::File(Extent { offset: self.offset().saturating_add(from), len: len.into() })
            }
        })
    }

    fn head(&self, ahead: u64, to: &mut [u8]) -> usize {
        match self.part(ahead) {
            Some(Part::Header { header, from }) => fill(to, after(header.as_bytes(), from)),
            Some(Part::Payload { .. }) | None => 0,
        }
    }

    fn sent(&mut self, _: Instant, bytes: u64) {
        let all = self.frames_len();
        let State::Sending { sent } = &mut self.state else { return };
        debug_assert!(bytes <= all - *sent, "more was sent than there was");
        *sent = sent.saturating_add(bytes).min(all);
        if *sent == all {
            self.end();
        }
    }

    fn digests(&self) -> Option<DigestKind> {
        self.granted.digest
    }
}

/// Renders the empty frame and the one behind it. Returns whether all of it was rendered.
fn render_last(payload: &[u8], out: &mut Out<'_>, rendered: &mut usize) -> bool {
    let len = out.text(rendered, |text| {
        text.put(header_of(0).as_bytes());
        text.put(header_of(payload.len()).as_bytes());
        text.put(payload);
    });
    *rendered == len
}

#[cfg(test)]
mod tests;
