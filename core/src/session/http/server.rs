//! The server of `http`.

use super::answer;
use super::gather::{Gather, Step};
use super::request::{Request, Verdict};
use super::site::{Lent, Site};
use super::status::Status;
use crate::bytes::first;
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Answer, Digest, DigestKind, Extent, Facts, FileUser, Op, Piece, Refusal};
use crate::session::{Consumed, Out, Session};
use crate::text::Text;
use crate::time::{Instant, Wake};
use crate::want::{Close, Want};
use crate::wire::http::Range;

/// Memory with which a server is of use: the head of a browser's request has 400 to 900 bytes, that of a
/// boot loader 100.
pub const HEAD_MIN: usize = 128;

/// How long input is read behind the last answer, in microseconds.
const DRAIN_US: u64 = 2_000_000;

/// The most input that is read behind the last answer, in bytes.
const DRAIN_MAX: usize = 1 << 20;

/// The largest file of which a client that asks for it gets the digest, in bytes: it takes about a second, for
/// a request of a hundred bytes.
const DIGEST_MAX: u64 = 1 << 30;

/// Serves the files of one client's requests. `B` is the memory for the head of a request: an array, a slice
/// that is lent, or another type. A request with a longer head is refused. It is not used before a
/// request arrives.
#[derive(Debug, Clone)]
pub struct HttpServer<B, S = ()> {
    memory: B,
    site: S,
    request: Request,
    answer: answer::Answer,
    state: State,
    /// The peer will send no more.
    is_last: bool,
}

#[cfg(feature = "defmt")]
impl<B: AsRef<[u8]>, S> defmt::Format for HttpServer<B, S> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "HttpServer {{ memory: {=usize}, request: {}, state: {} }}",
            self.memory.as_ref().len(),
            self.request,
            self.state,
        );
    }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// The head of a request is arriving.
    Head(Gather),
    /// The shell is opening the file.
    Opening,
    /// The file is open, and has this size; the shell is looking at it.
    Examining { size: u64 },
    /// The shell is digesting the file, and has done this much of it.
    Digesting { done: u64 },
    /// The answer is being sent.
    Sending,
    /// The shell is closing the file.
    Closing,
    /// What arrives is dropped until then, so that the last answer is not lost in a reset.
    Draining { until: Instant, left: usize },
    /// Over.
    Done(Result<(), Fault>),
}

impl<B: Lent, S: Site> HttpServer<B, S> {
    /// Will wait for requests.
    pub const fn new(memory: B, site: S) -> Self {
        Self {
            memory,
            site,
            request: Request::NONE,
            answer: answer::Answer::NONE,
            state: State::Head(Gather::START),
            is_last: false,
        }
    }

    /// The name of the requested file, relative to the root, and empty for the root itself.
    pub fn name(&self) -> &[u8] {
        self.request.name(self.memory.as_ref())
    }

