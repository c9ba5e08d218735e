//! What the supervisor hears and what it answers: identities, events, actions.

/// A worker: a slot of the pool, and which of all that lived there it is.
///
/// The epoch grows with every spawn of the slot. What a worker said arrives after its death, and
/// pids are used again; a pair of slot and epoch is not (before 2³² spawns of one slot).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WorkerId {
    /// Which slot, from 0.
    pub slot: u16,
    /// Which spawn of that slot, from 1.
    pub epoch: u32,
}

/// An accepted connection of a static pool: a place in the table of copies that the parent keeps,
/// and which of all that were there it is.
///
/// The supervisor chooses it ([`vacant`](super::Processes::vacant)), so that the host's table and
/// the supervisor's cannot disagree, and finding one costs no search.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Conn {
    /// Which place, from 0.
    pub index: u16,
    /// Which use of that place, from 0.
    pub generation: u32,
}

/// What happened. An event that names a worker or a connection that is no more changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// Time passed. Every call looks at the time; this one only does that.
    Tick,
    /// A worker has booted and can serve.
    Ready(WorkerId),
    /// Dynamic: a worker accepted a connection. When its line in the scoreboard shows that it
    /// finished one since the last look, tell [`Event::Idle`] first: then it is not the old one
    /// that it has held for so long.
    Busy(WorkerId),
    /// Dynamic: a worker finished its connection, or has booted.
    Idle(WorkerId),
    /// Static: a worker finished this connection and can take another.
    Done {
        /// The worker.
        worker: WorkerId,
        /// What it held.
        conn: Conn,
    },
    /// Static: a worker could not take this connection (`MSG_CTRUNC`: the message came without its
    /// descriptor). The parent still has its copy.
    Returned {
        /// The worker.
        worker: WorkerId,
        /// What it did not get.
        conn: Conn,
    },
    /// A worker has served as many requests as it may. It goes on until its replacement is ready.
    Retiring(WorkerId),
    /// A worker ended. Tell what its channel still held first.
    Exited {
        /// The worker.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// A worker asked for with [`Action::Spawn`] could not be started: `fork` said `EAGAIN`,
    /// `EMFILE` or `ENOMEM`.
    SpawnFailed(WorkerId),
    /// Static: a connection was accepted into the place that
    /// [`vacant`](super::Processes::vacant) named.
    Accepted(Conn),
    /// Static: what became of an [`Action::Pass`].
    Passed {
        /// The worker that gets it.
        worker: WorkerId,
        /// What.
        conn: Conn,
        /// How it went.
        pass: Pass,
    },
    /// Static: what an [`Action::Inspect`] found.
    Inspected {
        /// What was looked at.
        conn: Conn,
        /// Whether it can be served again.
        trace: Trace,
    },
    /// Dynamic: so many connections wait in the listener's accept queue.
    Queue(u32),
    /// A request of the operator or of the host.
    Signal(Signal),
}

/// How a worker ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Exit {
    /// With status 0. Without an order to end, that is a crash too.
    Clean,
    /// By a signal or with another status.
    Crash,
    /// It said that descriptors or memory ran out: more workers would not help now.
    Resource,
}

/// How passing a descriptor went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pass {
    /// It is in the worker's channel.
    Sent,
    /// The channel is full, or too many descriptors are in flight (`EAGAIN`, `ETOOMANYREFS`).
    WouldBlock,
    /// The channel is closed (`EPIPE`): the worker is gone or will never hear us again.
    Broken,
}

/// What a dead worker left on its connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trace {
    /// Nothing was sent and nothing read: `tcpi_bytes_sent` is 0, and `FIONREAD` is all that came.
    Untouched,
    /// Something was, or it cannot be told.
    Touched,
}

/// A request of the operator or of the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Signal {
    /// Replace every worker, each when its replacement is ready (`SIGHUP`).
    Reload,
    /// Let every worker finish, within the grace period (`SIGTERM`). The second is [`Signal::StopNow`].
    Stop,
    /// End every worker at once.
    StopNow,
}

/// What the host is to do. Performing one is worth a `handle` only where an event says so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Action {
    /// Start a worker. Says [`Event::SpawnFailed`] when that cannot be done.
    Spawn {
        /// The worker that it will be.
        worker: WorkerId,
        /// Which configuration it runs: the number of reloads before it.
        generation: u32,
    },
    /// Ask a worker to finish what it has and end.
    Quit(WorkerId),
    /// End a worker now.
    Kill(WorkerId),
    /// Pass this connection to this worker, keep the copy, and tell [`Event::Passed`].
    Pass {
        /// The worker that gets it.
        worker: WorkerId,
        /// What.
        conn: Conn,
        /// Whether it was dispatched before: a worker died with it.
        again: bool,
    },
    /// Look whether the dead worker touched this connection, and tell [`Event::Inspected`].
    Inspect(Conn),
    /// Close the copy. The place is free with this.
    Close {
        /// What.
        conn: Conn,
        /// Why. Everything but [`End::Served`] is worth a line in the log.
        end: End,
    },
    /// Put the listener into the wait set, or take it out.
    Listen(Listen),
    /// Something that a human should read, once.
    Notice(Notice),
    /// Every worker is gone: end. The last action.
    Exit,
}

/// Why a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum End {
    /// Its worker finished it.
    Served,
    /// Its worker died after having touched it.
    Lost,
    /// Shed. Nothing was sent yet: a protocol that has a busy reply may send it.
    Shed(Shed),
}

/// Why a connection is not served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Shed {
    /// It killed as many workers as a connection may.
    Quarantined,
    /// It waited too long for a worker.
    Waited,
    /// The pool is stopping.
    Stopping,
}

impl core::fmt::Display for Shed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Quarantined => "workers died that had it",
            Self::Waited => "it waited too long for a worker",
            Self::Stopping => "the pool is stopping",
        })
    }
}

/// Whether the parent listens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Listen {
    /// A worker is idle and there is a place for a connection.
    On,
    /// No worker is idle: the accept queue is the queue.
    Off,
}

/// Something that a human should read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notice {
    /// Workers keep dying young: from now on only probes are started.
    CrashLoop,
    /// A probe proved itself: the pool fills up again.
    Recovered,
    /// Workers cannot be started.
    SpawnsFail,
    /// They can be again.
    SpawnsWork,
    /// All workers are of this generation, and as many are ready as before the reload.
    Reloaded {
        /// The number of reloads so far.
        generation: u32,
    },
}
