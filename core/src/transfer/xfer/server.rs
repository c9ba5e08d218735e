//! The server's end.

use heapless::Vec;
use zerocopy::byteorder::network_endian::U32;

use super::super::outbound::{Cut, Outbound, Owed};
use super::super::parts;
use super::super::run::{Engine, Phase, Run};
use super::super::timer::Timer;
use super::{ended, render_error};
use crate::fault::Peer;
use crate::file::{Answer, FileUser, Op, Refusal};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::xfer::{BLOCK_MAX, DATA, EOT, PATH_MAX, Packet, put_numbers};

/// Sends one file to one client. `N` is the memory for the path in bytes; a longer one is refused. `PARTS` is what the
/// server has of [`parts`].
#[derive(Clone, Debug)]
pub struct XferServer<const N: usize = PATH_MAX, const PARTS: u8 = { parts::ALL }> {
    path: Vec<u8, N>,
    /// Of the file.
    size: u64,
    run: Run<Serving<PARTS>, PARTS>,
}

#[cfg(feature = "defmt")]
impl<const N: usize, const PARTS: u8> defmt::Format for XferServer<N, PARTS> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "XferServer {{ path: {=[u8]:a}, run: {} }}", self.path(), self.run);
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Serving<const PARTS: u8> {
    /// Waits for the request.
    Free,
    /// The shell opens the file.
    Opening,
    /// The file leaves.
    Sending(Outbound<false, PARTS>),
}

impl<const PARTS: u8> Engine<PARTS> for Serving<PARTS> {
    const REFUSES: bool = true;

    fn phase(&self) -> Phase {
        if let Self::Opening = self { Phase::Storing } else { Phase::Talking }
    }

    fn owes(&self, timer: &Timer<PARTS>) -> bool {
        if let Self::Sending(outbound) = self { outbound.owes(timer) } else { false }
    }

    fn sent(&mut self, timer: &mut Timer<PARTS>, count: usize) {
        if let Self::Sending(outbound) = self {
            outbound.sent(timer, count);
        }
    }

    fn expired(&mut self, timer: &mut Timer<PARTS>) {
        if let Self::Sending(outbound) = self {
            outbound.expired(timer);
        }
    }
}

impl<const N: usize> XferServer<N> {
    /// Waits for a request.
    pub fn new(timing: Timing) -> Self {
        Self::with_parts(timing)
    }
}

impl<const N: usize, const PARTS: u8> XferServer<N, PARTS> {
    /// [`new`](XferServer::new), with these parts.
    pub fn with_parts(timing: Timing) -> Self {
        let run = Run::new(Timer::to_client(&timing), Serving::Free);
        Self { path: Vec::new(), size: 0, run }
    }

    /// The path that was asked for. Empty before the request came.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The first datagram.
    fn begin(&mut self, packet: Result<Packet<'_>, Peer>) -> Heard {
        match packet {
            Ok(Packet::Path(path)) => {
                if path.is_empty() {
                    self.run.refuse(Refusal::BadName);
                } else if self.path.extend_from_slice(path).is_err() {
                    self.run.refuse(Refusal::TooLong);
                } else {
                    self.run.engine = Serving::Opening;
                }
                Heard::Taken
            }
            // A stray packet of a transfer that is over draws nothing.
            Ok(_) => {
                self.run.leave(Peer::Malformed.into());
                Heard::Ignored
            }
            Err(why) => {
                self.run.leave(why.into());
                Heard::Malformed(why)
            }
        }
    }

    /// A request while one is served.
    fn again(&mut self, path: &[u8]) -> Heard {
        let Run { timer, engine: Serving::Sending(outbound), .. } = &mut self.run else {
            return Heard::Ignored;
        };
        let is_same = *path == *self.path;
        if is_same && !timer.is_answered() {
            // The first block was lost, or is late.
            outbound.repeat(timer);
            Heard::Taken
        } else if is_same && !timer.is_stuck() {
            // A copy that the network kept back.
            Heard::Ignored
        } else {
            self.run.fail(Peer::Aborted.into());
            Heard::Replaced
        }
    }

    fn acknowledged(&mut self, seq: u32) -> Heard {
        let Run { timer, engine: Serving::Sending(outbound), .. } = &mut self.run else {
            return Heard::Ignored;
        };
        let acked = outbound.acknowledged(timer, seq);
        self.run.acknowledged(acked)
    }
}

impl<const N: usize, const PARTS: u8> Transfer for XferServer<N, PARTS> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        if !self.run.hears(now) {
            return Heard::Ignored;
        }
        let packet = Packet::parse_call(datagram);
        if let Serving::Free = self.run.engine {
            return self.begin(packet);
        }
        match packet {
            Ok(Packet::Ack { seq }) => self.acknowledged(seq),
            Ok(Packet::Path(path)) => self.again(path),
            Ok(Packet::Error { code, text }) => {
                self.run.fail(Peer::Aborted.into());
                ended(datagram, code, text)
            }
            Ok(Packet::Data { .. } | Packet::Eot { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        if nth > 0 {
            return None;
        }
        if self.run.is_over() {
            return render_error(self.run.error()?, head).map(Tx::head);
        }
        let Serving::Sending(outbound) = &self.run.engine else { return None };
        let Owed::Block { number, at } = outbound.owed(&self.run.timer, 0)? else { return None };
        let body = outbound.extent(at, self.size);
        match u32::try_from(body.len).unwrap_or_default() {
            0 => put_numbers(head, &[U32::new(EOT), U32::new(number)]).map(Tx::head),
            len => {
                let head = put_numbers(head, &[U32::new(DATA), U32::new(number), U32::new(len)])?;
                Some(Tx { head, body })
            }
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<const N: usize, const PARTS: u8> FileUser for XferServer<N, PARTS> {
    fn op(&self) -> Option<Op<'_>> {
        match self.run {
            Run { engine: Serving::Opening, .. } if !self.run.is_over() => {
                Some(Op::Open(&self.path))
            }
            _ => None,
        }
    }

    fn answer(&mut self, _: Instant, answer: Answer) {
        let Serving::Opening = self.run.engine else { return };
        match answer {
            Answer::Opened(size) => {
                self.size = size;
                // The EOT is the block behind the last byte: of no byte, and at the end of a whole block.
                let end = size.saturating_add(BLOCK_MAX as u64 - 1) & !(BLOCK_MAX as u64 - 1);
                let cut = Cut { at: 0, end, block: 1024, window: 1 };
                self.run.engine = Serving::Sending(Outbound::new(cut, false));
            }
            Answer::Refused(why) => self.run.refuse(why),
            Answer::Failed(_) => self.run.refuse(Refusal::Failed),
            _ => {}
        }
    }
}
