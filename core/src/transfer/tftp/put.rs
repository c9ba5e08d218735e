//! The client that writes a file.

use super::super::outbound::{Cut, Outbound, Owed};
use super::super::parts;
use super::super::run::Run;
use super::super::timer::Timer;
use super::offer::Request;
use super::{Offer, ended, render_error, render_numbered};
use crate::fault::Peer;
use crate::file::{Digest, Extent, FileUser};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::tftp::{BLOCK_DEFAULT, Opcode, Packet};

/// Offers a file to a server, and sends it. `N` is the name of the file, lent or owned, and
/// `PARTS` what the client has of [`parts`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TftpPut<N, const PARTS: u8 = { parts::ALL }> {
    request: Request<N, PARTS>,
    size: u64,
    compares: Option<bool>,
    run: Run<Outbound<true, PARTS>, PARTS>,
}

impl<N: AsRef<[u8]>> TftpPut<N> {
    /// Will offer a file of `size` bytes, as it travels, under `name`. A name that fits into no request ends in
    /// [`Fault::Local`](crate::fault::Fault::Local).
    pub fn new(name: N, size: u64, offer: Offer, timing: &Timing) -> Self {
        Self::with_parts(name, size, offer, timing)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> TftpPut<N, PARTS> {
    /// [`new`](TftpPut::new), with these parts.
    pub fn with_parts(name: N, size: u64, offer: Offer, timing: &Timing) -> Self {
        let cut = Cut { at: 0, end: size, block: BLOCK_DEFAULT, window: 1 };
        let mut run = Run::new(Timer::to_server(timing), Outbound::new(cut, true));
        let request = Request::new(name, size, &offer);
        if let Err(fault) = request.check() {
            run.fail(fault);
        }
        Self { request, size, compares: None, run }
    }

    /// Tells the digest of the file, which a server that knows the option compares.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.request.options.tell_digest(&digest);
        self
    }

    /// Whether the server compares the file with the digest that it was told; `None` before its first answer.
    pub const fn compares(&self) -> Option<bool> {
        self.compares
    }

    /// A block is acknowledged or, as number 0, what was offered: then with the options that are agreed.
    fn acknowledged(&mut self, number: u16) -> Heard {
        let acked = self.run.engine.acknowledged(&mut self.run.timer, number.into());
        self.run.acknowledged(acked)
    }

    /// The server answered for the first time.
    fn agree(&mut self) -> Heard {
        let options = &self.request.options;
        self.compares = Some(options.digest_kind().is_some());
        self.run.engine.agree(options.block(), options.window());
        self.acknowledged(0)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> Transfer for TftpPut<N, PARTS> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        if !self.run.hears(now) {
            return Heard::Ignored;
        }
        let greets = self.run.engine.greets();
        match Packet::parse_answer(datagram) {
            Ok(Packet::Ack { block: 0 }) if greets => {
                self.request.options.clear();
                self.agree()
            }
            Ok(Packet::Ack { block }) => self.acknowledged(block),
            Ok(Packet::OptionAck(oack)) if greets => match self.request.options.accept(oack) {
                Ok(()) => self.agree(),
                Err(why) => {
                    self.run.fail(why.into());
                    Heard::Taken
                }
            },
            Ok(Packet::Error { code, text }) => {
                self.run.fail(if greets { Peer::Refused } else { Peer::Aborted }.into());
                ended(datagram, code, text)
            }
            // The server acknowledges nothing again.
            Ok(Packet::OptionAck(_)) => self.acknowledged(0),
            Ok(Packet::Request(_) | Packet::Data { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let mut body = Extent::NONE;
        let len = if self.run.is_over() {
            if nth > 0 { None } else { render_error(self.run.error()?, head) }
        } else {
            match self.run.engine.owed(&self.run.timer, nth)? {
                Owed::Greeting => self.request.render(Opcode::Write, head),
                Owed::Block { number, at } => {
                    body = self.run.engine.extent(at, self.size);
                    render_numbered(Opcode::Data, number, head)
                }
            }
        };
        len.map(|head| Tx { head, body })
    }

    super::super::run::forward!();

    /// Nothing is asked: the shell has the file.
    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        None
    }
}
