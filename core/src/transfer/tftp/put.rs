//! The client that writes a file.

use super::super::outbound::{Cut, Outbound, Owed};
use super::super::run::Run;
use super::super::timer::Timer;
use super::offer::Request;
use super::options::Options;
use super::{NUMBERS, Offer, ended, render_block, render_word};
use crate::fault::Peer;
use crate::file::{Digest, FileUser};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::tftp::{BLOCK_DEFAULT, Opcode, Packet};

/// Offers a file to a server, and sends it. `N` is the name of the file, lent or owned.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TftpPut<N> {
    request: Request<N>,
    size: u64,
    compares: Option<bool>,
    run: Run<Outbound>,
}

impl<N: AsRef<[u8]>> TftpPut<N> {
    /// Will offer a file of `size` bytes, as it travels, under `name`. A name that fits into no request ends in
    /// [`Fault::Local`](crate::fault::Fault::Local).
    pub fn new(name: N, size: u64, offer: Offer, timing: &Timing) -> Self {
        let cut = Cut { at: 0, end: size, block: BLOCK_DEFAULT, window: 1 };
        let outbound = Outbound::new(Timer::to_server(timing), NUMBERS, cut, true);
        let (request, fits) = Request::new(Opcode::Write, name, size, &offer);
        Self { request, size, compares: None, run: Run::new(outbound, fits) }
    }

    /// Tells the digest of the file, which a server that knows the option compares.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.request.options.digest = Some((digest.kind(), Some(digest)));
        self
    }

    /// Whether the server compares the file with the digest that it was told; `None` before its first answer.
    pub const fn compares(&self) -> Option<bool> {
        self.compares
    }

    /// A block is acknowledged or, as number 0, what was offered.
    fn acknowledged(&mut self, now: Instant, number: u16, agreed: Options) -> Heard {
        let Run::On(outbound) = &mut self.run else { return Heard::Ignored };
        if outbound.greets() && number == 0 {
            outbound.agree(agreed.cut());
            self.compares = Some(agreed.digest.is_some());
        }
        let acked = outbound.acknowledged(now, number.into());
        self.run.acknowledged(acked)
    }
}

impl<N: AsRef<[u8]>> Transfer for TftpPut<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        let Run::On(outbound) = &mut self.run else { return Heard::Ignored };
        match Packet::parse_answer(datagram) {
            Ok(Packet::Ack { block }) => self.acknowledged(now, block, Options::NONE),
            Ok(Packet::OptionAck(oack)) if outbound.greets() => {
                match self.request.options.accept(oack) {
                    Ok(agreed) => self.acknowledged(now, 0, agreed),
                    Err(why) => {
                        self.run.end(Err(why.into()));
                        Heard::Taken
                    }
                }
            }
            Ok(Packet::Error { code, text }) => {
                let fault = if outbound.greets() { Peer::Refused } else { Peer::Aborted };
                self.run.end(Err(fault.into()));
                ended(datagram, code, text)
            }
            // The server acknowledges nothing again.
            Ok(Packet::OptionAck(_)) => self.acknowledged(now, 0, Options::NONE),
            Ok(Packet::Request(_) | Packet::Data { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        match &self.run {
            Run::On(outbound) => match outbound.owed(nth)? {
                Owed::Greeting => self.request.render(head).map(Tx::head),
                Owed::Block { number, at } => {
                    render_block(number, outbound.extent(at, self.size), head)
                }
            },
            Run::Over(end) => render_word(end, nth, head),
        }
    }

    super::super::run::forward!();

    /// Nothing is asked: the shell has the file.
    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        None
    }
}
