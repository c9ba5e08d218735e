//! Runs any session in lent memory, and says what it needs next.
//!
//! The pump is the loop of [`session`](crate::session) without the waiting. It keeps the rendered
//! output that is not sent, the reply that is sent from the memory of the input, and the input that
//! the session has not consumed. So a driver is a `match`, and it can stop between any two calls
//! without losing a byte: the future of an async driver may be dropped at every await.
//!
//! ```text
//!   tx  [ sent | rendered | room .................... ]
//!   rx  [ sent | reply | held | ..................... ]
//! ```
//!
//! `rendered` is sent first, then `reply`. While output is unsent the pump receives nothing, and the
//! peer has to wait.
//!
//! ```
//! use windlass_core::pump::{Need, Pump};
//! use windlass_core::{session::Upper, time::Instant, want::Close};
//!
//! let mut line = (&b"hello"[..], Vec::new()); // a port: its input and its output
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

use crate::bytes::first_mut;
use crate::fault::{Fault, Limit, StorageFault};
use crate::file::{Answer, DigestKind, Extent, Op, Piece};
use crate::session::{Out, Session};
use crate::time::{Instant, Wake};
use crate::want::Close;

/// The memory of one session, and the positions in it.
#[derive(Debug)]
pub struct Pump<'m> {
    // Fields that begin as 0 are kept apart: a run of more than four words is cleared by a function of 160 bytes.
    /// The part of `tx` that is rendered and not sent.
    rendered: Span,
    tx: &'m mut [u8],
    /// The part of `rx` that is a reply and not sent.
    reply: Span,
    rx: &'m mut [u8],
    /// The idle timeout in microseconds; `u64::MAX` for none.
    idle_timeout_us: u64,
    /// The part of `rx` that the session has not consumed.
    held: Span,
    /// When to ask a busy storage again.
    busy: Option<Wake>,
    /// The memory that was lent to the last operation.
    lent: Lent,
    /// Whether the peer will send no more.
    eof: Eof,
    /// Whether [`Need::Shutdown`] was returned.
    is_shut: bool,
    /// When a byte last moved; `None` if a byte moved after the last call of [`Pump::next`].
    moved: Option<Instant>,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Pump<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        // Positions, not contents: the memory may be long and its bytes secret.
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

/// Memory of the pump that was lent to an operation, in bytes.
#[derive(Debug, Clone, Copy)]
enum Lent {
    Nothing,
    /// At the front of the input that the session has not consumed.
    Store(usize),
    /// Behind the rendered output.
    Read(usize),
}

/// Which [`Need`] comes next.
enum Decision {
    Send,
    Recv,
    Op,
    Read { extent: Extent, digest: Option<DigestKind> },
    Shutdown,
    Wait,
    Over(Result<(), Fault>),
}

/// The last call of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Called {
    /// None yet.
    No,
    Tick,
    /// `render`, which rendered nothing.
    RenderInVain,
    /// `input`, which consumed nothing.
    InputInVain,
    Other,
}

impl<'m> Pump<'m> {
    /// Receives into `rx` and renders into `tx`, at least one byte each, without an idle timeout.
    pub const fn new(rx: &'m mut [u8], tx: &'m mut [u8]) -> Self {
        Self {
            rx,
            tx,
            rendered: Span::NONE,
            reply: Span::NONE,
            held: Span::NONE,
            busy: None,
            lent: Lent::Nothing,
            eof: Eof::No,
            is_shut: false,
            idle_timeout_us: u64::MAX,
            moved: None,
        }
    }

    /// Ends a session after `us` microseconds in which no byte was sent, received or kept: with
    /// [`Fault::TimedOut`] if the pump waits for the peer, with [`StorageFault::Stalled`] if it waits
    /// for the storage. 0 is no limit.
    #[must_use]
    pub const fn idle_timeout(mut self, us: u64) -> Self {
        self.idle_timeout_us = if us == 0 { u64::MAX } else { us };
        self
    }

