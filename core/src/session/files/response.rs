//! The answer to a request, which begins before the work for its end is done.
//!
//! ```text
//!   header name NUL size frame digest │ wait NUL . . . . . NUL │ offset
//!   at once                           │ a dot for each step    │ when the work is done
//! ```
//!
//! A client that sends a request and closes looks like a client that half-closed, and a client
//! that half-closed gets its answer. The kernel of a client that is gone answers with a
//! reset, and the shell ends the work. So the server sends something before the work and during it.

use super::options::{Granted, STEPS_MAX};
use super::{Options, PREFIX_WINDOW, UNSENT_MAX, header_of};
use crate::bytes::first_mut;
use crate::file::{Answer, Digest, DigestKind, Extent, Op};
use crate::session::Out;
use crate::text::Text;
use crate::wire::FrameHeader;

/// An answer, partly sent.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Response {
    /// Bytes of the answer that were rendered.
    rendered: usize,
    /// Bytes of the answer before the dots.
    known: usize,
    /// The requested offset, if it is in the file.
    from: u64,
    work: Work,
    /// Bytes that were digested.
    worked: u64,
    /// Dots in the answer.
    steps: u8,
}

/// The work of the shell before the answer is complete.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Work {
    /// Digest the last bytes before the offset, to compare the digest with `prefix`; digested up to
    /// `done`.
    Check { done: u64, prefix: Digest },
    /// Finish that digest.
    Compare { prefix: Digest },
    /// Digest every byte before the offset; `done` bytes so far. The bytes that are sent are
    /// digested after them.
    Prepare { done: u64, kind: DigestKind },
    /// None, or none any more.
    Done,
}

/// The number of digested bytes for each dot: about a tenth of a second.
const STEP: u64 = 128 << 20;

const _: () = assert!((UNSENT_MAX + PREFIX_WINDOW) / STEP < STEPS_MAX as u64);

impl Work {
    /// For an offset of `from`. With `digest`, the whole file is to be digested.
    pub(super) const fn of(from: u64, prefix: Option<Digest>, digest: Option<DigestKind>) -> Self {
        match (prefix, digest) {
            _ if from == 0 => Self::Done,
            (Some(prefix), _) => Self::Check { done: from.saturating_sub(PREFIX_WINDOW), prefix },
            (None, Some(kind)) => Self::Prepare { done: 0, kind },
            (None, None) => Self::Done,
        }
    }
}

impl Response {
    /// For an offset of `from`, whether or not the prefix agrees.
    pub(super) fn new(name_len: usize, options: &Options, from: u64, work: Work) -> Self {
        let most = match work {
            Work::Check { done, .. } if from <= UNSENT_MAX => (from - done).saturating_add(from),
            Work::Check { done, .. } | Work::Prepare { done, .. } => from - done,
            Work::Compare { .. } | Work::Done => 0,
        };
        let steps = u8::try_from(most / STEP).unwrap_or(STEPS_MAX).min(STEPS_MAX);
        let known = options.write_around(steps, from, &mut Text::new(&mut [], 0));
        let known = FrameHeader::LEN.saturating_add(name_len + 1 + known);
        Self { rendered: 0, known, from, work, worked: 0, steps }
    }

    /// The next operation of the shell. `None` if there is something to render first.
    pub(super) fn op(&self) -> Option<Op<'static>> {
        if self.rendered < self.ready() {
            return None;
        }
        let (done, kind) = match self.work {
            Work::Check { done, prefix } => (done, prefix.kind()),
            Work::Compare { prefix } => return Some(Op::FinishDigest(prefix.kind())),
            Work::Prepare { done, kind } => (done, kind),
            Work::Done => return None,
        };
        let len = self.from.saturating_sub(done).min(STEP - self.worked % STEP);
        Some(Op::Digest { kind, extent: Extent { offset: done, len } })
    }

    /// Takes the answer to [`op`](Self::op).
    pub(super) fn answer(&mut self, answer: Answer, granted: &mut Granted) {
        let from = self.from;
        match (&mut self.work, answer) {
            (Work::Check { done, prefix }, Answer::Digested(bytes)) => {
                self.worked = self.worked.saturating_add(bytes);
                *done = done.saturating_add(bytes).min(from);
                if *done == from {
                    self.work = Work::Compare { prefix: *prefix };
                }
            }
            (Work::Compare { prefix }, Answer::Digest(digest)) => {
                let from = if *prefix == digest { from } else { 0 };
                self.work = Work::of(from, None, granted.digest);
                granted.offset = Some(from);
            }
            (Work::Prepare { done, .. }, Answer::Digested(bytes)) => {
                self.worked = self.worked.saturating_add(bytes);
                *done = done.saturating_add(bytes).min(from);
                if *done == from {
                    self.work = Work::Done;
                }
            }
            _ => {}
        }
    }

    /// Renders the part that is known. Returns whether the answer is complete.
    pub(super) fn render(&mut self, name: &[u8], options: &Options, out: &mut Out<'_>) -> bool {
        let mut text = Text::new(&mut [], 0);
        options.write_around(self.steps, self.from, &mut text);
        let payload = name.len().saturating_add(1 + text.len());
        let is_known = matches!(self.work, Work::Done);
        let ready = if is_known { FrameHeader::LEN.saturating_add(payload) } else { self.ready() };
        let ahead = ready.saturating_sub(self.rendered);
        let room = out.window();
        let mut text = Text::new(first_mut(room, ahead), self.rendered);
        text.put(header_of(payload).as_bytes());
        text.put(name);
        text.put(&[0]);
        options.write_around(self.steps, self.from, &mut text);
        let written = text.written();
        out.advance(written);
        self.rendered = self.rendered.saturating_add(written);
        is_known && self.rendered == ready
    }

    /// The length of the part that is known while there is work.
    fn ready(&self) -> usize {
        let dots = usize::try_from(self.worked / STEP).unwrap_or(usize::MAX);
        self.known.saturating_add(dots.min(self.steps.into()))
    }
}
