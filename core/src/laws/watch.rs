//! What the lab checks around every call, and the one file that it has.

use super::{Broken, Law, Plan};
use crate::session::Session;
use crate::session::files::{FileSender, Piece, Refusal, Task};
use crate::time::Instant;
use crate::want::{Close, Want};
use zerocopy::IntoBytes;

/// What is checked around every call.
pub(super) struct Watch {
    plan: Plan,
    close: Close,
    calls: usize,
    /// Bytes of the file that were digested, and where the last of them was.
    digested: u64,
    digested_to: u64,
    pub(super) now: Instant,
}

impl Watch {
    pub(super) fn new(plan: Plan) -> Self {
        let now = Instant::from_micros(1);
        Self { plan, close: Close::Open, calls: 0, digested: 0, digested_to: 0, now }
    }

    /// What the session wants, if that follows from what it wanted before.
    pub(super) fn want(&mut self, session: &dyn Session) -> Result<Want, Broken> {
        let want = session.want();
        let forward = match (self.close, want.close) {
            (Close::Open, _) | (Close::WriteHalf, Close::WriteHalf | Close::Done(_)) => true,
            (Close::Done(a), Close::Done(b)) => a == b,
            (Close::WriteHalf, Close::Open) | (Close::Done(_), Close::Open | Close::WriteHalf) => {
                false
            }
        };
        let silent = !want.close.is_done() || (!want.read && !want.write);
        if !forward || !silent || (want.close == Close::WriteHalf && want.write) {
            return Err(self.plan.breaks(Law::ClosesForward));
        }
        self.close = want.close;
        Ok(want)
    }

    /// Does a sender's task, and says how many bytes of `out` it sent.
    pub(super) fn lend_file(
        &mut self,
        sender: &mut dyn FileSender,
        file: Option<u64>,
        out: &mut [u8],
    ) -> Result<usize, Broken> {
        let (now, plan) = (self.now, self.plan);
        let len = file.unwrap_or(0);
        match sender.task() {
            Task::Render => return Ok(0),
            Task::Open(_) => sender.opened(now, file.ok_or(Refusal::NotFound)),
            Task::Digest(extent) => {
                if extent.offset + extent.len > len {
                    return Err(plan.breaks(Law::Counts));
                }
                let bytes = extent.len.min(out.len() as u64);
                self.digest(extent.offset, bytes);
                let mut so_far = [0; 32];
                so_far[..8].copy_from_slice(&self.digested.to_le_bytes());
                sender.digested(now, bytes, &so_far);
            }
            Task::Send { digest } => {
                let mut sent = 0;
                while let Some(room) = out.get_mut(sent..).filter(|room| !room.is_empty())
                    && let Some(piece) = sender.piece(sent as u64)
                {
                    sent += match piece {
                        Piece::Header { header, from } => {
                            let rest = header.as_bytes().get(from..).unwrap_or_default();
                            let n = rest.len().min(room.len());
                            room[..n].copy_from_slice(&rest[..n]);
                            n
                        }
                        Piece::File(extent) => {
                            if extent.offset + extent.len > len {
                                return Err(plan.breaks(Law::Counts));
                            }
                            let n =
                                room.len().min(usize::try_from(extent.len).unwrap_or(usize::MAX));
                            for (byte, offset) in room[..n].iter_mut().zip(extent.offset..) {
                                *byte = (offset % 251) as u8;
                            }
                            if digest {
                                self.digest(extent.offset, n as u64);
                            }
                            n
                        }
                    };
                }
                if sent == 0 {
                    return Err(plan.breaks(Law::NoSpin));
                }
                sender.sent(now, sent as u64);
                return Ok(sent);
            }
        }
        Ok(0)
    }

    /// Digests so many bytes: goes on, or begins anew.
    fn digest(&mut self, offset: u64, bytes: u64) {
        let before = if offset == self.digested_to && offset > 0 { self.digested } else { 0 };
        (self.digested, self.digested_to) = (before + bytes, offset + bytes);
    }

    /// Checks output: none after `WriteHalf` or the end.
    pub(super) fn sent<'o>(&self, bytes: &'o [u8]) -> Result<&'o [u8], Broken> {
        if bytes.is_empty() || self.close == Close::Open {
            Ok(bytes)
        } else {
            Err(self.plan.breaks(Law::ClosesForward))
        }
    }

    /// The time of the next call. No conversation of at most `n` bytes each way takes more calls
    /// than a few for each byte.
    pub(super) fn next_instant(&mut self, n: usize) -> Result<Instant, Broken> {
        self.calls += 1;
        if self.calls > 64 + 8 * n {
            return Err(self.plan.breaks(Law::NoSpin));
        }
        if self.plan.clock_steps_back && self.calls.is_multiple_of(2) {
            return Ok(Instant::ZERO);
        }
        Ok(self.now)
    }
}
