//! The client that reads a file.

use super::super::inbound::{Arrived, Inbound, Stored};
use super::super::run::Run;
use super::super::timer::Timer;
use super::offer::{Accepted, Asks};
use super::{NUMBERS, Offer, ended, render_ack, render_word};
use crate::fault::{Fault, Peer};
use crate::file::{Answer, Digest, DigestKind, FileUser, Op};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::tftp::{BLOCK_DEFAULT, DATA_AT, Mode, Packet};

/// Asks a server for a file, and has it kept by its shell, as [`file`](crate::file) says. `N` is the name of the file,
/// lent or owned.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TftpGet<N> {
    offer: Offer,
    asks: Asks<N>,
    /// The server answered, and this is the size of a block.
    block: Option<u16>,
    digest: Option<Digest>,
    run: Run<Inbound>,
}

impl<N: AsRef<[u8]>> TftpGet<N> {
    /// Will ask for the file `name`. A name that fits into no request ends in [`Fault::Local`].
    pub fn new(name: N, offer: Offer, timing: &Timing) -> Self {
        let inbound = Inbound::new(Timer::to_server(timing), timing.linger_us, NUMBERS);
        let mut run = Run::On(inbound);
        if let Err(fault) = Offer::fits(name.as_ref()) {
            run.end(Err(fault));
        }
        let asks = Asks { is_write: false, name, size: 0, seek: 0, digest: None };
        Self { offer, asks, block: None, digest: None, run }
    }

    /// Asks for the bytes from this one on. A server that does not know the option sends the file from its
    /// beginning: [`Head::offset`](crate::file::Head::offset) says which it is.
    #[must_use]
    pub fn seek(mut self, seek: u64) -> Self {
        self.asks.seek = seek;
        self
    }

    /// Asks for a digest of the whole file, for [`Op::Commit`].
    #[must_use]
    pub fn digest(mut self, kind: DigestKind) -> Self {
        self.asks.digest = Some((kind, None));
        self
    }

    /// The server answered for the first time: what it agreed to.
    fn agree(&mut self, accepted: Accepted) {
        if let Run::On(inbound) = &mut self.run {
            self.block = Some(accepted.block);
            self.digest = accepted.digest;
            inbound.agree(accepted.window, accepted.seek, accepted.size);
        }
    }

    fn data(&mut self, now: Instant, number: u16, bytes: &[u8]) -> Heard {
        let max = match self.block {
            Some(block) => block,
            // A server without options, which sends blocks of 512 bytes. More than that is of one that did not
            // wait for its OACK to be acknowledged.
            None if number == 1 && bytes.len() <= BLOCK_DEFAULT.into() => {
                self.agree(Accepted::PLAIN);
                BLOCK_DEFAULT
            }
            None => return Heard::Ignored,
        };
        let Run::On(inbound) = &mut self.run else { return Heard::Ignored };
        if bytes.len() > max.into() {
            let claimed = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.run.end(Err(Peer::TooLong { claimed, max: max.into() }.into()));
            return Heard::Taken;
        }
        match inbound.block(now, number.into(), bytes.len(), bytes.len() < max.into()) {
            Arrived::Next if bytes.is_empty() => Heard::Taken,
            Arrived::Next => Heard::Store { at: DATA_AT },
            Arrived::Nothing => Heard::Ignored,
            Arrived::Fault(fault) => {
                self.run.end(Err(fault));
                Heard::Taken
            }
        }
    }
}

impl<N: AsRef<[u8]>> Transfer for TftpGet<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        let Run::On(inbound) = &mut self.run else { return Heard::Ignored };
        match Packet::parse(datagram) {
            Ok(Packet::Data { block, bytes }) => self.data(now, block, bytes),
            Ok(Packet::OptionAck(options)) if self.block.is_none() => {
                inbound.answered(now);
                inbound.create();
                match self.offer.accept(&self.asks, options) {
                    Ok(accepted) => self.agree(accepted),
                    Err(why) => self.run.end(Err(why.into())),
                }
                Heard::Taken
            }
            // The first acknowledgement was lost.
            Ok(Packet::OptionAck(_)) => {
                inbound.block(now, 0, 0, false);
                Heard::Ignored
            }
            Ok(Packet::Error { code, text }) => {
                let fault = if self.block.is_none() { Peer::Refused } else { Peer::Aborted };
                self.run.end(Err(fault.into()));
                ended(datagram, code, text)
            }
            Ok(Packet::Request(_) | Packet::Ack { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        match &self.run {
            Run::On(inbound) => {
                let number = inbound.owed(nth)?;
                if self.block.is_none() {
                    return self.offer.render(&self.asks, head).map(Tx::head);
                }
                render_ack(number, head)
            }
            Run::Over(end) => end.word().filter(|_| nth == 0).map(|word| render_word(word, head)),
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<N: AsRef<[u8]>> FileUser for TftpGet<N> {
    fn op(&self) -> Option<Op<'_>> {
        match &self.run {
            Run::On(inbound) => inbound.op(self.asks.name.as_ref(), self.digest.as_ref()),
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

    fn text(&self) -> bool {
        self.offer.mode == Mode::Netascii
    }
}
