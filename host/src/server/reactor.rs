//! The event loop of [`crate::reactor`]: the server registers events and callbacks.
//!
//! ```text
//! listen; each client: serve it a session
//! watch for the stop: take no more clients, and a little later end
//! run
//! ```
//!
//! How to wait, which client is next, what a full socket or a hang-up means is handled by the loop;
//! the models before this one show how.

use windlass_core::time::Wake;

use super::common::Server;
use crate::error::Result;
use crate::reactor::{EventLoop, Incoming, Watch};

pub(super) fn serve(mut server: Server) -> Result<()> {
    let mut events = EventLoop::new()?;
    events.change_rules(|rules| *rules = server.rules());
    let listener =
        events.accept_with(server.acceptor.take(), |server: &mut Server, cx, incoming| {
            if let Incoming::Client(client) = incoming {
                // It fails if the kernel has no room to watch the connection, and then closes it.
                let _ = cx.carry(server.offer.open(client, cx.now()));
            }
        })?;
    events.add(server.stop.source(), Watch::READ, move |_, server, cx, _| {
        server.stop.notice(cx.now());
        if server.stop.is_requested() {
            cx.remove(listener);
            cx.drain();
        }
        if let Wake::At(end) = server.stop.wake() {
            // The end is checked after each round: this makes sure that there is one.
            let grace = cx.timer(|_, _| {});
            cx.arm_at(grace, end);
        }
    })?;
    server.when_ready.come()?;
    while !server.is_over(events.now(), events.connections(), events.repeating()) {
        events.run_once(&mut server, None)?;
    }
    Ok(())
}
