//! The server: one request, and the file in either direction.

use heapless::Vec;

use super::super::inbound::Inbound;
use super::super::outbound::{Cut, Outbound, Owed};
use super::super::run::{Engine, Phase, Run};
use super::super::timer::Timer;
use super::config::Config;
use super::options::{Number, Options};
use super::{block, ended, render_numbered, render_word};
use crate::crc::Crc32;
use crate::fault::Peer;
use crate::file::{Answer, DigestKind, Extent, FileUser, Op, Refusal};
use crate::time::Instant;
use crate::transfer::{Heard, Transfer, Tx};
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
    Sending(Outbound<true>),
    /// The file comes.
    Receiving(Inbound<true>),
}

impl Engine for Serving {
    fn phase(&self) -> Phase {
        match self {
            Self::Free | Self::Sending(_) => Phase::Talking,
            Self::Opening | Self::Digesting { .. } => Phase::Storing,
            Self::Receiving(inbound) => inbound.phase(),
        }
    }

    fn owes(&self, timer: &Timer) -> bool {
        match self {
            Self::Sending(outbound) => outbound.owes(timer),
            Self::Receiving(inbound) => inbound.owes(timer),
            Self::Free | Self::Opening | Self::Digesting { .. } => false,
        }
    }

    fn sent(&mut self, timer: &mut Timer, count: usize) {
        match self {
            Self::Sending(outbound) => outbound.sent(timer, count),
            Self::Receiving(inbound) => inbound.sent(timer, count),
            Self::Free | Self::Opening | Self::Digesting { .. } => {}
        }
    }

    fn expired(&mut self, timer: &mut Timer) {
        match self {
            Self::Sending(outbound) => outbound.expired(timer),
            Self::Receiving(inbound) => inbound.expired(timer),
            Self::Free | Self::Opening | Self::Digesting { .. } => {}
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
            run: Run::new(Timer::to_client(&config.timing), Serving::Free),
        }
    }

    /// The name that was asked for, without the `/` at its front: it is relative to the root. Empty before the
    /// request came.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether a file was offered, and not asked for.
    pub const fn is_write(&self) -> bool {
        matches!(self.run.engine, Serving::Receiving(_))
    }

    fn refuse(&mut self, why: Refusal) -> Heard {
        self.run.refuse(why);
        Heard::Taken
    }

    /// The first datagram.
    fn begin(&mut self, datagram: &[u8], packet: Result<Packet<'_>, Peer>) -> Heard {
        let request = match packet {
            Ok(Packet::Request(request)) => request,
            // A stray packet of a transfer that is over draws nothing.
            Ok(_) => {
                self.run.leave(Peer::Malformed.into());
                return Heard::Ignored;
            }
            Err(why) => {
                let is_request = matches!(Opcode::of(datagram), Some(Opcode::Read | Opcode::Write));
                if is_request {
                    self.run.fail(why.into());
                } else {
                    self.run.leave(why.into());
                }
                return Heard::Malformed(why);
            }
        };
        self.request = digest_of(datagram);
        self.mode = request.mode;
        self.options.read(request.options);
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
        self.start();
        if !request.is_write {
            self.run.engine = Serving::Opening;
            return Heard::Taken;
        }
        if !self.config.writes {
            return self.refuse(Refusal::ReadOnly);
        }
        self.options.grant_writer(&self.config);
        let mut inbound = Inbound::new(self.config.timing.linger_us);
        // What is said of text is seldom its size as it travels.
        let size = self.options.get(Number::Size).filter(|_| self.mode == Mode::Octet);
        inbound.agree(self.options.cut().1, 0, size);
        inbound.create();
        self.run.engine = Serving::Receiving(inbound);
        Heard::Taken
    }

    /// The timer, as the peer has asked for it.
    fn start(&mut self) {
        if let Some(us) = self.options.get(Number::TimeoutUs).and_then(|us| u32::try_from(us).ok())
        {
            self.run.timer.start_at(&self.config.timing, us);
        }
    }

    /// The file is open: what is done of what was asked, as far as that is known by now.
    fn opened(&mut self, size: u64) {
        self.size = size;
        self.options.grant_reader(&self.config, size);
        let asked = self.options.digest_kind();
        self.options.ask_digest(None);
        match asked {
            Some(kind)
                // A digest is that of a file, and text is translated on its way.
                if self.mode == Mode::Octet
                    && self.config.digests.contains(kind) && size <= self.config.digest_max =>
            {
                self.run.engine = Serving::Digesting { kind, at: 0 };
            }
            _ => self.send(),
        }
    }

    fn send(&mut self) {
        let (block, window) = self.options.cut();
        let cut = Cut { at: self.options.seek(), end: self.end(), block, window };
        self.run.engine = Serving::Sending(Outbound::new(cut, !self.options.is_empty()));
    }

    /// Behind the last byte that is sent.
    fn end(&self) -> u64 {
        match self.options.get(Number::Length) {
            Some(length) => self.options.seek().saturating_add(length).min(self.size),
            None => self.size,
        }
    }

