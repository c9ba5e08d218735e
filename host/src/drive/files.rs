//! Files that a session sends, over any transport: opened, read and digested, at once or later.
//!
//! ```text
//!   from the page cache   preadv2(RWF_NOWAIT) ──▶ │hdr│ 4096 │hdr│ 4096 │ …
//!   from anywhere else    helper: preadv ──▶ answer ──▶ the same place
//! ```
//!
//! A thread or process with one connection reads and waits. An event loop has helpers, and makes no read itself that
//! could wait: [`Found::Later`] means that a helper was asked, and the job has a turn when the answer is there.

use std::fs::File;
use std::io::IoSliceMut;
use std::sync::Arc;

use tracing::{debug, warn};
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Digest, DigestKind, Extent, Facts, Refusal};

use super::digested::{Digested, Running};
use super::helpers::{Helpers, Ticket};
use super::kept::Kept;
#[cfg(feature = "transfer")]
use super::text::TextFile;
use crate::printable::words;
use crate::sys::read_file::{is_in_memory, read_at, read_cached};
#[cfg(feature = "transfer")]
use crate::sys::ready::Token;
use crate::sys::root::{self, Root};
use crate::sys::send_file::queued_max;
use crate::sys::stamp::Stamp;
#[cfg(feature = "transfer")]
use crate::sys::upload::Upload;
use crate::sys::{Errno, clock};

/// A result that is there, or comes later.
pub(super) enum Found<T> {
    Now(T),
    Later,
}

/// The state of a job's question to a helper.
#[derive(Debug, Default)]
pub(super) enum Late {
    /// There is no question.
    #[default]
    Nothing,
    /// A helper was asked.
    Asked(#[expect(dead_code, reason = "without it the work is not done")] Ticket),
    /// The helper has answered.
    Came(Answer),
}

/// How a job waits for its file: its question, and its token. Without helpers it reads itself.
pub(super) struct Waits<'a> {
    pub(super) late: &'a mut Late,
    pub(super) helpers: Option<&'a Helpers<Answer>>,
}

/// The answer of a helper.
#[derive(Debug)]
pub enum Answer {
    /// A file and its size, or the refusal for the peer.
    Opened(Opened),
    /// The bytes of a file from this offset on; fewer than requested if it ends there.
    Read(u64, Result<Vec<u8>, Errno>),
    /// A file that is sent as text, or the refusal for the peer.
    #[cfg(feature = "transfer")]
    Translated(Result<TextFile, Refusal>),
    /// A place for a file that comes, or the refusal for the peer.
    #[cfg(feature = "transfer")]
    Created(Result<Upload, Refusal>),
    /// A file that came is valid.
    #[cfg(feature = "transfer")]
    Committed(Result<(), Fault>),
    /// An answer for one part of a job.
    #[cfg(feature = "transfer")]
    OfPart(Token, Box<Answer>),
}

/// A file and its size, or the refusal for the peer.
type Opened = Result<root::Opened, Refusal>;

/// A file that is being sent.
#[derive(Debug)]
pub(super) struct OpenFile {
    source: Source,
    how: How,
    digest: Running,
    /// The file system has no `sendfile(2)`.
    pub(super) by_hand: bool,
    /// Its version when it was opened, if it can change.
    stamp: Option<Stamp>,
    /// What the peer was told about the version.
    promised: Option<Facts>,
}

/// Where the bytes of a file are.
#[derive(Debug)]
enum Source {
    File(File),
    /// A helper has it too.
    Shared(Arc<File>),
    /// All of them in memory, of the version that the file had when it was requested.
    Memory(Arc<[u8]>),
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Directly: waiting holds up no other connection, or the file is in memory.
    AtOnce,
    /// From the page cache at once, the rest by helpers.
    IfCached,
    /// By helpers: the kernel does not say which bytes are cached.
    Later,
}

/// The buffer for reading a file, in bytes: a copy in pieces of half the size takes half as much again.
pub(super) const FILE_BUFFER: usize = 256 * 1024;

/// The largest read of a helper in bytes.
const BLOCK: usize = 128 * 1024;

impl Late {
    /// The answer, if it has come.
    pub(super) fn take(&mut self) -> Option<Answer> {
        match std::mem::take(self) {
            Self::Came(answer) => Some(answer),
            asked => {
                *self = asked;
                None
            }
        }
    }
}

/// The same as [`open`], from memory if the file is there.
pub(super) fn open_or_kept(
    kept: &mut Kept,
    root: Option<&Arc<Root>>,
    name: &[u8],
    Waits { late, helpers }: Waits<'_>,
) -> Found<Result<(OpenFile, u64), Refusal>> {
    let at_once = helpers.is_some();
    if matches!(late, Late::Nothing)
        && let Some((content, stamp)) = root.and_then(|root| kept.find(root, name, at_once))
    {
        return Found::Now(Ok(OpenFile::in_memory(content, stamp)));
    }
    let Found::Now(opened) = look_up(root, name, Waits { late, helpers }) else {
        return Found::Later;
    };
    let small = opened.as_ref().ok().and_then(|opened| kept.keep(name, opened, at_once));
    Found::Now(match small {
        Some((content, stamp)) => Ok(OpenFile::in_memory(content, stamp)),
        None => opened.map(|opened| OpenFile::opened(opened, at_once)),
    })
}

