//! The client that writes a file.

use super::super::outbound::{Cut, Outbound, Owed, WINDOW_MAX};
use super::super::run::Run;
use super::super::timer::Timer;
use super::offer::{Accepted, Asks};
use super::{NUMBERS, Offer, ended, render_data, render_word};
use crate::fault::Peer;
use crate::file::{Digest, Extent, FileUser};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::tftp::{BLOCK_DEFAULT, Packet};

/// Offers a file to a server, and sends it. `N` is the name of the file, lent or owned.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TftpPut<N> {
    offer: Offer,
    asks: Asks<N>,
    block: u16,
    compares: Option<bool>,
    run: Run<Outbound>,
}

impl<N: AsRef<[u8]>> TftpPut<N> {
    /// Will offer a file of `size` bytes, as it travels, under `name`. A name that fits into no request ends in
    /// [`Fault::Local`](crate::fault::Fault::Local).
    pub fn new(name: N, size: u64, offer: Offer, timing: &Timing) -> Self {
        let cut = Cut { at: 0, end: size, block: BLOCK_DEFAULT, window: 1 };
        let timer = Timer::to_server(timing);
        let mut run = Run::On(Outbound::new(timer, NUMBERS, cut, true));
        if let Err(fault) = Offer::fits(name.as_ref()) {
            run.end(Err(fault));
        }
        let asks = Asks { is_write: true, name, size, seek: 0, digest: None };
        Self { offer, asks, block: BLOCK_DEFAULT, compares: None, run }
    }

    /// Tells the digest of the file, which a server that knows the option compares.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.asks.digest = Some((digest.kind(), Some(digest)));
        self
    }

    /// Whether the server compares the file with the digest that it was told; `None` before its first answer.
    pub const fn compares(&self) -> Option<bool> {
        self.compares
    }

    /// A block, or what was offered, is acknowledged.
    fn acknowledged(&mut self, now: Instant, number: u16, accepted: Accepted) -> Heard {
        let Run::On(outbound) = &mut self.run else { return Heard::Ignored };
        if outbound.greets() && number == 0 {
            self.block = accepted.block;
            self.compares = Some(accepted.digest.is_some());
            outbound.agree(accepted.block, accepted.window.min(WINDOW_MAX));
        }
        let acked = outbound.acknowledged(now, number.into());
        self.run.acknowledged(acked)
    }
}

impl<N: AsRef<[u8]>> Transfer for TftpPut<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        let Run::On(outbound) = &mut self.run else { return Heard::Ignored };
        match Packet::parse(datagram) {
            Ok(Packet::Ack { block }) => self.acknowledged(now, block, Accepted::PLAIN),
            Ok(Packet::OptionAck(options)) if outbound.greets() => {
                match self.offer.accept(&self.asks, options) {
                    Ok(accepted) => self.acknowledged(now, 0, accepted),
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
            Ok(Packet::OptionAck(_)) => self.acknowledged(now, 0, Accepted::PLAIN),
            Ok(Packet::Request(_) | Packet::Data { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        match &self.run {
            Run::On(outbound) => match outbound.owed(nth)? {
                Owed::Greeting => self.offer.render(&self.asks, head).map(Tx::head),
                Owed::Block { number, at } => {
                    let len = self.asks.size.saturating_sub(at).min(self.block.into());
                    render_data(number, Extent { offset: at, len }, head)
                }
            },
            Run::Over(end) => end.word().filter(|_| nth == 0).map(|word| render_word(word, head)),
        }
    }

    super::super::run::forward!();

    /// Nothing is asked: the shell has the file.
    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        None
    }
}