    /// A request while one is served.
    fn again(&mut self, datagram: &[u8]) -> Heard {
        let Run { timer, engine, .. } = &mut self.run;
        if !matches!(engine, Serving::Sending(_) | Serving::Receiving(_)) {
            return Heard::Ignored;
        }
        let is_same = self.request == digest_of(datagram);
        if is_same && !timer.is_answered() {
            // The answer was lost, or is late.
            match engine {
                Serving::Sending(outbound) => outbound.repeat(timer),
                Serving::Receiving(inbound) => inbound.repeat(timer),
                Serving::Free | Serving::Opening | Serving::Digesting { .. } => {}
            }
            Heard::Taken
        } else if is_same && !timer.is_stuck() {
            // A copy that the network kept back.
            Heard::Ignored
        } else {
            self.run.fail(Peer::Aborted.into());
            Heard::Replaced
        }
    }

    fn acknowledged(&mut self, number: u16) -> Heard {
        let Run { timer, engine: Serving::Sending(outbound), .. } = &mut self.run else {
            return Heard::Ignored;
        };
        let acked = outbound.acknowledged(timer, number.into());
        self.run.acknowledged(acked)
    }

    fn data(&mut self, number: u16, len: usize) -> Heard {
        let Run { timer, engine: Serving::Receiving(inbound), .. } = &mut self.run else {
            return Heard::Ignored;
        };
        let heard = block(inbound, timer, number, len, self.options.cut().0);
        self.run.heard(heard)
    }

    /// The OACK.
    fn render_oack(&self, head: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(Opcode::OptionAck as u16, head);
        self.options.write(&mut writer, true);
        writer.finish()
    }

    /// The peer ended it. Before it took a block that is how a size is looked up.
    fn peer_ended(&mut self) {
        let is_probe = matches!(&self.run.engine, Serving::Sending(outbound) if outbound.greets());
        self.run.fail(if is_probe { Peer::Declined } else { Peer::Aborted }.into());
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
        if !self.run.hears(now) {
            return Heard::Ignored;
        }
        let packet = Packet::parse(datagram);
        if let Serving::Free = self.run.engine {
            return self.begin(datagram, packet);
        }
        match packet {
            Ok(Packet::Ack { block }) => self.acknowledged(block),
            Ok(Packet::Data { block, bytes }) => self.data(block, bytes.len()),
            Ok(Packet::Request(_)) => self.again(datagram),
            Ok(Packet::Error { code, text }) => {
                self.peer_ended();
                ended(datagram, code, text)
            }
            Ok(Packet::OptionAck(_)) => Heard::Ignored,
            Err(why) => Heard::Malformed(why),
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let timer = &self.run.timer;
        let mut body = Extent::NONE;
        let len = match &self.run.engine {
            _ if self.run.ended().is_some() => {
                self.run.ended().filter(|_| nth == 0).and_then(|word| render_word(word, head))
            }
            Serving::Sending(outbound) => match outbound.owed(timer, nth)? {
                Owed::Greeting => self.render_oack(head),
                Owed::Block { number, at } => {
                    body = outbound.extent(at, self.end());
                    render_numbered(Opcode::Data, number, head)
                }
            },
            Serving::Receiving(inbound) => {
                let number = inbound.owed(timer).filter(|_| nth == 0)?;
                // With any block the client has shown that it has the OACK.
                if inbound.greets() && !timer.is_answered() && !self.options.is_empty() {
                    self.render_oack(head)
                } else {
                    render_numbered(Opcode::Ack, number, head)
                }
            }
            Serving::Free | Serving::Opening | Serving::Digesting { .. } => None,
        };
        len.map(|head| Tx { head, body })
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<const N: usize> FileUser for TftpServer<N> {
    fn op(&self) -> Option<Op<'_>> {
        if self.run.ended().is_some() {
            return None;
        }
        match &self.run.engine {
            Serving::Opening => Some(Op::Open(&self.name)),
            Serving::Digesting { kind, at } if *at < self.size => Some(Op::Digest {
                kind: *kind,
                extent: Extent { offset: *at, len: self.size.saturating_sub(*at) },
            }),
            Serving::Digesting { kind, .. } => Some(Op::FinishDigest(*kind)),
            Serving::Receiving(inbound) => inbound.op(&self.name, self.options.told()),
            Serving::Free | Serving::Sending(_) => None,
        }
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        if !self.run.hears(now) {
            return;
        }
        let size = self.size;
        let Run { timer, engine, .. } = &mut self.run;
        match (engine, answer) {
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
                self.options.tell_digest(&digest);
                self.send();
            }
            (Serving::Digesting { .. }, Answer::Failed(fault)) => self.run.fail(fault),
            (Serving::Receiving(inbound), Answer::Refused(why)) if inbound.is_creating() => {
                let _ = self.refuse(why);
            }
            (Serving::Receiving(inbound), answer) => {
                if let Err(fault) = inbound.answer(timer, answer) {
                    self.run.fail(fault);
                }
            }
            _ => {}
        }
    }

    fn text(&self) -> bool {
        self.mode == Mode::Netascii
    }
}