/// Opens the file of this name.
#[cfg(any(feature = "transfer", test))]
pub(super) fn open(
    root: Option<&Arc<Root>>,
    name: &[u8],
    waits: Waits<'_>,
) -> Found<Result<(OpenFile, u64), Refusal>> {
    let at_once = waits.helpers.is_some();
    match look_up(root, name, waits) {
        Found::Now(opened) => Found::Now(opened.map(|opened| OpenFile::opened(opened, at_once))),
        Found::Later => Found::Later,
    }
}

fn look_up(
    root: Option<&Arc<Root>>,
    name: &[u8],
    Waits { late, helpers }: Waits<'_>,
) -> Found<Opened> {
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
        Ok(opened) => debug!(%name, size = opened.size, "a file is sent"),
        Err(refusal) => debug!(%name, "a file is refused: {refusal}"),
    }
    Found::Now(opened)
}

impl OpenFile {
    fn new(source: Source, how: How, stamp: Option<Stamp>) -> Self {
        let digest = Running::default();
        Self { source, how, digest, by_hand: false, stamp, promised: None }
    }

    /// A file that was opened, and its size. `has_helpers`: the job must not wait for it.
    fn opened(opened: root::Opened, has_helpers: bool) -> (Self, u64) {
        let how = if has_helpers { How::IfCached } else { How::AtOnce };
        (Self::new(Source::File(opened.file), how, opened.stamp), opened.size)
    }

    /// A file with all its bytes in memory, and its size.
    fn in_memory(content: Arc<[u8]>, stamp: Stamp) -> (Self, u64) {
        let size = content.len() as u64;
        (Self::new(Source::Memory(content), How::AtOnce, Some(stamp)), size)
    }

    /// The open file. One in memory is not sent by `sendfile(2)`.
    pub(super) fn file(&self) -> Result<&File, Fault> {
        match &self.source {
            Source::File(file) => Ok(file),
            Source::Shared(file) => Ok(file),
            Source::Memory(_) => Err(Fault::Aborted),
        }
    }

    /// The open file for a helper. Until one is asked nothing is allocated for it.
    fn share(&mut self) -> Result<Arc<File>, Fault> {
        let source = std::mem::replace(&mut self.source, Source::Memory(Arc::default()));
        let file = match source {
            Source::File(file) => Arc::new(file),
            Source::Shared(file) => file,
            Source::Memory(_) => return Err(Fault::Aborted),
        };
        self.source = Source::Shared(Arc::clone(&file));
        Ok(file)
    }

    /// What is known about its version, which is then a promise: the last bytes are sent only if the file
    /// still has it.
    pub(super) fn examine(&mut self) -> Option<Facts> {
        self.promised = self.stamp.map(|stamp| stamp.facts(clock::calendar()));
        self.promised
    }

    /// Whether it has to be looked at before its last bytes are sent.
    fn is_promised(&self) -> bool {
        self.promised.is_some() && !matches!(self.source, Source::Memory(_))
    }

    /// How many bytes at its end are copied, as long as others are not. A page on its way to a program of this host is
    /// the file's own until that program reads it. When the last of the copies leave, no page is on its way.
    pub(super) fn copied(&self) -> u64 {
        if self.is_promised() { queued_max() + FILE_BUFFER as u64 } else { 0 }
    }

    /// Whether it still has the version that was promised.
    fn is_kept(&self) -> Result<bool, Fault> {
        let Some(stamp) = self.stamp.filter(|_| self.is_promised()) else { return Ok(true) };
        Ok(Stamp::look(self.file()?).is_ok_and(|now| stamp.is_content_of(&now)))
    }

    /// Makes sure that it still has the version that was promised. What was read before may be sent then.
    pub(super) fn keep_promise(&self) -> Result<(), Fault> {
        if self.is_kept()? {
            return Ok(());
        }
        warn!("a file was changed while it was sent");
        Err(StorageFault::Changed.into())
    }

