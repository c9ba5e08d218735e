//! Sends a file to a TFTP server.
//!
//! ```text
//!   file ──size, digest──▶ request ──▶ answer ──▶ blocks, read by offset as they leave ──▶ the last one is acknowledged
//! ```
//!
//! No byte of the file is kept here: what was lost is read again.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use windlass_core::fault::StorageFault;
use windlass_core::file::{Answer, Digest, Extent, Op, Storage};
use windlass_core::time::Instant;
use windlass_core::transfer::tftp::TftpPut;

use super::Got;
use super::file_url::FileUrl;
use super::get::{PERIOD, Progress};
use super::on_ending_signals;
use super::transfer::{Asking, Asks, Attempt, each_address, timing};
use crate::drive::{Next, TextFile};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::reactor::{Context, Event, EventLoop, Token, Watch};
use crate::sys::datagram::Conversation;
use crate::sys::root::open_regular;
use crate::sys::{Signal, clock};

/// Sends the file at `path` to the name of `url`. The server has `timeout` for its first answer, and for each pause,
/// and all of it takes no longer than `max`. With `verify` the server compares what came with the digest of the file.
///
/// # Errors
/// The file cannot be read; the server cannot be reached, is silent, or does not take the file.
pub fn put(
    path: &Path,
    url: &FileUrl,
    asks: &Asks,
    verify: bool,
    timeout: Duration,
    max: Option<Duration>,
) -> Result<Got> {
    let end = max.map(|max| clock::now().after(micros(max)));
    let fail = |error: io::Error| Error::new("read", printable(path), error);
    let file = open_regular(path, File::options().read(true)).map_err(fail)?;
    let digest = verify.then(|| digest_of(&file)).transpose().map_err(fail)?;
    let timeout_us = micros(timeout);
    let until = clock::now().after(timeout_us);
    let until = end.map_or(until, |end| end.min(until));
    each_address(url.server(), until, |address, until| {
        let content = file.try_clone().and_then(|file| Content::new(file, url.is_text()));
        match content {
            Ok(content) => {
                let plan = Plan { path, url, asks, digest, timeout_us, max: end.zip(max) };
                plan.attempt(content, address, until)
            }
            Err(error) => Attempt::Answered(Err(fail(error))),
        }
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn digest_of(mut file: &File) -> io::Result<Digest> {
    let (mut digest, mut buf) = (blake3::Hasher::new(), vec![0; 1 << 18]);
    file.rewind()?;
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(Digest::Blake3(digest.finalize().into())),
            n => drop(digest.update(&buf[..n])),
        }
    }
}

/// The file, as it travels.
enum Content {
    Plain(File, u64),
    Text(Box<TextFile>),
}

impl Content {
    fn new(file: File, is_text: bool) -> io::Result<Self> {
        if is_text {
            return TextFile::new(file).map(Box::new).map(Self::Text);
        }
        let len = file.metadata()?.len();
        Ok(Self::Plain(file, len))
    }

    fn len(&self) -> u64 {
        match self {
            Self::Plain(_, len) => *len,
            Self::Text(text) => text.len(),
        }
    }

    fn read(&mut self, extent: Extent, to: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Plain(file, _) => file.read_exact_at(to, extent.offset),
            Self::Text(text) => text.read_at(extent.offset, to),
        }
    }
}

/// What is to be sent where.
struct Plan<'a> {
    path: &'a Path,
    url: &'a FileUrl,
    asks: &'a Asks,
    digest: Option<Digest>,
    timeout_us: u64,
    /// When all of it has taken too long, and how long that is.
    max: Option<(Instant, Duration)>,
}

impl Plan<'_> {
    /// Offers it to the server at this address, which has until then to answer.
    fn attempt(self, content: Content, address: SocketAddr, until: Instant) -> Attempt<Got> {
        let Self { path, url, asks, digest, timeout_us, max } = self;
        let socket = match Conversation::with_server(address) {
            Ok(socket) => socket,
            Err(errno) => return Attempt::Unanswered(Error::new("ask", address, errno)),
        };
        let offer = asks.offer(&socket, url.is_text());
        let name: Box<[u8]> = url.name().into();
        let mut machine = TftpPut::new(name, content.len(), offer, &timing(timeout_us));
        if let Some(digest) = digest {
            machine = machine.digest(digest);
        }
        let sender = Sender {
            asking: Asking::new(socket, Box::new(machine), until),
            source: Reading { content, sent: 0, failed: None },
            verify: digest.is_some(),
            file: printable(path).to_string(),
        };
        let mut upload = Upload::new(url.clone());
        let done = EventLoop::new().and_then(|mut events| {
            if let Some(max) = max {
                watch_time(&mut events, max);
            }
            upload.run(sender, &mut events)
        });
        let outcome = done.and_then(|()| upload.outcome.unwrap_or(Ok(Got::Whole)));
        match outcome {
            Err(error) if !upload.is_answered => Attempt::Unanswered(error),
            outcome => Attempt::Answered(outcome),
        }
    }
}

