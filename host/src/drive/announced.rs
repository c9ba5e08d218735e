//! A connection that a balancer passes on: its first bytes say which client it is of.
//!
//! ```text
//!   Header ──▶ whole: the client is known ──▶ its job, from here on
//!      ├──▶ the end of the stream: a check of the balancer ──▶ closed
//!      └──▶ no header, too long, or not whole within 3 s ──▶ closed
//! ```
//!
//! Each of these ends is counted and has its line in the access log, with the address of the balancer.
//!
//! The header is looked at before it is taken from the socket, so what follows it is the session's, or that of
//! TLS.

use std::net::SocketAddr;
use std::ops::DerefMut;
use std::os::fd::{AsFd, BorrowedFd};

use tracing::debug;
use windlass_core::fault::{Fault, Peer};
use windlass_core::stream::Read;
use windlass_core::time::Instant;
use windlass_core::wire::proxy::{HEADER_MAX, Proxied};

use super::access_log::Visit;
use super::buffers::Buffers;
use super::files::Answer;
use super::linger;
use super::rules::RulesId;
use super::turns::{Next, Turns};
use crate::sys::ready::{Interest, Ready};
use crate::sys::stream::Stream;
use crate::totals::Count;

/// Makes the job of a connection of a known client: the balancer's word for it, or `None` if the
/// connection is the balancer's own.
pub(crate) type Make<J> = Box<dyn FnOnce(Stream, Option<SocketAddr>, Instant) -> J + Send>;

/// A connection of a balancer.
pub struct Announced<J> {
    /// `None` while its job is made.
    stage: Option<Stage<J>>,
    rules: RulesId,
    since: Instant,
    /// It had a turn, and is counted.
    has_begun: bool,
}

enum Stage<J> {
    Header {
        stream: Stream,
        /// What has come of it.
        head: Vec<u8>,
        /// The line that it has if no client is found.
        visit: Option<Box<Visit>>,
        make: Make<J>,
    },
    Open(J),
}

/// What a look at the socket found.
enum Found {
    /// A header, and the client that it names.
    Client(Option<SocketAddr>),
    /// Not all of it.
    More,
    /// The connection is over.
    Over(Result<(), Fault>),
}

/// How long a balancer has for its header, in microseconds, however it cuts it.
const HEADER_US: u64 = 3_000_000;

impl<J: DerefMut<Target: Turns>> Announced<J> {
    pub(crate) fn new(
        stream: Stream,
        make: Make<J>,
        visit: Option<Box<Visit>>,
        now: Instant,
    ) -> Self {
        let stage = Stage::Header { stream, head: Vec::new(), visit, make };
        Self { stage: Some(stage), rules: RulesId::default(), since: now, has_begun: false }
    }

    /// The end of the time for the header.
    fn until(&self) -> Instant {
        self.since.after(HEADER_US)
    }

    fn count_begin(&mut self, now: Instant, buffers: &Buffers) {
        if !std::mem::replace(&mut self.has_begun, true) {
            buffers.tally(self.rules).begin(now);
        }
    }

    /// It ends before a client is known.
    fn end(&mut self, how: Result<(), Fault>, now: Instant, buffers: &Buffers) {
        let Some(Stage::Header { stream, visit, .. }) = &mut self.stage else { return };
        if let Some(visit) = visit.take() {
            visit.ended_unknown(now, how);
        }
        let (tally, took_us) = (buffers.tally(self.rules), now.since(self.since));
        let address = || stream.peer_address();
        match how {
            Ok(()) => tally.end_as(Count::Checked, now, took_us, address),
            fault => tally.end(fault, now, took_us, address),
        }
    }

    /// The client is known: its job has the connection from here on.
    fn open(&mut self, client: Option<SocketAddr>, now: Instant, buffers: &mut Buffers) -> Next {
        let Some(Stage::Header { stream, make, visit, .. }) = self.stage.take() else {
            return Next::Closed(Err(Fault::Aborted));
        };
        if let Some(visit) = visit {
            visit.dismissed();
        }
        buffers.tally(self.rules).begin_again();
        let mut job = make(stream, client, now);
        job.set_rules(self.rules);
        let next = job.turn(Ready::READ, now, buffers);
        self.stage = Some(Stage::Open(job));
        next
    }

    fn job(&self) -> Option<&J::Target> {
        if let Some(Stage::Open(job)) = &self.stage { Some(job) } else { None }
    }

