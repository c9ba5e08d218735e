//! The server: one request, and the file in either direction.

use heapless::Vec;

use super::super::end::End;
use super::super::inbound::Inbound;
use super::super::outbound::{Cut, Outbound, Owed};
use super::super::run::{Engine, Run};
use super::super::timer::Timer;
use super::config::Config;
use super::options::{Number, Options};
use super::{NUMBERS, block, ended, render_ack, render_block, render_word};
use crate::crc::Crc32;
use crate::fault::{Fault, Peer};
use crate::file::{Answer, DigestKind, Extent, FileUser, Op, Refusal};
use crate::time::Instant;
use crate::transfer::{Heard, Transfer, Tx};
use crate::want::Want;
use crate::wire::tftp::{Mode, Opcode, Packet, Request, Writer};

/// The longest name that a server takes, in bytes, if it has memory for it.
pub const NAME_MAX: usize = 255;

/// Serves one request. `N` is the memory for the name in bytes, [`NAME_MAX`] at most; a longer name is refused.
#[derive(Clone, Debug)]
pub struct TftpServer<const N: usize = NAME_MAX> {
    config: Config,
    name: Vec<u8, N>,
    mode: Mode,
    /// What is asked for and, once that is known, what is granted.
    options: Options,
    /// Tells the request from another one.
    request: u32,
    /// Of the file.
    size: u64,
    run: Run<Serving>,
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for TftpServer<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TftpServer {{ name: {=[u8]:a}, run: {} }}", self.name(), self.run);
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Serving {
    /// Waits for the request.
    Free,
    /// The shell opens the file.
    Opening,
    /// The shell digests the file, from this byte on.
    Digesting { kind: DigestKind, at: u64 },
    /// The file leaves.
    Sending(Outbound),
    /// The file comes.
    Receiving(Inbound),
}

impl Engine for Serving {
    fn sent(&mut self, now: Instant, count: usize) {
        match self {
            Self::Sending(outbound) => outbound.sent(now, count),
            Self::Receiving(inbound) => inbound.sent(now, count),
            Self::Free | Self::Opening | Self::Digesting { .. } => {}
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Result<(), Fault>> {
        match self {
            Self::Sending(outbound) => outbound.tick(now),
            Self::Receiving(inbound) => inbound.tick(now),
            Self::Free | Self::Opening | Self::Digesting { .. } => None,
        }
    }

    fn want(&self) -> Want {
        match self {
            Self::Free => Want::READ,
            Self::Opening | Self::Digesting { .. } => Want::FILE,
            Self::Sending(outbound) => outbound.want(),
            Self::Receiving(inbound) => inbound.want(),
        }
    }
}

impl<const N: usize> TftpServer<N> {
    /// Waits for a request.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            name: Vec::new(),
            mode: Mode::Octet,
            options: Options::NONE,
            request: 0,
            size: 0,
            run: Run::On(Serving::Free),
        }
    }

    /// The name that was asked for, without the `/` at its front: it is relative to the root. Empty before the
    /// request came.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether a file was offered, and not asked for.
    pub const fn is_write(&self) -> bool {
        matches!(self.run, Run::On(Serving::Receiving(_)))
    }

    fn refuse(&mut self, why: Refusal) -> Heard {
        self.run = Run::Over(End::refused(why));
        Heard::Taken
    }

    /// The first datagram.
    fn begin(&mut self, datagram: &[u8]) -> Heard {
        let (is_request, packet) = (
            matches!(Opcode::of(datagram), Some(Opcode::Read | Opcode::Write)),
            Packet::parse(datagram),
        );
        let request = match packet {
            Ok(Packet::Request(request)) => request,
            // A stray packet of a transfer that is over draws nothing.
            Ok(_) => {
                self.run = Run::Over(End::silent(Peer::Malformed.into()));
                return Heard::Ignored;
            }
            Err(why) => {
                let fault = why.into();
                self.run =
                    Run::Over(if is_request { End::new(Err(fault)) } else { End::silent(fault) });
                return Heard::Malformed(why);
            }
        };
        self.request = digest_of(datagram);
        self.mode = request.mode;
        (self.options, _) = Options::parse(request.options);
        self.accept(request)
    }

