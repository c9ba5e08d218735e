//! Files on their way out: what a session's [`FileUser`] asks of its shell.
//!
//! ```text
//!   large frames   header ──send(MSG_MORE)──▶ socket ◀──sendfile── file       no copy in user space
//!   small frames   file ──preadv──▶ │hdr│ 4096 │hdr│ 4096 │ … ──send──▶ socket    two calls for many
//! ```
//!
//! Small frames are read between their headers, so that many of them leave in one call. So does what
//! is digested on its way.

use std::fs::File;
use std::io::IoSliceMut;

use tracing::{debug, warn};
use windlass_core::fault::{Fault, Storage};
use windlass_core::file::{Answer, Digest, DigestKind, FileUser, Op, Piece, Refusal};
use windlass_core::stream::Write;
use windlass_core::time::Instant;

use super::backlog::Backlog;
use super::buffers::Buffers;
use super::outlet::Outlet;
use super::rules::RulesId;
use crate::digest::Hasher;
use crate::printable::words;
use crate::sys::Errno;
use crate::sys::send_file::{read_at, send_file, send_more};

/// A file that is being sent.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    /// What of it was digested, if anything was, and where that ends.
    digest: Option<Hasher>,
    digested_to: u64,
    /// The file system has no `sendfile(2)`.
    by_hand: bool,
}

/// Frames of so many bytes and more are worth a `sendfile` each.
const SEND_FILE_MIN: u64 = 64 * 1024;

/// What a call costs of the budget, however little it moves: frames may be of 16 bytes.
const CALL_COST: usize = 8 * 1024;

/// How much `sendfile` may move for each byte of the budget: nothing of it passes through here.
const SEND_FILE_FACTOR: usize = 4;

/// Seams in a buffer at most: with frames of 4096 bytes this fills 128 KiB.
const RUNS_MAX: usize = 33;

/// What came of a task.
pub(super) enum Did {
    /// There was none: the session renders.
    Nothing,
    /// So many bytes of the budget are used up.
    Moved(usize),
    /// The socket is full.
    Full,
}

impl OpenFile {
    fn digest(&mut self, kind: DigestKind, offset: u64, bytes: &[u8]) {
        let goes_on = offset > 0 && offset == self.digested_to;
        match &mut self.digest {
            Some(hasher) if goes_on && hasher.kind() == kind => hasher.update(bytes),
            digest => digest.insert(Hasher::new(kind)).update(bytes),
        }
        self.digested_to = offset + bytes.len() as u64;
    }

    fn digest_so_far(&self, kind: DigestKind) -> Option<Digest> {
        match &self.digest {
            Some(hasher) if hasher.kind() == kind => hasher.finish(),
            Some(_) | None => Hasher::new(kind).finish(),
        }
    }
}

