//! The server's end.

use super::answer::{Answer, Work};
use super::{
    Digest, Extent, FRAME_DEFAULT, FileSender, NAME_MAX, Options, Piece, REQUEST_MAX, Refusal,
    Task, UNSENT_MAX,
};
use crate::fault::{Fault, Peer};
use crate::frame::{Cut, Part};
use crate::session::{Out, Session, Took};
use crate::time::Instant;
use crate::want::Want;
use crate::wire::FrameHeader;
use zerocopy::IntoBytes;

/// Sends one file to one client. `N` bounds the name with its options, in bytes.
#[derive(Debug, Clone)]
pub struct FilesServer<const N: usize = REQUEST_MAX> {
    /// The payload of the request.
    request: [u8; N],
    /// Where the name ends. Invariant: `name_len <= N`.
    name_len: usize,
    /// Those of the request until the file is open, and then those of the answer.
    options: Options,
    /// Of the file.
    size: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// `have` bytes of the request came, its header included.
    Asked {
        header: [u8; FrameHeader::LEN],
        have: usize,
    },
    /// The shell opens the file.
    Opening,
    /// The answer leaves, and the shell digests what the end of it depends on.
    Answering(Answer),
    /// `sent` bytes of the cut have left.
    Sending {
        sent: u64,
    },
    /// The shell says what the digest is.
    Digesting,
    Ending {
        digest: Option<Digest>,
        rendered: usize,
    },
    Refusing {
        why: Refusal,
        rendered: usize,
    },
    Done(Result<(), Fault>),
}

impl<const N: usize> Default for FilesServer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> FilesServer<N> {
    /// Waits for a request.
    pub const fn new() -> Self {
        let state = State::Asked { header: [0; FrameHeader::LEN], have: 0 };
        Self { request: [0; N], name_len: 0, options: NO_OPTIONS, size: 0, state }
    }

    /// Sends the file `name` unasked. A name longer than `N` is refused to the peer.
    pub fn pushing(name: &[u8]) -> Self {
        let mut server = Self::new();
        server.state = match server.request.get_mut(..name.len()) {
            Some(room) => {
                room.copy_from_slice(name);
                server.name_len = name.len();
                State::Opening
            }
            None => State::Refusing { why: Refusal::TooLong, rendered: 0 },
        };
        server
    }

    /// The name that was asked for. Empty until the request is whole.
    pub fn name(&self) -> &[u8] {
        self.request.get(..self.name_len).unwrap_or_default()
    }

    /// What was asked, and when the file is open, what is done of it.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Takes bytes of the request. How many.
    fn ask(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let State::Asked { header, have } = &mut self.state
            && let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty())
        {
            let into = have.checked_sub(FrameHeader::LEN);
            let (to, wanted) = match into {
                None => (&mut header[*have..], FrameHeader::LEN - *have),
                Some(into) => {
                    let len = FrameHeader::from(*header).len() as usize;
                    (&mut self.request[into..len], len - into)
                }
            };
            let n = wanted.min(rest.len());
            to[..n].copy_from_slice(&rest[..n]);
            *have += n;
            taken += n;
            let (header, have) = (*header, *have);
            if have >= FrameHeader::LEN {
                match usize::try_from(FrameHeader::from(header).len()) {
                    Ok(len) if len <= N => {
                        if have == FrameHeader::LEN + len {
                            self.asked(len);
                        }
                    }
                    _ => self.refuse(Refusal::TooLong),
                }
            }
        }
        taken
    }

    /// The request is whole.
    fn asked(&mut self, len: usize) {
        let request = &self.request[..len];
        let (name, options) = match request.iter().position(|&byte| byte == 0) {
            Some(nul) => (&request[..nul], &request[nul + 1..]),
            None => (request, &[][..]),
        };
        self.name_len = name.len();
        self.options = Options::parse(options);
        self.state = match name.len() {
            0 => State::Refusing { why: Refusal::BadName, rendered: 0 },
            1..=NAME_MAX => State::Opening,
            _ => State::Refusing { why: Refusal::TooLong, rendered: 0 },
        };
    }

    fn refuse(&mut self, why: Refusal) {
        self.state = State::Refusing { why, rendered: 0 };
    }

    /// The file is open: what is done of what was asked, as far as that is known by now.
    fn answer(&mut self) {
        let asked = self.options;
        // A copy that is longer than the file is of another file: it begins anew.
        let from = asked.offset.filter(|&offset| offset <= self.size).unwrap_or(0);
        self.options = Options {
            size: Some(self.size),
            offset: asked.offset.map(|_| from),
            frame: asked.frame.map(|frame| frame.max(Cut::FRAME_MIN)),
            prefix: None,
            digest: asked.digest && from <= UNSENT_MAX,
        };
        let work = Work::of(from, asked.prefix, self.options.digest);
        self.state = State::Answering(Answer::new(from, work));
    }

    fn offset(&self) -> u64 {
        self.options.offset.unwrap_or(0)
    }

    fn cut(&self) -> Cut {
        Cut::new(self.size - self.offset(), self.options.frame.unwrap_or(FRAME_DEFAULT))
    }

    /// The file is sent.
    fn end(&mut self) {
        self.state = if self.options.digest {
            State::Digesting
        } else {
            State::Ending { digest: None, rendered: 0 }
        };
    }
}

