//! One client after another: the simplest server there is.
//!
//! ```text
//! loop { accept; serve to the end; close }
//! ```
//!
//! The cheapest model, for services that answer and close, like `time`. A client that stays
//! makes all others wait in the kernel's queue: up to the idle timeout if it sends nothing, and
//! up to two seconds if it still sends when the service is done.

use super::common::{Server, log_end};
use crate::drive::{OneByOne, Reports, run};
use crate::error::Result;
use crate::sys::clock;

pub(super) fn serve(mut server: Server) -> Result<()> {
    let mut one_by_one = OneByOne::new(server.buffers_for_many(Reports::OnChange));
    server.when_ready.come()?;
    while !server.is_over(clock::now(), 0, one_by_one.repeating()) {
        one_by_one.look();
        let Some(client) = server.next_client(0, None, one_by_one.wake()) else { continue };
        let job = server.offer.open(client, clock::now());
        let how = one_by_one.serve(job, (), |job, buffers, ()| {
            run(job, buffers, |socket, interest, deadline| {
                server.wait_for(socket, interest, deadline)
            })
        });
        server.acceptor.closed();
        log_end(how);
    }
    Ok(())
}