/// Does what the session asks for next.
pub(super) fn perform(
    user: &mut dyn FileUser,
    outlet: &mut Outlet,
    now: Instant,
    budget: usize,
    (buffers, rules): (&mut Buffers, RulesId),
) -> Result<Did, Fault> {
    match user.op() {
        Some(Op::Open(name)) => {
            let root = buffers.rules(rules).root.as_ref();
            let opened = root.map_or(Err(Refusal::Failed), |root| root.file(name));
            let name = words(name);
            match &opened {
                Ok((_, size)) => debug!(%name, size, "a file is sent"),
                Err(refusal) => debug!(%name, "a file is refused: {refusal}"),
            }
            let answer = match opened {
                Ok((file, size)) => {
                    let file = OpenFile { file, digest: None, digested_to: 0, by_hand: false };
                    outlet.backlog.get_or_insert_with(|| buffers.spare.take()).file = Some(file);
                    Answer::Opened(size)
                }
                Err(why) => Answer::Refused(why),
            };
            user.answer(now, answer);
            Ok(Did::Moved(0))
        }
        Some(Op::Digest { kind, extent }) => {
            // Nothing is sent that would show that nobody is there, and select(2) does not tell.
            outlet.stream.connected().map_err(outlet.lost(now))?;
            let file = file_of(&mut outlet.backlog)?;
            let room = buffers.input.len().min(budget).min(at_most(extent.len));
            let into = &mut buffers.input[..room];
            let read = read_at(&file.file, extent.offset, &mut [IoSliceMut::new(into)]);
            if read.map_err(unreadable)? < room {
                return Err(shorter());
            }
            file.digest(kind, extent.offset, &buffers.input[..room]);
            // This side works: the peer waits, and is not idle.
            outlet.last_moved = now;
            user.answer(now, Answer::Digested(room as u64));
            Ok(Did::Moved(room))
        }
        Some(Op::FinishDigest(kind)) => {
            let digest = file_of(&mut outlet.backlog)?.digest_so_far(kind);
            let unsupported = Answer::Failed(Storage::Unsupported.into());
            user.answer(now, digest.map_or(unsupported, Answer::Digest));
            Ok(Did::Moved(0))
        }
        // Nothing that is served receives files.
        Some(Op::Read { .. } | Op::Create(_) | Op::Store(_) | Op::Commit(_)) => {
            user.answer(now, Answer::Failed(Storage::Unsupported.into()));
            Ok(Did::Moved(0))
        }
        None if user.piece(0).is_none() => Ok(Did::Nothing),
        None if !outlet.readiness.is_writable() => Ok(Did::Full),
        None => {
            let by_hand = user.digests().is_some() || file_of(&mut outlet.backlog)?.by_hand;
            let did = if !by_hand && is_extent_next(user) {
                send_extent(user, outlet, now, budget)
            } else {
                send_frames(user, outlet, now, buffers)
            };
            outlet.keep_pace(now, &buffers.rules(rules).limits);
            did
        }
    }
}

/// Whether what comes next of the file is worth a `sendfile`, behind the rest of its header or without.
fn is_extent_next(user: &dyn FileUser) -> bool {
    let next = match user.piece(0) {
        Some(Piece::Header { header, from }) => user.piece((header.as_bytes().len() - from) as u64),
        piece => piece,
    };
    matches!(next, Some(Piece::File(extent)) if extent.len >= SEND_FILE_MIN)
}

/// Sends the rest of a header, or part of what is behind it.
fn send_extent(
    user: &mut dyn FileUser,
    outlet: &mut Outlet,
    now: Instant,
    budget: usize,
) -> Result<Did, Fault> {
    let extent = match user.piece(0) {
        Some(Piece::Header { header, from }) => {
            let rest = header.as_bytes().get(from..).unwrap_or_default();
            let sent = send_more(&outlet.stream, rest).map_err(outlet.lost(now))?;
            return Ok(outlet.account(user, now, sent, rest.len(), 1));
        }
        Some(Piece::File(extent)) => extent,
        None => return Ok(Did::Nothing),
    };
    let wanted = at_most(extent.len).min(budget.saturating_mul(SEND_FILE_FACTOR));
    let Outlet { stream, backlog, .. } = outlet;
    let file = file_of(backlog)?;
    let sent = match send_file(stream, &file.file, extent.offset, wanted) {
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            file.by_hand = true;
            return Ok(Did::Moved(0));
        }
        Ok(Write::Nothing) => return Err(shorter()),
        sent => sent.map_err(outlet.lost(now))?,
    };
    let did = outlet.account(user, now, sent, wanted, SEND_FILE_FACTOR);
    // It may have been the file that ended, and then no event says that there is room.
    if let Write::Moved(_) = sent {
        outlet.readiness.set_writable(true);
    }
    Ok(did)
}

