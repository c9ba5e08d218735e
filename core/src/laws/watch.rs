//! The checks of the lab around every call.

use super::law::{Broken, Law, Plan};
use super::store::LabStorage;
use crate::bytes::first_mut;
use crate::file::{Answer, Extent, FileUser, Op, Piece};
use crate::session::Session;
use crate::time::Instant;
use crate::want::{Close, Want};

/// The checks around every call.
pub(super) struct Watch {
    plan: Plan,
    close: Close,
    calls: usize,
    pub(super) now: Instant,
}

impl Watch {
    pub(super) fn new(plan: Plan) -> Self {
        let now = Instant::from_micros(1);
        Self { plan, close: Close::Open, calls: 0, now }
    }

    /// The session's want, if it may follow the want before.
    pub(super) fn want(&mut self, session: &dyn Session) -> Result<Want, Broken> {
        let want = session.want();
        let forward = match (self.close, want.close) {
            (Close::Open, _) | (Close::WriteHalf, Close::WriteHalf | Close::Done(_)) => true,
            (Close::Done(a), Close::Done(b)) => a == b,
            (Close::WriteHalf, Close::Open) | (Close::Done(_), Close::Open | Close::WriteHalf) => {
                false
            }
        };
        let silent = !want.close.is_done() || (!want.read && !want.write && !want.file);
        if !forward || !silent || (want.close == Close::WriteHalf && want.write) {
            return Err(self.plan.breaks(Law::ClosesForward));
        }
        self.close = want.close;
        Ok(want)
    }

    /// Sends as many pieces of a sender as `out` has room for. Returns the number of bytes.
    pub(super) fn send(
        &self,
        file: &mut dyn FileUser,
        storage: &mut LabStorage,
        out: &mut [u8],
    ) -> Result<usize, Broken> {
        let plan = self.plan;
        let mut sent = 0;
        while let Some(room) = out.get_mut(sent..).filter(|room| !room.is_empty())
            && let Some(piece) = file.piece(sent as u64)
        {
            sent += match piece {
                Piece::Head { len } => {
                    let n = file.head(sent as u64, first_mut(room, len));
                    if n == 0 {
                        return Err(plan.breaks(Law::NoSpin));
                    }
                    n
                }
                Piece::File(extent) => {
                    let len = room.len().min(usize::try_from(extent.len).unwrap_or(usize::MAX));
                    let op = Op::Read {
                        extent: Extent { len: len as u64, ..extent },
                        digest: file.digests(),
                    };
                    let memory = room.get_mut(..len).unwrap_or_default();
                    match storage.at_once(op, memory) {
                        Answer::Read(n) => n,
                        _ => return Err(plan.breaks(Law::Counts)),
                    }
                }
            };
        }
        if sent == 0 {
            return Err(plan.breaks(Law::NoSpin));
        }
        file.sent(self.now, sent as u64);
        Ok(sent)
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
        if self.calls > 64 + 16 * n {
            return Err(self.plan.breaks(Law::NoSpin));
        }
        if self.plan.clock_steps_back && self.calls.is_multiple_of(2) {
            return Ok(Instant::ZERO);
        }
        Ok(self.now)
    }
}
