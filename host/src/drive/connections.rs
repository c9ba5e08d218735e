//! The table of all connections of an event loop, with their deadlines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tracing::debug;
use windlass_core::fault::Fault;
use windlass_core::session::Session;
use windlass_core::time::{Instant, Wake};

use super::connection::{Connection, Next};
use super::lent::{Lent, Patience};
use crate::sys::ready::{Interest, Ready, Token};
use crate::sys::root::Root;
use crate::sys::stream::Stream;

/// All connections of one loop. Callers hold tokens; one that is late for its connection finds
/// another generation in its place and nothing happens.
pub struct Connections {
    slots: Vec<Slot>,
    /// Vacant places.
    vacant: Vec<u32>,
    /// At least one entry for each connection that has a deadline, at or before that deadline.
    /// Activity only moves deadlines later, so it costs nothing here: an entry that comes too early
    /// is put back at the right time. One is added only while there are fewer than
    /// `DEADLINES_MIN` and two for each connection, however many came and went.
    deadlines: BinaryHeap<Reverse<(Instant, Token)>>,
    lent: Lent,
    /// Whoever waits is told again what it left unread.
    level_triggered: bool,
}

struct Slot {
    generation: u32,
    /// What the last turn waits for.
    interest: Interest,
    /// It was promised a turn, by [`Connections::note`].
    promised: bool,
    /// The earliest entry in `deadlines`, if there is one, in microseconds: half the size of an
    /// `Option<Instant>`, for ten thousand of them.
    armed: Option<NonZeroU64>,
    connection: Option<Connection>,
}

impl Slot {
    fn vacate(&mut self) {
        self.connection = None;
        self.armed = None;
        self.interest = Interest::NONE;
        self.promised = false;
        self.generation = self.generation.wrapping_add(1);
    }
}

/// What the caller has to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum After {
    /// Nothing: it waits for what it waited for before.
    Same,
    /// Wait for this from now on.
    Changed(Interest),
    /// Give it another turn when the others had theirs.
    Again,
    /// It is closed and gone, and this is how its session ended.
    Gone(Result<(), Fault>),
}

