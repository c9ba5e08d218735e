//! Many datagrams with one system call.
//!
//! The calls are made by their numbers: the `sendmmsg` of musl calls `sendmsg` for each datagram. It does so because
//! POSIX has lengths of 32 bits in a header where the kernel has 64. A header that was made of zeros has zeros in the
//! other half.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

#[cfg(target_endian = "big")]
compile_error!("the upper half of a length comes first here: see the lengths of musl's headers");

/// `sendmmsg(2)`: how many were sent.
///
/// # Safety
/// `count` headers, made of zeros before they were filled, and all that they point to can be read.
pub(super) unsafe fn send_headers(
    socket: &impl AsFd,
    headers: *mut libc::mmsghdr,
    count: usize,
    flags: libc::c_int,
) -> nix::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: as the caller says.
    let sent = unsafe { libc::syscall(libc::SYS_sendmmsg, fd, headers, count, flags) };
    Errno::result(sent).map(|sent| sent.unsigned_abs() as usize)
}

/// `recvmmsg(2)`, with no time: how many came.
///
/// # Safety
/// `count` headers, made of zeros before they were filled, and all that they point to can be written.
pub(super) unsafe fn receive_headers(
    socket: &impl AsFd,
    headers: *mut libc::mmsghdr,
    count: usize,
    flags: libc::c_int,
) -> nix::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    let no_time = std::ptr::null_mut::<libc::timespec>();
    // SAFETY: as the caller says.
    let received = unsafe { libc::syscall(libc::SYS_recvmmsg, fd, headers, count, flags, no_time) };
    Errno::result(received).map(|received| received.unsigned_abs() as usize)
}