const NO_OPTIONS: Options =
    Options { frame: None, offset: None, prefix: None, digest: false, size: None };

impl<const N: usize> Session for FilesServer<N> {
    /// One request; what comes behind it is taken and forgotten.
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Took {
        let _ = self.ask(bytes);
        Took::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {
        match self.state {
            // Who connects and asks for nothing has a look whether somebody listens.
            State::Asked { have: 0, .. } => self.state = State::Done(Ok(())),
            State::Asked { .. } => self.state = State::Done(Err(Peer::Truncated.into())),
            State::Opening
            | State::Answering(_)
            | State::Sending { .. }
            | State::Digesting
            | State::Ending { .. }
            | State::Refusing { .. }
            | State::Done(_) => {}
        }
    }

    fn space(&mut self, _: Instant, out: &mut Out<'_>) {
        match &mut self.state {
            State::Answering(answer) => {
                let name = &self.request[..self.name_len];
                if answer.render(name, &self.options, out) {
                    self.state = State::Sending { sent: 0 };
                    if self.cut().wire_len() == 0 {
                        self.end();
                    }
                }
            }
            State::Ending { digest, rendered } => {
                let digest = digest.as_ref().map_or(&[][..], |digest| digest);
                let header = FrameHeader::new(len_of(digest.len()));
                let header = if digest.is_empty() { &[] } else { header.as_bytes() };
                if put(out, rendered, [EMPTY.as_bytes(), header, digest, &[]]) {
                    self.state = State::Done(Ok(()));
                }
            }
            State::Refusing { why, rendered } => {
                let why = why.text().as_bytes();
                let header = FrameHeader::new(len_of(why.len()));
                if put(out, rendered, [EMPTY.as_bytes(), header.as_bytes(), why, &[]]) {
                    self.state = State::Done(Ok(()));
                }
            }
            State::Asked { .. }
            | State::Opening
            | State::Sending { .. }
            | State::Digesting
            | State::Done(_) => {}
        }
    }

    fn tick(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        match self.state {
            State::Asked { .. } => Want::READ,
            State::Opening
            | State::Answering(_)
            | State::Sending { .. }
            | State::Digesting
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
        matches!(self.state, State::Asked { .. })
    }

    fn file_sender(&mut self) -> Option<&mut dyn FileSender> {
        Some(self)
    }
}

impl<const N: usize> FileSender for FilesServer<N> {
    fn task(&self) -> Task<'_> {
        match self.state {
            State::Opening => Task::Open(self.name()),
            State::Answering(answer) => {
                answer.task(self.name_len, &self.options).map_or(Task::Render, Task::Digest)
            }
            State::Sending { .. } => Task::Send { digest: self.options.digest },
            State::Digesting => Task::Digest(Extent { offset: self.size, len: 0 }),
            State::Asked { .. }
            | State::Ending { .. }
            | State::Refusing { .. }
            | State::Done(_) => Task::Render,
        }
    }

    fn opened(&mut self, _: Instant, file: Result<u64, Refusal>) {
        if !matches!(self.state, State::Opening) {
            return;
        }
        match file {
            Err(why) => self.refuse(why),
            Ok(size) => {
                self.size = size;
                self.answer();
            }
        }
    }

    fn digested(&mut self, _: Instant, bytes: u64, so_far: &Digest) {
        match &mut self.state {
            State::Answering(answer) => answer.worked(bytes, so_far, &mut self.options),
            State::Digesting => {
                self.state = State::Ending { digest: Some(*so_far), rendered: 0 };
            }
            State::Asked { .. }
            | State::Opening
            | State::Sending { .. }
            | State::Ending { .. }
            | State::Refusing { .. }
            | State::Done(_) => {}
        }
    }

    fn piece(&self, ahead: u64) -> Option<Piece> {
        let State::Sending { sent } = self.state else { return None };
        Some(match self.cut().at(sent.checked_add(ahead)?)? {
            Part::Header { header, from } => Piece::Header { header, from },
            Part::Payload { from, len } => {
                Piece::File(Extent { offset: self.offset() + from, len: len.into() })
            }
        })
    }

    fn sent(&mut self, _: Instant, bytes: u64) {
        let all = self.cut().wire_len();
        let State::Sending { sent } = &mut self.state else { return };
        debug_assert!(bytes <= all - *sent, "more was sent than there was");
        *sent = sent.saturating_add(bytes).min(all);
        if *sent == all {
            self.end();
        }
    }
}

const EMPTY: FrameHeader = FrameHeader::new(0);

/// A length of at most `REQUEST_MAX` or so.
pub(super) fn len_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Puts what fits of `parts`, of which `rendered` bytes have gone. Whether all have gone now.
pub(super) fn put(out: &mut Out<'_>, rendered: &mut usize, parts: [&[u8]; 4]) -> bool {
    let mut skip = *rendered;
    for part in parts {
        let rest = part.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(part.len());
        let n = out.put(rest);
        *rendered += n;
        if n < rest.len() {
            return false;
        }
    }
    true
}