    /// Runs the session until it needs something. Pass the same session in every call until it is over.
    pub fn next<'s, S: Session + ?Sized>(
        &mut self,
        session: &'s mut S,
        now: Instant,
    ) -> Need<'_, 's> {
        let idle_deadline = self.idle_deadline(now);
        let (decision, wake) = self.decide(session, now, idle_deadline);
        let until = idle_deadline.min(wake);
        match decision {
            Decision::Send => Need::Send { bytes: self.unsent(), until },
            Decision::Recv => Need::Recv { buf: self.rx, until },
            Decision::Op => {
                let Some(op) = session.file().and_then(|file| file.op()) else {
                    return Need::Wait(until);
                };
                // For other operations it is empty.
                let len = match op {
                    Op::Store(extent) => self.held.first(extent.len),
                    _ => 0,
                };
                self.lent = Lent::Store(len);
                Need::File { op, memory: Span::of_len(self.held.from, len).of_mut(self.rx) }
            }
            Decision::Read { extent, digest } => {
                let room = Span { from: self.rendered.to, to: self.tx.len() };
                let len = room.first(extent.len);
                self.lent = Lent::Read(len);
                let extent = Extent { len: len as u64, ..extent };
                let op = Op::Read { extent, digest };
                Need::File { op, memory: Span::of_len(room.from, len).of_mut(self.tx) }
            }
            Decision::Shutdown => Need::Shutdown,
            Decision::Wait => Need::Wait(until.min(self.busy.unwrap_or_default())),
            Decision::Over(how) => Need::Over(how),
        }
    }

    /// The bytes of [`Need::Send`], for a driver that calls the session's `tick` while it waits for
    /// room.
    pub fn unsent(&self) -> &[u8] {
        if self.rendered.is_empty() { self.reply.of(self.rx) } else { self.rendered.of(self.tx) }
    }

    /// Notes that the first `n` bytes of [`Need::Send`] were sent.
    pub fn sent(&mut self, n: usize) {
        if n > 0 {
            self.moved = None;
        }
        let n = self.rendered.pass(n);
        if self.rendered.is_empty() {
            self.reply.pass(n);
            // A part of the file may be on its way to the memory behind it.
            if !matches!(self.lent, Lent::Read(_)) {
                self.rendered = Span::NONE;
            }
        }
    }

    /// Notes that `n` bytes were received into the memory of [`Need::Recv`].
    pub fn received(&mut self, n: usize) {
        let has_room = self.held.is_empty() && self.reply.is_empty();
        debug_assert!(n == 0 || has_room, "nothing was to be received");
        if n > 0 && has_room {
            self.moved = None;
            self.held = Span { from: 0, to: n.min(self.rx.len()) };
        }
    }

    /// Notes that the peer will send no more.
    pub fn eof(&mut self) {
        if self.eof == Eof::No {
            self.eof = Eof::Noticed;
        }
    }

    /// Takes the answer to [`Need::File`], at once or later.
    pub fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer) {
        let Some(file) = session.file() else { return };
        if let Answer::Busy(until) = answer {
            self.busy = Some(until);
            return;
        }
        let lent = core::mem::replace(&mut self.lent, Lent::Nothing);
        self.busy = None;
        match (answer, lent) {
            (Answer::Kept(n), Lent::Store(len)) => {
                self.moved = None;
                let kept = n.min(len);
                self.held.pass(kept);
                file.answer(now, Answer::Kept(kept));
            }
            (Answer::Read(0), _) => file.answer(now, Answer::Failed(StorageFault::Failed.into())),
            // The session counts bytes that are sent, not bytes that are read.
            (Answer::Read(n), Lent::Read(len)) => {
                let read = n.min(len);
                self.rendered.to = self.rendered.to.saturating_add(read);
                file.sent(now, read as u64);
            }
            // An answer to another operation.
            (Answer::Kept(_) | Answer::Read(_), _) => {}
            _ => {
                self.moved = None;
                file.answer(now, answer);
            }
        }
    }

    /// Drops unsent output and unconsumed input, for another connection.
    pub fn reset(&mut self) {
        (self.rendered, self.reply, self.held) = (Span::NONE, Span::NONE, Span::NONE);
        (self.busy, self.lent, self.moved) = (None, Lent::Nothing, None);
        (self.eof, self.is_shut) = (Eof::No, false);
    }

    /// Calls the session until it needs something. Also returns the wake of the session.
    fn decide<S: Session + ?Sized>(
        &mut self,
        session: &mut S,
        now: Instant,
        idle_deadline: Wake,
    ) -> (Decision, Wake) {
        if self.busy.is_some_and(|until| until.is_due(now)) {
            self.busy = None;
        }
        if idle_deadline.is_due(now) {
            let waited_us = self.waited_us(now);
            session.abort(match self.busy {
                Some(_) => StorageFault::Stalled.into(),
                None => Fault::TimedOut { waited_us },
            });
        }
        let mut called = Called::No;
        loop {
            let want = session.want();
            let before = core::mem::replace(&mut called, Called::Other);
            if want.wake.is_due(now) {
                match before {
                    Called::No => {
                        session.tick(now);
                        called = Called::Tick;
                        continue;
                    }
                    Called::Tick => {
                        session.abort(stuck_with(0));
                        continue;
                    }
                    Called::RenderInVain | Called::InputInVain | Called::Other => {}
                }
            }
            let decision = match want.close {
                Close::Done(Err(fault)) => Decision::Over(Err(fault)),
                _ if !self.unsent().is_empty() => Decision::Send,
                Close::Done(how) => Decision::Over(how),
                Close::WriteHalf if !self.is_shut => {
                    self.is_shut = true;
                    Decision::Shutdown
                }
                Close::Open | Close::WriteHalf => {
                    if want.write {
                        match self.fill(session, now) {
                            Filled::Nothing => {}
                            Filled::Headers => continue,
                            // Meanwhile the header before it is sent.
                            Filled::ToRead { .. }
                                if self.busy.is_some() && !self.rendered.is_empty() =>
                            {
                                continue;
                            }
                            Filled::ToRead { .. } if self.busy.is_some() => {
                                return (Decision::Wait, want.wake);
                            }
                            Filled::ToRead { extent, digest } => {
                                return (Decision::Read { extent, digest }, want.wake);
                            }
                        }
                        if before == Called::RenderInVain {
                            session.abort(stuck_with(self.tx.len()));
                            continue;
                        }
                        let mut out = Out::new(self.tx);
                        session.render(now, &mut out);
                        self.rendered = Span::of_len(0, out.rendered().len());
                        if self.rendered.is_empty() {
                            called = Called::RenderInVain;
                        }
                        continue;
                    } else if want.file {
                        if self.busy.is_some() { Decision::Wait } else { Decision::Op }
                    } else if want.read && !self.held.is_empty() {
                        if before == Called::InputInVain {
                            session.abort(stuck_with(self.held.len()));
                        } else if !self.offer(session, now) {
                            called = Called::InputInVain;
                        }
                        continue;
                    } else if self.eof == Eof::Noticed && self.held.is_empty() {
                        self.eof = Eof::Told;
                        session.eof(now);
                        continue;
                    } else if want.read && self.eof == Eof::No {
                        if self.rx.is_empty() {
                            session.abort(stuck_with(0));
                            continue;
                        }
                        Decision::Recv
                    } else {
                        Decision::Wait
                    }
                }
            };
            return (decision, want.wake);
        }
    }

    /// Offers the session the input that it has not consumed. Returns whether the session made
    /// progress.
    fn offer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant) -> bool {
        let mut out = Out::new(self.tx);
        let consumed = session.input(now, self.held.of_mut(self.rx), &mut out);
        self.rendered = Span::of_len(0, out.rendered().len());
        let bytes = consumed.bytes.min(self.held.len());
        self.reply = Span::of_len(self.held.from, consumed.reply.min(bytes));
        self.held.pass(bytes);
        bytes > 0 || !self.rendered.is_empty()
    }

    /// The end of the idle timeout, if no byte moves.
    pub fn idle_deadline(&mut self, now: Instant) -> Wake {
        if self.idle_timeout_us == u64::MAX {
            return Wake::Never;
        }
        Wake::At(self.moved.get_or_insert(now).after(self.idle_timeout_us))
    }

    /// How long no byte has moved, in microseconds.
    pub(crate) fn waited_us(&self, now: Instant) -> u64 {
        now.since(self.moved.unwrap_or(now))
    }

    /// Renders the next headers of a sender, up to a part of the file, which has to be read.
    fn fill<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant) -> Filled {
        let Some(file) = session.file() else { return Filled::Nothing };
        loop {
            let is_full = self.rendered.to >= self.tx.len();
            match file.piece(0) {
                Some(Piece::Head { len }) if !is_full => {
                    let room = self.tx.get_mut(self.rendered.to..).unwrap_or_default();
                    let n = file.head(0, first_mut(room, len));
                    if n == 0 {
                        return Filled::Nothing;
                    }
                    self.rendered.to = self.rendered.to.saturating_add(n);
                    file.sent(now, n as u64);
                }
                Some(Piece::File(extent)) if !is_full => {
                    return Filled::ToRead { extent, digest: file.digests() };
                }
                Some(_) | None if self.rendered.is_empty() => return Filled::Nothing,
                Some(_) | None => return Filled::Headers,
            }
        }
    }
}

enum Filled {
    /// The session renders its output itself.
    Nothing,
    /// There are headers to send.
    Headers,
    /// A part of the file comes next.
    ToRead { extent: Extent, digest: Option<DigestKind> },
}

/// The fault of a session that makes no progress with the `have` bytes that it was lent.
fn stuck_with(have: usize) -> Fault {
    Limit { need: have.saturating_add(1), have }.into()
}

#[cfg(test)]
mod tests;
