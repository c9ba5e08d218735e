//! The access log: a line for each connection, request or transfer.
//!
//! ```text
//! 192.0.2.7 - - [29/Nov/2026:17:04:12 +0000] "GET /a?b HTTP/1.1" 200 1234 "-" "-" http tcp:0.0.0.0:80 0.000312
//! {"time":"2026-11-29T17:04:12.123456Z","listener":"http tcp:…","peer":"192.0.2.7:4711","request":"GET …",…}
//! ```
//!
//! The text begins as the combined format of Apache does, and goes on with the listener and the duration in
//! seconds. What comes from a client is escaped. The bytes are those that left. A thread gathers lines and
//! writes them before it waits for more to do, many together: no line costs an allocation, and under load few
//! of them a system call.

use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

use crate::sys::output::write_all;
use crate::sys::spool::{Spool, WHOLE};
use crate::sys::{clock, traffic};

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineFormat {
    /// Text.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Where lines go.
#[derive(Debug)]
pub enum Sink {
    /// To a file, by the process that has it.
    Spool(Spool),
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
    format: LineFormat,
    /// The service and the address.
    listener: String,
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
    static LINES: RefCell<Lines> = const { RefCell::new(Lines { text: Vec::new(), of: None }) };
    /// The client of this turn.
    static VISIT: RefCell<Option<Box<Visit>>> = const { RefCell::new(None) };
}

/// Lines of this thread that were not written yet.
struct Lines {
    text: Vec<u8>,
    of: Option<Arc<AccessLog>>,
}

impl Lines {
    fn flush(&mut self) {
        if let Some(log) = &self.of
            && !self.text.is_empty()
        {
            log.write(&self.text);
            self.text.clear();
        }
    }
}

/// Writes the lines of this thread. Call it before the thread waits.
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
    /// The log of a listener.
    pub fn new(sink: Sink, format: LineFormat, listener: String) -> Self {
        Self { sink, format, listener }
    }

    /// The descriptor that a process needs, beside standard error.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.sink {
            Sink::Spool(spool) => Some(spool.as_fd()),
            Sink::Stderr { .. } => None,
        }
    }

    /// The next lines are for the file that has the name then.
    pub fn reopen(&self) {
        if let Sink::Spool(spool) = &self.sink {
            spool.reopen();
        }
    }

    fn write(&self, lines: &[u8]) {
        match &self.sink {
            Sink::Spool(spool) => spool.put(lines),
            Sink::Stderr { .. } => drop(write_all(std::io::stderr().as_fd(), lines)),
        }
    }

    /// A datagram was answered with so many bytes, or not at all.
    pub(crate) fn note_datagram(self: &Arc<Self>, peer: SocketAddr, outcome: &str, sent: u64) {
        self.add(&Line { peer: Some(peer), asked: b"datagram", outcome, sent, took_us: 0 });
    }

    fn add(self: &Arc<Self>, line: &Line<'_>) {
        let _ = LINES.try_with(|lines| {
            let mut lines = lines.borrow_mut();
            if lines.of.as_ref().is_none_or(|of| !Arc::ptr_eq(of, self)) {
                lines.flush();
                lines.of = Some(Arc::clone(self));
                lines.text.reserve(WHOLE);
            }
            let before = lines.text.len();
            self.render(line, &mut lines.text);
            if lines.text.len() > WHOLE {
                let last = lines.text.split_off(before);
                lines.flush();
                lines.text.extend_from_slice(&last);
            }
        });
    }

    fn render(&self, line: &Line<'_>, to: &mut Vec<u8>) {
        let now = clock::calendar();
        if let Sink::Stderr { prefixed: true } = self.sink {
            to.extend_from_slice(b"<6>");
        }
        // Writing to memory does not fail.
        let _ = match self.format {
            LineFormat::Text => self.render_text(line, &now, to),
            LineFormat::Json => self.render_json(line, &now, to),
        };
    }

    fn render_text(
        &self,
        line: &Line<'_>,
        now: &clock::Calendar,
        to: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        match line.peer {
            Some(peer) => write!(to, "{}", peer.ip().to_canonical())?,
            None => to.extend_from_slice(b"-"),
        }
        write!(to, " - - [{}] \"", now.common())?;
        escape(line.asked, to, LineFormat::Text);
        let (whole, micros) = (line.took_us / 1_000_000, line.took_us % 1_000_000);
        let Line { outcome, sent, .. } = line;
        let listener = &self.listener;
        writeln!(to, "\" {outcome} {sent} \"-\" \"-\" {listener} {whole}.{micros:06}")
    }

    fn render_json(
        &self,
        line: &Line<'_>,
        now: &clock::Calendar,
        to: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        write!(to, "{{\"time\":\"{now}\",\"listener\":\"")?;
        escape(self.listener.as_bytes(), to, LineFormat::Json);
        to.extend_from_slice(b"\",\"peer\":");
        match line.peer {
            Some(peer) => write!(to, "\"{peer}\"")?,
            None => to.extend_from_slice(b"null"),
        }
        to.extend_from_slice(b",\"request\":\"");
        escape(line.asked, to, LineFormat::Json);
        let (whole, micros) = (line.took_us / 1_000_000, line.took_us % 1_000_000);
        let Line { outcome, sent, .. } = line;
        writeln!(
            to,
            "\",\"outcome\":\"{outcome}\",\"bytes\":{sent},\"seconds\":{whole}.{micros:06}}}"
        )
    }
}

