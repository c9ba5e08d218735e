//! The access log: a line for each connection, request or transfer.
//!
//! ```text
//! 192.0.2.7 - - [29/Nov/2026:17:04:12 +0000] "GET /a?b HTTP/1.1" 200 1234 "-" "-" http tcp:0.0.0.0:80 0.000312
//! {"time":"2026-11-29T17:04:12.123456Z","listener":"http tcp:…","peer":"192.0.2.7:4711","request":"GET …",…}
//! ```
//!
//! The text begins as the combined format of Apache does, and goes on with the listener and the duration in
//! seconds. What comes from a client is escaped. The bytes are those that left. A line for a file is kept in
//! memory that outlives this process; lines for standard error gather until the thread waits for more to do.
//! No line costs an allocation, and under load hardly any of them a system call.

mod file;
mod line;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

pub use self::file::LogFile;
pub use self::line::LineFormat;
use self::line::{Line, Style};
use crate::sys::output::write_all;
use crate::sys::{clock, traffic};

/// Where lines go.
#[derive(Debug)]
pub enum Sink {
    /// To a file, by a process that reads them.
    File(LogFile),
    /// To standard error.
    Stderr {
        /// With the priority that the journal expects.
        prefixed: bool,
    },
}

/// The access log of a listener.
#[derive(Debug)]
pub struct AccessLog {
    sink: Sink,
    style: Style,
}

/// What a client did, until its line is written.
#[derive(Debug)]
pub(crate) struct Visit {
    log: Arc<AccessLog>,
    peer: Option<SocketAddr>,
    /// When the connection, or the request, began; `None` between two requests.
    since: Option<Instant>,
    /// What was asked, as the client wrote it.
    asked: Vec<u8>,
    is_refused: bool,
    /// Bytes that left.
    sent: u64,
    /// Of these, those of answers that have a line.
    answered: u64,
    /// Its requests have lines of their own.
    has_requests: bool,
    /// Its last line is written.
    is_over: bool,
}

/// The most of what a client wrote that is in a line, in bytes.
const ASKED_MAX: usize = 512;

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new(Lines(Vec::new())) };
    /// The client of this turn.
    static VISIT: RefCell<Option<Box<Visit>>> = const { RefCell::new(None) };
}

/// Lines of this thread for standard error that were not written yet, or room for one.
struct Lines(Vec<u8>);

/// Bytes that are written to standard error together at most: into a pipe they go as one.
const WHOLE: usize = crate::sys::output::WHOLE;

impl Lines {
    fn flush(&mut self) {
        if !self.0.is_empty() {
            // Without standard error there are no lines.
            let _ = write_all(std::io::stderr().as_fd(), &self.0);
            self.0.clear();
        }
    }
}

/// Writes the lines of this thread for standard error. Call it before the thread waits.
pub(crate) fn flush() {
    let _ = LINES.try_with(|lines| lines.borrow_mut().flush());
}

/// The client of this turn asks for this.
pub(crate) fn asked(what: &[u8]) {
    with_visit(|visit| visit.set_asked(what));
}

/// The client of this turn asks for a file, or brings one. A request that is noted already says more.
pub(super) fn asked_file(verb: &str, name: &[u8]) {
    with_visit(|visit| {
        if visit.asked.is_empty() {
            visit.set_asked(verb.as_bytes());
            visit.asked.push(b' ');
            visit.asked.extend_from_slice(&name[..name.len().min(ASKED_MAX)]);
        }
    });
}

/// What the client of this turn asked for is refused.
pub(super) fn refused() {
    with_visit(|visit| visit.is_refused = true);
}

/// The client of this turn was answered, with a status and with these bytes.
pub(crate) fn answered(now: Instant, status: &[u8], sent: u64) {
    // It is digits.
    let status = std::str::from_utf8(status).unwrap_or("-");
    with_visit(|visit| {
        visit.has_requests = true;
        visit.answered = visit.answered.saturating_add(sent);
        visit.write(now, status, sent);
        (visit.since, visit.is_refused) = (None, false);
        visit.asked.clear();
    });
}

fn with_visit(act: impl FnOnce(&mut Visit)) {
    let _ = VISIT.try_with(|visit| visit.borrow_mut().as_deref_mut().map(act));
}

impl AccessLog {
    /// The log of a listener: a service and an address.
    pub fn new(sink: Sink, format: LineFormat, listener: &str) -> Self {
        let prefixed = matches!(sink, Sink::Stderr { prefixed: true });
        Self { sink, style: Style::new(format, prefixed, listener) }
    }

    /// The file, if it goes to one.
    pub fn file(&self) -> Option<&LogFile> {
        if let Sink::File(file) = &self.sink { Some(file) } else { None }
    }

