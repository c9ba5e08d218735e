//! One scene for all that differ only in what no observer can tell apart: the time of day, how often a
//! slot was used before, how long ago something is that is over.
//!
//! So the search closes: crashes, connections and reloads are unlimited in number, and the states
//! are still finite.

use super::world::{Life, Scene, UNIT};
use super::*;
use std::vec::Vec;

/// Now, in every canonical scene: later than any duration.
pub(super) const NOW: Instant = Instant::from_micros(1_000_000_000);

impl<const S: usize, const C: usize> Scene<S, C> {
    pub(super) fn canonical(mut self, symmetric: bool) -> Self {
        let now = self.now;
        self.now = NOW;
        // What is due is due, and what is due within a unit, a bucket that misses a drop, too.
        let ahead = |at: Instant| NOW.after(at.since(now) / UNIT * UNIT);
        // Of what is past only the order counts.
        let mut sinces: Vec<Instant> = Vec::with_capacity(S);
        for slot in &self.pool.slots {
            if let State::Idle { since, .. } = slot.state {
                sinces.push(since);
            }
        }
        sinces.sort_unstable();
        sinces.dedup();
        let rank = |since: Instant| {
            let rank = sinces.iter().position(|at| *at == since).unwrap_or(0);
            Instant::from_micros(rank as u64)
        };
        let conn = |conn: Option<Conn>| conn.map(|conn| Conn { generation: 1, ..conn });
        let generation = self.pool.generation;
        for slot in &mut self.pool.slots {
            slot.epoch = 1;
            slot.generation = u32::from(slot.generation == generation || !slot.state.is_alive());
            slot.proof_at = slot.proof_at.map(ahead);
            slot.state = match slot.state {
                State::Free => State::Free,
                State::BackOff { until } => State::BackOff { until: ahead(until) },
                State::Starting { kill_at } => State::Starting { kill_at: ahead(kill_at) },
                State::Idle { since, rest } => {
                    State::Idle { since: rank(since), rest: rest.map(ahead) }
                }
                State::Busy { conn: held, kill_at } => {
                    State::Busy { conn: conn(held), kill_at: kill_at.map(ahead) }
                }
                State::Quitting { conn: held, kill_at } => {
                    State::Quitting { conn: conn(held), kill_at: ahead(kill_at) }
                }
                State::Killed { conn: held, asked } => State::Killed { conn: conn(held), asked },
            };
        }
        for entry in &mut self.pool.conns.0 {
            entry.generation = 1;
            if let Stage::Waiting { until } = &mut entry.stage {
                *until = ahead(*until);
            }
        }
        self.sort_conns();
        if symmetric {
            self.sort_slots();
        }
        let pool = &mut self.pool;
        pool.told.generation = u32::from(pool.told.generation == pool.generation);
        pool.generation = 1;
        if matches!(pool.policy.kind, Kind::Static { .. }) {
            pool.base = 0;
            self.world.floor = 0;
        }
        pool.spawns.full_at = ahead(pool.spawns.full_at);
        pool.scarcity.until = ahead(pool.scarcity.until);
        pool.shrink_at = pool.shrink_at.map(ahead);
        pool.breaker = match pool.breaker {
            Breaker::Closed { mut tolerance } => {
                tolerance.full_at = ahead(tolerance.full_at);
                Breaker::Closed { tolerance }
            }
            Breaker::Open { probe_at } => Breaker::Open { probe_at: ahead(probe_at) },
        };
        pool.phase = match pool.phase {
            Phase::Stopping { kill_at } => Phase::Stopping { kill_at: ahead(kill_at) },
            same @ (Phase::Running | Phase::Over) => same,
        };
        for process in &mut self.world.processes {
            process.deadline = process.deadline.map(ahead);
        }
        self.world.stop_by = self.world.stop_by.map(ahead);
        self
    }

