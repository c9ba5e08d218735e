//! Bytes of files on their way to a stream's socket.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};
use windlass_core::stream::Write;

use super::stream::{Stream, outcome};

/// `sendfile(2)` of at most `len` bytes from `offset` on. The socket is nonblocking, as all that are
/// accepted here are. Nothing moved means that the file ends there.
///
/// # Errors
/// `EPIPE`, `ECONNRESET`: the connection is lost. `EINVAL`, `ENOSYS`: this file system cannot; read it.
pub fn send_file(to: &Stream, file: &File, offset: u64, len: usize) -> Result<Write, Errno> {
    let mut offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    outcome(sendfile64(to, file, Some(&mut offset), len))
}

/// One `send(2)` of bytes that more will follow at once: a packet is not sent for them alone.
///
/// # Errors
/// As [`Stream::send`].
pub fn send_more(to: &Stream, bytes: &[u8]) -> Result<Write, Errno> {
    let more = MsgFlags::from_bits_retain(libc::MSG_MORE);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL | more;
    outcome(send(to.as_fd().as_raw_fd(), bytes, flags))
}
