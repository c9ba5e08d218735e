//! The server: one request, and the file in either direction.

use heapless::Vec;

use super::super::inbound::Inbound;
use super::super::outbound::{Cut, Outbound, Owed};
use super::super::parts::{self, EXTENSIONS, READS, WRITES, has};
use super::super::run::{Engine, Phase, Run};
use super::super::timer::Timer;
use super::config::Config;
use super::names::Number;
use super::options::Options;
use super::{block, ended, render_error, render_numbered};
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
pub struct TftpServer<const N: usize = NAME_MAX, const PARTS: u8 = { parts::ALL }> {
    config: Config,
    name: Vec<u8, N>,
    mode: Mode,
    /// What is asked for and, once that is known, what is granted.
    options: Options<PARTS>,
    /// Tells the request from another one.
    request: u32,
    /// Of the file.
    size: u64,
    run: Run<Serving<PARTS>, PARTS>,
}

#[cfg(feature = "defmt")]
impl<const N: usize, const PARTS: u8> defmt::Format for TftpServer<N, PARTS> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TftpServer {{ name: {=[u8]:a}, run: {} }}", self.name(), self.run);
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Serving<const PARTS: u8> {
    /// Waits for the request.
    Free,
    /// The shell opens the file.
    Opening,
    /// The shell digests the file, from this byte on.
    Digesting { kind: DigestKind, at: u64 },
    /// The file leaves.
    Sending(Outbound<true, PARTS>),
    /// The file comes.
    Receiving(Inbound<true, PARTS>),
}

impl<const PARTS: u8> Engine<PARTS> for Serving<PARTS> {
    const REFUSES: bool = true;

    fn phase(&self) -> Phase {
        match self {
            Self::Receiving(inbound) if has(PARTS, WRITES) => inbound.phase(),
            Self::Opening | Self::Digesting { .. } if has(PARTS, READS) => Phase::Storing,
            _ => Phase::Talking,
        }
    }

    fn owes(&self, timer: &Timer<PARTS>) -> bool {
        match self {
            Self::Sending(outbound) if has(PARTS, READS) => outbound.owes(timer),
            Self::Receiving(inbound) if has(PARTS, WRITES) => inbound.owes(timer),
            _ => false,
        }
    }

    fn sent(&mut self, timer: &mut Timer<PARTS>, count: usize) {
        match self {
            Self::Sending(outbound) if has(PARTS, READS) => outbound.sent(timer, count),
            Self::Receiving(inbound) if has(PARTS, WRITES) => inbound.sent(timer, count),
            _ => {}
        }
    }

    fn expired(&mut self, timer: &mut Timer<PARTS>) {
        match self {
            Self::Sending(outbound) if has(PARTS, READS) => outbound.expired(timer),
            Self::Receiving(inbound) if has(PARTS, WRITES) => inbound.expired(timer),
            _ => {}
        }
    }
}

impl<const N: usize> TftpServer<N> {
    /// Waits for a request.
    pub fn new(config: Config) -> Self {
        Self::with_parts(config)
    }
}

