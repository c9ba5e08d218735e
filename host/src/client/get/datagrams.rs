//! A download over datagrams: `tftp` and `xfer`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tracing::debug;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{self, Digest, DigestKind, Head, Op, Storage};
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::Transfer;
use windlass_core::transfer::netascii::Decoder;
use windlass_core::transfer::tftp::TftpGet;
use windlass_core::transfer::xfer::XferClient;

use super::exchange::{Answer, Exchange, Got, Plan};
use super::facts::Facts;
use super::file::reason;
use super::limits::{Limits, micros};
use super::part::Part;
use super::place::Target;
use super::said::Beginning;
use super::source::Source;
use super::wishes::Wishes;
use crate::client::file_url::{FileUrl, Scheme};
use crate::client::transfer::{Asking, Attempt, each_address, timing};
use crate::drive::Next;
use crate::error::{Error, Result};
use crate::reactor::{Context, Event, EventLoop, Token, Watch};
use crate::sys::datagram::Conversation;

/// Downloads the file at `url`.
pub(super) fn get(url: &FileUrl, target: &Target, limits: Limits, wishes: &Wishes) -> Result<Got> {
    let mut resume = wishes.resume;
    loop {
        let answer =
            each_address(url.server(), limits.connect_until(), |address, until| match Asked::new(
                url, target, limits, wishes, resume,
            ) {
                Ok(asked) => asked.attempt(address, until),
                Err(error) => Attempt::Answered(Err(error)),
            })?;
        match answer {
            Answer::Whole => return Ok(Got::Whole),
            Answer::Stopped(signal) => return Ok(Got::Stopped(signal)),
            Answer::Again if resume => {
                debug!(
                    "the server has no digest, so the rest might be of another file: the download starts from byte 0"
                );
                resume = false;
            }
            Answer::Again | Answer::Elsewhere(_) => {
                return Err(Error::new("get", url, "it is elsewhere"));
            }
        }
    }
}

/// One request, to be.
struct Asked<'a> {
    url: &'a FileUrl,
    source: Source,
    target: &'a Target,
    limits: Limits,
    wishes: &'a Wishes,
    part: Option<Part>,
    /// Of the part; also of a file that is to be verified.
    digest: Option<blake3::Hasher>,
}

impl<'a> Asked<'a> {
    fn new(
        url: &'a FileUrl,
        target: &'a Target,
        limits: Limits,
        wishes: &'a Wishes,
        resume: bool,
    ) -> Result<Self> {
        let part = if resume { Part::earlier(target)? } else { None };
        let mut part = part.filter(|part| part.facts().source == url.to_string());
        let had = part.as_mut().map(|part| part.digest(true)).transpose();
        let fail = |error| Error::new("read the part of", target, reason(error));
        let digest = had.map_err(fail)?.and_then(|had| had.all);
        let digest = digest.or_else(|| wishes.verify.then(blake3::Hasher::new));
        let source = Source::File(url.clone());
        Ok(Self { url, source, target, limits, wishes, part, digest })
    }

    /// Asks the server at this address, which has until then to say anything.
    fn attempt(self, address: SocketAddr, until: Instant) -> Attempt<Answer> {
        let Self { url, source, target, limits, wishes, part, digest } = self;
        let socket = match Conversation::with_server(address) {
            Ok(socket) => socket,
            Err(errno) => return Attempt::Unanswered(Error::new("ask", address, errno)),
        };
        let timing = timing(micros(limits.times.timeout));
        let seek = part.as_ref().map_or(0, Part::len);
        let name: Box<[u8]> = url.name().into();
        let machine: Box<dyn Transfer> = match url.scheme() {
            Scheme::Tftp => {
                let offer = wishes.asks.offer(&socket, url.is_text());
                let mut machine = TftpGet::new(name, offer, &timing).seek(seek);
                if digest.is_some() {
                    machine = machine.digest(DigestKind::Blake3);
                }
                Box::new(machine)
            }
            Scheme::Xfer | Scheme::Files => Box::new(XferClient::new(name, &timing)),
        };
        let talk = Talk {
            asking: Asking::new(socket, machine, until),
            keeper: Keeper {
                verify: wishes.verify,
                decoder: url.is_text().then(Decoder::new),
                blocks: Vec::new(),
                facts: Facts::of_transfer(url),
                stop: None,
            },
        };
        let plan = Plan { source: &source, target, limits, digest, part, trust: None };
        run(plan, talk)
    }
}