    fn job_mut(&mut self) -> Option<&mut J::Target> {
        if let Some(Stage::Open(job)) = &mut self.stage { Some(job) } else { None }
    }
}

/// Looks at what has come, and takes what is of the header.
fn look(stream: &Stream, head: &mut Vec<u8>) -> Found {
    let mut bytes = [0; HEADER_MAX];
    loop {
        let (before, room) = (head.len(), bytes.len() - head.len());
        bytes[..before].copy_from_slice(head);
        let came = match stream.peek(&mut bytes[before..before + room]) {
            Ok(Read::Moved(n)) => n.get(),
            Ok(Read::WouldBlock) => return Found::More,
            Ok(Read::Interrupted) => continue,
            Ok(Read::Eof) if before == 0 => return Found::Over(Ok(())),
            Ok(Read::Eof) => return Found::Over(Err(Peer::Truncated.into())),
            Err(_) => return Found::Over(Err(Peer::Reset.into())),
        };
        let (len, client) = match Proxied::parse(&bytes[..before + came]) {
            Err(why) => return Found::Over(Err(why.into())),
            Ok(Proxied::More) => (before + came, None),
            Ok(Proxied::Header { len, client }) => (len, Some(client)),
        };
        // It is there: the kernel has shown it.
        let mut taken = before;
        while taken < len {
            match stream.recv(&mut bytes[taken..len]) {
                Ok(Read::Moved(n)) => taken += n.get(),
                Ok(Read::Interrupted) => {}
                Ok(Read::WouldBlock | Read::Eof) | Err(_) => {
                    return Found::Over(Err(Peer::Reset.into()));
                }
            }
        }
        match client {
            Some(client) => return Found::Client(client.map(|client| client.0)),
            None => head.extend_from_slice(&bytes[before..len]),
        }
    }
}

impl<J: DerefMut<Target: Turns>> Turns for Announced<J> {
    fn note(&mut self, ready: Ready) {
        if let Some(job) = self.job_mut() {
            job.note(ready);
        }
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        if let Some(job) = self.job_mut() {
            return job.turn(ready, now, buffers);
        }
        self.count_begin(now, buffers);
        let until = self.until();
        let Some(Stage::Header { stream, head, .. }) = &mut self.stage else {
            return Next::Closed(Err(Fault::Aborted));
        };
        let how = match look(stream, head) {
            Found::More if now < until => return Next::Wait(Interest::READ),
            Found::More => Err(Fault::TimedOut { waited_us: now.since(self.since) }),
            Found::Over(how) => how,
            Found::Client(client) => return self.open(client, now, buffers),
        };
        if let Err(fault) = how {
            debug!(%fault, "no PROXY header");
        }
        linger::leave(stream);
        self.end(how, now, buffers);
        Next::Closed(how)
    }

    fn rest(&mut self) -> Option<Interest> {
        self.job_mut().map_or(Some(Interest::READ), Turns::rest)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        self.job().map_or(Some(self.until()), |job| job.deadline(buffers))
    }

    fn look_every_us(&self, buffers: &Buffers) -> Option<u64> {
        self.job().and_then(|job| job.look_every_us(buffers))
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
        if let Some(job) = self.job_mut() {
            job.set_rules(rules);
        }
    }

    fn came(&mut self, answer: Answer) {
        if let Some(job) = self.job_mut() {
            job.came(answer);
        }
    }

    fn drain(&mut self) -> bool {
        self.job_mut().is_some_and(Turns::drain)
    }

    fn abort(&mut self, why: Fault) {
        match &mut self.stage {
            Some(Stage::Open(job)) => job.abort(why),
            Some(Stage::Header { stream, .. }) => stream.shutdown_both(),
            None => {}
        }
    }

    fn given_up(&mut self, why: Fault, now: Instant, buffers: &Buffers) {
        if let Some(job) = self.job_mut() {
            return job.given_up(why, now, buffers);
        }
        self.count_begin(now, buffers);
        self.end(Err(why), now, buffers);
    }
}

impl<J: DerefMut<Target: Turns>> AsFd for Announced<J> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stage {
            Some(Stage::Header { stream, .. }) => stream.as_fd(),
            Some(Stage::Open(job)) => (**job).as_fd(),
            None => unreachable!("a job is made in one step"),
        }
    }
}
