//! Runs any session in memory that is lent, and says what it needs next.
//!
//! The pump is the loop of [`session`](crate::session) without the waiting: it owns what was
//! rendered and not sent, the reply that leaves from where the input lies, and the input that the
//! session has not consumed. So a driver is a `match`, and nothing is lost when it is left between
//! two calls: the future of an async driver may be dropped at every await.
//!
//! ```text
//!   tx  [ sent | rendered | room .................... ]
//!   rx  [ sent | reply | held | ..................... ]
//! ```
//!
//! `rendered` is sent first, then `reply`. While anything is unsent nothing is received, and the
//! peer feels it.
//!
//! ```
//! use windlass_core::pump::{Need, Pump};
//! use windlass_core::{session::Upper, time::Instant, want::Close};
//!
//! let mut line = (&b"hello"[..], Vec::new()); // a port: what comes, and what went
//! let (mut rx, mut tx) = ([0; 4], [0; 4]);
//! let (mut pump, mut session) = (Pump::new(&mut rx, &mut tx), Upper::new());
//! loop {
//!     match pump.next(&mut session, Instant::ZERO) {
//!         Need::Send { bytes, .. } => {
//!             line.1.extend_from_slice(bytes);
//!             let sent = bytes.len();
//!             pump.sent(sent);
//!         }
//!         Need::Recv { buf, .. } => match std::io::Read::read(&mut line.0, buf).unwrap() {
//!             0 => pump.eof(),
//!             n => pump.received(n),
//!         },
//!         Need::File { .. } | Need::Shutdown | Need::Wait(_) => unreachable!("not with `upper`"),
//!         Need::Over(how) => break how.unwrap(),
//!     }
//! }
//! assert_eq!(line.1, b"HELLO");
//! ```

mod need;
mod span;

pub use need::Need;

use span::Span;

use crate::bytes::{after, put};
use crate::fault::{Fault, Limit, Storage};
use crate::file::{Answer, Extent, Op, Piece};
use crate::session::{Out, Session};
use crate::time::{Instant, Wake};
use crate::want::Close;

