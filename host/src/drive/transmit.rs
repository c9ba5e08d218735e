//! Files on their way out over a stream: what a session's [`FileUser`] asks of its shell.
//!
//! ```text
//!   large frames   header ──send(MSG_MORE)──▶ socket ◀──sendfile── file       no copy in user space
//!   small frames   file ──preadv──▶ │hdr│ 4096 │hdr│ 4096 │ … ──send──▶ socket    two calls for many
//! ```
//!
//! Small frames are read between their headers, so that many of them are sent by one call. So are
//! frames that are digested, parts that are not in the page cache, which a helper reads, and the last
//! bytes of a file of which a version was promised.

use std::io::IoSliceMut;

use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer, DigestKind, FileUser, Op, Piece};
use windlass_core::stream::Write;
use windlass_core::time::Instant;

use super::access_log;
use super::backlog::Backlog;
use super::buffers::Buffers;
use super::channel::Channel;
use super::files::{self, Found, Late, OpenFile, Waits, shorter};
use super::gather::Gather;
use super::outlet::Outlet;
use super::rules::RulesId;
use crate::sys::Errno;
use crate::sys::send_file::{send_file, send_more};
use crate::totals::Count;

/// Frames of this size or more are sent by `sendfile`, one call each.
const SEND_FILE_MIN: u64 = 64 * 1024;

/// Bytes that are encrypted at a time: a slow reader holds their records.
const RECORDS: usize = 128 * 1024;

/// The cost of a call in bytes of the budget, however little it moves: frames may have 16 bytes.
const CALL_COST: usize = 8 * 1024;

/// Bytes that `sendfile` may move for each byte of the budget: they do not pass through user space.
const SEND_FILE_FACTOR: usize = 4;

/// The result of a task.
pub(super) enum Did {
    /// There was no task: the session renders.
    Nothing,
    /// The task used this number of bytes of the budget.
    Moved(usize),
    /// The socket is full.
    Full,
    /// A helper was asked: the connection has its turn when the answer comes.
    Later,
}

/// Does the next operation of the session.
pub(super) fn perform(
    user: &mut dyn FileUser,
    outlet: &mut Outlet<impl Channel>,
    now: Instant,
    budget: usize,
    (buffers, rules): (&mut Buffers, RulesId),
) -> Result<Did, Fault> {
    if let Some(Late::Asked(_)) = outlet.backlog.as_ref().map(|backlog| &backlog.late) {
        return Ok(Did::Later);
    }
    match user.op() {
        Some(Op::Open(name)) => {
            access_log::asked_file("get", name);
            if let Some(why) = buffers.refusal {
                access_log::refused();
                user.answer(now, Answer::Refused(why));
                return Ok(Did::Moved(0));
            }
            let backlog = outlet.backlog.get_or_insert_with(|| buffers.spare.take());
            let Buffers { rules: all, helpers, kept, .. } = buffers;
            let root = all[usize::from(rules.0)].root.as_ref();
            let waits = Waits { late: &mut backlog.late, helpers: helpers.as_ref() };
            let answer = match files::open_or_kept(kept, root, name, waits) {
                Found::Later => return Ok(Did::Later),
                Found::Now(Ok((file, size))) => {
                    backlog.file = Some(file);
                    Answer::Opened(size)
                }
                Found::Now(Err(why)) => {
                    buffers.tally(rules).add(Count::FilesRefused, 1);
                    access_log::refused();
                    Answer::Refused(why)
                }
            };
            user.answer(now, answer);
            Ok(Did::Moved(0))
        }
        Some(Op::Examine) => {
            let facts = file_of(&mut outlet.backlog)?.0.examine();
            let unknown = Answer::Failed(StorageFault::Unsupported.into());
            user.answer(now, facts.map_or(unknown, Answer::Facts));
            Ok(Did::Moved(0))
        }
        Some(Op::Close) => {
            if let Some(backlog) = &mut outlet.backlog {
                buffers.tally(rules).add(Count::FilesSent, backlog.file.is_some().into());
                backlog.file = None;
            }
            outlet.give_back(&mut buffers.spare);
            user.answer(now, Answer::Done);
            Ok(Did::Moved(0))
        }
        Some(Op::Digest { kind, extent }) => {
            // Nothing is sent that would show that the client is gone, and select(2) does not tell.
            outlet.channel.stream().connected().map_err(outlet.lost(now))?;
            let (file, late) = file_of(&mut outlet.backlog)?;
            if file.recall(kind, extent, &buffers.digested) {
                user.answer(now, Answer::Digested(extent.len));
                return Ok(Did::Moved(0));
            }
            let room = buffers.input.len().min(budget).min(at_most(extent.len));
            let into = &mut [IoSliceMut::new(&mut buffers.input[..room])];
            let waits = Waits { late, helpers: buffers.helpers.as_ref() };
            let read = match file.read(extent.offset, into, 1, waits) {
                Ok(Found::Now(read)) => read,
                Ok(Found::Later) => return Ok(Did::Later),
                Err(fault) => {
                    user.answer(now, Answer::Failed(fault));
                    return Ok(Did::Moved(0));
                }
            };
            file.digest(kind, extent.offset, &buffers.input[..read]);
            // This side works, so the peer waits and is not idle.
            outlet.set_moved(now);
            user.answer(now, Answer::Digested(read as u64));
            Ok(Did::Moved(read))
        }
        Some(Op::FinishDigest(kind)) => {
            let file = file_of(&mut outlet.backlog)?.0;
            let digest = file.finish_digest(kind, &mut buffers.digested)?;
            let unsupported = Answer::Failed(StorageFault::Unsupported.into());
            user.answer(now, digest.map_or(unsupported, Answer::Digest));
            Ok(Did::Moved(0))
        }
        // No service receives files.
        Some(Op::Read { .. } | Op::Create(_) | Op::Store(_) | Op::Commit(_)) => {
            user.answer(now, Answer::Failed(StorageFault::Unsupported.into()));
            Ok(Did::Moved(0))
        }
        None if user.piece(0).is_none() => Ok(Did::Nothing),
        None if !outlet.readiness.is_writable() => Ok(Did::Full),
        None => {
            let is_read = user.digests().is_some()
                || outlet.channel.is_secured()
                || must_read(outlet.backlog.as_deref());
            let did = if !is_read && is_extent_next(user, copied(outlet.backlog.as_deref())) {
                send_extent(user, outlet, now, budget, buffers)
            } else {
                send_frames(user, outlet, now, buffers)
            };
            outlet.keep_pace(now, &buffers.rules(rules).limits);
            let Err(fault @ Fault::Storage(_)) = did else { return did };
            // The session knows whether the peer has something of the file yet.
            if let Some(backlog) = &mut outlet.backlog {
                buffers.tally(rules).add(Count::FilesFailed, backlog.file.is_some().into());
                backlog.file = None;
            }
            user.answer(now, Answer::Failed(fault));
            Ok(Did::Moved(0))
        }
    }
}

