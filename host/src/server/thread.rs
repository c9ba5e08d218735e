//! A thread for each client.
//!
//! ```text
//! main:   accept; start a thread
//! thread: serve; end
//! ```
//!
//! The client's code is written as if it were alone, and blocks as it likes. Each client costs a
//! stack and two switches a message; all share one address space. The classic faults are not here:
//! no slot in an array that is never used again, no argument on the stack of another thread, and
//! each thread is counted out when it ends, however it ends.

use std::sync::mpsc;
use std::thread::Builder;

use windlass_core::time::Wake;

use super::common::{Server, log_end};
use super::crowd::{Crowd, Member, STACK};
use crate::drive::{Connection, Lent};
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::clock;
use crate::sys::stream::Stream;

pub(super) fn serve(mut server: Server) -> Result<()> {
    let crowd = Crowd::new().map_err(Error::of("open an eventfd", ""))?;
    let (offer, patience) = (server.offer.clone(), server.patience());
    server.when_ready.come()?;
    loop {
        crowd.set_awaited(server.awaits_an_end(crowd.live()));
        if let Some(stream) = server.next_client(crowd.live(), Some(&crowd.bell), Wake::Never) {
            // Handed over after the start: the client of a thread that cannot be started is still
            // here, to be told.
            let (hand_over, receive) = mpsc::sync_channel::<(Member, Stream)>(1);
            let offer = offer.clone();
            let body = move || {
                let Ok((member, client)) = receive.recv() else { return };
                let mut connection = Connection::new(client, offer.open(), clock::now());
                let how = member.serve(&mut connection, &mut offer.equip(Lent::for_one(patience)));
                log_end(how);
                // The descriptor is free before the count says so.
                drop(connection);
                drop(member);
            };
            match Builder::new().stack_size(STACK).spawn(body) {
                Ok(_) => drop(hand_over.send((crowd.enter(), stream))),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(Errno::EAGAIN as i32);
                    let (errno, now) = (Errno::from_raw(errno), clock::now());
                    server.acceptor.pause("start a thread", errno, now, crowd.live());
                    server.acceptor.refuse(&stream, "no thread could be started", now);
                }
            }
        }
        if server.is_over(clock::now(), crowd.live()) {
            break;
        }
    }
    crowd.disperse();
    Ok(())
}