/// Sends as many frames as fit into the buffer.
fn send_frames(
    user: &mut dyn FileUser,
    outlet: &mut Outlet,
    now: Instant,
    buffers: &mut Buffers,
) -> Result<Did, Fault> {
    let buf = &mut buffers.input[..];
    let file = file_of(&mut outlet.backlog)?;
    let len = fill(user, &file.file, buf)?;
    let sent = outlet.stream.send([&buf[..len], &[]]).map_err(outlet.lost(now))?;
    if let (Some(kind), Write::Moved(n)) = (user.digests(), sent) {
        digest_runs(user, kind, file_of(&mut outlet.backlog)?, &buf[..n.get()]);
    }
    Ok(outlet.account(user, now, sent, len, 1))
}

/// Lays the next pieces into `buf`: the headers, and the file between them. How many bytes that is.
fn fill(user: &dyn FileUser, file: &File, buf: &mut [u8]) -> Result<usize, Fault> {
    let all = buf.len();
    let mut runs: [IoSliceMut<'_>; RUNS_MAX] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
    let (mut places, mut rest, mut first, mut wanted) = (runs.iter_mut(), buf, None, 0);
    while !rest.is_empty()
        && let Some(piece) = user.piece((all - rest.len()) as u64)
    {
        match piece {
            Piece::Header { header, from } => {
                let header = header.as_bytes().get(from..).unwrap_or_default();
                let n = header.len().min(rest.len());
                let (room, after) = rest.split_at_mut(n);
                room.copy_from_slice(&header[..n]);
                rest = after;
            }
            Piece::File(extent) => {
                let Some(place) = places.next() else { break };
                first.get_or_insert(extent.offset);
                let n = at_most(extent.len).min(rest.len());
                let (room, after) = rest.split_at_mut(n);
                *place = IoSliceMut::new(room);
                wanted += n;
                rest = after;
            }
        }
    }
    let len = all - rest.len();
    let unused = places.len();
    if let Some(offset) = first
        && read_at(file, offset, &mut runs[..RUNS_MAX - unused]).map_err(unreadable)? < wanted
    {
        return Err(shorter());
    }
    Ok(len)
}

/// Digests what of the file is in `sent`, which begins where the user is.
fn digest_runs(user: &dyn FileUser, kind: DigestKind, file: &mut OpenFile, sent: &[u8]) {
    let mut at = 0;
    while let Some(rest) = sent.get(at..).filter(|rest| !rest.is_empty())
        && let Some(piece) = user.piece(at as u64)
    {
        at += match piece {
            Piece::Header { header, from } => header.as_bytes().len() - from,
            Piece::File(extent) => {
                let n = at_most(extent.len).min(rest.len());
                file.digest(kind, extent.offset, &rest[..n]);
                n
            }
        };
    }
}

/// The file. Without one nothing is asked for but to open it.
fn file_of(backlog: &mut Option<Box<Backlog>>) -> Result<&mut OpenFile, Fault> {
    backlog.as_mut().and_then(|backlog| backlog.file.as_mut()).ok_or(Fault::Aborted)
}

impl Outlet {
    /// Takes note of what the socket took of `offered` bytes, of which `factor` cost one.
    fn account(
        &mut self,
        user: &mut dyn FileUser,
        now: Instant,
        sent: Write,
        offered: usize,
        factor: usize,
    ) -> Did {
        self.did_send(now, sent, offered);
        match sent {
            Write::Moved(n) => {
                user.sent(now, n.get() as u64);
                Did::Moved(n.get().div_ceil(factor).max(CALL_COST))
            }
            Write::Interrupted => Did::Moved(0),
            Write::WouldBlock | Write::Nothing => Did::Full,
        }
    }
}

fn at_most(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

fn unreadable(errno: Errno) -> Fault {
    warn!("read a file that is being sent: {}; the connection is cut", errno.desc());
    Fault::Aborted
}

/// What was promised cannot be sent any more: the peer sees a stream that is cut.
fn shorter() -> Fault {
    warn!("a file became shorter while it was sent; the connection is cut");
    Fault::Aborted
}
