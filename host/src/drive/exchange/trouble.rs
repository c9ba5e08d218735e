//! What the network says: most of it is about one datagram.

use std::os::fd::AsFd;

use windlass_core::fault::{Fault, Peer};
use windlass_core::time::Instant;

use crate::sys::Errno;
use crate::sys::poll::{Woken, wait};
use crate::sys::ready::Interest;

/// How an error ends the transfer. `None`: a datagram is lost, and is sent again. `can_tell`: nothing was heard
/// of the peer, and the caller wants to be told at once.
pub(super) fn fault_of(errno: Errno, can_tell: bool) -> Option<Fault> {
    match errno {
        Errno::ECONNREFUSED => Some(Peer::Reset.into()),
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EPERM if can_tell => {
            Some(Fault::Aborted)
        }
        _ => None,
    }
}

/// Whether this process has shut the socket down: the server stops.
pub(super) fn is_shut_down(socket: &impl AsFd) -> bool {
    let woken = wait(socket.as_fd(), Interest::NONE, None, Some(Instant::ZERO));
    matches!(woken, Woken::Ready(ready) if ready.dead)
}
