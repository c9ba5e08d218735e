//! The answer to a request, which begins before the work that its end depends on is done.
//!
//! ```text
//!   header name NUL size frame digest │ wait NUL . . . . . NUL │ offset
//!   at once                           │ a dot for each step    │ when the work is done
//! ```
//!
//! A client that sends a request and closes has only half-closed, as far as TCP can tell, and a client
//! that half-closed is to get its answer. What is sent to a client that is gone is answered with a
//! reset, and the shell ends the work: so something is sent before the work, and during it.

use super::options::{OPTIONS_MAX, STEPS_MAX};
use super::server::{len_of, put};
use super::{Digest, Extent, Options, PREFIX_WINDOW, UNSENT_MAX};
use crate::session::Out;
use crate::wire::FrameHeader;
use zerocopy::IntoBytes;

/// An answer on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// Bytes of it that have been rendered.
    rendered: usize,
    /// The offset that was asked for, if the file has it.
    from: u64,
    work: Work,
    /// Bytes that were digested.
    worked: u64,
    /// Dots in the answer.
    steps: u8,
}

/// What the shell digests before the answer is complete.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// The end of what is before the offset, up to `done` so far, to be compared with the client's.
    Check { done: u64, prefix: Digest },
    /// All that is before the offset, `done` bytes so far. What is sent is digested after it.
    Prepare { done: u64 },
    /// Nothing, or nothing more.
    Done,
}

/// A dot is sent for so many bytes that are digested: about a tenth of a second.
const STEP: u64 = 128 << 20;

const _: () = assert!((UNSENT_MAX + PREFIX_WINDOW) / STEP < STEPS_MAX as u64);

impl Work {
    /// For an offset of `from`. With `digest`, the whole file is to be digested.
    pub(super) fn of(from: u64, prefix: Option<Digest>, digest: bool) -> Self {
        match prefix {
            Some(prefix) if from > 0 => {
                Self::Check { done: from.saturating_sub(PREFIX_WINDOW), prefix }
            }
            _ if from > 0 && digest => Self::Prepare { done: 0 },
            _ => Self::Done,
        }
    }
}

impl Answer {
    /// For an offset of `from`, whether or not it turns out to be good.
    pub(super) fn new(from: u64, work: Work) -> Self {
        let most = match work {
            Work::Check { done, .. } if from <= UNSENT_MAX => from - done + from,
            Work::Check { done, .. } | Work::Prepare { done } => from - done,
            Work::Done => 0,
        };
        let steps = u8::try_from(most / STEP).unwrap_or(STEPS_MAX).min(STEPS_MAX);
        Self { rendered: 0, from, work, worked: 0, steps }
    }

    /// What the shell is to digest next. `None` when there is something to render first.
    pub(super) fn task(&self, name_len: usize, options: &Options) -> Option<Extent> {
        let (Work::Check { done, .. } | Work::Prepare { done }) = self.work else { return None };
        let (_, _, ready) = self.text(options);
        if self.rendered < FrameHeader::LEN + name_len + 1 + ready {
            return None;
        }
        let len = (self.from - done).min(STEP - self.worked % STEP);
        Some(Extent { offset: done, len })
    }

    /// So many bytes more were digested.
    pub(super) fn worked(&mut self, bytes: u64, so_far: &Digest, options: &mut Options) {
        self.worked = self.worked.saturating_add(bytes);
        let from = self.from;
        match &mut self.work {
            Work::Check { done, prefix } => {
                *done = done.saturating_add(bytes).min(from);
                if *done == from {
                    let same = *prefix == *so_far;
                    self.work = Work::of(if same { from } else { 0 }, None, options.digest);
                    options.offset = Some(if same { from } else { 0 });
                }
            }
            Work::Prepare { done } => {
                *done = done.saturating_add(bytes).min(from);
                if *done == from {
                    self.work = Work::Done;
                }
            }
            Work::Done => {}
        }
    }

    /// Renders what is known by now. Whether the answer is complete with it.
    pub(super) fn render(&mut self, name: &[u8], options: &Options, out: &mut Out<'_>) -> bool {
        let (text, len, ready) = self.text(options);
        let header = FrameHeader::new(len_of(name.len() + 1 + len));
        let parts = [header.as_bytes(), name, &[0], &text[..ready]];
        put(out, &mut self.rendered, parts) && matches!(self.work, Work::Done)
    }

    /// The options, their length, and how much of them is known by now.
    fn text(&self, options: &Options) -> ([u8; OPTIONS_MAX], usize, usize) {
        let mut text = [0; OPTIONS_MAX];
        let rendered = options.render_around(self.steps, self.from, &mut text);
        let ready = match self.work {
            Work::Done => rendered.len,
            Work::Check { .. } | Work::Prepare { .. } => {
                let dots = usize::try_from(self.worked / STEP).unwrap_or(usize::MAX);
                rendered.known + dots.min(self.steps.into())
            }
        };
        (text, rendered.len, ready)
    }
}
