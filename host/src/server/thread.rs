//! A thread for each client.
//!
//! ```text
//! main:   accept; start a thread
//! thread: serve; repeat the last answer for a while, if it is asked for again; end
//! ```
//!
//! The code for a client may block. Each client costs a
//! stack and two switches a message; all share one address space. It avoids the classic faults:
//! no slot of an array is lost, no argument is on the stack of another thread, and
//! the end of each thread is counted, however it ends.

use std::sync::mpsc;
use std::thread::Builder;

use windlass_core::time::Wake;

use super::common::{Server, log_end};
use super::live_clients::{LiveClient, LiveClients, STACK};
use crate::drive::{Buffers, Client};
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::clock;

pub(super) fn serve(mut server: Server) -> Result<()> {
    let clients = LiveClients::new().map_err(Error::of("open an eventfd", ""))?;
    let (offer, rules) = (server.offer.clone(), server.rules());
    server.when_ready.come()?;
    loop {
        clients.set_awaited(server.awaits_an_end(clients.count()));
        if let Some(client) = server.next_client(clients.count(), Some(&clients.bell), Wake::Never)
        {
            // The client is passed after the start: if the thread cannot be started, the client is
            // still here, and is closed.
            let (hand_over, receive) = mpsc::sync_channel::<(LiveClient, Client)>(1);
            let (offer, rules) = (offer.clone(), rules.clone());
            let body = move || {
                let Ok((guard, client)) = receive.recv() else { return };
                let mut job = offer.open(client, clock::now());
                let is_port = job.is_port();
                let mut buffers = Buffers::for_one(rules);
                log_end(guard.serve(&mut *job, is_port, &mut buffers));
                if job.only_repeats() {
                    guard.repeat(&mut *job, &mut buffers);
                }
                // The descriptor is closed before the count is changed.
                drop(job);
                drop(guard);
            };
            match Builder::new().stack_size(STACK).spawn(body) {
                Ok(_) => drop(hand_over.send((clients.add(), client))),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(Errno::EAGAIN as i32);
                    let (errno, now) = (Errno::from_raw(errno), clock::now());
                    server.acceptor.pause("start a thread", errno, now, clients.count());
                    server.acceptor.refuse(&client, "no thread could be started", now);
                }
            }
        }
        if server.is_over(clock::now(), clients.count(), clients.repeating()) {
            break;
        }
    }
    clients.end_all();
    Ok(())
}
