//! The client's end.

use super::super::inbound::Inbound;
use super::super::run::Run;
use super::super::timer::Timer;
use super::{ended, render_word};
use crate::bytes::find;
use crate::fault::{Limit, Peer};
use crate::file::{Answer, FileUser, Op};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::xfer::{ACK, DATA_AT, PATH, PATH_MAX, Packet, render};

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
    /// Will ask for the file of this path. One that fits into no request ends in [`Fault::Local`](crate::fault::Fault::Local).
    pub fn new(path: N, timing: &Timing) -> Self {
        let inbound = Inbound::new(Timer::to_server(timing), timing.linger_us, u32::MAX);
        let len = path.as_ref().len();
        let fits = if len < PATH_MAX && find(0, path.as_ref()).is_none() {
            Ok(())
        } else {
            Err(Limit { need: len.saturating_add(1), have: PATH_MAX }.into())
        };
        Self { path, run: Run::new(inbound, fits) }
    }

    /// DATA of so many bytes, or EOT.
    fn block(&mut self, now: Instant, seq: u32, len: usize) -> Heard {
        let Run::On(inbound) = &mut self.run else { return Heard::Ignored };
        let heard = inbound.block(now, seq, (DATA_AT, len), len == 0);
        self.run.heard(heard)
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
                let len = if inbound.greets() {
                    render(head, &[PATH], Some(self.path.as_ref()))
                } else {
                    render(head, &[ACK, seq], None)
                };
                len.map(Tx::head)
            }
            Run::Over(end) => render_word(end, nth, head),
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<N: AsRef<[u8]>> FileUser for XferClient<N> {
    fn op(&self) -> Option<Op<'_>> {
        self.run.op(self.path.as_ref(), None)
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        self.run.answer(now, answer);
    }
}