    /// The value of a field of the request; of several with this name, that of the first one.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.request.field(self.memory.as_ref(), name)
    }

    /// The head is complete.
    fn requested(&mut self, now: Instant, len: usize) {
        let dot_files = self.site.dot_files();
        self.site.asked(first(self.memory.as_ref(), len));
        match self.request.parse(self.memory.as_mut(), len, dot_files) {
            Ok(()) => self.state = State::Opening,
            Err(status) => self.answer_with(now, status),
        }
    }

    /// The file is open.
    fn examined(&mut self, now: Instant, size: u64, facts: Facts) {
        let whole = Extent { offset: 0, len: size };
        let (status, part) = match self.weigh(size, &facts) {
            Verdict::Send(Range::Whole) => (Status::Ok, whole),
            Verdict::Send(Range::Part { offset, len }) => {
                (Status::PartialContent, Extent { offset, len })
            }
            Verdict::Send(Range::Outside) => (Status::RangeNotSatisfiable, whole),
            Verdict::NotModified => (Status::NotModified, whole),
            Verdict::Failed => (Status::PreconditionFailed, whole),
        };
        (self.answer.size, self.answer.part) = (size, part);
        if self.site.versions() {
            self.answer.facts = facts;
        }
        if self.digests()
            && status.has_file()
            && size <= DIGEST_MAX
            && self.request.wants_digest(self.memory.as_ref())
        {
            self.answer.status = status;
            self.state = State::Digesting { done: 0 };
        } else {
            self.answer_with(now, status);
        }
    }

    /// What the fields of the request make of it.
    fn weigh(&self, size: u64, facts: &Facts) -> Verdict {
        if self.site.versions() {
            self.request.weigh(self.memory.as_ref(), size, facts)
        } else {
            self.request.weigh_alone(self.memory.as_ref(), size)
        }
    }

    /// So much of the file was digested before. A client that asks for a digest also takes an answer without
    /// one.
    fn digested(&mut self, now: Instant, done: u64, answer: Answer) {
        match answer {
            Answer::Digested(bytes) => {
                let done = done.saturating_add(bytes).min(self.answer.size);
                self.state = State::Digesting { done };
            }
            Answer::Digest(Digest::Sha256(digest)) => {
                self.request.keep_digest(self.memory.as_mut(), &digest);
                self.answer_with(now, self.answer.status);
            }
            Answer::Failed(_) => self.answer_with(now, self.answer.status),
            _ => {}
        }
    }

    /// The file cannot be sent. If the client has nothing of the answer yet, it gets the file as it is now, or is told.
    fn failed(&mut self, now: Instant, fault: Fault) {
        if self.answer.sent > 0 || !self.site.versions() {
            self.state = State::Done(Err(fault));
        } else if fault != Fault::Storage(StorageFault::Changed) {
            self.answer_with(now, Status::InternalServerError);
        } else if self.request.opens_again() {
            self.state = State::Opening;
        } else {
            self.answer_with(now, Status::ServiceUnavailable);
        }
    }

    /// Whether digests are offered. Where none are, nothing of them is left in an image.
    fn digests(&self) -> bool {
        self.site.digests().contains(DigestKind::Sha256)
    }

    /// Begins an answer. What it says of a file, if the status has one, is there.
    fn answer_with(&mut self, now: Instant, status: Status) {
        self.answer.status = status;
        self.answer.date = self.site.unix_time(now);
        self.request.keeps &= !self.site.closes();
        let mut text = Text::new(&mut [], 0);
        self.answer.write(&self.request, self.memory.as_ref(), &self.site, &mut text);
        (self.answer.head, self.answer.sent) = (text.len() as u64, 0);
        self.state = State::Sending;
    }

    /// A request that is refused before it is complete: what else arrives is no request.
    fn refuse(&mut self, now: Instant, status: Status) {
        self.request = Request::UNKNOWN;
        self.answer_with(now, status);
    }

    /// The answer was sent.
    fn answered(&mut self, now: Instant) {
        self.site.answered(now, self.answer.status.text(self.site.phrases()), self.answer.sent);
        self.state = if self.request.keeps {
            State::Closing
        } else if self.request.has_more && !self.is_last {
            State::Draining { until: now.after(DRAIN_US), left: DRAIN_MAX }
        } else {
            State::Done(Ok(()))
        };
    }

    /// The connection goes on.
    fn next(&mut self) {
        self.memory.give_back();
        self.state = if self.is_last { State::Done(Ok(())) } else { State::Head(Gather::START) };
    }
}

impl<B: Lent, S: Site> Session for HttpServer<B, S> {
    fn input(&mut self, now: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        match &mut self.state {
            State::Head(gather) => {
                let (taken, step) = gather.take(self.memory.as_mut(), bytes);
                match step {
                    Step::More => {}
                    Step::Whole(len) => self.requested(now, len),
                    Step::Bad(status) => {
                        let have = gather.len();
                        self.site.asked(first(self.memory.as_ref(), have));
                        self.refuse(now, status);
                    }
                }
                Consumed::bytes(taken)
            }
            State::Draining { left, .. } => {
                *left = left.saturating_sub(bytes.len());
                if *left == 0 {
                    self.state = State::Done(Ok(()));
                }
                Consumed::bytes(bytes.len())
            }
            State::Done(_) => Consumed::bytes(bytes.len()),
            State::Opening
            | State::Examining { .. }
            | State::Digesting { .. }
            | State::Sending
            | State::Closing => Consumed::bytes(0),
        }
    }

    fn eof(&mut self, _: Instant) {
        self.is_last = true;
        match self.state {
            State::Head(gather) if gather.is_empty() => self.state = State::Done(Ok(())),
            State::Head(_) => self.abort(Peer::Truncated.into()),
            State::Draining { .. } => self.state = State::Done(Ok(())),
            State::Opening
            | State::Examining { .. }
            | State::Digesting { .. }
            | State::Sending
            | State::Closing
            | State::Done(_) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        if let State::Draining { until, .. } = self.state
            && until <= now
        {
            self.state = State::Done(Ok(()));
        }
    }

    fn want(&self) -> Want {
        // One value that is changed: on a device each constant would be one of 40 bytes.
        let mut want = Want::NOTHING;
        match self.state {
            State::Head(_) => want.read = true,
            State::Opening | State::Examining { .. } | State::Digesting { .. } | State::Closing => {
                want.file = true;
            }
            State::Sending => want.write = true,
            State::Draining { until, .. } => {
                (want.read, want.close, want.wake) = (true, Close::WriteHalf, Wake::At(until));
            }
            State::Done(how) => want.close = Close::Done(how),
        }
        want
    }

    fn abort(&mut self, why: Fault) {
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Done(Err(why));
        }
    }

