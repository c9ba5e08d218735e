//! The other side in miniature: processes and connections that do all they can do, when they like.

use super::*;
use std::vec::Vec;

/// The unit that every duration of the searched policies is a multiple of.
pub(super) const UNIT: u64 = 10_000;

/// A process, as it is: not as the supervisor knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Life {
    None,
    Booting,
    Idle,
    /// A dynamic worker does not say what it serves.
    Serving(Option<u16>),
    /// Dead, and not noticed yet.
    Gone(Exit, Option<u16>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Process {
    pub(super) life: Life,
    /// It was asked to finish.
    pub(super) quit: bool,
    /// It may be killed from then on. Worked out from the policy, not read from the supervisor.
    pub(super) deadline: Option<Instant>,
}

/// A connection of which the parent has a copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Held {
    pub(super) touched: bool,
    /// Its worker reported it.
    pub(super) done: bool,
    pub(super) deaths: u8,
}

/// Everything outside the supervisor, and what is remembered for the invariants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct World<const S: usize, const C: usize> {
    pub(super) processes: [Process; S],
    pub(super) held: [Option<Held>; C],
    pub(super) listening: bool,
    pub(super) looping: bool,
    pub(super) stop_by: Option<Instant>,
    pub(super) exited: bool,
    /// Ready workers when the reload under way began, less those that crashed, were killed
    /// or were superfluous.
    pub(super) floor: u16,
}

/// What may happen. A search takes each in every state that allows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Time,
    Boot(usize),
    /// It reads the request: from now on no other worker can serve it.
    Touch(usize),
    Finish(usize),
    /// The descriptor did not arrive.
    Return(usize),
    /// A dynamic worker accepts.
    Take(usize),
    Retire(usize),
    Crash(usize, Exit),
    /// It was asked to end and does.
    Leave(usize),
    /// Its end is noticed.
    Report(usize),
    Accept,
    Queue(u32),
    Signal(Signal),
}

/// What the world can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Powers {
    pub(super) reload: bool,
    /// Also while one is under way: more than two generations at once.
    pub(super) reload_again: bool,
    pub(super) stop: bool,
    pub(super) retire: bool,
    pub(super) spawns_fail: bool,
    pub(super) passes_fail: bool,
    pub(super) returns: bool,
    pub(super) resource: bool,
    pub(super) queue: bool,
    /// Slots that differ only in their order are the same.
    pub(super) symmetric: bool,
}

/// A supervisor and its world at one instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scene<const S: usize, const C: usize> {
    pub(super) pool: Arrays<S, C>,
    pub(super) world: World<S, C>,
    pub(super) now: Instant,
}

impl<const S: usize, const C: usize> Scene<S, C> {
    pub(super) fn new(policy: Policy, now: Instant) -> Self {
        let process = Process { life: Life::None, quit: false, deadline: None };
        let world = World {
            processes: [process; S],
            held: [None; C],
            listening: false,
            looping: false,
            stop_by: None,
            exited: false,
            floor: 0,
        };
        let pool = Arrays::in_arrays(policy, now).expect("a good policy");
        Self { pool, world, now }
    }

    pub(super) fn worker(&self, slot: usize) -> WorkerId {
        WorkerId {
            slot: u16::try_from(slot).expect("few slots"),
            epoch: self.pool.slots[slot].epoch,
        }
    }

    pub(super) fn conn(&self, index: u16) -> Conn {
        Conn { index, generation: self.pool.conns.0[usize::from(index)].generation }
    }