    /// Reads from `offset` on into several places. Returns the number of bytes: fewer than the room
    /// if the file ends, or if the page cache has no more; at least `least`, which is not 0.
    pub(super) fn read(
        &mut self,
        offset: u64,
        into: &mut [IoSliceMut<'_>],
        least: usize,
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        if let Source::Memory(content) = &self.source {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            return match scatter(&content[from..], into) {
                n if n >= least.max(1) => Ok(Found::Now(n)),
                _ => Err(shorter()),
            };
        }
        let room = |into: &[IoSliceMut<'_>]| into.iter().map(|place| place.len()).sum();
        let (read, is_cached) = match waits.late.take() {
            Some(Answer::Read(at, read)) if at == offset => {
                (read.map(|bytes| scatter(&bytes, into)), false)
            }
            _ => match self.read_cached(offset, into) {
                None => return self.ask(offset, room(into), waits),
                Some(read) => (read, self.how == How::IfCached),
            },
        };
        match read.map_err(unreadable)? {
            0 => Err(shorter()),
            n if n >= least => Ok(Found::Now(n)),
            // The rest of it is not in the page cache, or the file ends.
            _ if is_cached => self.ask(offset, room(into), waits),
            _ => Err(shorter()),
        }
    }

    /// How many of `wanted` bytes from `offset` on can be read without waiting.
    pub(super) fn cached(
        &mut self,
        offset: u64,
        wanted: usize,
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        let mut cached = 0;
        // The kernel reads ahead in steps of this size: if both ends of a step are cached, so is
        // the rest of it.
        for at in (0..wanted).step_by(BLOCK).chain([wanted.saturating_sub(1)]) {
            if self.how == How::AtOnce {
                break;
            }
            match self.read_cached(offset + at as u64, &mut [IoSliceMut::new(&mut [0])]) {
                Some(read) => drop(read.map_err(unreadable)?),
                None if cached > 0 => return Ok(Found::Now(cached)),
                None => return self.ask(offset, wanted, waits),
            }
            cached = at;
        }
        Ok(Found::Now(wanted))
    }

    /// Whether the next bytes have to be read into a buffer, because no call moves them from the
    /// file to a socket.
    pub(super) fn is_read(&self, late: &Late) -> bool {
        self.by_hand
            || self.how == How::Later
            || matches!(late, Late::Came(_))
            || matches!(self.source, Source::Memory(_))
    }

    /// The bytes that can be read without waiting; `None` if there are none.
    fn read_cached(
        &mut self,
        offset: u64,
        into: &mut [IoSliceMut<'_>],
    ) -> Option<Result<usize, Errno>> {
        let Ok(file) = self.file() else { return None };
        let how = match self.how {
            How::IfCached => match read_cached(file, offset, into) {
                Err(Errno::EAGAIN) => return None,
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) if is_in_memory(file) => How::AtOnce,
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => How::Later,
                read => return Some(read),
            },
            how => how,
        };
        let read = (how == How::AtOnce).then(|| read_at(file, offset, into));
        self.how = how;
        read
    }

    /// Asks a helper to read. Only a loop with helpers gets here.
    fn ask(
        &mut self,
        offset: u64,
        len: usize,
        Waits { late, helpers }: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        let (file, len) = (self.share()?, len.min(BLOCK));
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
        Ok(Found::Later)
    }

    /// Digests bytes of the file from `offset` on.
    pub(super) fn digest(&mut self, kind: DigestKind, offset: u64, bytes: &[u8]) {
        self.digest.update(kind, offset, bytes);
    }

    /// Looks whether the digest of all its bytes is known, which are these. Then they need not be read.
    pub(super) fn recall(&mut self, kind: DigestKind, extent: Extent, all: &Digested) -> bool {
        self.lasting(extent).is_some_and(|stamp| self.digest.recall(kind, stamp, all))
    }

    /// The digest of the bytes so far, and of no bytes at the beginning. `None`: it cannot be computed, or is
    /// of bytes that were not all of the version that was promised.
    pub(super) fn finish_digest(
        &self,
        kind: DigestKind,
        all: &mut Digested,
    ) -> Result<Option<Digest>, Fault> {
        if !self.is_kept()? {
            return Ok(None);
        }
        let digest = self.digest.so_far(kind);
        if let Some(digest) = digest
            && let Some(stamp) = self.digest.part(kind).and_then(|part| self.lasting(part))
        {
            all.note(stamp, digest);
        }
        Ok(digest)
    }

    #[cfg(feature = "transfer")]
    pub(super) fn digest_so_far(&self, kind: DigestKind) -> Option<Digest> {
        self.digest.so_far(kind)
    }

    /// The version, if this is all of the file, and if the version was promised and is settled.
    fn lasting(&self, extent: Extent) -> Option<Stamp> {
        let is_settled = self.promised.is_some_and(|facts| facts.is_settled);
        self.stamp.filter(|stamp| {
            is_settled && extent == Extent { offset: 0, len: stamp.size() } && extent.len > 0
        })
    }
}

/// Copies bytes to several places, one behind the other. Returns how many there was room for.
pub(super) fn scatter(mut bytes: &[u8], into: &mut [IoSliceMut<'_>]) -> usize {
    let all = bytes.len();
    for place in into {
        let n = place.len().min(bytes.len());
        place[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
    }
    all - bytes.len()
}

pub(super) fn unreadable(errno: Errno) -> Fault {
    warn!("read a file that is being sent: {}", errno.desc());
    StorageFault::Failed.into()
}

/// The promised bytes are not there any more.
pub(super) fn shorter() -> Fault {
    warn!("a file became shorter while it was sent");
    StorageFault::Changed.into()
}
