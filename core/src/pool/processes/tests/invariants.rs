//! What always holds, each by its name. The search and the random histories check all of them.

use super::world::{Held, Life, Scene};
use super::*;

/// Checked in every state in which no action is left. With more than two slots, the stale events
/// of one slot only, which `turn` chooses: they are half of the work.
pub(super) fn in_state<const S: usize, const C: usize>(scene: &Scene<S, C>, turn: usize) {
    every_connection_is_in_exactly_one_place(scene);
    no_two_slots_own_one_connection(scene);
    alive_is_at_most_maximum_and_surge(scene);
    too_few_idle_with_room_and_a_token_means_a_spawn_in_the_same_step(scene);
    no_connection_waits_while_a_worker_is_idle(scene);
    it_listens_exactly_while_a_worker_could_serve(scene);
    no_worker_is_overdue(scene);
    nothing_is_left_to_do_before_the_wake(scene);
    a_stale_or_impossible_event_changes_nothing(scene, turn % (S + 1));
}

/// Checked for every action: `before` is the scene in which it was asked for, `after` has the
/// supervisor that answered, and the world as it was.
pub(super) fn in_action<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    after: &Scene<S, C>,
    action: Action,
) {
    assert!(!before.world.exited, "an action after the last: {action:?}");
    match action {
        Action::Spawn { worker, .. } => {
            no_spawn_before_its_back_off(before, worker);
            a_spawn_finds_its_slot_empty_and_gets_a_new_epoch(before, worker);
        }
        Action::Quit(worker) => {
            shrinking_never_goes_below_the_minimum(before, after, worker);
            a_reload_never_leaves_fewer_ready_workers(before, after, worker);
        }
        Action::Kill(worker) => no_worker_is_killed_before_the_deadline(before, worker),
        Action::Pass { worker, conn, again } => {
            only_an_untouched_connection_without_a_worker_is_passed(before, worker, conn, again);
        }
        Action::Inspect(conn) => only_the_connection_of_the_dead_is_inspected(before, conn),
        Action::Close { conn, end } => a_connection_ends_once_and_for_its_reason(before, conn, end),
        Action::Listen(listen) => {
            assert_ne!(before.world.listening, listen == Listen::On, "listening is told on change");
        }
        Action::Notice(notice) => a_crash_loop_is_announced_once(before, notice),
        Action::Exit => stop_ends_with_no_slot_alive(before),
    }
}

fn every_connection_is_in_exactly_one_place<const S: usize, const C: usize>(scene: &Scene<S, C>) {
    for (index, held) in (0..).zip(&scene.world.held) {
        let entry = &scene.pool.conns.0[usize::from(index)];
        let holders = (0..S).filter(|slot| match scene.world.processes[*slot].life {
            Life::Serving(conn) | Life::Gone(_, conn) => conn == Some(index),
            Life::None | Life::Booting | Life::Idle => false,
        });
        match entry.stage {
            Stage::Vacant => {
                assert_eq!(*held, None, "{index} was forgotten");
                assert_eq!(holders.count(), 0, "{index} is served without a place");
            }
            Stage::Waiting { .. } => {
                assert!(held.is_some(), "{index} waits and is not there");
                assert_eq!(holders.count(), 0, "{index} waits and is held");
            }
            Stage::With { slot } => {
                assert!(held.is_some(), "{index} is with {slot} and is not there");
                assert!(holders.eq([usize::from(slot)]), "{index} is not where it should be");
            }
            Stage::Passing { .. } | Stage::Suspect | Stage::Inspecting | Stage::Leaving(_) => {
                panic!("{index} is left in {:?}", entry.stage);
            }
        }
    }
}

fn no_two_slots_own_one_connection<const S: usize, const C: usize>(scene: &Scene<S, C>) {
    for (index, slot) in scene.pool.slots.iter().enumerate() {
        let Some(conn) = slot.state.conn() else { continue };
        let others = scene.pool.slots.iter().skip(index + 1);
        assert!(others.clone().all(|other| other.state.conn() != Some(conn)), "two own {conn:?}");
    }
}

fn alive_is_at_most_maximum_and_surge<const S: usize, const C: usize>(scene: &Scene<S, C>) {
    let alive = scene.world.processes.iter().filter(|p| p.life != Life::None).count();
    let Policy { kind, surge, .. } = scene.pool.policy;
    assert!(alive <= usize::from(kind.max() + surge), "{alive} alive");
    assert_eq!(alive, usize::from(scene.pool.census().alive()), "a process is not accounted for");
}

fn too_few_idle_with_room_and_a_token_means_a_spawn_in_the_same_step<
    const S: usize,
    const C: usize,
