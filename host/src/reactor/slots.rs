//! The table of sources.

use super::conversation::Conversation;
use super::watch::{Fired, Priority, Watch};
use super::{Context, Token};
use crate::sys::epoll::Member;

/// What a loop calls when a source fires.
pub(super) type Callback<S> = Box<dyn FnMut(&mut S, &mut Context<S>, Fired)>;

/// The sources of a loop. A place that was vacated has another generation, so a token that is late
/// for its source finds nobody.
pub(super) struct Slots<S> {
    slots: Vec<Slot<S>>,
    vacant: Vec<u32>,
}

struct Slot<S> {
    generation: u32,
    source: Option<Source<S>>,
}

/// One source.
pub(super) struct Source<S> {
    /// Its place in the kernel's set, if it is a descriptor.
    pub(super) member: Option<Member>,
    pub(super) watch: Watch,
    /// The descriptor is watched: it was armed, and did not fire since if it is to fire once.
    pub(super) watched: bool,
    /// A regular file, which epoll refuses because it is always ready.
    pub(super) always: bool,
    pub(super) kind: Kind,
    pub(super) priority: Priority,
    /// It is to be called.
    pub(super) queued: bool,
    /// It has an entry in a run queue, to be called or not.
    pub(super) entered: bool,
    /// It is counted among those that can fire.
    pub(super) counted: bool,
    /// What it will be called for.
    pub(super) fired: Fired,
    /// The delay or the period of a timer, the timeout of a descriptor, in microseconds.
    pub(super) delay_us: u64,
    pub(super) handler: Handler<S>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A descriptor, called with what it is ready for.
    Descriptor,
    /// Called when its delay is over.
    Timer,
    /// A timer that goes on.
    Periodic,
    /// Fires when a signal comes.
    Signal,
    /// A stream with buffers, watched edge-triggered both ways.
    Buffered,
}

/// What is called.
pub(super) enum Handler<S> {
    Callback(Callback<S>),
    Buffered(Box<Conversation<S>>),
    /// It is being called.
    Away,
}

impl<S> Slot<S> {
    /// Whether `token` is of this occupant. That of a connection counts other places.
    fn is_of(&self, token: Token) -> bool {
        token.is_source() && self.generation == token.generation
    }
}

impl<S> Slots<S> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), vacant: Vec::new() }
    }

    /// Finds a place for a source.
    pub(super) fn insert(&mut self, source: Source<S>) -> Token {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, source: None });
            // Far fewer than 2^31: each of them is larger than two bytes.
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[place as usize];
        slot.source = Some(source);
        Token::source(place, slot.generation)
    }

    /// Vacates a place.
    pub(super) fn remove(&mut self, token: Token) -> Option<Source<S>> {
        let slot = self.slots.get_mut(token.place() as usize).filter(|slot| slot.is_of(token))?;
        let source = slot.source.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(token.place());
        Some(source)
    }

    pub(super) fn get(&self, token: Token) -> Option<&Source<S>> {
        let slot = self.slots.get(token.place() as usize)?;
        slot.source.as_ref().filter(|_| slot.is_of(token))
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Source<S>> {
        let slot = self.slots.get_mut(token.place() as usize).filter(|slot| slot.is_of(token))?;
        slot.source.as_mut()
    }

    /// The token of whoever is in this place now.
    pub(super) fn token(&self, place: u32) -> Option<Token> {
        let slot = self.slots.get(place as usize)?;
        slot.source.as_ref()?;
        Some(Token::source(place, slot.generation))
    }

    /// All sources.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut Source<S>)> {
        self.slots.iter_mut().zip(0..).filter_map(|(slot, place)| {
            let token = Token::source(place, slot.generation);
            Some((token, slot.source.as_mut()?))
        })
    }
}

impl<S> Source<S> {
    pub(super) fn new(kind: Kind, watch: Watch, handler: Handler<S>) -> Self {
        Self {
            member: None,
            watch,
            watched: false,
            always: false,
            kind,
            priority: Priority::Normal,
            queued: false,
            entered: false,
            counted: false,
            fired: Fired::NOTHING,
            delay_us: 0,
            handler,
        }
    }

    /// What it was to be called for because its time came is forgotten: it has time again.
    pub(super) fn not_timed_out(&mut self) {
        if std::mem::take(&mut self.fired.timed_out) && !self.fired.ready.any() {
            self.queued = false;
        }
    }
}