/// Whether the next part of the file is large enough for `sendfile`, with or without the rest of
/// its header. The last bytes of a part are `copied`.
fn is_extent_next(user: &dyn FileUser, copied: u64) -> bool {
    let next = match user.piece(0) {
        Some(Piece::Head { len }) => user.piece(len as u64),
        piece => piece,
    };
    matches!(next, Some(Piece::File(extent)) if extent.len.saturating_sub(copied) >= SEND_FILE_MIN)
}

/// Sends the rest of a header, or a part of the file behind it.
fn send_extent(
    user: &mut dyn FileUser,
    outlet: &mut Outlet<impl Channel>,
    now: Instant,
    budget: usize,
    buffers: &mut Buffers,
) -> Result<Did, Fault> {
    let extent = match user.piece(0) {
        Some(Piece::Head { len }) => {
            let room = buffers.input.len().min(len);
            let len = user.head(0, &mut buffers.input[..room]);
            let sent = send_more(outlet.channel.stream(), &buffers.input[..len])
                .map_err(outlet.lost(now))?;
            return Ok(outlet.account(user, now, sent, len, 1));
        }
        Some(Piece::File(extent)) => extent,
        None => return Ok(Did::Nothing),
    };
    let Outlet { channel, backlog, .. } = outlet;
    let (file, late) = file_of(backlog)?;
    let wanted = at_most(extent.len.saturating_sub(file.copied()));
    let wanted = wanted.min(budget.saturating_mul(SEND_FILE_FACTOR)).min(buffers.most);
    let waits = Waits { late, helpers: buffers.helpers.as_ref() };
    let Found::Now(wanted) = file.cached(extent.offset, wanted, waits)? else {
        return Ok(Did::Later);
    };
    let sent = match send_file(channel.stream(), file.file()?, extent.offset, wanted) {
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            file.by_hand = true;
            return Ok(Did::Moved(0));
        }
        Ok(Write::Nothing) => return Err(shorter()),
        sent => sent.map_err(outlet.lost(now))?,
    };
    let did = outlet.account(user, now, sent, wanted, SEND_FILE_FACTOR);
    // The file may have ended, and then no event reports room.
    if let Write::Moved(_) = sent {
        outlet.readiness.set_writable(true);
    }
    Ok(did)
}

