//! The operations of every kind of job.

use std::os::fd::AsFd;

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

use super::buffers::Buffers;
use super::files::Answer;
use super::rules::RulesId;
use crate::sys::ready::{Interest, Ready};

/// What a job needs after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Another turn when the socket is ready for this, or at its [`deadline`](Turns::deadline).
    Wait(Interest),
    /// Another turn after the others: it used up its budget.
    Again,
    /// It is over. Drop it.
    Closed(Result<(), Fault>),
}

/// Jobs that [only repeat](Turns::only_repeats) their last answer, beside those that are served: more of them count as
/// served.
pub(crate) const REPEATING_MAX: usize = 1024;

/// The operations of every job.
pub trait Turns: AsFd {
    /// Notes an event for a later turn.
    fn note(&mut self, ready: Ready);

    /// Moves as many bytes as possible, and says what it needs next. It never waits.
    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next;

    /// The interest that a level-triggered wait reports at once, after a turn that used up the budget: it waits as
    /// the other jobs do. `None`: it has to have another turn.
    fn rest(&mut self) -> Option<Interest> {
        Some(Interest::READ)
    }

    /// Waits for input until about `until` in a call that receives it too, for a caller that has nothing else to wait
    /// for; it has a turn next. False: it did not wait.
    fn wait_for_input(&mut self, _until: Instant, _buffers: &mut Buffers) -> bool {
        false
    }

    /// When it wants a turn without an event.
    fn deadline(&self, buffers: &Buffers) -> Option<Instant>;

    /// How often to check whether other clients wait, if it then has less time, in microseconds.
    fn look_every_us(&self, buffers: &Buffers) -> Option<u64>;

    /// Puts it under the rules of its listener.
    fn set_rules(&mut self, rules: RulesId);

    /// What a helper was asked for it is done. It has a turn next.
    fn came(&mut self, answer: Answer);

    /// This side held it back until now: that time does not count as the peer's.
    fn rested(&mut self, _now: Instant) {}

    /// It is not served, and is dropped next: the peer sees a clean end, or nothing.
    fn dismiss(&mut self) {}

    /// The server stops. What ends by itself goes on; what never does finishes with what has arrived, in its
    /// next turn, and is over then. Whether it is of that kind.
    fn drain(&mut self) -> bool {
        false
    }

    /// Its client has all that it asked for, or is told so next: what comes then is no matter of its place or of its
    /// line in the log.
    fn is_whole(&self) -> bool {
        false
    }

    /// It [is whole](Self::is_whole), and its client may ask for the last answer once more. It has turns for that as long
    /// as the process lives, but it is no client that is served: another one may have its place, and a stop does not
    /// wait for it.
    fn only_repeats(&self) -> bool {
        false
    }

    /// Ends it from this side.
    fn abort(&mut self, why: Fault);

    /// It gets no further turn, although it is not over: it is counted as ended by this.
    fn given_up(&mut self, _: Fault, _: Instant, _: &Buffers) {}
}

/// What a job that stands before another one, its field `job`, leaves to that one.
macro_rules! forward {
    () => {
        fn note(&mut self, ready: Ready) {
            self.job.note(ready);
        }

        fn rest(&mut self) -> Option<Interest> {
            self.job.rest()
        }

        fn look_every_us(&self, buffers: &Buffers) -> Option<u64> {
            self.job.look_every_us(buffers)
        }

        fn set_rules(&mut self, rules: RulesId) {
            self.job.set_rules(rules);
        }

        fn came(&mut self, answer: Answer) {
            self.job.came(answer);
        }

        fn rested(&mut self, now: Instant) {
            self.job.rested(now);
        }

        fn dismiss(&mut self) {
            self.job.dismiss();
        }

        fn drain(&mut self) -> bool {
            self.job.drain()
        }

        fn abort(&mut self, why: Fault) {
            self.job.abort(why);
        }

        fn given_up(&mut self, why: Fault, now: Instant, buffers: &Buffers) {
            self.job.given_up(why, now, buffers);
        }
    };
}

pub(super) use forward;