/// Ends the transfer when it has taken too long in all.
fn watch_time(events: &mut EventLoop<Upload>, (end, max): (Instant, Duration)) {
    let timer = events.timer(move |upload: &mut Upload, cx| {
        let long = format!("it was not over after {} s (--max-time)", max.as_secs_f64());
        let error = Error::new("put", &upload.url, long);
        // No other address has time left.
        upload.is_answered = true;
        upload.end(cx, Err(error));
    });
    events.arm_at(timer, end);
}

/// What the callbacks share.
struct Upload {
    url: FileUrl,
    server: Option<Token>,
    timer: Option<Token>,
    progress: Progress,
    /// Bytes of the file that left.
    sent: u64,
    is_answered: bool,
    outcome: Option<Result<Got>>,
}

impl Upload {
    fn new(url: FileUrl) -> Self {
        let (progress, outcome) = (Progress::hidden(), None);
        Self { url, server: None, timer: None, progress, sent: 0, is_answered: false, outcome }
    }

    fn run(&mut self, sender: Sender, events: &mut EventLoop<Self>) -> Result<()> {
        // So that the server is told.
        on_ending_signals(events, |upload: &mut Self, cx, caught| {
            upload.end(cx, Ok(Got::Stopped(caught.signal)));
        })?;
        if !crate::sys::signals::is_ignored(Signal::SIGTSTP) {
            events.signal(Signal::SIGTSTP, |upload: &mut Self, _, _| upload.progress.stop())?;
        }
        let len = sender.source.content.len();
        let server = events.add(sender, Watch::READ, Sender::turn)?;
        self.server = Some(server);
        self.timer = Some(events.timer(move |_, cx| cx.activate(server)));
        events.activate(server);
        self.progress = Progress::show(Some(len), 0);
        if self.progress.is_shown() {
            events.every(PERIOD, |upload: &mut Self, _| upload.progress.draw(upload.sent));
        }
        events.run(self)
    }

    fn end(&mut self, cx: &mut Context<Self>, outcome: Result<Got>) {
        match &outcome {
            Ok(Got::Whole) => self.progress.finish(self.sent),
            Ok(Got::Stopped(_)) | Err(_) => self.progress.clear(),
        }
        self.outcome = Some(outcome);
        cx.exit();
    }
}

/// The conversation, which the loop owns.
struct Sender {
    asking: Asking<TftpPut<Box<[u8]>>>,
    source: Reading,
    verify: bool,
    /// The file as it is shown.
    file: String,
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.asking.as_fd()
    }
}

/// The file, as the machine's storage.
struct Reading {
    content: Content,
    /// Bytes of it that left.
    sent: u64,
    failed: Option<io::Error>,
}

impl Storage for Reading {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        // A sender that knows the size of its file has no other operation.
        let Op::Read { extent, .. } = op else {
            return Answer::Failed(StorageFault::Unsupported.into());
        };
        if let Err(error) = self.content.read(extent, memory) {
            self.failed = Some(error);
            return Answer::Failed(StorageFault::Failed.into());
        }
        self.sent = self.sent.max(extent.offset + extent.len);
        Answer::Read(memory.len())
    }
}

impl Sender {
    /// Moves what it can, and waits for the rest.
    fn turn(&mut self, upload: &mut Upload, cx: &mut Context<Upload>, event: Event) {
        let Self { asking, source, verify, file } = self;
        let next = asking.turn(event, source);
        (upload.is_answered, upload.sent) = (asking.is_answered(), source.sent);
        let compares = asking.machine().compares();
        let outcome = match (source.failed.take(), next) {
            (Some(error), _) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(Error::new("read", file, "the file has become shorter"))
            }
            (Some(error), _) => Err(Error::new("read", file, error)),
            (None, Next::Closed(Err(fault))) => Err(asking.error("put", &upload.url, fault)),
            _ if *verify && compares == Some(false) => {
                let why = "the server compares no digest: what it has cannot be verified";
                Err(Error::new("put", &upload.url, why))
            }
            (None, Next::Closed(Ok(()))) => Ok(Got::Whole),
            (None, Next::Wait(_) | Next::Again) => {
                if let (Some(server), Some(timer)) = (upload.server, upload.timer) {
                    asking.wait(next, cx, [server, timer]);
                }
                return;
            }
        };
        upload.end(cx, outcome);
    }
}