    /// The descriptor that a process needs, beside standard error.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file().map(|file| file.spool().as_fd())
    }

    /// The next lines are for the file that has the name then.
    pub fn reopen(&self) {
        if let Some(file) = self.file() {
            file.spool().reopen();
        }
    }

    /// A datagram was answered with so many bytes, or not at all.
    pub(crate) fn note_datagram(&self, peer: SocketAddr, outcome: &str, sent: u64) {
        self.add(&Line { peer: Some(peer), asked: b"datagram", outcome, sent, took_us: 0 });
    }

    fn add(&self, line: &Line<'_>) {
        let _ = LINES.try_with(|lines| {
            let lines = &mut *lines.borrow_mut();
            let before = lines.0.len();
            self.style.render(line, clock::calendar(), &mut lines.0);
            match &self.sink {
                Sink::File(file) => {
                    file.spool().put(&lines.0[before..]);
                    lines.0.truncate(before);
                }
                Sink::Stderr { .. } if lines.0.len() > WHOLE => {
                    let last = lines.0.split_off(before);
                    lines.flush();
                    lines.0.extend_from_slice(&last);
                }
                Sink::Stderr { .. } => {}
            }
        });
    }
}

impl Visit {
    pub(crate) fn new(log: &Arc<AccessLog>, peer: Option<SocketAddr>, now: Instant) -> Self {
        Self {
            log: Arc::clone(log),
            peer,
            since: Some(now),
            asked: Vec::new(),
            is_refused: false,
            sent: 0,
            answered: 0,
            has_requests: false,
            is_over: false,
        }
    }

    fn set_asked(&mut self, what: &[u8]) {
        self.asked.clear();
        self.asked.extend_from_slice(&what[..what.len().min(ASKED_MAX)]);
    }

    fn write(&self, now: Instant, outcome: &str, sent: u64) {
        let took_us = self.since.map_or(0, |since| now.since(since));
        let asked: &[u8] = if self.asked.is_empty() { b"-" } else { &self.asked };
        self.log.add(&Line { peer: self.peer, asked, outcome, sent, took_us });
    }

    /// The client is not served.
    pub(crate) fn turned_away(mut self, now: Instant, outcome: &str) {
        self.is_over = true;
        self.write(now, outcome, 0);
    }

    /// It has no line.
    pub(super) fn dismissed(mut self) {
        self.is_over = true;
    }

    /// The connection ended before it was known which client it is of.
    pub(super) fn ended_unknown(self, now: Instant, how: Result<(), Fault>) {
        self.turned_away(now, how.map_or_else(word_of, |()| "check"));
    }

    /// It is over. A connection with requests has a line for each of them, and one more if it ends in one.
    fn end(&mut self, now: Instant, how: Result<(), Fault>) {
        self.is_over = true;
        if self.has_requests && self.asked.is_empty() {
            return;
        }
        let outcome = match how {
            _ if self.is_refused => "refused",
            Ok(()) => "ok",
            Err(fault) => word_of(fault),
        };
        self.write(now, outcome, self.sent.saturating_sub(self.answered));
    }
}

impl Drop for Visit {
    /// The server has given it up.
    fn drop(&mut self) {
        if !self.is_over {
            self.end(clock::now(), Err(Fault::Aborted));
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A word for how a connection or a transfer ended.
fn word_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Peer(windlass_core::fault::Peer::Reset) => "reset",
        Fault::Peer(windlass_core::fault::Peer::Declined) => "declined",
        Fault::Peer(windlass_core::fault::Peer::Aborted) => "aborted",
        Fault::Peer(windlass_core::fault::Peer::Truncated) => "truncated",
        Fault::Peer(_) => "malformed",
        Fault::Local(_) => "limit",
        Fault::TimedOut { .. } => "timeout",
        Fault::Storage(_) => "storage",
        Fault::Integrity => "integrity",
        Fault::Aborted => "stopped",
        Fault::Denied => "refused",
    }
}

/// Runs a turn of a client that has a line, or not; `over` tells how it ended, if it did.
pub(crate) fn during<T>(
    visit: &mut Option<Box<Visit>>,
    now: Instant,
    turn: impl FnOnce() -> T,
    over: impl FnOnce(&T) -> Option<Result<(), Fault>>,
) -> T {
    let Some(mut own) = visit.take() else { return turn() };
    own.since.get_or_insert(now);
    let before = traffic::sent();
    let _ = VISIT.try_with(|current| *current.borrow_mut() = Some(own));
    let result = turn();
    let own = VISIT.try_with(|current| current.borrow_mut().take()).ok().flatten();
    if let Some(mut own) = own {
        own.sent = own.sent.saturating_add(traffic::sent().wrapping_sub(before));
        match over(&result) {
            Some(how) => own.end(now, how),
            None => *visit = Some(own),
        }
    }
    result
}
