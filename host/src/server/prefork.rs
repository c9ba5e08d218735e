//! A process pool that follows the load: children that all accept on one listener.
//!
//! ```text
//! parent:  loop { wait: a child ended, the bell rang, a second passed: fork, or let one go }
//! worker:  loop { accept; busy: serve; idle }      ring the bell when too few or too many are idle
//! ```
//!
//! The kernel hands clients out: each connection wakes one of the workers that wait at the listener.
//! The parent never sees a client. It reads who is busy from a scoreboard in shared memory, on which
//! each worker writes one line, and hears of it only when something has to be done: in the steady state
//! a connection costs it nothing.

use std::rc::Rc;

use windlass_core::pool::supervisor::Policy;

use super::confine::Sandbox;
use super::pool::{self, About, Board, Pool, Shared, Terms, Worker};
use super::ready::WhenReady;
use super::{Model, Offer, Server, Stop};
use crate::drive::{Buffers, Client, Rules};
use crate::error::{Error, Result};
use crate::sys::listener::{Accepted, Listener};
use crate::sys::quit;

pub(super) fn serve(mut server: Server) -> Result<()> {
    let sandbox = server.sandbox();
    let listener = server.acceptor.take().into_listener();
    let listener = listener.ok_or_else(|| Error::new("start", "a pool", "it does not listen"))?;
    let rules = server.rules();
    let Server { offer, limits, stop, control, when_ready, .. } = server;
    let pool = limits.pool.within(limits.max_connections);
    let about = About::of(Model::Prefork, offer.name(), pool, &listener, control)?;
    pool::fit!(pool.max_workers, run(listener, offer, about, rules, stop, (sandbox, when_ready)))
}

fn run<const N: usize>(
    listener: Listener,
    offer: Offer,
    about: About,
    rules: Rules,
    stop: Stop,
    (sandbox, when_ready): (Sandbox, WhenReady),
) -> Result<()> {
    let limits = about.limits;
    let Pool { min_spare, max_spare, max_workers, .. } = limits;
    let policy =
        Policy { grace_us: stop.longest_us(), ..Policy::spare(min_spare, max_spare, max_workers) };
    let board = Rc::new(Board::new(N, limits)?);
    let root = rules.root.clone();
    let shared = Shared { listener: Rc::new(listener), board };
    let of_workers = shared.clone();
    let work = move |worker: Worker| work(worker, &of_workers, &offer, limits, &rules);
    let (shared, work) = (Some(shared), Box::new(work));
    pool::run::<N>(
        Terms { policy, about, stop, root, shared, sandbox, when_ready, work },
        |_, _| Ok(()),
    )
}

/// The life of a worker.
fn work(mut worker: Worker, shared: &Shared, offer: &Offer, limits: Pool, rules: &Rules) -> i32 {
    let others = shared.clone();
    let overload = move || others.board.is_full() && others.listener.has_client();
    let mut buffers = Buffers::for_one(rules.clone()).watching(Box::new(overload));
    let Ok(queue) = shared.listener.queue() else { return pool::NO_RESOURCES };
    let place = shared.board.enter(worker.id());
    worker.ready();
    while !quit::is_asked() {
        // A signal that comes just before the wait does not interrupt it, so the wait has a limit.
        match queue.next(pool::LOOK_EVERY) {
            Accepted::Stream(stream) => {
                place.busy();
                worker.serve(Client::Stream(stream), offer, &mut buffers, limits);
                place.idle();
            }
            // A signal, a second without a client, or another worker was faster.
            Accepted::Empty => {}
            Accepted::Exhausted(_) => return pool::NO_RESOURCES,
            // The parent stops.
            Accepted::Closed => return 0,
        }
    }
    0
}
