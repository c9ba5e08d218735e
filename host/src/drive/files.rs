//! Files that a session sends, whatever carries them: opened, read and digested, at once or later.
//!
//! ```text
//!   from the page cache   preadv2(RWF_NOWAIT) ──▶ │hdr│ 4096 │hdr│ 4096 │ …
//!   from anywhere else    helper: preadv ──▶ answer ──▶ the same place
//! ```
//!
//! A thread or process with one connection reads as it comes, and waits. An event loop has helpers, and
//! reads nothing itself that could make it wait: [`Found::Later`] means that a helper was asked, and the
//! job has a turn when the answer has come.

use std::fs::File;
use std::io::IoSliceMut;
use std::sync::Arc;

use tracing::{debug, warn};
use windlass_core::fault::Fault;
use windlass_core::file::{Digest, DigestKind, Refusal};

use super::helpers::{Helpers, Ticket};
use crate::digest::Hasher;
use crate::printable::words;
use crate::sys::Errno;
use crate::sys::read_file::{is_in_memory, read_at, read_cached};
use crate::sys::root::Root;

/// What is asked for now, and is there or comes later.
pub(super) enum Found<T> {
    Now(T),
    Later,
}

/// What a job waits for, or has got.
#[derive(Debug, Default)]
pub(super) enum Late {
    /// Nothing.
    #[default]
    Nothing,
    /// A helper was asked.
    Asked(#[expect(dead_code, reason = "without it the work is not done")] Ticket),
    /// It has answered.
    Came(Answer),
}

/// How a job waits: for what it asked, and for whom it asks. Without helpers it reads itself.
pub(super) struct Waits<'a> {
    pub(super) late: &'a mut Late,
    pub(super) helpers: Option<&'a Helpers<Answer>>,
}

/// What a helper has done.
#[derive(Debug)]
pub enum Answer {
    /// A file and its size, or why there is none for the peer.
    Opened(Opened),
    /// The bytes of a file from this offset on; fewer than were asked for if it ends there.
    Read(u64, Result<Vec<u8>, Errno>),
}

/// A file and its size, or why there is none for the peer.
type Opened = Result<(File, u64), Refusal>;

/// A file that is being sent.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: Arc<File>,
    how: How,
    /// What of it was digested, if anything was, and where that ends.
    digest: Option<Hasher>,
    digested_to: u64,
    /// The file system has no `sendfile(2)`.
    pub(super) by_hand: bool,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As it comes: waiting holds up no other connection, or the file is in memory.
    AtOnce,
    /// What is in the page cache at once, the rest by helpers.
    IfCached,
    /// By helpers: the kernel does not say what of it is cached.
    Later,
}

/// Bytes that a helper reads at most: as many as a loop has room for.
const BLOCK: usize = 128 * 1024;

impl Late {
    /// The answer, if it has come.
    fn take(&mut self) -> Option<Answer> {
        match std::mem::take(self) {
            Self::Came(answer) => Some(answer),
            asked => {
                *self = asked;
                None
            }
        }
    }
}

/// Opens the file of this name.
pub(super) fn open(
    root: Option<&Arc<Root>>,
    name: &[u8],
    Waits { late, helpers }: Waits<'_>,
) -> Found<Result<(OpenFile, u64), Refusal>> {
    let opened = match (late.take(), root, helpers) {
        (Some(Answer::Opened(opened)), ..) => opened,
        (_, None, _) => Err(Refusal::Failed),
        (_, Some(root), None) => root.file(name),
        (_, Some(root), Some(helpers)) => {
            let Some(opened) = root.file_at_once(name) else {
                let (root, name) = (Arc::clone(root), name.to_vec());
                *late = Late::Asked(helpers.ask(move || Answer::Opened(root.file(&name))));
                return Found::Later;
            };
            opened
        }
    };
    let name = words(name);
    match &opened {
        Ok((_, size)) => debug!(%name, size, "a file is sent"),
        Err(refusal) => debug!(%name, "a file is refused: {refusal}"),
    }
    let how = if helpers.is_some() { How::IfCached } else { How::AtOnce };
    Found::Now(opened.map(|(file, size)| {
        let file = Arc::new(file);
        (OpenFile { file, how, digest: None, digested_to: 0, by_hand: false }, size)
    }))
}