>(
    scene: &Scene<S, C>,
) {
    let Scene { pool, world, now } = scene;
    let count =
        |wanted: fn(&State) -> bool| pool.slots.iter().filter(|slot| wanted(&slot.state)).count();
    let starting = count(|state| matches!(state, State::Starting { .. }));
    let idle = count(|state| matches!(state, State::Idle { .. }));
    let busy = count(|state| matches!(state, State::Busy { .. }));
    let promised = count(|state| matches!(state, State::BackOff { .. }));
    let missing = match pool.policy.kind {
        Kind::Static { workers } => usize::from(workers).saturating_sub(starting + idle + busy),
        Kind::Dynamic { min_spare, max, .. } => usize::from(min_spare)
            .saturating_sub(starting + idle)
            .min(usize::from(max).saturating_sub(starting + idle + busy)),
    };
    let room = usize::from(pool.policy.kind.max() + pool.policy.surge)
        .saturating_sub(count(State::is_alive));
    let token = pool.spawns.ready_at(pool.policy.spawn) <= *now;
    let free = count(|state| *state == State::Free);
    let waits_over = pool.slots.iter().any(|slot| match slot.state {
        State::BackOff { until } => until <= *now,
        State::Free
        | State::Starting { .. }
        | State::Idle { .. }
        | State::Busy { .. }
        | State::Quitting { .. }
        | State::Killed { .. } => false,
    });
    // Promised workers wait for their back-off, and no other slot is used instead of theirs.
    let held_back = !waits_over && (free == 0 || promised >= missing);
    let held_back = held_back || pool.breaker.is_open() || pool.scarcity.until > *now;
    let running = world.stop_by.is_none();
    assert!(
        !(running && missing > 0 && room > 0 && token && !held_back),
        "{missing} missing, room for {room}, and none is started"
    );
    // And what holds it back ends: the wake knows when.
    if running && missing > 0 && room > 0 {
        assert_ne!(pool.wake(), Wake::Never, "{missing} missing, and nothing to wait for");
    }
}

fn no_connection_waits_while_a_worker_is_idle<const S: usize, const C: usize>(scene: &Scene<S, C>) {
    let waiting =
        scene.pool.conns.0.iter().any(|entry| matches!(entry.stage, Stage::Waiting { .. }));
    let idle = scene.pool.slots.iter().any(|s| matches!(s.state, State::Idle { rest: None, .. }));
    assert!(!(waiting && idle), "a connection waits beside an idle worker");
}

fn it_listens_exactly_while_a_worker_could_serve<const S: usize, const C: usize>(
    scene: &Scene<S, C>,
) {
    let Scene { pool, world, .. } = scene;
    let idle = pool.slots.iter().any(|s| matches!(s.state, State::Idle { rest: None, .. }));
    let fixed = matches!(pool.policy.kind, Kind::Static { .. });
    let could = fixed && idle && pool.vacant().is_some() && world.stop_by.is_none();
    assert_eq!(world.listening, could);
    assert_eq!(pool.is_listening(), could);
}

fn no_worker_is_overdue<const S: usize, const C: usize>(scene: &Scene<S, C>) {
    for process in &scene.world.processes {
        if let Some(deadline) = process.deadline
            && !matches!(process.life, Life::Gone(..) | Life::None)
        {
            assert!(deadline > scene.now, "{process:?} should have been killed");
        }
    }
}

fn nothing_is_left_to_do_before_the_wake<const S: usize, const C: usize>(scene: &Scene<S, C>) {
    let Scene { pool, now, .. } = scene;
    assert!(!pool.wake().is_due(*now), "a wake that is due spins: {:?}", pool.wake());
    let just_before = match pool.wake() {
        Wake::At(at) => Instant::from_micros(at.as_micros() - 1).max(*now),
        Wake::Never => now.after(1 << 40),
        Wake::Now => *now,
    };
    let mut idle = pool.clone();
    idle.handle(Event::Tick, just_before);
    assert_eq!(idle.poll_action(just_before), None, "the wake comes too late");
    assert_eq!(idle, *pool, "time that does not matter changed something");
}

