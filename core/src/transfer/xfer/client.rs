//! The client's end.

use super::super::inbound::{Arrived, Inbound, Stored};
use super::super::run::Run;
use super::super::timer::Timer;
use super::{ended, render_word};
use crate::fault::{Fault, Limit, Peer};
use crate::file::{Answer, FileUser, Op};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::xfer::{DATA_AT, PATH_MAX, Packet};

/// Asks a server for a file, and has it kept by its shell, as [`file`](crate::file) says. The protocol tells
/// neither size nor digest: the file is whole when its EOT came, with the
/// number that follows the last block. `N` is the path, lent or owned.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct XferClient<N> {
    path: N,
    run: Run<Inbound>,
}

impl<N: AsRef<[u8]>> XferClient<N> {
    /// Will ask for the file of this path. One that fits into no request ends in [`Fault::Local`].
    pub fn new(path: N, timing: &Timing) -> Self {
        let inbound = Inbound::new(Timer::to_server(timing), timing.linger_us, u32::MAX);
        let mut run = Run::On(inbound);
        let len = path.as_ref().len();
        if len >= PATH_MAX || path.as_ref().contains(&0) {
            let limit = Limit { need: len.saturating_add(1), have: PATH_MAX };
            run.end(Err(limit.into()));
        }
        Self { path, run }
    }

    /// DATA of so many bytes, or EOT.
    fn block(&mut self, now: Instant, seq: u32, len: usize) -> Heard {
        let Run::On(inbound) = &mut self.run else { return Heard::Ignored };
        match inbound.block(now, seq, len, len == 0) {
            Arrived::Next if len == 0 => Heard::Taken,
            Arrived::Next => Heard::Store { at: DATA_AT },
            Arrived::Nothing => Heard::Ignored,
            Arrived::Fault(fault) => {
                self.run.end(Err(fault));
                Heard::Taken
            }
        }
    }
}

impl<N: AsRef<[u8]>> Transfer for XferClient<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        let Run::On(inbound) = &self.run else { return Heard::Ignored };
        match Packet::parse(datagram) {
            Ok(Packet::Data { seq, bytes }) => self.block(now, seq, bytes.len()),
            Ok(Packet::Eot { seq }) => self.block(now, seq, 0),
            Ok(Packet::Error { code, text }) => {
                let fault = if inbound.greets() { Peer::Refused } else { Peer::Aborted };
                self.run.end(Err(fault.into()));
                ended(datagram, code, text)
            }
            Ok(Packet::Path(_) | Packet::Ack { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        match &self.run {
            Run::On(inbound) => {
                let seq = inbound.owed(nth)?;
                let packet = if inbound.greets() {
                    Packet::Path(self.path.as_ref())
                } else {
                    Packet::Ack { seq }
                };
                packet.render(head).map(Tx::head)
            }
            Run::Over(end) => render_word(end.word().filter(|_| nth == 0)?, head),
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<N: AsRef<[u8]>> FileUser for XferClient<N> {
    fn op(&self) -> Option<Op<'_>> {
        match &self.run {
            Run::On(inbound) => inbound.op(self.path.as_ref(), None),
            Run::Over(_) => None,
        }
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        let Run::On(inbound) = &mut self.run else { return };
        match inbound.answer(now, answer) {
            Stored::Taken => {}
            Stored::Refused(_) => self.run.end(Err(Fault::Aborted)),
            Stored::Fault(fault) => self.run.end(Err(fault)),
        }
    }
}
