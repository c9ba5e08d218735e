//! The client that reads a file.

use super::super::inbound::Inbound;
use super::super::run::Run;
use super::super::timer::Timer;
use super::offer::Request;
use super::options::{Number, Options};
use super::{NUMBERS, Offer, block, ended, render_ack, render_word};
use crate::fault::Peer;
use crate::file::{Answer, DigestKind, FileUser, Op};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::tftp::{BLOCK_DEFAULT, Mode, Opcode, Packet};

/// Asks a server for a file, and has it kept by its shell, as [`file`](crate::file) says. `N` is the name of the file,
/// lent or owned.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TftpGet<N> {
    request: Request<N>,
    /// The server answered: the options are what is agreed.
    is_agreed: bool,
    run: Run<Inbound>,
}

impl<N: AsRef<[u8]>> TftpGet<N> {
    /// Will ask for the file `name`. A name that fits into no request ends in [`Fault::Local`](crate::fault::Fault).
    pub fn new(name: N, offer: Offer, timing: &Timing) -> Self {
        let inbound = Inbound::new(Timer::to_server(timing), timing.linger_us, NUMBERS);
        let (request, fits) = Request::new(Opcode::Read, name, 0, &offer);
        Self { request, is_agreed: false, run: Run::new(inbound, fits) }
    }

    /// Asks for the bytes from this one on. A server that does not know the option sends the file from its
    /// beginning: [`Head::offset`](crate::file::Head::offset) says which it is.
    #[must_use]
    pub fn seek(mut self, seek: u64) -> Self {
        self.request.options.set(Number::Seek, Some(seek).filter(|&seek| seek > 0));
        self
    }

    /// Asks for a digest of the whole file, for [`Op::Commit`].
    #[must_use]
    pub fn digest(mut self, kind: DigestKind) -> Self {
        self.request.options.digest = Some((kind, None));
        self
    }

    /// The server answered for the first time.
    fn agree(&mut self, options: Options) {
        if let Run::On(inbound) = &mut self.run {
            inbound.agree(options.cut().1, options.seek(), options.get(Number::Size));
        }
        (self.request.options, self.is_agreed) = (options, true);
    }

    fn data(&mut self, now: Instant, number: u16, len: usize) -> Heard {
        if !self.is_agreed {
            // A server without options, which sends blocks of 512 bytes. More than that is of one that did not
            // wait for its OACK to be acknowledged.
            if number != 1 || len > BLOCK_DEFAULT.into() {
                return Heard::Ignored;
            }
            self.agree(Options::NONE);
        }
        let Run::On(inbound) = &mut self.run else { return Heard::Ignored };
        let heard = block(inbound, now, number, len, self.request.options.cut().0);
        self.run.heard(heard)
    }
}

impl<N: AsRef<[u8]>> Transfer for TftpGet<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        let Run::On(inbound) = &mut self.run else { return Heard::Ignored };
        match Packet::parse_answer(datagram) {
            Ok(Packet::Data { block, bytes }) => self.data(now, block, bytes.len()),
            Ok(Packet::OptionAck(oack)) if !self.is_agreed => {
                inbound.answered(now);
                inbound.create();
                match self.request.options.accept(oack) {
                    Ok(options) => self.agree(options),
                    Err(why) => self.run.end(Err(why.into())),
                }
                Heard::Taken
            }
            // The first acknowledgement was lost.
            Ok(Packet::OptionAck(_)) => {
                inbound.again(now);
                Heard::Ignored
            }
            Ok(Packet::Error { code, text }) => {
                let fault = if self.is_agreed { Peer::Aborted } else { Peer::Refused };
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
                if !self.is_agreed {
                    return self.request.render(head).map(Tx::head);
                }
                render_ack(number, head)
            }
            Run::Over(end) => render_word(end, nth, head),
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<N: AsRef<[u8]>> FileUser for TftpGet<N> {
    fn op(&self) -> Option<Op<'_>> {
        self.run.op(self.request.name.as_ref(), self.request.options.told())
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        self.run.answer(now, answer);
    }

    fn text(&self) -> bool {
        self.request.mode == Mode::Netascii
    }
}