    /// Everything that can happen now.
    pub(super) fn steps(&self, powers: Powers) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.world.exited {
            return steps;
        }
        let dynamic = matches!(self.pool.policy.kind, Kind::Dynamic { .. });
        for (slot, process) in self.world.processes.iter().enumerate() {
            let crash = |steps: &mut Vec<Step>| {
                steps.push(Step::Crash(slot, Exit::Crash));
                if powers.resource {
                    steps.push(Step::Crash(slot, Exit::Resource));
                }
                let retiring = self.pool.slots[slot].retiring;
                if powers.retire && !process.quit && !retiring {
                    steps.push(Step::Retire(slot));
                }
            };
            match process.life {
                Life::None => continue,
                Life::Gone(..) => {
                    steps.push(Step::Report(slot));
                    continue;
                }
                Life::Booting | Life::Idle if process.quit => steps.push(Step::Leave(slot)),
                Life::Booting => steps.push(Step::Boot(slot)),
                Life::Idle if dynamic => steps.push(Step::Take(slot)),
                Life::Idle => {}
                Life::Serving(conn) => {
                    steps.push(Step::Finish(slot));
                    if let Some(held) = conn.and_then(|conn| self.world.held[usize::from(conn)])
                        && !held.touched
                    {
                        steps.push(Step::Touch(slot));
                        if powers.returns {
                            steps.push(Step::Return(slot));
                        }
                    }
                }
            }
            crash(&mut steps);
        }
        if self.world.listening && self.pool.vacant().is_some() {
            steps.push(Step::Accept);
        }
        if powers.queue {
            let other = if self.pool.queue == 0 { 2 } else { 0 };
            steps.push(Step::Queue(other));
        }
        if matches!(self.pool.wake(), Wake::At(_)) {
            steps.push(Step::Time);
        }
        let reloading = self.pool.told.generation != self.pool.generation;
        if (powers.reload && !reloading || powers.reload_again) && self.world.stop_by.is_none() {
            steps.push(Step::Signal(Signal::Reload));
        }
        if powers.stop {
            steps.push(Step::Signal(Signal::Stop));
        }
        steps
    }

    /// The step that a world takes in which nothing goes wrong any more and no client comes.
    pub(super) fn good_step(&self) -> Option<Step> {
        let find = |wanted: fn(&Process) -> bool| self.world.processes.iter().position(wanted);
        find(|process| matches!(process.life, Life::Gone(..)))
            .map(Step::Report)
            .or_else(|| {
                find(|p| p.quit && matches!(p.life, Life::Booting | Life::Idle)).map(Step::Leave)
            })
            .or_else(|| find(|process| process.life == Life::Booting).map(Step::Boot))
            .or_else(|| find(|process| matches!(process.life, Life::Serving(_))).map(Step::Finish))
            .or_else(|| matches!(self.pool.wake(), Wake::At(_)).then_some(Step::Time))
    }

    /// Whether a world that behaves well has nothing left to do.
    pub(super) fn is_at_rest(&self) -> bool {
        let census = self.pool.census();
        if self.world.stop_by.is_some() {
            return self.world.exited;
        }
        census.outdated == 0
            && census.going == 0
            && census.busy == 0
            && census.starting == 0
            && match self.pool.policy.kind {
                Kind::Static { workers } => census.idle == workers,
                Kind::Dynamic { min_spare, max_spare, .. } => {
                    (min_spare..=max_spare).contains(&census.idle)
                }
            }
            && !self.pool.breaker.is_open()
            && self.world.held.iter().all(Option::is_none)
    }

    /// What happens to the world, and what the supervisor hears of it.
    pub(super) fn take(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::Time => {
                if let Wake::At(at) = self.pool.wake() {
                    self.now = at;
                }
                Some(Event::Tick)
            }
            Step::Boot(slot) => {
                self.world.processes[slot].life = Life::Idle;
                self.world.processes[slot].deadline = None;
                Some(Event::Ready(self.worker(slot)))
            }
            Step::Touch(slot) => {
                if let Life::Serving(Some(conn)) = self.world.processes[slot].life
                    && let Some(held) = &mut self.world.held[usize::from(conn)]
                {
                    held.touched = true;
                }
                None
            }
            Step::Finish(slot) => Some(self.finish(slot)),
            Step::Return(slot) => {
                let process = &mut self.world.processes[slot];
                let Life::Serving(Some(conn)) = process.life else { return None };
                process.life = Life::Idle;
                process.deadline = process.deadline.filter(|_| process.quit);
                Some(Event::Returned { worker: self.worker(slot), conn: self.conn(conn) })
            }
            Step::Take(slot) => {
                let hold = self.pool.policy.hold_us.map(|us| self.now.after(us));
                self.world.processes[slot].life = Life::Serving(None);
                self.world.processes[slot].deadline = hold;
                Some(Event::Busy(self.worker(slot)))
            }
            Step::Retire(slot) => Some(Event::Retiring(self.worker(slot))),
            Step::Crash(slot, exit) => {
                self.die(slot, exit);
                None
            }
            Step::Leave(slot) => {
                self.die(slot, Exit::Clean);
                None
            }
            Step::Report(slot) => {
                let process = &mut self.world.processes[slot];
                let Life::Gone(exit, conn) = process.life else { return None };
                *process = Process { life: Life::None, quit: false, deadline: None };
                if let Some(held) = conn.and_then(|c| self.world.held[usize::from(c)].as_mut()) {
                    held.deaths += 1;
                }
                let ready = self.pool.slots[slot].state.is_ready();
                self.world.floor -= u16::from(ready).min(self.world.floor);
                Some(Event::Exited { worker: self.worker(slot), exit })
            }
            Step::Accept => {
                let conn = self.pool.vacant()?;
                self.world.held[usize::from(conn.index)] =
                    Some(Held { touched: false, done: false, deaths: 0 });
                Some(Event::Accepted(conn))
            }
            Step::Queue(waiting) => Some(Event::Queue(waiting)),
            Step::Signal(signal) => {
                let now = self.now;
                match signal {
                    Signal::Reload => {
                        let ready = self.pool.census().ready();
                        let max = self.pool.policy.kind.max();
                        self.world.floor = self.world.floor.max(ready.min(max));
                    }
                    Signal::Stop if self.world.stop_by.is_none() => {
                        self.world.stop_by = Some(now.after(self.pool.policy.grace_us));
                    }
                    Signal::Stop | Signal::StopNow => self.world.stop_by = Some(now),
                }
                let stop_by = self.world.stop_by;
                for process in &mut self.world.processes {
                    if let Some(stop_by) = stop_by {
                        let deadline = process.deadline.map_or(stop_by, |at| at.min(stop_by));
                        process.deadline = Some(deadline);
                    }
                }
                Some(Event::Signal(signal))
            }
        }
    }

    fn finish(&mut self, slot: usize) -> Event {
        let worker = self.worker(slot);
        let process = &mut self.world.processes[slot];
        let life = process.life;
        process.life = Life::Idle;
        process.deadline =
            process.deadline.filter(|_| process.quit || self.world.stop_by.is_some());
        match life {
            Life::Serving(Some(conn)) => {
                if let Some(held) = &mut self.world.held[usize::from(conn)] {
                    held.done = true;
                }
                Event::Done { worker, conn: self.conn(conn) }
            }
            Life::None | Life::Booting | Life::Idle | Life::Serving(None) | Life::Gone(..) => {
                Event::Idle(worker)
            }
        }
    }

    pub(super) fn die(&mut self, slot: usize, exit: Exit) {
        let process = &mut self.world.processes[slot];
        let conn = match process.life {
            Life::Serving(conn) => conn,
            Life::Gone(..) => return,
            Life::None | Life::Booting | Life::Idle => None,
        };
        process.life = Life::Gone(exit, conn);
    }

    /// A worker that goes for want of work is no loss of the reload, and neither is one that is killed
    /// because it is late: as with one that crashed, its place is filled when it can be.
    pub(super) fn note_loss(&mut self, before: &Self, action: Action) {
        let is_lost = match action {
            Action::Quit(_) => {
                let due = before.pool.shrink_at.is_some_and(|at| at <= before.now);
                due && before.pool.shrink_at != self.pool.shrink_at
            }
            Action::Kill(worker) => before.pool.slots[usize::from(worker.slot)].state.is_ready(),
            _ => false,
        };
        self.world.floor -= u16::from(is_lost).min(self.world.floor);
    }

    /// Does an action. What the host hears of it at once comes back: each way it can turn out, the best
    /// one last.
    pub(super) fn perform(self, action: Action, powers: Powers) -> Vec<(Self, Option<Event>)> {
        let mut scene = self;
        let mut ways = Vec::new();
        match action {
            Action::Spawn { worker, .. } => {
                if powers.spawns_fail {
                    ways.push((scene.clone(), Some(Event::SpawnFailed(worker))));
                }
                scene.world.processes[usize::from(worker.slot)] = Process {
                    life: Life::Booting,
                    quit: false,
                    deadline: Some(scene.now.after(scene.pool.policy.boot_us)),
                };
            }
            Action::Quit(worker) => {
                let drained = scene.now.after(scene.pool.policy.drain_us);
                let by = scene.world.stop_by.unwrap_or(drained);
                let process = &mut scene.world.processes[usize::from(worker.slot)];
                process.quit = true;
                process.deadline = Some(process.deadline.map_or(by, |at| at.min(by)));
            }
            Action::Kill(worker) => scene.die(usize::from(worker.slot), Exit::Crash),
            Action::Pass { worker, conn, .. } => {
                let slot = usize::from(worker.slot);
                let passed = |pass| Some(Event::Passed { worker, conn, pass });
                let alive = !matches!(scene.world.processes[slot].life, Life::Gone(..));
                if !alive || powers.passes_fail {
                    let mut broken = scene.clone();
                    broken.die(slot, Exit::Crash);
                    broken.world.processes[slot].deadline = Some(scene.now);
                    ways.push((broken, passed(Pass::Broken)));
                }
                if alive && powers.passes_fail {
                    ways.push((scene.clone(), passed(Pass::WouldBlock)));
                }
                if !alive {
                    return ways;
                }
                let deadline = scene.pool.policy.hold_us.map(|us| scene.now.after(us));
                let process = &mut scene.world.processes[slot];
                process.life = Life::Serving(Some(conn.index));
                process.deadline = deadline;
                ways.push((scene, passed(Pass::Sent)));
                return ways;
            }
            Action::Inspect(conn) => {
                let touched =
                    scene.world.held[usize::from(conn.index)].is_none_or(|held| held.touched);
                let trace = if touched { Trace::Touched } else { Trace::Untouched };
                return std::vec![(scene, Some(Event::Inspected { conn, trace }))];
            }
            Action::Close { conn, .. } => scene.world.held[usize::from(conn.index)] = None,
            Action::Listen(listen) => scene.world.listening = listen == Listen::On,
            Action::Notice(notice) => match notice {
                Notice::CrashLoop => scene.world.looping = true,
                Notice::Recovered => scene.world.looping = false,
                Notice::Reloaded { .. } => scene.world.floor = 0,
                Notice::SpawnsFail | Notice::SpawnsWork => {}
            },
            Action::Exit => scene.world.exited = true,
        }
        ways.push((scene, None));
        ways
    }
}