impl OpenFile {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Reads from `offset` on into several places. How many bytes that is: fewer than there is room for
    /// where the file ends, or where the page cache has no more. At least one.
    pub(super) fn read(
        &mut self,
        offset: u64,
        into: &mut [IoSliceMut<'_>],
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        let read = match waits.late.take() {
            Some(Answer::Read(at, read)) if at == offset => read.map(|bytes| scatter(&bytes, into)),
            _ => match self.read_cached(offset, into) {
                None => {
                    let room = into.iter().map(|place| place.len()).sum();
                    return Ok(self.ask(offset, room, waits));
                }
                Some(read) => read,
            },
        };
        match read.map_err(unreadable)? {
            0 => Err(shorter()),
            n => Ok(Found::Now(n)),
        }
    }

    /// How many bytes, of `wanted` from `offset` on, are there without waiting.
    pub(super) fn cached(
        &mut self,
        offset: u64,
        wanted: usize,
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        let mut cached = 0;
        // The kernel reads ahead in steps of this size: the ends of a step tell of what is between them.
        while self.how != How::AtOnce && cached < wanted {
            let step = (wanted - cached).min(BLOCK);
            for at in [cached, cached + step - 1] {
                match self.read_cached(offset + at as u64, &mut [IoSliceMut::new(&mut [0])]) {
                    Some(read) => drop(read.map_err(unreadable)?),
                    None if cached > 0 => return Ok(Found::Now(cached)),
                    None => return Ok(self.ask(offset, wanted, waits)),
                }
            }
            cached += step;
        }
        Ok(Found::Now(wanted))
    }

    /// Whether what is sent next is read first: no call moves it from the file to a socket.
    pub(super) fn is_read(&self, late: &Late) -> bool {
        self.by_hand || self.how == How::Later || matches!(late, Late::Came(_))
    }

    /// What can be read without waiting; `None` if nothing can.
    fn read_cached(
        &mut self,
        offset: u64,
        into: &mut [IoSliceMut<'_>],
    ) -> Option<Result<usize, Errno>> {
        if self.how == How::IfCached {
            match read_cached(&self.file, offset, into) {
                Err(Errno::EAGAIN) => return None,
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                    self.how = if is_in_memory(&self.file) { How::AtOnce } else { How::Later };
                }
                read => return Some(read),
            }
        }
        (self.how == How::AtOnce).then(|| read_at(&self.file, offset, into))
    }

    /// Has a helper read. Only a loop that has helpers finds that it would have to wait.
    fn ask(&self, offset: u64, len: usize, Waits { late, helpers }: Waits<'_>) -> Found<usize> {
        let (file, len) = (Arc::clone(&self.file), len.min(BLOCK));
        let work = move || {
            let mut bytes = vec![0; len];
            let read = read_at(&file, offset, &mut [IoSliceMut::new(&mut bytes)]);
            Answer::Read(
                offset,
                read.map(|n| {
                    bytes.truncate(n);
                    bytes
                }),
            )
        };
        *late = match helpers {
            Some(helpers) => Late::Asked(helpers.ask(work)),
            None => Late::Came(work()),
        };
        Found::Later
    }

    /// Digests bytes of the file from `offset` on.
    pub(super) fn digest(&mut self, kind: DigestKind, offset: u64, bytes: &[u8]) {
        let goes_on = offset > 0 && offset == self.digested_to;
        match &mut self.digest {
            Some(hasher) if goes_on && hasher.kind() == kind => hasher.update(bytes),
            digest => digest.insert(Hasher::new(kind)).update(bytes),
        }
        self.digested_to = offset + bytes.len() as u64;
    }

    pub(super) fn digest_so_far(&self, kind: DigestKind) -> Option<Digest> {
        match &self.digest {
            Some(hasher) if hasher.kind() == kind => hasher.finish(),
            Some(_) | None => Hasher::new(kind).finish(),
        }
    }
}

/// Copies bytes to several places, one behind the other. How many there was room for.
fn scatter(mut bytes: &[u8], into: &mut [IoSliceMut<'_>]) -> usize {
    let all = bytes.len();
    for place in into {
        let n = place.len().min(bytes.len());
        place[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
    }
    all - bytes.len()
}

fn unreadable(errno: Errno) -> Fault {
    warn!("read a file that is being sent: {}; the connection is cut", errno.desc());
    Fault::Aborted
}

/// What was promised cannot be sent any more: the peer sees a stream that is cut.
pub(super) fn shorter() -> Fault {
    warn!("a file became shorter while it was sent; the connection is cut");
    Fault::Aborted
}
