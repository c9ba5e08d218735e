//! The monitor: documents by HTTP, answered by an event loop that serves no clients.
//!
//! ```text
//!   stream ──input──▶ the core's session of http ──"open /metrics"──▶ the state, as a document
//!          ◀─────────────────── head, document ──────────────────────┘
//! ```
//!
//! A document is made when it is asked for, and sent from memory. Clients, their time and their requests are
//! bounded, and every other source of the loop has its turn first.

pub(super) mod agent;
pub(super) mod document;
pub(super) mod history;
pub(super) mod metrics;
pub(super) mod page;
mod seats;

use std::cell::Cell;
use std::rc::Rc;

use windlass_core::fault::StorageFault;
use windlass_core::file::{Answer, FileUser, Op, Piece, Refusal};
use windlass_core::session::http::{HttpServer, Site};
use windlass_core::session::{Out, Session};
use windlass_core::time::Instant;
use windlass_core::want::Close;

use self::seats::Seats;
use super::web::Head;
use crate::error::Result;
use crate::reactor::{Buffered, Context, StreamEvent, Token};
use crate::sys::clock;
use crate::sys::listener::Listener;

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The path, without its first slash.
    pub(super) name: &'a [u8],
    /// The media types that it accepts, as it wrote them.
    pub(super) accept: &'a [u8],
}

/// An answer.
#[derive(Debug)]
pub(super) enum Told {
    /// A document of this media type.
    Document(&'static str, Vec<u8>),
    /// Not now: 503.
    NotReady,
    /// There is nothing of that name.
    Nothing,
}

/// The longest answer of the session itself: the head of an answer, and some words.
const HEAD_MAX: usize = 1024;

/// Answers on `listener` with what `tell` says. Once `is_replaced`, each answer is the last one of its connection.
///
/// # Errors
/// The loop cannot watch it.
pub(super) fn listen<S: 'static>(
    cx: &mut Context<S>,
    listener: Listener,
    is_replaced: Rc<Cell<bool>>,
    tell: impl Fn(&mut S, Asked<'_>, Instant) -> Told + 'static,
) -> Result<Token> {
    let tell = Rc::new(tell);
    Seats::listen(cx, listener, move |seats, _, cx, client| {
        let (tell, mut talk) = (Rc::clone(&tell), Talk::new(&is_replaced));
        seats.take(cx, client, move |io, state, now, event| {
            talk.hear(io, event, now, |asked, now| (*tell)(state, asked, now));
        });
    })
}

/// A conversation with one client.
struct Talk {
    session: HttpServer<Head, Pages>,
    /// The document that is being sent, and its media type.
    document: Vec<u8>,
    kind: Rc<Cell<&'static str>>,
}

/// The site of the session: its media types are those of the documents.
struct Pages {
    kind: Rc<Cell<&'static str>>,
    is_replaced: Rc<Cell<bool>>,
}

impl Site for Pages {
    fn unix_time(&self, _: Instant) -> Option<u32> {
        u32::try_from(clock::stamp().0).ok()
    }

    fn has_clock(&self) -> bool {
        true
    }

    fn media_type(&self) -> Option<&str> {
        Some(self.kind.get())
    }

    fn closes(&self) -> bool {
        self.is_replaced.get()
    }

    /// The next answer differs.
    fn cache_control(&self) -> Option<&str> {
        Some("no-store")
    }
}

impl Talk {
    fn new(is_replaced: &Rc<Cell<bool>>) -> Self {
        let kind = Rc::new(Cell::new(""));
        let pages = Pages { kind: Rc::clone(&kind), is_replaced: Rc::clone(is_replaced) };
        let session = HttpServer::new(Head::default(), pages);
        Self { session, document: Vec::new(), kind }
    }

    fn hear(
        &mut self,
        io: &mut Buffered,
        event: StreamEvent,
        now: Instant,
        mut tell: impl FnMut(Asked<'_>, Instant) -> Told,
    ) {
        if matches!(event, StreamEvent::Eof) {
            self.session.eof(now);
        }
        loop {
            let want = self.session.want();
            if want.wake.is_due(now) {
                self.session.tick(now);
                continue;
            }
            if let Close::Done(_) = want.close {
                return io.close();
            }
            // The client takes one answer before the next is made.
            if io.unsent() > 0 {
                return;
            }
            let moves = if want.write || want.file {
                self.answer(io, now, &mut tell)
            } else {
                want.read && self.read(io, now)
            };
            if !moves {
                return;
            }
        }
    }

    /// Does one step of an answer.
    fn answer(
        &mut self,
        io: &mut Buffered,
        now: Instant,
        tell: &mut impl FnMut(Asked<'_>, Instant) -> Told,
    ) -> bool {
        match self.session.op() {
            Some(Op::Open(name)) => {
                let accept = self.session.field(b"accept").unwrap_or_default();
                let opened = match tell(Asked { name, accept }, now) {
                    Told::Document(kind, document) => {
                        self.kind.set(kind);
                        self.document = document;
                        Answer::Opened(self.document.len() as u64)
                    }
                    Told::NotReady => Answer::Refused(Refusal::Busy),
                    Told::Nothing => Answer::Refused(Refusal::NotFound),
                };
                self.session.answer(now, opened);
            }
            Some(Op::Close) => {
                self.document = Vec::new();
                self.session.answer(now, Answer::Done);
            }
            // A document has no version.
            Some(_) => self.session.answer(now, Answer::Failed(StorageFault::Unsupported.into())),
            None => match self.session.piece(0) {
                Some(Piece::Head { .. }) => {
                    let mut head = [0; HEAD_MAX];
                    let len = self.session.head(0, &mut head);
                    io.write(&head[..len]);
                    self.session.sent(now, len as u64);
                }
                Some(Piece::File(extent)) => {
                    let from = usize::try_from(extent.offset).unwrap_or(usize::MAX);
                    let rest = self.document.get(from..).unwrap_or_default();
                    let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(rest.len());
                    io.write(&rest[..len]);
                    self.session.sent(now, len as u64);
                }
                None => return false,
            },
        }
        true
    }

    /// Gives the session what came.
    fn read(&mut self, io: &mut Buffered, now: Instant) -> bool {
        let mut bytes = io.input().to_vec();
        if bytes.is_empty() {
            return false;
        }
        let taken = self.session.input(now, &mut bytes, &mut Out::new(&mut [])).bytes;
        io.consume(taken);
        taken > 0
    }
}

#[cfg(test)]
mod tests;
