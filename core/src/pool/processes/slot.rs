//! A slot: a place for a worker, what the worker there does, and how the ones before it ended.
//!
//! ```text
//!   Free ──Spawn──▶ Starting ──Ready──▶ Idle ◀─Done─ ─Pass─▶ Busy
//!    ▲                 │                 │                    │
//!    │                 ├──────Quit───────┴────────Quit────────┤
//!    │                 ▼                                      ▼
//!    │              Quitting ───deadline───▶ Killed ◀──hung, broken
//!    │                 └─────────┬──────────────┘
//!    └────── BackOff ◀──────── exit (from anywhere)
//! ```

use super::event::{Conn, Exit};
use crate::time::Instant;

/// What the worker of a slot does, as far as the parent knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// There is none.
    Free,
    /// There is none, and none is started here before this.
    BackOff {
        /// The end of the wait.
        until: Instant,
    },
    /// It boots.
    Starting {
        /// It is hung when it is not ready by then.
        kill_at: Instant,
    },
    /// It waits for a connection.
    Idle {
        /// Since when.
        since: Instant,
        /// Its channel was full: nothing is passed to it before this.
        rest: Option<Instant>,
    },
    /// It serves a connection.
    Busy {
        /// Which. A dynamic worker does not say.
        conn: Option<Conn>,
        /// It is hung when it still does so then.
        kill_at: Option<Instant>,
    },
    /// It was asked to finish and end.
    Quitting {
        /// What it has to finish, if the parent passed it.
        conn: Option<Conn>,
        /// It is killed at this time.
        kill_at: Instant,
    },
    /// It was killed and has not ended yet.
    Killed {
        /// What it held.
        conn: Option<Conn>,
        /// Whether it had been asked to end before.
        asked: bool,
    },
}

impl State {
    /// Whether there is a process.
    pub const fn is_alive(&self) -> bool {
        match self {
            State::Free | State::BackOff { .. } => false,
            State::Starting { .. }
            | State::Idle { .. }
            | State::Busy { .. }
            | State::Quitting { .. }
            | State::Killed { .. } => true,
        }
    }

    /// Whether it serves or can serve, and is to go on.
    pub const fn is_ready(&self) -> bool {
        match self {
            State::Idle { .. } | State::Busy { .. } => true,
            State::Free
            | State::BackOff { .. }
            | State::Starting { .. }
            | State::Quitting { .. }
            | State::Killed { .. } => false,
        }
    }

    /// Whether it serves or soon can, and is to go on.
    pub(super) const fn is_serving(&self) -> bool {
        self.is_ready() || matches!(self, State::Starting { .. })
    }

    /// What the parent passed to it and has not heard of since.
    pub const fn conn(&self) -> Option<Conn> {
        match self {
            State::Busy { conn, .. }
            | State::Quitting { conn, .. }
            | State::Killed { conn, .. } => *conn,
            State::Free | State::BackOff { .. } | State::Starting { .. } | State::Idle { .. } => {
                None
            }
        }
    }

    /// When it has to be killed.
    pub(super) const fn kill_at(&self) -> Option<Instant> {
        match self {
            State::Starting { kill_at } | State::Quitting { kill_at, .. } => Some(*kill_at),
            State::Busy { kill_at, .. } => *kill_at,
            State::Free | State::BackOff { .. } | State::Idle { .. } | State::Killed { .. } => None,
        }
    }

    /// One character: `.` idle, `X` busy, ` ` empty (seeds §1 row 4); `S` starting, `G` finishing.
    pub const fn glyph(&self) -> char {
        match self {
            State::Free | State::BackOff { .. } => ' ',
            State::Starting { .. } => 'S',
            State::Idle { .. } => '.',
            State::Busy { .. } => 'X',
            State::Quitting { .. } | State::Killed { .. } => 'G',
        }
    }
}

/// How a death is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Death {
    /// We asked for it, or it was announced.
    Expected,
    /// Something that all share ran out.
    Scarce,
    /// It had proved itself: an accident.
    Accident,
    /// It had not: perhaps the next one dies too.
    Young,
}

/// A place for a worker: memory that the host lends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot {
    pub(super) state: State,
    /// Spawns here so far.
    pub(super) epoch: u32,
    /// The configuration of the worker here.
    pub(super) generation: u32,
    /// Crashes here in a row; back-off follows from it.
    pub(super) crashes: u8,
    /// It announced that it wants to go.
    pub(super) retiring: bool,
    /// It was started while the breaker was open.
    pub(super) probe: bool,
    /// When it has proved itself. None: it was never ready.
    pub(super) proof_at: Option<Instant>,
}

impl Slot {
    /// A slot that no worker was in.
    pub const FREE: Self = Self {
        state: State::Free,
        epoch: 0,
        generation: 0,
        crashes: 0,
        retiring: false,
        probe: false,
        proof_at: None,
    };

    /// It lived long enough, or finished a connection.
    pub(super) fn is_proved(&self, now: Instant) -> bool {
        self.proof_at.is_some_and(|at| at <= now)
    }

    /// It has booted.
    pub(super) fn ready(&mut self, proof_us: u64, now: Instant) {
        self.proof_at = Some(now.after(proof_us));
        self.state = State::Idle { since: now, rest: None };
    }

    /// It finished a connection, which proves it.
    pub(super) fn finished(&mut self, now: Instant) {
        self.proof_at = self.proof_at.map(|at| at.min(now));
        match self.state {
            State::Busy { .. } => self.state = State::Idle { since: now, rest: None },
            State::Quitting { kill_at, .. } => self.state = State::Quitting { conn: None, kill_at },
            State::Killed { asked, .. } => self.state = State::Killed { conn: None, asked },
            State::Free | State::BackOff { .. } | State::Starting { .. } | State::Idle { .. } => {}
        }
    }

    /// It is asked to end. An order to end never gives a worker more time than it had.
    pub(super) fn quit(&mut self, kill_at: Instant) {
        let kill_at = self.state.kill_at().map_or(kill_at, |at| at.min(kill_at));
        self.state = State::Quitting { conn: self.state.conn(), kill_at };
    }

    /// The slot is empty. It only remembers its crashes.
    pub(super) fn bury(&mut self, state: State) {
        let Self { epoch, generation, crashes, .. } = *self;
        *self = Self { state, epoch, generation, crashes, ..Self::FREE };
    }

    /// It is killed.
    pub(super) fn kill(&mut self) {
        let asked = matches!(self.state, State::Quitting { .. });
        self.state = State::Killed { conn: self.state.conn(), asked };
    }

    /// How the end of its worker is to be taken.
    pub(super) fn judge(&self, exit: Exit, now: Instant) -> Death {
        let asked = match self.state {
            State::Quitting { .. } => true,
            State::Killed { asked, .. } => asked,
            State::Free
            | State::BackOff { .. }
            | State::Starting { .. }
            | State::Idle { .. }
            | State::Busy { .. } => false,
        };
        match exit {
            _ if asked => Death::Expected,
            Exit::Clean if self.retiring => Death::Expected,
            Exit::Resource => Death::Scarce,
            Exit::Clean | Exit::Crash if self.is_proved(now) => Death::Accident,
            Exit::Clean | Exit::Crash => Death::Young,
        }
    }
}
