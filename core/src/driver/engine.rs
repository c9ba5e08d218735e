//! The engine of a driver: a pump, or a pump over a link.

use crate::file::Answer;
use crate::pump::{Need, Pump};
use crate::session::Session;
use crate::time::{Instant, Wake};

/// Says what it needs next until a session is over: a [`Pump`], or [`Linked`](super::Linked) for
/// an unreliable line.
pub trait Engine {
    /// Whether the engine has deadlines of its own: then a read that is pending at
    /// the time of [`Need::Recv`] is dropped.
    const KEEPS_TIME: bool;

    /// The end of the idle timeout, if no byte moves.
    fn idle_deadline(&mut self, now: Instant) -> Wake;

    /// Runs the session until it needs something. Pass the same session in every call until it is over.
    fn next<'s, S: Session + ?Sized>(&mut self, session: &'s mut S, now: Instant) -> Need<'_, 's>;

    /// Notes that the first `n` bytes of [`Need::Send`] were sent.
    fn sent(&mut self, n: usize);

    /// Notes that `n` bytes were received into the memory of [`Need::Recv`].
    fn received(&mut self, n: usize);

    /// Notes that the port will receive no more.
    fn eof(&mut self);

    /// Takes the answer to [`Need::File`], at once or later.
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
