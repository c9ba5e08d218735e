//! A process pool of a fixed size: the parent accepts, and passes each connection to an idle worker.
//!
//! ```text
//! parent:  loop { wait; a client: accept, pass it to an idle worker (SCM_RIGHTS), keep a copy
//!                       a worker is done: close the copy; nobody idle: do not watch the listener }
//! worker:  loop { receive a connection; serve it; report }
//! ```
//!
//! The parent keeps its copy until the worker reports. So when a worker dies, the kernel is asked
//! whether anybody read from its connection or wrote to it; if not, another worker serves it, and the
//! client never knows. A connection that two workers died with is not tried a third time.

use tracing::debug;
use windlass_core::pool::supervisor::Policy;

use super::confine::Sandbox;
use super::pool::{self, About, Parent, Pool, Terms, Waiting, Worker};
use super::ready::WhenReady;
use super::{Model, Offer, Server};
use crate::drive::{Acceptor, Buffers, Rules};
use crate::error::{Error, Result};
use crate::reactor::Incoming;
use crate::server::Stop;
use crate::sys::listener::Listener;

pub(super) fn serve(mut server: Server) -> Result<()> {
    let sandbox = server.sandbox();
    let listener = server.acceptor.take().into_listener();
    let listener = listener.ok_or_else(|| Error::new("start", "a pool", "it does not listen"))?;
    let rules = server.rules();
    let Server { offer, limits, stop, control, when_ready, .. } = server;
    let pool = limits.pool.within(limits.max_connections);
    let about = About::of(Model::PoolStatic, offer.name(), pool, &listener, control)?;
    pool::fit!(pool.workers, run(listener, offer, about, rules, stop, (sandbox, when_ready)))
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
    let policy = Policy { grace_us: stop.longest_us(), ..Policy::fixed(limits.workers) };
    let root = rules.root.clone();
    let (waiting, gauge) = (Waiting::new()?, listener.gauge()?);
    let of_workers = waiting.clone();
    let work = move |worker: Worker| work(worker, &offer, limits, &rules, &of_workers);
    let terms = Terms {
        policy,
        about,
        stop,
        root,
        shared: None,
        sandbox,
        when_ready,
        work: Box::new(work),
    };
    pool::run::<N>(terms, |events, parent| {
        let acceptor = Acceptor::new(listener, usize::MAX);
        // The supervisor says when there is room; streams of the loop are the control socket's.
        let listener = events.accept_with(acceptor, |parent: &mut Parent<N>, cx, incoming| {
            if let Incoming::Client(client) = incoming {
                parent.accepted(cx, client);
            }
        })?;
        // Until somebody can take a client.
        events.disarm(listener);
        parent.listener = Some(listener);
        parent.watch_queue(events, gauge, waiting)
    })
}

/// The life of a worker.
fn work(mut worker: Worker, offer: &Offer, limits: Pool, rules: &Rules, waiting: &Waiting) -> i32 {
    let mut buffers = Buffers::for_one(rules.clone()).watching(waiting.overload());
    worker.ready();
    while let pool::Task::Serve(conn, client) = worker.next_task() {
        worker.serve(client, offer, &mut buffers, limits);
        worker.done(conn);
    }
    debug!(slot = worker.id().slot, "a worker ends");
    0
}