    fn awaits_request(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    fn rests(&self) -> bool {
        let is_empty = matches!(self.state, State::Head(gather) if gather.is_empty());
        is_empty && self.request.is_one()
    }

    /// A request that has begun is answered with 408. A client that sent nothing is waiting, not late.
    fn expire(&mut self, now: Instant) -> bool {
        let begun = matches!(self.state, State::Head(gather) if !gather.is_empty());
        if let State::Head(gather) = self.state
            && begun
        {
            self.site.asked(first(self.memory.as_ref(), gather.len()));
            self.refuse(now, Status::RequestTimeout);
        }
        begun
    }

    fn file(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<B: Lent, S: Site> FileUser for HttpServer<B, S> {
    fn op(&self) -> Option<Op<'_>> {
        match self.state {
            State::Opening => Some(Op::Open(self.name())),
            State::Examining { .. } if self.site.versions() => Some(Op::Examine),
            State::Digesting { done } if self.digests() => {
                let left = self.answer.size.saturating_sub(done);
                let extent = Extent { offset: done, len: left };
                let kind = DigestKind::Sha256;
                Some(if left == 0 { Op::FinishDigest(kind) } else { Op::Digest { kind, extent } })
            }
            State::Closing => Some(Op::Close),
            State::Head(_)
            | State::Examining { .. }
            | State::Digesting { .. }
            | State::Sending
            | State::Draining { .. }
            | State::Done(_) => None,
        }
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        if let State::Digesting { done } = self.state
            && self.digests()
        {
            return self.digested(now, done, answer);
        }
        match (&self.state, answer) {
            (State::Opening, Answer::Opened(size)) if self.site.versions() => {
                self.state = State::Examining { size };
            }
            (State::Opening, Answer::Opened(size)) => self.examined(now, size, Facts::default()),
            (State::Opening, Answer::Refused(why)) => {
                // A folder is the name with a slash: what is refused with one is none.
                let is_slashed = !self.site.folders() || matches!(self.name(), [] | [.., b'/']);
                let why = match why {
                    Refusal::IsFolder if is_slashed => Refusal::NotFound,
                    why => why,
                };
                self.answer_with(now, Status::of(why));
            }
            (State::Opening, Answer::Failed(_)) => {
                self.answer_with(now, Status::InternalServerError);
            }
            (&State::Examining { size }, Answer::Facts(facts)) if self.site.versions() => {
                self.examined(now, size, facts);
            }
            (&State::Examining { size }, Answer::Failed(_)) if self.site.versions() => {
                self.examined(now, size, Facts::default());
            }
            (State::Sending, Answer::Failed(fault)) => self.failed(now, fault),
            (State::Closing, Answer::Done | Answer::Failed(_)) => self.next(),
            _ => {}
        }
    }

    fn piece(&self, ahead: u64) -> Option<Piece> {
        if !matches!(self.state, State::Sending) {
            return None;
        }
        let answer = &self.answer;
        let at = answer.sent.checked_add(ahead)?;
        if let Some(left) = answer.head.checked_sub(at).filter(|&left| left > 0) {
            return Some(Piece::Head { len: usize::try_from(left).unwrap_or(usize::MAX) });
        }
        let (body, at) = (answer.body(&self.request), at.saturating_sub(answer.head));
        let len = body.len.checked_sub(at).filter(|&len| len > 0)?;
        Some(Piece::File(Extent { offset: body.offset.saturating_add(at), len }))
    }

    fn head(&self, ahead: u64, to: &mut [u8]) -> usize {
        if !matches!(self.state, State::Sending) {
            return 0;
        }
        let at = usize::try_from(self.answer.sent.saturating_add(ahead)).unwrap_or(usize::MAX);
        let mut text = Text::new(to, at);
        self.answer.write(&self.request, self.memory.as_ref(), &self.site, &mut text);
        text.written()
    }

    fn sent(&mut self, now: Instant, bytes: u64) {
        if !matches!(self.state, State::Sending) {
            return;
        }
        let answer = &mut self.answer;
        let all = answer.head.saturating_add(answer.body(&self.request).len);
        debug_assert!(bytes <= all - answer.sent, "more was sent than there was");
        answer.sent = answer.sent.saturating_add(bytes).min(all);
        if answer.sent == all {
            self.answered(now);
        }
    }
}
