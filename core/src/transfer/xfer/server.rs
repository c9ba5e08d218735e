//! The server's end.

use heapless::Vec;

use super::super::end::End;
use super::super::outbound::{Cut, Outbound, Owed};
use super::super::run::{Engine, Run};
use super::super::timer::Timer;
use super::{ended, render_word};
use crate::fault::{Fault, Peer};
use crate::file::{Answer, FileUser, Op, Refusal};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::want::Want;
use crate::wire::xfer::{BLOCK_MAX, DATA, EOT, PATH_MAX, Packet, render};

/// Sends one file to one client. `N` is the memory for the path in bytes; a longer one is refused.
#[derive(Clone, Debug)]
pub struct XferServer<const N: usize = PATH_MAX> {
    timing: Timing,
    path: Vec<u8, N>,
    /// Of the file.
    size: u64,
    run: Run<Serving>,
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for XferServer<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "XferServer {{ path: {=[u8]:a}, run: {} }}", self.path(), self.run);
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Serving {
    /// Waits for the request.
    Free,
    /// The shell opens the file.
    Opening,
    /// The file leaves.
    Sending(Outbound),
}

impl Engine for Serving {
    fn sent(&mut self, now: Instant, count: usize) {
        if let Self::Sending(outbound) = self {
            outbound.sent(now, count);
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Result<(), Fault>> {
        match self {
            Self::Free | Self::Opening => None,
            Self::Sending(outbound) => outbound.tick(now),
        }
    }

    fn want(&self) -> Want {
        match self {
            Self::Free => Want::READ,
            Self::Opening => Want::FILE,
            Self::Sending(outbound) => outbound.want(),
        }
    }
}

impl<const N: usize> XferServer<N> {
    /// Waits for a request.
    pub fn new(timing: Timing) -> Self {
        Self { timing, path: Vec::new(), size: 0, run: Run::On(Serving::Free) }
    }

    /// The path that was asked for. Empty before the request came.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The first datagram.
    fn begin(&mut self, datagram: &[u8]) -> Heard {
        let refusal = match Packet::parse(datagram) {
            Ok(Packet::Path(path)) => match Vec::from_slice(path) {
                Ok(path) if !path.is_empty() => {
                    self.path = path;
                    self.run = Run::On(Serving::Opening);
                    return Heard::Taken;
                }
                Ok(_) => Refusal::BadName,
                Err(_) => Refusal::TooLong,
            },
            // A stray packet of a transfer that is over draws nothing.
            Ok(_) => {
                self.run = Run::Over(End::silent(Peer::Malformed.into()));
                return Heard::Ignored;
            }
            Err(why) => {
                self.run = Run::Over(End::silent(why.into()));
                return Heard::Malformed(why);
            }
        };
        self.run = Run::Over(End::refused(refusal));
        Heard::Taken
    }

    /// A request while one is served.
    fn again(&mut self, now: Instant, path: &[u8]) -> Heard {
        let Run::On(Serving::Sending(outbound)) = &mut self.run else { return Heard::Ignored };
        let is_same = *path == *self.path;
        let timer = outbound.timer_at(now);
        if is_same && !timer.is_answered() {
            // The first block was lost, or is late.
            outbound.repeat();
            Heard::Taken
        } else if is_same && !timer.is_stuck() {
            // A copy that the network kept back.
            Heard::Ignored
        } else {
            self.run = Run::Over(End::silent(Peer::Aborted.into()));
            Heard::Replaced
        }
    }

    fn acknowledged(&mut self, now: Instant, seq: u32) -> Heard {
        let Run::On(Serving::Sending(outbound)) = &mut self.run else { return Heard::Ignored };
        let acked = outbound.acknowledged(now, seq);
        self.run.acknowledged(acked)
    }
}

impl<const N: usize> Transfer for XferServer<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        match &self.run {
            Run::Over(_) => return Heard::Ignored,
            Run::On(Serving::Free) => return self.begin(datagram),
            Run::On(_) => {}
        }
        match Packet::parse(datagram) {
            Ok(Packet::Ack { seq }) => self.acknowledged(now, seq),
            Ok(Packet::Path(path)) => self.again(now, path),
            Ok(Packet::Error { code, text }) => {
                self.run.end(Err(Peer::Aborted.into()));
                ended(datagram, code, text)
            }
            Ok(Packet::Data { .. } | Packet::Eot { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        match &self.run {
            Run::On(Serving::Sending(outbound)) => {
                let Owed::Block { number: seq, at } = outbound.owed(nth)? else { return None };
                let body = outbound.extent(at, self.size);
                match u32::try_from(body.len).unwrap_or_default() {
                    0 => render(head, &[EOT, seq], None).map(Tx::head),
                    len => render(head, &[DATA, seq, len], None).map(|head| Tx { head, body }),
                }
            }
            Run::On(Serving::Free | Serving::Opening) => None,
            Run::Over(end) => render_word(end, nth, head),
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<const N: usize> FileUser for XferServer<N> {
    fn op(&self) -> Option<Op<'_>> {
        match &self.run {
            Run::On(Serving::Opening) => Some(Op::Open(&self.path)),
            Run::On(Serving::Free | Serving::Sending(_)) | Run::Over(_) => None,
        }
    }

    fn answer(&mut self, _: Instant, answer: Answer) {
        let Run::On(Serving::Opening) = self.run else { return };
        self.run = match answer {
            Answer::Opened(size) => {
                self.size = size;
                // The EOT is the block behind the last byte: of no byte, and at the end of a whole block.
                let end = size.saturating_add(BLOCK_MAX as u64 - 1) & !(BLOCK_MAX as u64 - 1);
                let cut = Cut { at: 0, end, block: 1024, window: 1 };
                let timer = Timer::to_client(&self.timing);
                Run::On(Serving::Sending(Outbound::new(timer, u32::MAX, cut, false)))
            }
            Answer::Refused(why) => Run::Over(End::refused(why)),
            Answer::Failed(_) => Run::Over(End::refused(Refusal::Failed)),
            _ => return,
        };
    }
}
