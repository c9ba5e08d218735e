//! Clients wait in a queue for one of a varying number of threads.
//!
//! ```text
//! main:   accept; put the client in the queue, or wait while it is full
//! worker: take the head of the queue; serve; again, until told to retire
//! ```
//!
//! A client does not wait for the start of a thread, and the number of threads is bounded. A worker
//! belongs to its client until the end, so long conversations need as many threads as clients. When
//! to start and retire threads is decided by [`windlass_core::pool::Threads`]; this file only does
//! it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use tracing::{debug, error, info};
use windlass_core::pool::{Action, Event, Threads};
use windlass_core::time::Wake;

use super::Offer;
use super::common::{Server, log_end};
use super::live_clients::{LiveClient, LiveClients, STACK};
use crate::drive::{Buffers, Client, Job, OneByOne, Rules};
use crate::error::{Error, Result};
use crate::sys::clock;

/// The state that the workers and the accepting thread share.
struct Pool {
    state: Mutex<State>,
    /// Signalled when there is work, when a worker has to retire, or when the pool closes.
    work: Condvar,
    clients: Arc<LiveClients>,
    offer: Offer,
    rules: Rules,
    max_threads: u32,
}

struct State {
    /// Clients that have not had their turn. A client's time begins with its turn.
    queue: VecDeque<(LiveClient, Client)>,
    /// What retired threads leave: jobs that only repeat their last answer.
    left: Vec<(Job, LiveClient)>,
    threads: Threads,
    /// Workers that were told to retire and have not noticed it yet.
    retire: u32,
    closing: bool,
    /// The last thread could not be started, and that was logged.
    spawn_failed: bool,
}

pub(super) fn serve(mut server: Server) -> Result<()> {
    let clients = LiveClients::new().map_err(Error::of("open an eventfd", ""))?;
    let threads = Threads::new(server.limits.threads, clock::now())
        .map_err(Error::of("start a thread pool", ""))?;
    let (queue, left) = (VecDeque::new(), Vec::new());
    let state = State { queue, left, threads, retire: 0, closing: false, spawn_failed: false };
    let pool = Arc::new(Pool {
        state: Mutex::new(state),
        work: Condvar::new(),
        clients: Arc::clone(&clients),
        offer: server.offer.clone(),
        rules: server.rules(),
        max_threads: server.limits.threads.max,
    });
    server.acceptor.share_among(server.limits.threads.min as usize);
    loop {
        // Set before the queue is examined: a worker that takes from it afterwards rings.
        clients.set_awaited(true);
        let (has_room, wake) = pool.perform();
        if pool.lock().threads.live() > 0 {
            server.when_ready.come()?;
        }
        if has_room && !server.awaits_an_end(clients.count()) {
            clients.set_awaited(false);
        }
        // If the queue is full no client may be accepted, however few are served.
        let live = if has_room { clients.count() } else { usize::MAX };
        if let Some(client) = server.next_client(live, Some(&clients.bell), wake) {
            pool.submit(clients.add(), client);
        }
        if server.stop.is_requested() {
            clients.drain();
        }
        if server.is_over(clock::now(), clients.count(), clients.repeating()) {
            break;
        }
    }
    pool.close();
    clients.end_all();
    Ok(())
}

impl Pool {
    /// Starts and retires threads as the core decides. Returns whether the queue has room, and when to
    /// look again.
    fn perform(self: &Arc<Self>) -> (bool, Wake) {
        let now = clock::now();
        let mut state = self.lock();
        state.threads.handle(Event::Tick, now);
        while let Some(action) = state.threads.poll_action(now) {
            match action {
                Action::Spawn => {
                    let pool = Arc::clone(self);
                    let body = move || pool.work();
                    if let Err(why) = Builder::new().stack_size(STACK).spawn(body) {
                        if !std::mem::replace(&mut state.spawn_failed, true) {
                            let error = Error::new("start", "a thread", why);
                            error!("{error}; clients wait, and the start is tried again");
                        }
                        state.threads.handle(Event::SpawnFailed, now);
                    } else {
                        state.spawn_failed = false;
                        debug!(threads = state.threads.live(), "started a thread");
                    }
                }
                Action::Retire => {
                    state.retire += 1;
                    self.work.notify_one();
                }
            }
        }
        (state.threads.has_room(), state.threads.wake())
    }

    fn submit(&self, guard: LiveClient, client: Client) {
        let mut state = self.lock();
        // Only the accepting thread submits, and it looked for room before.
        if state.threads.submit(clock::now()).is_ok() {
            state.queue.push_back((guard, client));
            drop(state);
            self.work.notify_one();
        }
    }

    /// The life of a worker.
    fn work(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        let overload = Box::new(move || pool.is_overloaded());
        let buffers = Buffers::for_one(self.rules.clone()).watching(overload);
        let mut one_by_one = OneByOne::new(buffers);
        let mut state = self.lock();
        loop {
            // Before the queue: the bookkeeping counts this thread as gone, not as idle.
            if state.retire > 0 {
                state.retire -= 1;
                state.threads.handle(Event::Retired, clock::now());
                state.left.append(&mut one_by_one.leave());
                self.work.notify_one();
                info!(threads = state.threads.live(), "retired a thread");
                return;
            }
            one_by_one.take_over(std::mem::take(&mut state.left));
            if let Some((guard, client)) = state.queue.pop_front() {
                state.threads.handle(Event::Taken, clock::now());
                drop(state);
                self.clients.ring();
                let job = self.offer.open(client, clock::now());
                let mut task = Task { pool: self, finished: false };
                let is_port = job.is_port();
                let how = one_by_one
                    .serve(job, guard, |job, buffers, guard| guard.serve(job, is_port, buffers));
                log_end(how);
                task.finished = true;
                drop(task);
                state = self.lock();
            } else if state.closing {
                return;
            } else {
                state = match one_by_one.wake().wait_us(clock::now()) {
                    None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Some(us) => {
                        let limit = Duration::from_micros(us);
                        drop(self.work.wait_timeout(state, limit));
                        one_by_one.look();
                        self.lock()
                    }
                };
            }
        }
    }

    /// Whether a client waits while every possible thread has a client.
    fn is_overloaded(&self) -> bool {
        let state = self.lock();
        let all_busy = state.threads.busy() == state.threads.live();
        let no_more = state.threads.live() >= self.max_threads || state.spawn_failed;
        !state.queue.is_empty() && all_busy && no_more
    }

    /// No new work: the clients in the queue are let go, and idle threads end.
    fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let waiting = (std::mem::take(&mut state.queue), std::mem::take(&mut state.left));
        drop(state);
        drop(waiting);
        self.work.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each step under the lock leaves the counts true, so a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task of a worker: reports it finished, or the worker lost if it panics.
struct Task<'a> {
    pool: &'a Pool,
    finished: bool,
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        debug_assert!(self.finished || thread::panicking());
        let event = if self.finished { Event::Finished } else { Event::Lost };
        self.pool.lock().threads.handle(event, clock::now());
    }
}
