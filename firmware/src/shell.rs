//! The shell: runs any `Session` over any byte port, as `windlass_core::session` asks.
//!
//! It owns the memory that the session borrows for a call, and what the port has not taken yet:
//!
//! ```text
//!   tx  [ sent | rendered | room .................... ]
//!   rx  [ sent | reply | held | ..................... ]
//! ```
//!
//! `rendered` is sent first, then `reply`, which goes out from where the input lies: `upper` copies
//! nothing. `held` is input that the session did not take. While anything is unsent nothing is
//! read, and the port holds its bytes.

use core::ops::Range;

use windlass_core::fault::Fault;
use windlass_core::session::{Out, Session};
use windlass_core::time::Instant;
use windlass_core::want::Close;

/// A source and sink of bytes. Neither call waits.
pub(crate) trait Port {
    /// Moves bytes that came into the front of `buf`, and says how many: 0 when none came.
    fn read(&mut self, buf: &mut [u8]) -> usize;

    /// Sends bytes from the front while there is room, and says how many.
    fn write(&mut self, bytes: &[u8]) -> usize;
}

/// What came of one turn.
#[must_use]
pub(crate) enum Turn {
    /// Something was done; there may be more.
    Again,
    /// Nothing can be done before the port or the clock moves on.
    Idle,
    /// The session is over: start another. Input that it did not take is the next one's.
    Over(Result<(), Fault>),
}

/// The buffers, `RX` and `TX` bytes long, and how far each has got.
pub(crate) struct Shell<const RX: usize, const TX: usize> {
    rx: [u8; RX],
    tx: [u8; TX],
    /// Of `tx`: output that is unsent. Room begins at its end.
    rendered: Range<usize>,
    /// Of `rx`: the in-place reply that is unsent. It follows `rendered`.
    reply: Range<usize>,
    /// Of `rx`: input that the session has not taken.
    held: Range<usize>,
}

impl<const RX: usize, const TX: usize> Shell<RX, TX> {
    /// Nothing received, nothing to send.
    pub(crate) const fn new() -> Self {
        Self { rx: [0; RX], tx: [0; TX], rendered: 0..0, reply: 0..0, held: 0..0 }
    }

    /// Sends what it can, then makes at most one call that the session wants.
    pub(crate) fn turn(
        &mut self,
        session: &mut dyn Session,
        port: &mut impl Port,
        now: Instant,
    ) -> Turn {
        self.send(port);
        let want = session.want();
        match want.close {
            // A UART has no half-close to pass on.
            Close::Open | Close::WriteHalf => {}
            Close::Done(Ok(())) if self.is_unsent() => return Turn::Idle,
            Close::Done(how) => {
                (self.rendered, self.reply) = (0..0, 0..0);
                return Turn::Over(how);
            }
        }
        if want.wake.is_due(now) {
            session.tick(now);
            return Turn::Again;
        }
        if want.write && self.room() > 0 {
            self.render(session, now);
            return Turn::Again;
        }
        if want.read && !self.is_unsent() {
            if self.held.is_empty() {
                self.held = 0..port.read(&mut self.rx);
            }
            if !self.held.is_empty() {
                self.input(session, now);
                return Turn::Again;
            }
        }
        // A UART has no end of the stream either: `eof` is never called.
        Turn::Idle
    }

    fn send(&mut self, port: &mut impl Port) {
        self.rendered.start += port.write(&self.tx[self.rendered.clone()]);
        if self.rendered.is_empty() {
            self.rendered = 0..0;
            self.reply.start += port.write(&self.rx[self.reply.clone()]);
        }
    }

    fn is_unsent(&self) -> bool {
        !self.rendered.is_empty() || !self.reply.is_empty()
    }

    /// Offers the session what is held. All of `tx` is room, since nothing is unsent.
    fn input(&mut self, session: &mut dyn Session, now: Instant) {
        let mut out = Out::new(&mut self.tx);
        let took = session.input(now, &mut self.rx[self.held.clone()], &mut out);
        self.rendered = 0..out.rendered().len();
        self.reply = self.held.start..self.held.start + took.reply;
        self.held.start += took.bytes;
    }

    /// Bytes of room. None while a reply is unsent: what is rendered now would overtake it.
    fn room(&self) -> usize {
        if self.reply.is_empty() { TX - self.rendered.end } else { 0 }
    }

    /// Lends the session what room there is.
    fn render(&mut self, session: &mut dyn Session, now: Instant) {
        let room = self.room();
        let mut out = Out::new(&mut self.tx[self.rendered.end..][..room]);
        session.space(now, &mut out);
        self.rendered.end += out.rendered().len();
    }
}