/// Of one address, on a loop of its own: nothing is to be cleaned up before the server has answered.
fn run(plan: Plan<'_>, talk: Talk) -> Attempt<Answer> {
    let mut events = match EventLoop::new() {
        Ok(events) => events,
        Err(error) => return Attempt::Answered(Err(error)),
    };
    let mut exchange = Exchange::new(plan, Waiting { timer: None, is_answered: false });
    let result = exchange.begin_with(talk, &mut events).and_then(|()| exchange.run(&mut events));
    match result {
        Err(error) if !exchange.dialogue.is_answered => Attempt::Unanswered(error),
        result => Attempt::Answered(result),
    }
}

/// What the loop knows of the conversation.
struct Waiting {
    /// When the transfer goes on in any case.
    timer: Option<Token>,
    is_answered: bool,
}

/// The conversation, which the loop owns.
struct Talk {
    asking: Asking<dyn Transfer>,
    keeper: Keeper,
}

/// What becomes of its blocks.
struct Keeper {
    verify: bool,
    /// Of a file that travels as text.
    decoder: Option<Decoder>,
    /// Bytes of the blocks of this turn that are to be written at once.
    blocks: Vec<u8>,
    facts: Facts,
    /// Why an operation was not done.
    stop: Option<Stop>,
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.asking.as_fd()
    }
}

impl Exchange<Waiting> {
    fn begin_with(&mut self, talk: Talk, cx: &mut Context<Self>) -> Result<()> {
        let server = cx.add(talk, Watch::READ, Talk::turn)?;
        self.server = Some(server);
        self.dialogue.timer = Some(cx.timer(move |_, cx| cx.activate(server)));
        cx.activate(server);
        self.watch_time(cx);
        Ok(())
    }

    /// Nothing is left to do for the server.
    fn over(&mut self, cx: &mut Context<Self>, outcome: Result<Answer>) {
        if std::mem::take(&mut self.lingers) {
            // The file is whole, and at its place: whatever came of the last answer.
            if let Some(server) = self.server.take() {
                cx.remove(server);
            }
            self.leave(cx);
        } else {
            self.end(cx, outcome);
        }
    }
}

/// Why storage did not do an operation.
enum Stop {
    /// The whole file is to be asked for.
    Again,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    /// What the machine is told, and so the server.
    fn fault(&self) -> Fault {
        match self {
            Self::Again => Fault::Aborted,
            Self::Failed(error) if error.kind() == ErrorKind::StorageFull => {
                StorageFault::Full.into()
            }
            Self::Failed(_) => StorageFault::Failed.into(),
        }
    }
}

impl Talk {
    /// Moves what it can, and waits for the rest.
    fn turn(
        &mut self,
        exchange: &mut Exchange<Waiting>,
        cx: &mut Context<Exchange<Waiting>>,
        event: Event,
    ) {
        let Self { asking, keeper } = self;
        let next = asking.turn(event, &mut Keeping { keeper, exchange, cx });
        exchange.dialogue.is_answered = asking.is_answered();
        let written = keeper.write(exchange, cx);
        let stop = keeper.stop.take().or(written.err().map(Stop::Failed));
        let outcome = match (stop, next) {
            (Some(Stop::Again), _) => Ok(Answer::Again),
            (Some(Stop::Failed(error)), _) => Err(error),
            (None, Next::Closed(Ok(()))) => Ok(Answer::Whole),
            (None, Next::Closed(Err(fault))) => Err(asking.error("get", &exchange.source, fault)),
            (None, Next::Wait(_) | Next::Again) => {
                if let (Some(server), Some(timer)) = (exchange.server, exchange.dialogue.timer) {
                    asking.wait(next, cx, [server, timer]);
                }
                return;
            }
        };
        exchange.over(cx, outcome);
    }
}

