//! What a driver drives.

use crate::file::Answer;
use crate::pump::{Need, Pump};
use crate::session::Session;
use crate::time::{Instant, Wake};

/// Says what it needs next until a session is over: a [`Pump`], or [`Linked`](super::Linked) where
/// the line lies.
pub trait Engine {
    /// Whether time passes in the engine, and not only in the session: then a read that is pending at
    /// the time of [`Need::Recv`] is dropped.
    const KEEPS_TIME: bool;

    /// The end of the idle timeout, if no byte moves.
    fn idle_deadline(&mut self, now: Instant) -> Wake;

    /// Runs the session as far as it comes. The session is the same in every call until it is over.
    fn next<'s, S: Session + ?Sized>(&mut self, session: &'s mut S, now: Instant) -> Need<'_, 's>;

    /// The first `n` bytes of [`Need::Send`] left.
    fn sent(&mut self, n: usize);

    /// `n` bytes came into the memory of [`Need::Recv`].
    fn received(&mut self, n: usize);

    /// The port will bring no more.
    fn eof(&mut self);

    /// The answer to [`Need::File`], at once or later.
    fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer);
}

impl Engine for Pump<'_> {
    const KEEPS_TIME: bool = false;

    fn idle_deadline(&mut self, now: Instant) -> Wake {
        Pump::idle_deadline(self, now)
    }

    fn next<'s, S: Session + ?Sized>(&mut self, session: &'s mut S, now: Instant) -> Need<'_, 's> {
        Pump::next(self, session, now)
    }

    fn sent(&mut self, n: usize) {
        Pump::sent(self, n);
    }

    fn received(&mut self, n: usize) {
        Pump::received(self, n);
    }

    fn eof(&mut self) {
        Pump::eof(self);
    }

    fn answer<S: Session + ?Sized>(&mut self, session: &mut S, now: Instant, answer: Answer) {
        Pump::answer(self, session, now, answer);
    }
}
