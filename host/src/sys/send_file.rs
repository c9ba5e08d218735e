//! Bytes of files on their way to a stream's socket.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

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

/// A limit of a queue where the kernel does not tell it: that of a kernel with default settings, or more.
const QUEUE: u64 = 6 << 20;

/// A queue that is below its limit takes one more packet.
const PACKET: u64 = 64 * 1024;

/// The most bytes that are on their way from a program to another one of this host: those that a socket of one
/// keeps until they are acknowledged, and those that a socket of the other keeps until they are read. Both may
/// be pages of a file. A process that gives up its rights calls this before.
pub fn queued_max() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let queue = |of_tcp, of_any| {
            let (of_tcp, of_any) = (setting(of_tcp).unwrap_or(QUEUE), setting(of_any));
            // The kernel doubles what a program asks for.
            of_tcp.max(of_any.unwrap_or(0).saturating_mul(2)).saturating_add(PACKET)
        };
        queue("ipv4/tcp_wmem", "core/wmem_max")
            .saturating_add(queue("ipv4/tcp_rmem", "core/rmem_max"))
    })
}

/// The last number of a setting of the network.
fn setting(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
    text.split_ascii_whitespace().next_back()?.parse().ok()
}