/// The storage of a turn.
struct Keeping<'t> {
    keeper: &'t mut Keeper,
    exchange: &'t mut Exchange<Waiting>,
    cx: &'t mut Context<Exchange<Waiting>>,
}

impl Storage for Keeping<'_> {
    fn perform(&mut self, _: Instant, op: Op<'_>, block: &mut [u8]) -> file::Answer {
        let Self { keeper, exchange, cx } = self;
        keeper.perform(op, block, exchange, cx).unwrap_or_else(|stop| {
            let fault = stop.fault();
            keeper.stop = Some(stop);
            file::Answer::Failed(fault)
        })
    }
}

impl Keeper {
    fn perform(
        &mut self,
        op: Op<'_>,
        block: &[u8],
        exchange: &mut Exchange<Waiting>,
        cx: &mut Context<Exchange<Waiting>>,
    ) -> std::result::Result<file::Answer, Stop> {
        Ok(match op {
            Op::Create(Head { size, offset, digest, .. }) => {
                let begin = self.begin(size, offset, digest, exchange)?;
                exchange.begin(begin, cx)?;
                file::Answer::Done
            }
            Op::Store(_) if exchange.is_full(cx) => {
                exchange.held_up = true;
                // The output says when it has room.
                file::Answer::Busy(Wake::Never)
            }
            Op::Store(_) => {
                match &mut self.decoder {
                    None => self.blocks.extend_from_slice(block),
                    Some(decoder) => decode(decoder, block, &mut self.blocks),
                }
                if self.blocks.len() >= BLOCKS_MAX {
                    self.write(exchange, cx)?;
                }
                file::Answer::Kept(block.len())
            }
            Op::Commit(digest) => {
                let digest = digest.map(Digest::copied);
                self.blocks.extend(self.decoder.as_mut().and_then(Decoder::finish));
                self.write(exchange, cx)?;
                let source = exchange.source.clone();
                exchange.store.commit(&source, digest)?;
                // The server is told, and once more if it did not hear it.
                exchange.lingers = true;
                exchange.end(cx, Ok(Answer::Whole));
                cx.after(LINGER_MAX, |exchange, cx| exchange.over(cx, Ok(Answer::Whole)));
                file::Answer::Done
            }
            // Only a sender has these operations.
            Op::Open(_)
            | Op::Examine
            | Op::Read { .. }
            | Op::Digest { .. }
            | Op::FinishDigest(_)
            | Op::Close => file::Answer::Failed(StorageFault::Unsupported.into()),
        })
    }

    /// Writes the blocks. The last one is acknowledged after all of them are written.
    fn write(
        &mut self,
        exchange: &mut Exchange<Waiting>,
        cx: &mut Context<Exchange<Waiting>>,
    ) -> Result<()> {
        let written = exchange.keep(&self.blocks, cx);
        self.blocks.clear();
        written
    }

    /// The server has answered: what it sends.
    fn begin(
        &self,
        length: Option<u64>,
        from: u64,
        digest: Option<DigestKind>,
        exchange: &mut Exchange<Waiting>,
    ) -> std::result::Result<Beginning, Stop> {
        debug!(length, from, digest = digest.is_some(), "answered");
        if digest.is_none() {
            if self.verify {
                let why = "the server does not say what the digest is: it cannot be verified";
                return Err(Error::new("get", &exchange.source, why).into());
            }
            if from > 0 {
                return Err(Stop::Again);
            }
            exchange.store.compare_nothing();
        }
        Ok(Beginning { length, from, facts: self.facts.clone() })
    }
}

/// How long the last answer is repeated at most: as long as a server without a measured round trip waits for it.
const LINGER_MAX: Duration = Duration::from_millis(1200);

/// Bytes of blocks that are written at once: a block would be a short write.
const BLOCKS_MAX: usize = 1 << 16;

/// A block of text as it is kept.
fn decode(decoder: &mut Decoder, block: &[u8], to: &mut Vec<u8>) {
    let at = to.len();
    // One more for the byte that the block before left.
    to.resize(at + block.len() + 1, 0);
    let moved = decoder.decode(block, &mut to[at..]);
    debug_assert_eq!(moved.read, block.len(), "there is room for all of it");
    to.truncate(at + moved.written);
}