    fn accept(&mut self, request: Request<'_>) -> Heard {
        let mut name = request.name;
        // A leading `/` is the root.
        while let [b'/', rest @ ..] = name {
            name = rest;
        }
        if name.is_empty() {
            return self.refuse(Refusal::BadName);
        }
        match Vec::from_slice(name) {
            Ok(name) => self.name = name,
            Err(_) => return self.refuse(Refusal::TooLong),
        }
        if !request.is_write {
            self.run = Run::On(Serving::Opening);
            return Heard::Taken;
        }
        if !self.config.writes {
            return self.refuse(Refusal::ReadOnly);
        }
        self.options.grant_writer(&self.config);
        let linger_us = self.config.timing.linger_us;
        let mut inbound = Inbound::new(self.timer(), linger_us, NUMBERS);
        // What is said of text is seldom its size as it travels.
        let size = self.options.get(Number::Size).filter(|_| self.mode == Mode::Octet);
        inbound.agree(self.options.cut().1, 0, size);
        inbound.create();
        self.run = Run::On(Serving::Receiving(inbound));
        Heard::Taken
    }

    fn timer(&self) -> Timer {
        let timing = &self.config.timing;
        let timer = Timer::to_client(timing);
        match self.options.get(Number::TimeoutUs).and_then(|us| u32::try_from(us).ok()) {
            Some(us) => timer.starting_at(timing, us),
            None => timer,
        }
    }

    /// The file is open: what is done of what was asked, as far as that is known by now.
    fn opened(&mut self, size: u64) {
        self.size = size;
        self.options.grant_reader(&self.config, size);
        match self.options.digest.take() {
            Some((kind, _))
                // A digest is that of a file, and text is translated on its way.
                if self.mode == Mode::Octet
                    && self.config.digests.contains(kind) && size <= self.config.digest_max =>
            {
                self.run = Run::On(Serving::Digesting { kind, at: 0 });
            }
            _ => self.send(),
        }
    }

    fn send(&mut self) {
        let (block, window) = self.options.cut();
        let cut = Cut { at: self.options.seek(), end: self.end(), block, window };
        let outbound = Outbound::new(self.timer(), NUMBERS, cut, !self.options.is_empty());
        self.run = Run::On(Serving::Sending(outbound));
    }

    /// Behind the last byte that is sent.
    fn end(&self) -> u64 {
        match self.options.get(Number::Length) {
            Some(length) => self.options.seek().saturating_add(length).min(self.size),
            None => self.size,
        }
    }

    /// A request while one is served.
    fn again(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        let Run::On(serving) = &mut self.run else { return Heard::Ignored };
        let timer = match serving {
            Serving::Sending(outbound) => outbound.timer_at(now),
            Serving::Receiving(inbound) => inbound.timer_at(now),
            Serving::Free | Serving::Opening | Serving::Digesting { .. } => return Heard::Ignored,
        };
        let is_same = self.request == digest_of(datagram);
        if is_same && !timer.is_answered() {
            // The answer was lost, or is late.
            match serving {
                Serving::Sending(outbound) => outbound.repeat(),
                Serving::Receiving(inbound) => inbound.repeat(),
                Serving::Free | Serving::Opening | Serving::Digesting { .. } => {}
            }
            Heard::Taken
        } else if is_same && !timer.is_stuck() {
            // A copy that the network kept back.
            Heard::Ignored
        } else {
            self.run = Run::Over(End::silent(Peer::Aborted.into()));
            Heard::Replaced
        }
    }

    fn acknowledged(&mut self, now: Instant, number: u16) -> Heard {
        let Run::On(Serving::Sending(outbound)) = &mut self.run else { return Heard::Ignored };
        let acked = outbound.acknowledged(now, number.into());
        self.run.acknowledged(acked)
    }

    fn data(&mut self, now: Instant, number: u16, len: usize) -> Heard {
        let Run::On(Serving::Receiving(inbound)) = &mut self.run else { return Heard::Ignored };
        let heard = block(inbound, now, number, len, self.options.cut().0);
        self.run.heard(heard)
    }