/// Stale epochs, later ones, slots and connections that do not exist, reports that do not fit.
fn a_stale_or_impossible_event_changes_nothing<const S: usize, const C: usize>(
    scene: &Scene<S, C>,
    turn: usize,
) {
    let Scene { pool, now, .. } = scene;
    let mut deaf = pool.clone();
    let mut tell = |event| deaf.handle(event, *now);
    for slot in (0..=S).filter(|slot| S <= 2 || *slot == turn) {
        let worker =
            if slot < S { scene.worker(slot) } else { WorkerId { slot: u16::MAX, epoch: 1 } };
        let state = pool.slots.get(slot).map(|slot| slot.state);
        let conn = state.and_then(|state| state.conn());
        let some = conn.unwrap_or(Conn { index: 0, generation: 1 });
        let wrong = Conn { generation: some.generation.wrapping_add(1), ..some };
        for epoch in [worker.epoch.wrapping_sub(1), worker.epoch.wrapping_add(1)] {
            let worker = WorkerId { epoch, ..worker };
            tell(Event::Ready(worker));
            tell(Event::Busy(worker));
            tell(Event::Idle(worker));
            tell(Event::Retiring(worker));
            tell(Event::Done { worker, conn: some });
            tell(Event::Returned { worker, conn: some });
            tell(Event::Passed { worker, conn: some, pass: Pass::Broken });
            tell(Event::Exited { worker, exit: Exit::Crash });
            tell(Event::SpawnFailed(worker));
        }
        // The right worker, but nothing that it can have said now.
        tell(Event::Done { worker, conn: wrong });
        tell(Event::Returned { worker, conn: wrong });
        tell(Event::Passed { worker, conn: wrong, pass: Pass::Broken });
        tell(Event::Passed { worker, conn: some, pass: Pass::WouldBlock });
        tell(Event::Passed { worker, conn: some, pass: Pass::Broken });
        if !matches!(state, Some(State::Starting { .. })) {
            tell(Event::Ready(worker));
        }
        if pool.slots.get(slot).is_some_and(|slot| slot.proof_at.is_some()) {
            tell(Event::SpawnFailed(worker));
        }
        if !state.is_some_and(|state| state.is_alive()) {
            tell(Event::Busy(worker));
            tell(Event::Idle(worker));
            tell(Event::Retiring(worker));
            tell(Event::Exited { worker, exit: Exit::Clean });
        }
    }
    for index in 0..=u16::try_from(C).expect("few connections") {
        let generation = pool.conns.0.get(usize::from(index)).map_or(0, |entry| entry.generation);
        let conn = Conn { index, generation };
        tell(Event::Inspected { conn, trace: Trace::Untouched });
        tell(Event::Inspected { conn, trace: Trace::Touched });
        tell(Event::Accepted(Conn { generation: generation.wrapping_add(1), ..conn }));
        if pool.conns.0.get(usize::from(index)).is_some_and(|entry| entry.stage != Stage::Vacant) {
            tell(Event::Accepted(conn));
        }
    }
    assert_eq!(deaf, *pool);
    assert_eq!(deaf.poll_action(*now), None);
}

fn no_spawn_before_its_back_off<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    worker: WorkerId,
) {
    let Scene { pool, now, .. } = before;
    match pool.slots[usize::from(worker.slot)].state {
        State::Free => {}
        State::BackOff { until } => assert!(until <= *now, "{worker:?} before its back-off"),
        state @ (State::Starting { .. }
        | State::Idle { .. }
        | State::Busy { .. }
        | State::Quitting { .. }
        | State::Killed { .. }) => panic!("{worker:?} is started over {state:?}"),
    }
    assert!(pool.breaker.not_before() <= *now, "more than a probe");
    assert!(pool.scarcity.until <= *now, "a start failed a moment ago");
    assert!(pool.spawns.ready_at(pool.policy.spawn) <= *now, "no token");
}

fn a_spawn_finds_its_slot_empty_and_gets_a_new_epoch<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    worker: WorkerId,
) {
    let slot = usize::from(worker.slot);
    assert_eq!(before.world.processes[slot].life, Life::None, "two live in {slot}");
    assert_eq!(worker.epoch, before.worker(slot).epoch.wrapping_add(1));
    assert_eq!(before.world.stop_by, None, "a start while stopping");
}

fn shrinking_never_goes_below_the_minimum<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    after: &Scene<S, C>,
    worker: WorkerId,
) {
    let Scene { pool, world, .. } = before;
    let slot = &pool.slots[usize::from(worker.slot)];
    let outdated = pool.is_outdated(slot);
    let replaced = outdated && world.stop_by.is_none();
    let (was, is) = (pool.census(), after.pool.census());
    match pool.policy.kind {
        _ if world.stop_by.is_some() => {}
        Kind::Static { workers } => {
            assert!(replaced, "a static pool lets no worker go");
            assert!(is.ready() >= workers, "{is:?}");
        }
        Kind::Dynamic { min_spare, max_spare, max } => {
            assert!(is.idle >= min_spare || is.ready() >= max, "{was:?} {is:?}");
            if !replaced {
                assert!(was.idle > max_spare, "no worker was superfluous: {was:?}");
                assert!(matches!(slot.state, State::Idle { .. }), "a busy one shrinks nothing");
                let State::Idle { since, .. } = slot.state else { return };
                let older = pool.slots.iter().any(|other| match other.state {
                    State::Idle { since: other, .. } => other < since,
                    State::Free
                    | State::BackOff { .. }
                    | State::Starting { .. }
                    | State::Busy { .. }
                    | State::Quitting { .. }
                    | State::Killed { .. } => false,
                });
                let only_outdated = pool.slots.iter().any(|other| pool.is_outdated(other));
                assert!(!older || only_outdated, "not the oldest");
            }
        }
    }
}

