//! A process pool of a fixed size: the parent accepts, and passes each connection to an idle worker.
//!
//! ```text
//! parent:  loop { wait; a client: accept, pass it to an idle worker (SCM_RIGHTS), keep a copy
//!                       a worker is done: close the copy; no worker is idle: do not watch the listener }
//! worker:  loop { receive a connection; serve it; report }
//! ```
//!
//! The parent keeps its copy until the worker reports. So when a worker dies, the kernel is asked whether
//! its connection was read from or written to; if it was not, another worker serves it, and the client
//! does not notice. A connection with which two workers died is closed.

use tracing::debug;
use windlass_core::pool::processes::Policy;

use super::pool::{self, Pool, PoolParent, QueueWatch, Setup, Waiting, Worker};
use super::{Model, Offer, Server};
use crate::drive::{Buffers, OneByOne, Rules};
use crate::error::Result;
use crate::reactor::Incoming;

pub(super) fn serve(server: Server) -> Result<()> {
    let Setup { listener, offer, pool, rules, terms } = Setup::of(server, Model::PoolStatic)?;
    let (waiting, copy) = (Waiting::new()?, listener.share()?);
    let (of_workers, acceptor) = (waiting.clone(), offer.acceptor(listener, usize::MAX));
    let work = move |worker: Worker| work(worker, &offer, pool, &rules, &of_workers);
    pool::run(terms, Policy::fixed(pool.workers), work, |events, parent| {
        // The core says when there is room; streams of the loop are the control socket's.
        let accept = |parent: &mut PoolParent, cx: &mut _, incoming| {
            if let Incoming::Client(client) = incoming {
                parent.accepted(cx, client);
            }
        };
        let listener = events.accept_with(acceptor, accept)?;
        // Until a worker can take a client.
        events.disarm(listener);
        parent.listener = Some(listener);
        parent.queue = Some(QueueWatch::new(events, copy, waiting)?);
        Ok(())
    })
}

/// The life of a worker.
fn work(mut worker: Worker, offer: &Offer, pool: Pool, rules: &Rules, waiting: &Waiting) -> i32 {
    let buffers = Buffers::for_one(rules.clone()).watching(waiting.overload());
    let mut one_by_one = OneByOne::new(buffers);
    worker.ready();
    loop {
        match worker.next_task(&mut one_by_one) {
            pool::Task::Serve(conn, client) => {
                worker.serve(client, offer, &mut one_by_one, pool);
                worker.done(conn);
            }
            pool::Task::Drain => break worker.repeat(&mut one_by_one),
            pool::Task::Quit => break,
        }
    }
    debug!(slot = worker.id().slot, "a worker ends");
    0
}