    /// The OACK.
    fn render_oack(&self, head: &mut [u8]) -> Option<Tx> {
        let mut writer = Writer::new(Opcode::OptionAck as u16, head);
        self.options.write(&mut writer);
        writer.finish().map(Tx::head)
    }

    /// The peer ended it. Before it took a block that is how a size is looked up.
    fn peer_ended(&mut self) {
        let is_probe =
            matches!(&self.run, Run::On(Serving::Sending(outbound)) if outbound.greets());
        self.run.end(Err(if is_probe { Peer::Declined } else { Peer::Aborted }.into()));
    }
}

/// Tells one request from another.
fn digest_of(request: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(request);
    crc.finish()
}

impl<const N: usize> Transfer for TftpServer<N> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        match &self.run {
            Run::Over(_) => return Heard::Ignored,
            Run::On(Serving::Free) => return self.begin(datagram),
            Run::On(_) => {}
        }
        match Packet::parse(datagram) {
            Ok(Packet::Ack { block }) => self.acknowledged(now, block),
            Ok(Packet::Data { block, bytes }) => self.data(now, block, bytes.len()),
            Ok(Packet::Request(_)) => self.again(now, datagram),
            Ok(Packet::Error { code, text }) => {
                self.peer_ended();
                ended(datagram, code, text)
            }
            Ok(Packet::OptionAck(_)) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        match &self.run {
            Run::On(Serving::Sending(outbound)) => match outbound.owed(nth)? {
                Owed::Greeting => self.render_oack(head),
                Owed::Block { number, at } => {
                    render_block(number, outbound.extent(at, self.end()), head)
                }
            },
            Run::On(Serving::Receiving(inbound)) => {
                let number = inbound.owed(nth)?;
                // With any block the client has shown that it has the OACK.
                let has_oack = inbound.timer().is_answered();
                if inbound.greets() && !has_oack && !self.options.is_empty() {
                    return self.render_oack(head);
                }
                render_ack(number, head)
            }
            Run::On(Serving::Free | Serving::Opening | Serving::Digesting { .. }) => None,
            Run::Over(end) => render_word(end, nth, head),
        }
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<const N: usize> FileUser for TftpServer<N> {
    fn op(&self) -> Option<Op<'_>> {
        match &self.run {
            Run::On(Serving::Opening) => Some(Op::Open(&self.name)),
            Run::On(Serving::Digesting { kind, at }) if *at < self.size => Some(Op::Digest {
                kind: *kind,
                extent: Extent { offset: *at, len: self.size.saturating_sub(*at) },
            }),
            Run::On(Serving::Digesting { kind, .. }) => Some(Op::FinishDigest(*kind)),
            Run::On(Serving::Receiving(inbound)) => inbound.op(&self.name, self.options.told()),
            Run::On(Serving::Free | Serving::Sending(_)) | Run::Over(_) => None,
        }
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        let size = self.size;
        let Run::On(serving) = &mut self.run else { return };
        match (serving, answer) {
            (Serving::Opening, Answer::Opened(size)) => self.opened(size),
            (Serving::Opening, Answer::Refused(why)) => {
                let _ = self.refuse(why);
            }
            (Serving::Opening, Answer::Failed(_)) => {
                let _ = self.refuse(Refusal::Failed);
            }
            (Serving::Digesting { at, .. }, Answer::Digested(n)) if n > 0 => {
                *at = at.saturating_add(n).min(size);
            }
            (Serving::Digesting { .. }, Answer::Digest(digest)) => {
                self.options.digest = Some((digest.kind(), Some(digest)));
                self.send();
            }
            (Serving::Digesting { .. }, Answer::Failed(fault)) => self.run.end(Err(fault)),
            (Serving::Receiving(inbound), Answer::Refused(why)) if inbound.is_creating() => {
                let _ = self.refuse(why);
            }
            (Serving::Receiving(inbound), answer) => {
                if let Some(fault) = inbound.answer(now, answer) {
                    self.run.end(Err(fault));
                }
            }
            _ => {}
        }
    }

    fn text(&self) -> bool {
        self.mode == Mode::Netascii
    }
}