fn a_reload_never_leaves_fewer_ready_workers<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    after: &Scene<S, C>,
    worker: WorkerId,
) {
    let Scene { pool, world, now } = before;
    let shrinks = pool.shrink_at.is_some_and(|at| at <= *now);
    if world.stop_by.is_some() || shrinks {
        return;
    }
    let ready = after.pool.census().ready();
    assert!(ready >= world.floor, "{worker:?} leaves {ready} of {}: {before:?}", world.floor);
}

fn no_worker_is_killed_before_the_deadline<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    worker: WorkerId,
) {
    let process = before.world.processes[usize::from(worker.slot)];
    assert_ne!(process.life, Life::None, "the slot is empty");
    let deadline = process.deadline;
    assert!(deadline.is_some_and(|at| at <= before.now), "{process:?} is killed too early");
}

fn only_an_untouched_connection_without_a_worker_is_passed<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    worker: WorkerId,
    conn: Conn,
    again: bool,
) {
    let Scene { pool, world, .. } = before;
    let index = conn.index;
    let Some(Held { touched, done, deaths }) = world.held[usize::from(index)] else {
        panic!("{conn:?} is not there");
    };
    assert!(!touched && !done, "{conn:?} is served twice");
    assert!(deaths < pool.policy.deaths, "{conn:?} should be in quarantine");
    assert_eq!(again, deaths > 0, "{conn:?}");
    for process in &world.processes {
        let holds = matches!(process.life, Life::Serving(c) | Life::Gone(_, c) if c == Some(index));
        assert!(!holds, "{conn:?} has an owner: {process:?}");
    }
    let process = world.processes[usize::from(worker.slot)];
    assert!(!process.quit, "{worker:?} was asked to end");
    assert_eq!(world.stop_by, None, "nothing is passed while stopping");
}

fn only_the_connection_of_the_dead_is_inspected<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    conn: Conn,
) {
    let held = before.world.held[usize::from(conn.index)];
    assert!(held.is_some_and(|held| held.deaths > 0 && !held.done), "{conn:?}: {held:?}");
}

fn a_connection_ends_once_and_for_its_reason<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    conn: Conn,
    end: End,
) {
    let Scene { pool, world, .. } = before;
    assert_eq!(before.conn(conn.index), conn, "the name of another");
    let Some(Held { touched, done, deaths }) = world.held[usize::from(conn.index)] else {
        panic!("{conn:?} ends twice");
    };
    let stopping = world.stop_by.is_some();
    match end {
        End::Served => assert!(done, "{conn:?} was not served"),
        End::Lost => assert!(!done && deaths > 0 && (touched || stopping), "{conn:?} was not lost"),
        End::Shed(Shed::Quarantined) => assert!(!touched && deaths >= pool.policy.deaths),
        End::Shed(Shed::Waited) => assert!(!touched && !done),
        End::Shed(Shed::Stopping) => assert!(!touched && !done && stopping),
    }
    assert_eq!(done, end == End::Served);
}

fn a_crash_loop_is_announced_once<const S: usize, const C: usize>(
    before: &Scene<S, C>,
    notice: Notice,
) {
    let Scene { pool, world, .. } = before;
    match notice {
        Notice::CrashLoop => assert!(!world.looping, "announced twice"),
        Notice::Recovered => assert!(world.looping, "recovered from nothing"),
        Notice::SpawnsFail | Notice::SpawnsWork => {}
        Notice::Reloaded { generation } => {
            assert_eq!(generation, pool.generation);
            let old = pool.slots.iter().any(|slot| {
                slot.generation != generation
                    && (slot.state.is_ready() || matches!(slot.state, State::Starting { .. }))
            });
            assert!(!old, "an old one still serves");
        }
    }
}

fn stop_ends_with_no_slot_alive<const S: usize, const C: usize>(before: &Scene<S, C>) {
    let Scene { world, .. } = before;
    assert!(world.stop_by.is_some(), "it was not asked for");
    assert!(world.processes.iter().all(|process| process.life == Life::None), "a worker lives");
    assert!(world.held.iter().all(Option::is_none), "a connection is left");
}
