//! The last clients of a listener: those that wait when it is about to be closed.
//!
//! To close a listening socket resets every connection in its accept queue: its client was told that it is connected,
//! and may have sent a request. Linux has no call that stops new connections and keeps these. A filter does it: the
//! first segment of each new connection is dropped, and when the queue is empty the socket is closed. A client sends a
//! segment that was dropped again after a second, and is refused then, or served by the next process.

use std::os::fd::AsRawFd;

use super::{Listener, Owner};

/// The byte of a TCP header with the flags of a segment.
const FLAGS_AT: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

impl Listener {
    /// No further client comes; those in the accept queue can be accepted. False: that is not possible for such a
    /// socket, or another process may go on with it.
    pub fn take_no_more(&self) -> bool {
        // A Unix socket has no such queue: a filter there would be for messages.
        if self.owner != Owner::Ours || self.accept_queue().is_none() {
            return false;
        }
        let step = |code: u32, jt, jf, k| libc::sock_filter {
            code: u16::try_from(code).unwrap_or_default(),
            jt,
            jf,
            k,
        };
        let mut steps = [
            step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS_AT),
            step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
            // So many bytes of it are kept.
            step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        ];
        let len = u16::try_from(steps.len()).unwrap_or_default();
        let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
        let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        // SAFETY: the program and its steps outlive the call, which copies them.
        let done = unsafe {
            libc::setsockopt(self.fd.as_raw_fd(), level, name, (&raw const program).cast(), size)
        };
        done == 0
    }
}