impl Connections {
    /// An empty table whose connections take turns with `lent`.
    pub fn new(lent: Lent) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            deadlines: BinaryHeap::new(),
            lent,
            level_triggered: false,
        }
    }

    /// For a level-triggered wait: a connection that used up its budget waits like any other, and
    /// is reported again at once. So [`After::Again`] does not come.
    #[must_use]
    pub fn level_triggered(self) -> Self {
        Self { level_triggered: true, ..self }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long connections are waited for.
    pub fn patience(&self) -> Patience {
        self.lent.patience
    }

    /// How long connections are waited for, from their next turn on.
    pub fn set_patience(&mut self, patience: Patience) {
        self.lent.patience = patience;
    }

    /// Where the files are that sessions send, from now on.
    pub fn set_root(&mut self, root: Option<Arc<Root>>) {
        self.lent.set_root(root);
    }

    /// Takes a connection in and gives it its first turn, which may also be its last.
    pub fn open(
        &mut self,
        stream: Stream,
        session: Box<dyn Session + Send>,
        now: Instant,
    ) -> (Token, After) {
        let connection = Some(Connection::new(stream, session, now));
        let index = if let Some(index) = self.vacant.pop() {
            self.slots[index as usize].connection = connection;
            index
        } else {
            let slot = Slot {
                generation: 0,
                interest: Interest::NONE,
                promised: false,
                armed: None,
                connection,
            };
            self.slots.push(slot);
            // A process has far fewer descriptors than this.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        let token = Token { index, generation: self.slots[index as usize].generation };
        (token, self.turn(token, Ready::NONE, now))
    }

    /// Takes note of an event for a turn that comes later. True when that turn was not promised
    /// before: then it is the caller's to give.
    pub fn note(&mut self, token: Token, ready: Ready) -> bool {
        let Some(slot) = self.slots.get_mut(token.index as usize) else { return false };
        let Some(connection) = slot.connection.as_mut() else { return false };
        if slot.generation != token.generation {
            return false;
        }
        connection.note(ready);
        !std::mem::replace(&mut slot.promised, true)
    }

    /// Gives a connection its turn.
    pub fn turn(&mut self, token: Token, ready: Ready, now: Instant) -> After {
        let Some(slot) = self.slots.get_mut(token.index as usize) else { return After::Same };
        let Some(connection) = slot.connection.as_mut() else { return After::Same };
        if slot.generation != token.generation {
            return After::Same;
        }
        slot.promised = false;
        let mut next = connection.turn(ready, now, &mut self.lent);
        if next == Next::Again && self.level_triggered {
            // The socket is ready for what it was doing: it will be reported at once.
            next = Next::Wait(connection.rest());
        }
        match next {
            Next::Wait(interest) => {
                let same = std::mem::replace(&mut slot.interest, interest) == interest;
                if let Some(at) = connection.deadline(&self.lent)
                    && slot.armed.is_none_or(|armed| at.as_micros() < armed.get())
                {
                    slot.armed = entry(at);
                    self.arm(at, token);
                }
                if same { After::Same } else { After::Changed(interest) }
            }
            Next::Again => After::Again,
            Next::Closed(how) => {
                if let Err(fault) = how {
                    debug!(connection = token.index, %fault, "closed");
                }
                slot.vacate();
                self.vacant.push(token.index);
                After::Gone(how)
            }
        }
    }

    /// Adds an entry to `deadlines`. Those that an earlier one overtook, and those whose connection
    /// is gone, are thrown out when they are the greater part: constant time for each.
    fn arm(&mut self, at: Instant, token: Token) {
        if self.deadlines.len() >= DEADLINES_MIN + 2 * self.len() {
            let slots = &self.slots;
            self.deadlines.retain(|Reverse((at, token))| {
                let slot = &slots[token.index as usize];
                slot.generation == token.generation && slot.armed == entry(*at)
            });
        }
        self.deadlines.push(Reverse((at, token)));
    }

    /// Closes a connection at once.
    pub fn close(&mut self, token: Token) {
        if let Some(slot) = self.slots.get_mut(token.index as usize)
            && slot.generation == token.generation
            && slot.connection.is_some()
        {
            slot.vacate();
            self.vacant.push(token.index);
        }
    }

    /// A connection whose deadline has come, if there is one: give it a turn. Ask until `None`.
    pub fn expired(&mut self, now: Instant) -> Option<Token> {
        while let Some(&Reverse((at, token))) = self.deadlines.peek() {
            if at > now {
                return None;
            }
            self.deadlines.pop();
            let slot = &mut self.slots[token.index as usize];
            let current = slot.generation == token.generation && slot.armed == entry(at);
            let Some(connection) = slot.connection.as_ref().filter(|_| current) else { continue };
            match connection.deadline(&self.lent) {
                Some(later) if later > now => {
                    slot.armed = entry(later);
                    self.deadlines.push(Reverse((later, token)));
                }
                Some(_) => {
                    slot.armed = None;
                    return Some(token);
                }
                None => slot.armed = None,
            }
        }
        None
    }

    /// When to ask for [`expired`](Self::expired) next.
    pub fn wake(&self) -> Wake {
        self.deadlines.peek().map_or(Wake::Never, |Reverse((at, _))| Wake::At(*at))
    }

    /// The socket of a connection.
    pub fn socket(&self, token: Token) -> Option<BorrowedFd<'_>> {
        let slot = self.slots.get(token.index as usize)?;
        let connection = slot.connection.as_ref()?;
        (slot.generation == token.generation).then(|| connection.as_fd())
    }

    /// Every connection and what it waits for: what `select` and `poll` need for each wait.
    pub fn iter(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>, Interest)> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| {
            let connection = slot.connection.as_ref()?;
            let token = Token { index, generation: slot.generation };
            Some((token, connection.as_fd(), slot.interest))
        })
    }
}

/// So few entries in `deadlines` are not worth asking which of them still count.
const DEADLINES_MIN: usize = 64;

/// The first microsecond of all time stands for the second.
fn entry(at: Instant) -> Option<NonZeroU64> {
    NonZeroU64::new(at.as_micros().max(1))
}

// 64 bytes here, 32 for the boxed session and 16 for a deadline: 112 for an idle connection.
const _: () = assert!(size_of::<Slot>() <= 64);

#[cfg(test)]
mod tests;
