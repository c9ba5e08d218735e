//! One datagram many times in one call: the load of a bench.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use super::many::send_headers;

/// Datagrams of one call at most.
pub const VOLLEY_MAX: usize = 64;

/// Sends `datagram` `count` times, at most [`VOLLEY_MAX`] times, to the peer of a connected socket: how often
/// it was sent.
///
/// # Errors
/// `ECONNREFUSED`: the peer is gone. `EMSGSIZE`, `ENOBUFS`.
pub fn send_again(socket: &impl AsFd, datagram: &[u8], count: usize) -> nix::Result<usize> {
    let count = count.min(VOLLEY_MAX);
    let mut vector =
        libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; VOLLEY_MAX];
    for header in headers.iter_mut().take(count) {
        // SAFETY: it is numbers and pointers, and all of them may be zero.
        let header = header.write(unsafe { std::mem::zeroed() });
        header.msg_hdr.msg_iov = &raw mut vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers were written just now, and the kernel only reads what they point to.
    unsafe { send_headers(socket, headers.as_mut_ptr().cast(), count, libc::MSG_NOSIGNAL) }
}