/// The values of a line.
struct Line<'a> {
    peer: Option<SocketAddr>,
    asked: &'a [u8],
    outcome: &'a str,
    sent: u64,
    took_us: u64,
}

/// Bytes of a client, as ASCII without quotes and controls: `\x22` in text, `\u0022` in JSON.
fn escape(bytes: &[u8], to: &mut Vec<u8>, format: LineFormat) {
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => to.push(byte),
            _ => {
                let lead: &[u8] = if format == LineFormat::Text { b"\\x" } else { b"\\u00" };
                to.extend_from_slice(lead);
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                to.extend([digit(byte >> 4), digit(byte & 15)]);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::spool::spool;

    fn line(format: LineFormat, asked: &[u8]) -> String {
        let (spool, _reader) = spool().unwrap();
        let log = AccessLog::new(Sink::Spool(spool), format, "http tcp:[::]:80".to_owned());
        let peer = Some("[::ffff:192.0.2.7]:4711".parse().unwrap());
        let mut to = Vec::new();
        log.render(&Line { peer, asked, outcome: "200", sent: 7, took_us: 1_000_312 }, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn what_a_client_wrote_is_escaped() {
        let asked = b"GET /\"\\\n\xff\x00 HTTP/1.1";
        let text = line(LineFormat::Text, asked);
        assert!(text.starts_with("192.0.2.7 - - ["), "{text}");
        let end = "\"GET /\\x22\\x5c\\x0a\\xff\\x00 HTTP/1.1\" 200 7 \"-\" \"-\" http tcp:[::]:80 1.000312\n";
        assert!(text.ends_with(end), "{text}");
        let json = line(LineFormat::Json, asked);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["request"], "GET /\"\\\n\u{ff}\u{0} HTTP/1.1");
        assert_eq!(
            (value["bytes"].as_u64(), value["seconds"].as_f64()),
            (Some(7), Some(1.000_312))
        );
    }

    #[test]
    fn lines_are_written_together_and_never_cut() {
        let (spool, mut reader) = spool().unwrap();
        let log = Arc::new(AccessLog::new(Sink::Spool(spool), LineFormat::Text, "x".to_owned()));
        let peer = "192.0.2.7:1".parse().unwrap();
        for _ in 0..1000 {
            log.note_datagram(peer, "ok", 3);
        }
        flush();
        LINES.with(|lines| lines.borrow_mut().of = None);
        drop(log);
        let (mut all, mut buf) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match reader.read(&mut buf) {
                0 => break,
                n => all.extend_from_slice(&buf[..n]),
            }
        }
        let text = String::from_utf8(all).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert!(text.lines().all(|line| line.contains("\"datagram\" ok 3 ")), "{text}");
    }
}
