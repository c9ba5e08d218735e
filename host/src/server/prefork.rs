//! A process pool that follows the load: workers that all accept on one listener.
//!
//! ```text
//! parent:  loop { wait: a child ended, the bell rang, a second passed: fork, or let a worker go }
//! worker:  loop { accept; busy: serve; idle }      ring the bell when too few or too many are idle
//! ```
//!
//! The kernel hands the clients out: each connection wakes one of the workers that wait at the listener.
//! The parent never sees a client. Each worker writes one line of a scoreboard in shared memory; the parent
//! reads from it which workers are busy, and is woken only when something has to be done. So a connection
//! costs the parent nothing while the load is steady.

use std::time::Duration;

use windlass_core::pool::processes::Policy;

use super::pool::{self, Arrived, Arriving, Pool, Setup, Shared, Worker};
use super::{Model, Offer, Server};
use crate::addr::Transport;
use crate::drive::{Buffers, Client, OneByOne, Rules, Turns};
use crate::error::Result;
use crate::sys::listener::Accepted;
use crate::sys::quit;

pub(super) fn serve(server: Server) -> Result<()> {
    let Setup { listener, offer, pool, rules, mut terms } = Setup::of(server, Model::Prefork)?;
    let policy = Policy::spare(pool.min_spare, pool.max_spare, pool.max_workers);
    let shared = Shared::new(listener, policy.slots(), pool)?;
    terms.shared = Some(shared.clone());
    let member = shared.listener.group().is_some().then(|| shared.listener.share()).transpose()?;
    let work = move |worker: Worker| work(worker, &shared, &offer, pool, &rules);
    pool::run(terms, policy, work, |events, _| {
        if let Some(mut member) = member {
            // A confined worker cannot ask for the number of the interface.
            events.every(Duration::from_secs(1), move |_, _| {
                member.renew_membership();
            });
        }
        Ok(())
    })
}

/// The life of a worker.
fn work(mut worker: Worker, shared: &Shared, offer: &Offer, pool: Pool, rules: &Rules) -> i32 {
    let others = shared.clone();
    let overload = move || others.board.is_full() && others.listener.has_client();
    let buffers = Buffers::for_one(rules.clone()).watching(Box::new(overload));
    let mut one_by_one = OneByOne::new(buffers);
    let Ok(queue) = shared.listener.queue() else { return pool::NO_RESOURCES };
    let line = shared.board.enter(worker.id());
    let mut arriving = match shared.listener.transport() {
        Transport::Stream => None,
        Transport::Datagram => match Arriving::at(&shared.listener, offer) {
            Ok(arriving) => Some(arriving),
            Err(_) => return pool::NO_RESOURCES,
        },
    };
    worker.ready();
    while !quit::is_asked() {
        one_by_one.look();
        // A signal that comes just before the wait does not interrupt it, so the wait has a limit.
        match queue.next(pool::LOOK_EVERY) {
            Accepted::Stream(stream) => {
                line.busy();
                worker.serve(Client::Stream(stream), offer, &mut one_by_one, pool);
                line.idle();
            }
            Accepted::Datagrams => match arriving.as_mut().map(|it| it.next(&shared.listener)) {
                Some(Arrived::Client(client)) => {
                    line.busy();
                    worker.serve(client, offer, &mut one_by_one, pool);
                    line.idle();
                }
                Some(Arrived::Datagrams(port)) => {
                    line.busy();
                    worker.answer(port, one_by_one.buffers(), pool);
                    line.idle();
                }
                Some(Arrived::NoResources) => return pool::NO_RESOURCES,
                Some(Arrived::Nothing) | None => {}
            },
            // A signal came, a second passed without a client, or another worker was faster.
            Accepted::Empty => {}
            Accepted::Exhausted(_) => return pool::NO_RESOURCES,
            // The parent is stopping.
            Accepted::Closed => break,
        }
    }
    if let Some(port) = arriving.as_mut().and_then(Arriving::port) {
        port.drain();
        worker.answer(port, one_by_one.buffers(), pool);
    }
    worker.repeat(&mut one_by_one);
    0
}
