//! The client's end.

use super::super::inbound::Inbound;
use super::super::parts;
use super::super::run::Run;
use super::super::timer::Timer;
use super::{ended, render_error};
use zerocopy::byteorder::network_endian::U32;

use crate::bytes::find;
use crate::fault::{Limit, Peer};
use crate::file::{Answer, FileUser, Op};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::xfer::{ACK, DATA_AT, PATH, PATH_MAX, Packet, put_numbers, put_text};

/// Asks a server for a file, and has it kept by its shell, as [`file`](crate::file) says. The protocol tells
/// neither size nor digest: the file is whole when its EOT came, with the
/// number that follows the last block. `N` is the path, lent or owned, and `PARTS` what the client has of
/// [`parts`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct XferClient<N, const PARTS: u8 = { parts::ALL }> {
    path: N,
    run: Run<Inbound<false, PARTS>, PARTS>,
}

impl<N: AsRef<[u8]>> XferClient<N> {
    /// Will ask for the file of this path. One that fits into no request ends in [`Fault::Local`](crate::fault::Fault::Local).
    pub fn new(path: N, timing: &Timing) -> Self {
        Self::with_parts(path, timing)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> XferClient<N, PARTS> {
    /// [`new`](XferClient::new), with these parts.
    pub fn with_parts(path: N, timing: &Timing) -> Self {
        let mut run = Run::new(Timer::to_server(timing), Inbound::new(timing.linger_us));
        let len = path.as_ref().len();
        if len >= PATH_MAX || find(0, path.as_ref()).is_some() {
            run.fail(Limit { need: len.saturating_add(1), have: PATH_MAX }.into());
        }
        Self { path, run }
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> Transfer for XferClient<N, PARTS> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        if !self.run.hears(now) {
            return Heard::Ignored;
        }
        let (seq, len) = match Packet::parse_answer(datagram) {
            Ok(Packet::Data { seq, bytes }) => (seq, bytes.len()),
            Ok(Packet::Eot { seq }) => (seq, 0),
            Ok(Packet::Error { code, text }) => {
                let is_begun = !self.run.engine.greets();
                self.run.fail(if is_begun { Peer::Aborted } else { Peer::Refused }.into());
                return ended(datagram, code, text);
            }
            Ok(Packet::Path(_) | Packet::Ack { .. }) => return Heard::Ignored,
            Err(why) => return Heard::Malformed(why),
        };
        let heard = self.run.engine.block(&mut self.run.timer, seq, (DATA_AT, len), len == 0);
        self.run.heard(heard)
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let len = if nth > 0 {
            None
        } else if self.run.is_over() {
            render_error(self.run.error()?, head)
        } else {
            let seq = self.run.engine.owed(&self.run.timer)?;
            if self.run.engine.greets() {
                put_text(head, &[U32::new(PATH)], self.path.as_ref())
            } else {
                put_numbers(head, &[U32::new(ACK), U32::new(seq)])
            }
        };
        len.map(Tx::head)
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> FileUser for XferClient<N, PARTS> {
    fn op(&self) -> Option<Op<'_>> {
        self.run.op(self.path.as_ref(), None)
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        self.run.answer(now, answer);
    }
}
