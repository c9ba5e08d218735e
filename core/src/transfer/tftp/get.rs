//! The client that reads a file.

use super::super::inbound::{Inbound, moved};
use super::super::parts;
use super::super::run::Run;
use super::super::timer::Timer;
use super::names::Number;
use super::offer::Request;
use super::{Offer, block, ended, render_error, render_numbered};
use crate::fault::Peer;
use crate::file::{Answer, DigestKind, FileUser, Op};
use crate::time::Instant;
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::wire::tftp::{BLOCK_DEFAULT, Mode, Opcode, Packet};

/// Asks a server for a file, and has it kept by its shell, as [`file`](crate::file) says. `N` is the name of the file,
/// lent or owned, and `PARTS` what the client has of [`parts`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TftpGet<N, const PARTS: u8 = { parts::ALL }> {
    request: Request<N, PARTS>,
    /// The server answered: the options are what is agreed.
    is_agreed: bool,
    run: Run<Inbound<true, PARTS>, PARTS>,
}

impl<N: AsRef<[u8]>> TftpGet<N> {
    /// Will ask for the file `name`. A name that fits into no request ends in [`Fault::Local`](crate::fault::Fault).
    pub fn new(name: N, offer: Offer, timing: &Timing) -> Self {
        Self::with_parts(name, offer, timing)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> TftpGet<N, PARTS> {
    /// [`new`](TftpGet::new), with these parts.
    pub fn with_parts(name: N, offer: Offer, timing: &Timing) -> Self {
        let mut run = Run::new(Timer::to_server(timing), Inbound::new(timing.linger_us));
        let request = Request::new(name, 0, &offer);
        if let Err(fault) = request.check() {
            run.fail(fault);
        }
        Self { request, is_agreed: false, run }
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
        self.request.options.ask_digest(Some(kind));
        self
    }

    /// The server answered for the first time.
    #[inline(never)]
    fn agree(&mut self) {
        let options = &self.request.options;
        self.run.engine.agree(options.window(), options.seek(), options.get(Number::Size));
        self.is_agreed = true;
    }

    fn data(&mut self, number: u16, len: usize) -> Heard {
        if !self.is_agreed {
            // A server without options, which sends blocks of 512 bytes. More than that is of one that did not
            // wait for its OACK to be acknowledged.
            if number != 1 || len > BLOCK_DEFAULT.into() {
                return Heard::Ignored;
            }
            self.request.options.clear();
            self.agree();
        }
        let most = self.request.options.block();
        let heard = block(&mut self.run.engine, &mut self.run.timer, number, len, most);
        self.run.heard(heard)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> Transfer for TftpGet<N, PARTS> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        if !self.run.hears(now) {
            return Heard::Ignored;
        }
        match Packet::parse_answer(datagram) {
            Ok(Packet::Data { block, bytes }) => self.data(block, bytes.len()),
            Ok(Packet::OptionAck(oack)) if !self.is_agreed => {
                moved(&mut self.run.timer);
                self.run.engine.create();
                match self.request.options.accept(oack) {
                    Ok(()) => self.agree(),
                    Err(why) => self.run.fail(why.into()),
                }
                Heard::Taken
            }
            // The first acknowledgement was lost.
            Ok(Packet::OptionAck(_)) => {
                self.run.engine.again(&mut self.run.timer);
                Heard::Ignored
            }
            Ok(Packet::Error { code, text }) => {
                self.run.fail(if self.is_agreed { Peer::Aborted } else { Peer::Refused }.into());
                ended(datagram, code, text)
            }
            Ok(Packet::Request(_) | Packet::Ack { .. }) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let len = if nth > 0 {
            None
        } else if self.run.is_over() {
            render_error(self.run.error()?, head)
        } else {
            let number = self.run.engine.owed(&self.run.timer)?;
            if self.is_agreed {
                render_numbered(Opcode::Ack, number, head)
            } else {
                self.request.render(Opcode::Read, head)
            }
        };
        len.map(Tx::head)
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<N: AsRef<[u8]>, const PARTS: u8> FileUser for TftpGet<N, PARTS> {
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