/// Sends as many frames as fit into the buffer.
fn send_frames(
    user: &mut dyn FileUser,
    outlet: &mut Outlet<impl Channel>,
    now: Instant,
    buffers: &mut Buffers,
) -> Result<Did, Fault> {
    let Buffers { input, helpers, most, .. } = buffers;
    let most = if outlet.channel.is_secured() { RECORDS.min(*most) } else { *most };
    let room = input.len().min(most);
    let input = &mut input[..room];
    let mut laid = lay_out(user, input);
    let mut len = laid.len();
    if laid.has_parts() {
        let (file, late) = file_of(&mut outlet.backlog)?;
        let waits = Waits { late, helpers: helpers.as_ref() };
        let Found::Now(read) = laid.read(file, 1, waits)? else { return Ok(Did::Later) };
        if user.piece(read as u64).is_none() {
            file.keep_promise()?;
        }
        len = read;
    }
    let taken = outlet.send_once([&input[..len], &[]], now)?.taken;
    if taken > 0
        && let Some(kind) = user.digests()
    {
        digest_runs(user, kind, file_of(&mut outlet.backlog)?.0, &input[..taken]);
    }
    Ok(outlet.took(user, now, taken, 1))
}

/// Lays the next pieces into `buf`: the headers, and room for the file between them.
fn lay_out<'b>(user: &dyn FileUser, buf: &'b mut [u8]) -> Gather<'b> {
    let mut gather = Gather::new(buf);
    while !gather.is_full()
        && let Some(piece) = user.piece(gather.len() as u64)
    {
        match piece {
            Piece::Head { len } => {
                let ahead = gather.len() as u64;
                gather.head(len, |room| user.head(ahead, room));
            }
            Piece::File(extent) => {
                if !gather.part(extent) {
                    break;
                }
            }
        }
    }
    gather
}

/// Digests the bytes of the file in `sent`, which begins at the position of the user.
fn digest_runs(user: &dyn FileUser, kind: DigestKind, file: &mut OpenFile, sent: &[u8]) {
    let mut at = 0;
    while let Some(rest) = sent.get(at..).filter(|rest| !rest.is_empty())
        && let Some(piece) = user.piece(at as u64)
    {
        at += match piece {
            Piece::Head { len } => len,
            Piece::File(extent) => {
                let n = at_most(extent.len).min(rest.len());
                file.digest(kind, extent.offset, &rest[..n]);
                n
            }
        };
    }
}

/// The file, and what a helper was asked for it. Without a file nothing is asked for but to open it.
fn file_of(backlog: &mut Option<Box<Backlog>>) -> Result<(&mut OpenFile, &mut Late), Fault> {
    let backlog = backlog.as_mut().ok_or(Fault::Aborted)?;
    Ok((backlog.file.as_mut().ok_or(Fault::Aborted)?, &mut backlog.late))
}

/// How many of the last bytes of the file have to be read into a buffer.
fn copied(backlog: Option<&Backlog>) -> u64 {
    backlog.and_then(|it| it.file.as_ref()).map_or(0, OpenFile::copied)
}

/// Whether the next bytes of the file have to be read into a buffer.
fn must_read(backlog: Option<&Backlog>) -> bool {
    backlog.is_some_and(|it| it.file.as_ref().is_some_and(|file| file.is_read(&it.late)))
}

impl<C: Channel> Outlet<C> {
    /// Notes how many of `offered` bytes a call on the socket itself moved.
    fn account(
        &mut self,
        user: &mut dyn FileUser,
        now: Instant,
        sent: Write,
        offered: usize,
        factor: usize,
    ) -> Did {
        self.readiness.did_write(sent, offered);
        let moved = if let Write::Moved(n) = sent { n.get() } else { 0 };
        self.moved(now, moved);
        self.took(user, now, moved, factor)
    }

    /// Notes how many bytes were taken; `factor` of them cost one byte of the budget.
    fn took(&mut self, user: &mut dyn FileUser, now: Instant, taken: usize, factor: usize) -> Did {
        if taken > 0 {
            user.sent(now, taken as u64);
            return Did::Moved(taken.div_ceil(factor).max(CALL_COST));
        }
        // A signal came first, or the socket is full.
        if self.readiness.is_writable() { Did::Moved(0) } else { Did::Full }
    }
}

fn at_most(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