impl<const N: usize, const PARTS: u8> TftpServer<N, PARTS> {
    /// [`new`](TftpServer::new), with these parts.
    pub fn with_parts(config: Config) -> Self {
        Self {
            config,
            name: Vec::new(),
            mode: Mode::Octet,
            options: Options::none(),
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

    /// The first datagram, a request.
    fn begin(&mut self, datagram: &[u8], request: Request<'_>) -> Heard {
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
        if self.name.extend_from_slice(name).is_err() {
            return self.refuse(Refusal::TooLong);
        }
        self.start();
        if !request.is_write {
            if !has(PARTS, READS) {
                return self.refuse(Refusal::NotAllowed);
            }
            self.run.engine = Serving::Opening;
            return Heard::Taken;
        }
        if !(has(PARTS, WRITES) && self.config.writes) {
            return self.refuse(Refusal::ReadOnly);
        }
        self.options.grant_writer(&self.config);
        let mut inbound = Inbound::new(self.config.timing.linger_us);
        // What is said of text is seldom its size as it travels.
        let size = self.options.get(Number::Size).filter(|_| self.mode == Mode::Octet);
        inbound.agree(self.options.window(), 0, size);
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
                if has(PARTS, EXTENSIONS)
                // A digest is that of a file, and text is translated on its way.
                    && self.mode == Mode::Octet
                    && self.config.digests.contains(kind) && size <= self.config.digest_max =>
            {
                self.run.engine = Serving::Digesting { kind, at: 0 };
            }
            _ => self.send(),
        }
    }

    fn send(&mut self) {
        let options = &self.options;
        let (block, window) = (options.block(), options.window());
        let cut = Cut { at: options.seek(), end: self.end(), block, window };
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
                Serving::Sending(outbound) if has(PARTS, READS) => outbound.repeat(timer),
                Serving::Receiving(inbound) if has(PARTS, WRITES) => inbound.repeat(timer),
                _ => {}
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
        if !has(PARTS, READS) {
            return Heard::Ignored;
        }
        let acked = outbound.acknowledged(timer, number.into());
        self.run.acknowledged(acked)
    }

    fn data(&mut self, number: u16, len: usize) -> Heard {
        let Run { timer, engine: Serving::Receiving(inbound), .. } = &mut self.run else {
            return Heard::Ignored;
        };
        if !has(PARTS, WRITES) {
            return Heard::Ignored;
        }
        let heard = block(inbound, timer, number, len, self.options.block());
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
#[inline(never)]
fn digest_of(request: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(request);
    crc.finish()
}

impl<const N: usize, const PARTS: u8> Transfer for TftpServer<N, PARTS> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        if !self.run.hears(now) {
            return Heard::Ignored;
        }
        let is_free = matches!(self.run.engine, Serving::Free);
        if let Some(Opcode::Read | Opcode::Write) = Opcode::of(datagram) {
            return match Request::parse(datagram) {
                Ok(request) if is_free => self.begin(datagram, request),
                Ok(_) => self.again(datagram),
                Err(why) => {
                    if is_free {
                        self.run.fail(why.into());
                    }
                    Heard::Malformed(why)
                }
            };
        }
        match Packet::parse_answer(datagram) {
            // A stray packet of a transfer that is over draws nothing.
            Ok(_) if is_free => {
                self.run.leave(Peer::Malformed.into());
                Heard::Ignored
            }
            Ok(Packet::Ack { block }) => self.acknowledged(block),
            Ok(Packet::Data { block, bytes }) => self.data(block, bytes.len()),
            Ok(Packet::Error { code, text }) => {
                self.peer_ended();
                ended(datagram, code, text)
            }
            Ok(Packet::OptionAck(_) | Packet::Request(_)) => Heard::Ignored,
            Err(why) => {
                if is_free {
                    self.run.leave(why.into());
                }
                Heard::Malformed(why)
            }
        }
    }

    fn render(&self, _: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let timer = &self.run.timer;
        let mut body = Extent::NONE;
        let len = match &self.run.engine {
            _ if self.run.is_over() => {
                self.run.error().filter(|_| nth == 0).and_then(|error| render_error(error, head))
            }
            Serving::Sending(outbound) if has(PARTS, READS) => match outbound.owed(timer, nth)? {
                Owed::Greeting => self.render_oack(head),
                Owed::Block { number, at } => {
                    body = outbound.extent(at, self.end());
                    render_numbered(Opcode::Data, number, head)
                }
            },
            Serving::Receiving(inbound) if has(PARTS, WRITES) => {
                let number = inbound.owed(timer).filter(|_| nth == 0)?;
                // With any block the client has shown that it has the OACK.
                if inbound.greets() && !timer.is_answered() && !self.options.is_empty() {
                    self.render_oack(head)
                } else {
                    render_numbered(Opcode::Ack, number, head)
                }
            }
            _ => None,
        };
        len.map(|head| Tx { head, body })
    }

    super::super::run::forward!();

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        Some(self)
    }
}

impl<const N: usize, const PARTS: u8> FileUser for TftpServer<N, PARTS> {
    fn op(&self) -> Option<Op<'_>> {
        if self.run.is_over() {
            return None;
        }
        match &self.run.engine {
            Serving::Opening if has(PARTS, READS) => Some(Op::Open(&self.name)),
            Serving::Digesting { kind, at } if has(PARTS, EXTENSIONS) => Some(if *at < self.size {
                let len = self.size.saturating_sub(*at);
                Op::Digest { kind: *kind, extent: Extent { offset: *at, len } }
            } else {
                Op::FinishDigest(*kind)
            }),
            Serving::Receiving(inbound) if has(PARTS, WRITES) => {
                inbound.op(&self.name, self.options.told())
            }
            _ => None,
        }
    }

    fn answer(&mut self, now: Instant, answer: Answer) {
        if !self.run.hears(now) {
            return;
        }
        let size = self.size;
        let Run { timer, engine, .. } = &mut self.run;
        match engine {
            Serving::Opening if has(PARTS, READS) => match answer {
                Answer::Opened(size) => self.opened(size),
                Answer::Refused(why) => self.run.refuse(why),
                Answer::Failed(_) => self.run.refuse(Refusal::Failed),
                _ => {}
            },
            Serving::Digesting { at, .. } if has(PARTS, EXTENSIONS) => match answer {
                Answer::Digested(n) if n > 0 => *at = at.saturating_add(n).min(size),
                Answer::Digest(digest) => {
                    self.options.tell_digest(&digest);
                    self.send();
                }
                Answer::Failed(fault) => self.run.fail(fault),
                _ => {}
            },
            Serving::Receiving(inbound) if has(PARTS, WRITES) => match answer {
                Answer::Refused(why) if inbound.is_creating() => self.run.refuse(why),
                answer => {
                    if let Err(fault) = inbound.answer(timer, answer) {
                        self.run.fail(fault);
                    }
                }
            },
            _ => {}
        }
    }

    fn text(&self) -> bool {
        self.mode == Mode::Netascii
    }
}
