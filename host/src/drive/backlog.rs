//! The part of a connection that it has only at times: bytes that could not be passed on.

use super::buffer::Buffer;
use super::files::{Late, OpenFile};
use super::pace::Pace;

/// Output that the socket did not take, input that the session did not take. The size of each is
/// bounded by the buffers it came from, since nothing is read while there is any.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) output: Buffer,
    pub(super) input: Buffer,
    /// The file that a session sends.
    pub(super) file: Option<OpenFile>,
    /// The state of the request to a helper.
    pub(super) late: Late,
    /// How fast the peer takes its output, after the socket was full.
    pub(super) pace: Option<Pace>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.output.is_empty()
            && self.input.is_empty()
            && self.file.is_none()
            && matches!(self.late, Late::Nothing)
    }
}

/// Spare backlogs, so that a slow reader costs no allocation after the first.
#[derive(Debug, Default)]
pub(super) struct Spare(
    #[expect(clippy::vec_box, reason = "they move to connections and back")] Vec<Box<Backlog>>,
);

/// The largest number of spare backlogs, for as many downloads at the same time. They take half a MiB; the memory of more
/// clients is freed when they leave.
const SPARE_MAX: usize = 1024;

/// The largest number of those that keep the memory of their buffers.
const BUFFERS_MAX: usize = 16;

const _: () = assert!(size_of::<Backlog>() * SPARE_MAX <= 512 * 1024);

impl Spare {
    pub(super) fn take(&mut self) -> Box<Backlog> {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give_back(&mut self, backlog: Option<Box<Backlog>>) {
        if let Some(mut backlog) = backlog
            && self.0.len() < SPARE_MAX
        {
            for buffer in [&mut backlog.output, &mut backlog.input] {
                buffer.consume(usize::MAX);
                if self.0.len() >= BUFFERS_MAX {
                    *buffer = Buffer::default();
                }
            }
            backlog.file = None;
            backlog.late = Late::Nothing;
            backlog.pace = None;
            self.0.push(backlog);
        }
    }
}