/// What a session is run with: its memory, and how far it is.
#[derive(Debug)]
pub struct Pump<'m> {
    rx: &'m mut [u8],
    tx: &'m mut [u8],
    /// What of `tx` is rendered and not sent.
    rendered: Span,
    /// What of `rx` is a reply and not sent.
    reply: Span,
    /// What of `rx` the session has not consumed.
    held: Span,
    /// When the operation that storage was too busy for is named again.
    busy: Option<Wake>,
    /// Bytes of memory that the last operation was given.
    lent: usize,
    /// The peer will send no more.
    eof: Eof,
    /// The driver was told of the end of our output.
    is_shut: bool,
    /// How long nothing may move, in microseconds; 0 is for ever.
    patience_us: u64,
    /// When something last moved; `None` when that is noticed at the next call.
    moved: Option<Instant>,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Pump<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        // Where things are, and not what: the memory may be long, and a secret.
        defmt::write!(
            f,
            "Pump {{ rx: {=usize}, tx: {=usize}, rendered: {}, reply: {}, held: {}, busy: {}, eof: {} }}",
            self.rx.len(),
            self.tx.len(),
            self.rendered,
            self.reply,
            self.held,
            self.busy,
            self.eof,
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Eof {
    No,
    Noticed,
    Told,
}

/// Which [`Need`] comes next.
enum Decision {
    Send,
    Recv,
    Op,
    Read,
    Shutdown,
    Wait,
    Over(Result<(), Fault>),
}

impl<'m> Pump<'m> {
    /// Receives into `rx` and renders into `tx`; each has at least one byte. It waits as long as it
    /// takes.
    pub const fn new(rx: &'m mut [u8], tx: &'m mut [u8]) -> Self {
        Self {
            rx,
            tx,
            rendered: Span::NONE,
            reply: Span::NONE,
            held: Span::NONE,
            busy: None,
            lent: 0,
            eof: Eof::No,
            is_shut: false,
            patience_us: 0,
            moved: None,
        }
    }

    /// Ends a session when for so many microseconds nothing was sent, received or kept:
    /// with [`Fault::TimedOut`] when the peer is waited for, and with [`Storage::Stalled`] when
    /// storage is. 0 is for ever.
    #[must_use]
    pub const fn patience(mut self, us: u64) -> Self {
        self.patience_us = us;
        self
    }

    /// Runs the session as far as it comes. The session is the same in every call until it is over.
    pub fn next<'s, S: Session + ?Sized>(
        &mut self,
        session: &'s mut S,
        now: Instant,
    ) -> Need<'_, 's> {
        let patience = self.patience_end(now);
        let decision = self.decide(session, now, patience);
        let until = patience.min(session.want().wake);
        match decision {
            Decision::Send => Need::Send { bytes: self.unsent(), until },
            Decision::Recv => Need::Recv { buf: self.rx, until },
            Decision::Op => {
                let Some(op) = session.file().and_then(|file| file.op()) else {
                    return Need::Wait(until);
                };
                // For other operations it is empty.
                self.lent = match op {
                    Op::Store(extent) => self.held.first(extent.len),
                    _ => 0,
                };
                Need::File { op, memory: Span::of_len(self.held.from, self.lent).of_mut(self.rx) }
            }
            Decision::Read => {
                let Some((file, Piece::File(extent))) =
                    session.file().and_then(|file| file.piece(0).map(|piece| (file, piece)))
                else {
                    return Need::Wait(until);
                };
                let room = Span { from: self.rendered.to, to: self.tx.len() };
                self.lent = room.first(extent.len);
                let extent = Extent { len: self.lent as u64, ..extent };
                let op = Op::Read { extent, digest: file.digests() };
                Need::File { op, memory: Span::of_len(room.from, self.lent).of_mut(self.tx) }
            }
            Decision::Shutdown => Need::Shutdown,
            Decision::Wait => Need::Wait(until.min(self.busy.unwrap_or_default())),
            Decision::Over(how) => Need::Over(how),
        }
    }

    /// What is to be sent now, as [`Need::Send`] names it: for a driver that lets time pass for the
    /// session while it waits.
    pub fn unsent(&self) -> &[u8] {
        if self.rendered.is_empty() { self.reply.of(self.rx) } else { self.rendered.of(self.tx) }
    }

    /// The first `n` bytes of [`Need::Send`] left.
    pub fn sent(&mut self, n: usize) {
        if n > 0 {
            self.moved = None;
        }
        let n = self.rendered.pass(n);
        if self.rendered.is_empty() {
            self.reply.pass(n);
            if self.lent == 0 {
                // No part of the file is on its way to the memory behind it.
                self.rendered = Span::NONE;
            }
        }
    }

    /// `n` bytes came into the memory of [`Need::Recv`].
    pub fn received(&mut self, n: usize) {
        debug_assert!(self.held.is_empty() && self.reply.is_empty(), "nothing was to be received");
        if n > 0 && self.held.is_empty() && self.reply.is_empty() {
            self.moved = None;
            self.held = Span { from: 0, to: n.min(self.rx.len()) };
        }
    }

    /// The peer will send no more.
    pub fn eof(&mut self) {
        if self.eof == Eof::No {
            self.eof = Eof::Noticed;
        }
    }

    /// The answer to [`Need::File`], at once or later.
    pub fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer) {
        let Some(file) = session.file() else { return };
        if let Answer::Busy(until) = answer {
            self.busy = Some(until);
            return;
        }
        let lent = core::mem::take(&mut self.lent);
        self.busy = None;
        match answer {
            Answer::Kept(n) => {
                self.moved = None;
                let kept = n.min(lent).min(self.held.len());
                if let Some(Op::Store(_)) = file.op() {
                    self.held.pass(kept);
                }
                file.answer(now, Answer::Kept(kept));
            }
            Answer::Read(0) => file.answer(now, Answer::Failed(Storage::Failed.into())),
            Answer::Read(n) => {
                // The session knows of what is sent, not of what is read.
                if let Some(Piece::File(_)) = file.piece(0) {
                    let read = n.min(lent);
                    self.rendered.to = self.rendered.to.saturating_add(read);
                    file.sent(now, read as u64);
                }
            }
            Answer::Busy(_)
            | Answer::Opened(_)
            | Answer::Refused(_)
            | Answer::Digested(_)
            | Answer::Digest(_)
            | Answer::Done
            | Answer::Failed(_) => {
                self.moved = None;
                file.answer(now, answer);
            }
        }
    }

    /// Forgets what was not sent and not consumed, for another connection.
    pub fn reset(&mut self) {
        (self.rendered, self.reply, self.held) = (Span::NONE, Span::NONE, Span::NONE);
        (self.busy, self.lent, self.moved) = (None, 0, None);
        (self.eof, self.is_shut) = (Eof::No, false);
    }

    fn decide<S: Session + ?Sized>(
        &mut self,
        session: &mut S,
        now: Instant,
        patience: Wake,
    ) -> Decision {
        if self.busy.is_some_and(|until| until.is_due(now)) {
            self.busy = None;
        }
        if session.want().wake.is_due(now) {
            session.tick(now);
            if session.want().wake.is_due(now) {
                session.abort(stuck_with(0));
            }
        }
        if patience.is_due(now) {
            let waited_us = self.waited_us(now);
            session.abort(match self.busy {
                Some(_) => Storage::Stalled.into(),
                None => Fault::TimedOut { waited_us },
            });
        }
        loop {
            let want = session.want();
            match want.close {
                Close::Done(Err(fault)) => return Decision::Over(Err(fault)),
                _ if !self.unsent().is_empty() => return Decision::Send,
                Close::Done(how) => return Decision::Over(how),
                Close::WriteHalf if !self.is_shut => {
                    self.is_shut = true;
                    return Decision::Shutdown;
                }
                Close::Open | Close::WriteHalf => {}
            }
            if want.write {
                match self.fill(session, now) {
                    Filled::Nothing => {}
                    Filled::Headers => continue,
                    // The header before it leaves meanwhile.
                    Filled::ToRead if self.busy.is_some() && !self.rendered.is_empty() => continue,
                    Filled::ToRead if self.busy.is_some() => return Decision::Wait,
                    Filled::ToRead => return Decision::Read,
                }
                let mut out = Out::new(self.tx);
                session.render(now, &mut out);
                self.rendered = Span::of_len(0, out.rendered().len());
                if self.rendered.is_empty() && session.want().write {
                    session.abort(stuck_with(self.tx.len()));
                }
            } else if want.file {
                return if self.busy.is_some() { Decision::Wait } else { Decision::Op };
            } else if want.read && !self.held.is_empty() {
                self.offer(session, now);
            } else if self.eof == Eof::Noticed && self.held.is_empty() {
                self.eof = Eof::Told;
                session.eof(now);
            } else if want.read && self.eof == Eof::No {
                if !self.rx.is_empty() {
                    return Decision::Recv;
                }
                session.abort(stuck_with(0));
            } else {
                return Decision::Wait;
            }
        }
    }

    /// Offers the session what it has not consumed.
    fn offer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant) {
        let mut out = Out::new(self.tx);
        let consumed = session.input(now, self.held.of_mut(self.rx), &mut out);
        self.rendered = Span::of_len(0, out.rendered().len());
        let bytes = consumed.bytes.min(self.held.len());
        self.reply = Span::of_len(self.held.from, consumed.reply.min(bytes));
        self.held.pass(bytes);
        if bytes == 0 && self.rendered.is_empty() {
            let want = session.want();
            // It would be offered the same again, for ever.
            if want.read && !want.write && !want.file {
                session.abort(stuck_with(self.held.len()));
            }
        }
    }

    /// When patience ends, if nothing moves.
    pub fn patience_end(&mut self, now: Instant) -> Wake {
        if self.patience_us == 0 {
            return Wake::Never;
        }
        Wake::At(self.moved.get_or_insert(now).after(self.patience_us))
    }

    /// How long nothing has moved, in microseconds.
    pub(crate) fn waited_us(&self, now: Instant) -> u64 {
        now.since(self.moved.unwrap_or(now))
    }

    /// Patience begins anew.
    pub(crate) const fn be_patient_again(&mut self) {
        self.moved = None;
    }

    /// Renders what a sender names next: headers, up to a part of the file, which is to be read.
    fn fill<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant) -> Filled {
        let Some(file) = session.file() else { return Filled::Nothing };
        loop {
            let is_full = self.rendered.to >= self.tx.len();
            match file.piece(0) {
                Some(Piece::Header { header, from }) if !is_full => {
                    let to = put(self.tx, self.rendered.to, after(header.as_bytes(), from));
                    let n = to.saturating_sub(self.rendered.to);
                    self.rendered.to = to;
                    file.sent(now, n as u64);
                }
                Some(Piece::File(_)) if !is_full => return Filled::ToRead,
                Some(_) | None if self.rendered.is_empty() => return Filled::Nothing,
                Some(_) | None => return Filled::Headers,
            }
        }
    }
}

enum Filled {
    /// The session renders itself.
    Nothing,
    /// There is something to send.
    Headers,
    /// Part of the file comes next.
    ToRead,
}

/// A session wants to go on and does nothing with what it has: more than this it does not get.
fn stuck_with(have: usize) -> Fault {
    Limit { need: have.saturating_add(1), have }.into()
}

#[cfg(test)]
mod tests;
