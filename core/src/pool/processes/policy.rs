//! What a pool should be like: data, checked once.

use super::backoff::Backoff;
use super::breaker::Trip;
use super::bucket::Rate;

/// Which pool. [`Policy::fixed`] and [`Policy::spare`] have the numbers for everything else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// As many workers always; the parent accepts and passes each connection to an idle one.
    Static {
        /// Workers. At least 1.
        workers: u16,
    },
    /// Workers accept by themselves; how many there are follows how many are idle.
    Dynamic {
        /// Idle workers at least. At least 1.
        min_spare: u16,
        /// Idle workers at most. At least `min_spare`.
        max_spare: u16,
        /// Workers at most. At least `max_spare`.
        max: u16,
    },
}

impl Kind {
    /// Workers at most, the surge not counted.
    pub(super) const fn max(self) -> u16 {
        match self {
            Kind::Static { workers } => workers,
            Kind::Dynamic { max, .. } => max,
        }
    }
}

/// How a pool lives. Plain data; times in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// Which pool.
    pub kind: Kind,
    /// Workers above the maximum while others are being replaced. At least 1.
    pub surge: u16,
    /// How fast workers may be started.
    pub spawn: Rate,
    /// How long a slot waits after repeated crashes, and the pool after failed starts.
    pub backoff: Backoff,
    /// When crashes become a crash loop.
    pub trip: Trip,
    /// A worker that lived so long since it was ready has proved itself; so has one that finished
    /// a connection.
    pub proof_us: u64,
    /// A worker that is not ready after so long is killed.
    pub boot_us: u64,
    /// A worker that has held one connection for so long is hung, and killed.
    pub hold_us: Option<u64>,
    /// A worker that is replaced or superfluous has so long to finish before it is killed.
    pub drain_us: u64,
    /// The same when the pool stops.
    pub grace_us: u64,
    /// Between two workers that are let go because too many are idle, and before the first.
    pub shrink_us: u64,
    /// A connection that waits for a worker for so long is shed.
    pub wait_us: u64,
    /// A connection that so many workers died with is shed. At least 1.
    pub deaths: u8,
}

const SECOND_US: u64 = 1_000_000;

impl Policy {
    /// A static pool (5 workers: seeds §1 row 8).
    pub fn fixed(workers: u16) -> Self {
        let burst = workers.max(32);
        Self::new(Kind::Static { workers }, burst)
    }

    /// A dynamic pool (5, 10, 20: seeds §1 row 4).
    pub fn spare(min_spare: u16, max_spare: u16, max: u16) -> Self {
        let burst = min_spare.max(32);
        Self::new(Kind::Dynamic { min_spare, max_spare, max }, burst)
    }

    fn new(kind: Kind, burst: u16) -> Self {
        Self {
            kind,
            surge: 1,
            // Apache's steepest: 32 a second (`MAX_SPAWN_RATE`). The whole pool may start at once.
            spawn: Rate { burst, every_us: SECOND_US / 32 },
            backoff: Backoff {
                first_us: SECOND_US / 10,
                max_us: 30 * SECOND_US,
                jitter_percent: 25,
                seed: 0,
            },
            trip: Trip { failures: 5, within_us: 10 * SECOND_US, probe_us: SECOND_US },
            proof_us: SECOND_US,
            boot_us: 10 * SECOND_US,
            hold_us: None,
            drain_us: 30 * SECOND_US,
            grace_us: 5 * SECOND_US,
            shrink_us: SECOND_US,
            wait_us: 10 * SECOND_US,
            deaths: 2,
        }
    }

    /// The slots that its pool needs: one for each worker, the surge included.
    pub const fn slots(&self) -> usize {
        self.kind.max() as usize + self.surge as usize
    }

    /// The places for connections that its pool can use: in a static pool one for each slot. With fewer, but
    /// one for each worker, a replacement may have to wait until the worker before it has finished.
    pub const fn conns(&self) -> usize {
        match self.kind {
            Kind::Static { .. } => self.slots(),
            Kind::Dynamic { .. } => 0,
        }
    }

    /// Whether a pool of so many slots and connections can follow it.
    pub(super) const fn check(&self, slots: usize, conns: usize) -> Result<(), PolicyError> {
        let (least, held) = match self.kind {
            Kind::Static { workers } => (workers, workers),
            Kind::Dynamic { min_spare, max_spare, max } => {
                if min_spare > max_spare || max_spare > max {
                    return Err(PolicyError::Order { min_spare, max_spare, max });
                }
                (min_spare, 0)
            }
        };
        let Self { surge, spawn, backoff, trip, deaths, .. } = self;
        let zero = least == 0
            || *surge == 0
            || spawn.burst == 0
            || spawn.every_us == 0
            || backoff.first_us == 0
            || trip.probe_us == 0
            || self.shrink_us == 0
            || *deaths == 0;
        if zero {
            return Err(PolicyError::Zero);
        }
        if trip.failures < 2
            || trip.within_us < trip.failures as u64
            || backoff.max_us < backoff.first_us
        {
            return Err(PolicyError::Failures);
        }
        // Slots are counted in `u16`, connections too.
        let need = self.slots();
        if slots < need || slots > u16::MAX as usize {
            return Err(PolicyError::Slots { need, have: slots });
        }
        let need = held as usize;
        if conns < need || conns > u16::MAX as usize {
            return Err(PolicyError::Conns { need, have: conns });
        }
        Ok(())
    }
}

/// Numbers that no pool can follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PolicyError {
    /// Workers, surge, burst, deaths or an interval is 0.
    Zero,
    /// Spares and maximum are not in order.
    Order {
        /// Idle workers at least.
        min_spare: u16,
        /// Idle workers at most.
        max_spare: u16,
        /// Workers at most.
        max: u16,
    },
    /// The breaker has to tolerate one failure, and the longest wait is not below the first.
    Failures,
    /// There are too few slots, or more than 65,535.
    Slots {
        /// Maximum and surge.
        need: usize,
        /// Slots.
        have: usize,
    },
    /// There are too few places for connections, or more than 65,535.
    Conns {
        /// One for each worker.
        need: usize,
        /// Places.
        have: usize,
    },
}

impl core::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PolicyError::Zero => {
                f.write_str("workers, surge, burst, deaths and intervals must be 1 or more")
            }
            PolicyError::Order { min_spare, max_spare, max } => write!(
                f,
                "{min_spare} spare workers, {max_spare} and a maximum of {max} are not in order"
            ),
            PolicyError::Failures => {
                f.write_str("the breaker must tolerate one failure, and back-off must not shrink")
            }
            PolicyError::Slots { need, have } => {
                write!(f, "{need} workers do not fit into {have} slots")
            }
            PolicyError::Conns { need, have } => {
                write!(f, "{need} connections do not fit into {have} places")
            }
        }
    }
}

impl core::error::Error for PolicyError {}