    /// Connections differ by where they are and how often a worker died with them. Nothing depends
    /// on their index but which of two equals is first, so all orders are one.
    fn sort_conns(&mut self) {
        let mut order: [usize; C] = core::array::from_fn(|index| index);
        let rank = |place: Stage| match place {
            Stage::Vacant => (0, 0),
            Stage::Waiting { until } => (1, until.as_micros()),
            Stage::Passing { slot } => (2, u64::from(slot)),
            Stage::With { slot } => (3, u64::from(slot)),
            Stage::Suspect => (4, 0),
            Stage::Inspecting => (5, 0),
            Stage::Leaving(_) => (6, 0),
        };
        let Self { pool, world, .. } = self;
        order.sort_by_key(|index| {
            let entry = pool.conns.0[*index];
            (rank(entry.stage), entry.deaths)
        });
        let (entries, held) = (pool.conns.0, world.held);
        let mut moved = [0; C];
        for (new, old) in (0..).zip(order) {
            moved[old] = new;
            pool.conns.0[usize::from(new)] = entries[old];
            world.held[usize::from(new)] = held[old];
        }
        for slot in &mut pool.slots {
            match &mut slot.state {
                State::Busy { conn: Some(conn), .. }
                | State::Quitting { conn: Some(conn), .. }
                | State::Killed { conn: Some(conn), .. } => {
                    conn.index = moved[usize::from(conn.index)];
                }
                State::Free
                | State::BackOff { .. }
                | State::Starting { .. }
                | State::Idle { .. }
                | State::Busy { conn: None, .. }
                | State::Quitting { conn: None, .. }
                | State::Killed { conn: None, .. } => {}
            }
        }
        for process in &mut world.processes {
            if let Life::Serving(Some(conn)) | Life::Gone(_, Some(conn)) = &mut process.life {
                *conn = moved[usize::from(*conn)];
            }
        }
    }

    /// The order of slots decides only between workers that are idle, or wait after a crash, to the
    /// same microsecond. A search that sorts them sees one of the two outcomes.
    fn sort_slots(&mut self) {
        let mut order: [usize; S] = core::array::from_fn(|index| index);
        let Self { pool, world, .. } = self;
        let (slots, processes) = (pool.slots, world.processes);
        order.sort_by_cached_key(|index| {
            use core::hash::{Hash, Hasher};
            let mut mixer = Mixer(0);
            (slots[*index], processes[*index]).hash(&mut mixer);
            mixer.finish()
        });
        let mut moved = [0; S];
        for (new, old) in (0..).zip(order) {
            moved[old] = new;
            pool.slots[usize::from(new)] = slots[old];
            world.processes[usize::from(new)] = processes[old];
        }
        for entry in &mut pool.conns.0 {
            if let Stage::With { slot } | Stage::Passing { slot } = &mut entry.stage {
                *slot = moved[usize::from(*slot)];
            }
        }
    }

    /// A number for this scene, the policy apart. Two scenes of a search share one with a chance of
    /// about 2⁻²⁵ in a million scenes.
    pub(super) fn fingerprint(&self) -> u64 {
        use core::hash::{Hash, Hasher};
        let mut mixer = Mixer(0x9E37_79B9_7F4A_7C15);
        let Processes { policy: _, slots, conns, phase, generation: _, base, queue, .. } =
            &self.pool;
        slots.hash(&mut mixer);
        conns.0.hash(&mut mixer);
        (phase, base, queue).hash(&mut mixer);
        let Processes { spawns, scarcity, breaker, shrink_at, told, .. } = &self.pool;
        (spawns, scarcity, breaker, shrink_at, told).hash(&mut mixer);
        self.world.hash(&mut mixer);
        mixer.finish()
    }
}

/// Multiplies and folds: the standard hasher takes most of the search's time in a debug build.
struct Mixer(u64);

impl Mixer {
    fn add(&mut self, word: u64) {
        let wide =
            u128::from(self.0 ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93_A24B_AED4_963E_E407);
        let half = |wide: u128| u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0);
        self.0 = half(wide >> 64) ^ half(wide) ^ self.0.rotate_left(23);
    }
}

impl core::hash::Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }

    fn write_u16(&mut self, word: u16) {
        self.add(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.add(word.unsigned_abs() as u64);
    }
}
