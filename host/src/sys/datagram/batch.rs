//! Many datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)`.
//!
//! ```text
//!   kernel ──recvmmsg──▶ │ buffer │ buffer │ buffer │ …   and the sender, the destination of each
//!                          │ reply in place
//!   kernel ◀──sendmmsg── │ reply  │        │ reply  │ …   from the address that was asked
//! ```
//!
//! All memory is made once. The kernel gives pages to the buffers as they are filled: short datagrams cost one
//! page for each place of the batch.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::peer::Peer;

/// Room for what the kernel says beside a datagram: the longest destination (`in6_pktinfo`, 36 bytes with
/// its header) and the count of those that it dropped.
const CONTROL: usize = 96;

/// Control data has to be aligned as its header is.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// The address that a datagram was sent to, in the form in which its reply names its source.
#[derive(Clone, Copy, Default)]
enum Source {
    /// The kernel chooses.
    #[default]
    Any,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// Buffers for a number of datagrams, with their addresses.
pub struct Batch {
    memory: Box<[u8]>,
    /// Bytes of each buffer.
    size: usize,
    peers: Box<[Peer]>,
    controls: Box<[Control]>,
    places: Box<[Place]>,
    /// How many were received last, of how many that were asked for.
    received: usize,
    asked: usize,
    /// As of the last datagram that came with the count.
    overflow: u32,
}

/// What is known of a datagram in the batch.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Bytes that came.
    len: usize,
    /// It was longer than the buffer.
    cut: bool,
    source: Source,
    /// Bytes of its reply.
    reply: Option<usize>,
}

/// A datagram of the batch.
#[derive(Debug)]
pub struct Received<'b> {
    /// Where it came from.
    pub peer: &'b Peer,
    /// The whole buffer, with the datagram at its front.
    pub buf: &'b mut [u8],
    /// Bytes of the datagram.
    pub len: usize,
    /// The sender sent more than this: the datagram was cut.
    pub cut: bool,
    reply: &'b mut Option<usize>,
}

impl Received<'_> {
    /// The datagram.
    pub fn datagram(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    /// The first `len` bytes of the buffer are to be sent back, with [`Batch::reply`].
    pub fn reply(self, len: usize) {
        *self.reply = Some(len.min(self.buf.len()));
    }
}

/// What became of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// The kernel took them.
    pub sent: u64,
    /// They are lost: the kernel had no room, or their address does not exist.
    pub lost: u64,
    /// Why the last of those that are lost is.
    pub why: Option<Errno>,
}

/// Datagrams for each call at most (`UIO_MAXIOV` of the kernel is 1024).
const COUNT_MAX: usize = 64;

/// Datagrams for a call when few came before. To prepare for one costs some nanoseconds.
const COUNT_MIN: usize = 4;

impl Batch {
    /// Room for `count` datagrams of `size` bytes each; of `count`, 1 to 64 are used.
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.clamp(1, COUNT_MAX);
        Self {
            memory: vec![0; count * size].into(),
            size,
            peers: vec![Peer::UNNAMED; count].into(),
            controls: vec![Control([0; CONTROL]); count].into(),
            places: vec![Place::default(); count].into(),
            received: 0,
            asked: 0,
            overflow: 0,
        }
    }

    /// Receives what is there, without waiting: how many datagrams. Those of the call before are gone.
    ///
    /// # Errors
    /// `EAGAIN`: there is none. An error of something that was sent before, of a connected socket.
    pub fn receive(&mut self, socket: &impl AsFd) -> nix::Result<usize> {
        let count = (2 * self.received).max(COUNT_MIN).min(self.places.len());
        (self.asked, self.received) = (count, 0);
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; COUNT_MAX];
        let buffers = self.memory.chunks_exact_mut(self.size);
        let parts = buffers.zip(&mut self.peers).zip(&mut self.controls).take(count);
        for (((buf, peer), control), (vector, header)) in
            parts.zip(vectors.iter_mut().zip(&mut headers))
        {
            let vector =
                vector.write(libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() });
            let header = header.write(empty_header());
            header.msg_hdr.msg_name = (&raw mut peer.name).cast();
            header.msg_hdr.msg_namelen = Peer::ROOM;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL;
        }
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        let flags = libc::MSG_DONTWAIT;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the first `count` headers were written just now, and all that they point to is theirs alone
        // and outlives the call; no time is passed.
        let received = unsafe {
            libc::recvmmsg(fd, headers, count as libc::c_uint, flags, std::ptr::null_mut())
        };
        let received = Errno::result(received)?.unsigned_abs() as usize;
        for nth in 0..received {
            // SAFETY: the kernel filled it, and nothing else refers to it.
            let header = unsafe { &*headers.add(nth) };
            let (source, overflow) = told(&header.msg_hdr);
            self.overflow = overflow.unwrap_or(self.overflow);
            self.peers[nth].len = header.msg_hdr.msg_namelen.min(Peer::ROOM);
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.places[nth] = Place { len: header.msg_len as usize, cut, source, reply: None };
        }
        self.received = received;
        Ok(received)
    }

    /// Whether the last call found as many as it had places for, so that there may be more.
    pub fn is_full(&self) -> bool {
        self.received == self.asked
    }

    /// The datagrams that were received last.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Received<'_>> {
        let buffers = self.memory.chunks_exact_mut(self.size);
        let parts = buffers.zip(&self.peers).zip(&mut self.places).take(self.received);
        parts.map(|((buf, peer), Place { len, cut, reply, .. })| {
            let len = (*len).min(buf.len());
            Received { peer, buf, len, cut: *cut, reply }
        })
    }

    /// Datagrams that the kernel dropped since the socket was made, because nothing received them in time
    /// (`SO_RXQ_OVFL`). It says so with the next one that it does not drop.
    pub fn overflow(&self) -> u32 {
        self.overflow
    }

    /// Sends the replies, each from the address that its question was sent to. One that the kernel refuses
    /// is lost, and the others are sent.
    pub fn reply(&mut self, socket: &impl AsFd) -> Sent {
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; COUNT_MAX];
        let mut count = 0;
        let buffers = self.memory.chunks_exact_mut(self.size);
        let parts = buffers.zip(&mut self.peers).zip(&mut self.controls).zip(&mut self.places);
        for (((buf, peer), control), place) in parts.take(self.received) {
            let Some(len) = place.reply.take().filter(|_| peer.is_named()) else { continue };
            let vector = vectors[count]
                .write(libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: len });
            let header = headers[count].write(empty_header());
            header.msg_hdr.msg_name = (&raw mut peer.name).cast();
            header.msg_hdr.msg_namelen = peer.len;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_controllen = place.source.write(control);
            if header.msg_hdr.msg_controllen > 0 {
                header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            }
            count += 1;
        }
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        let fd = socket.as_fd().as_raw_fd();
        let (mut next, mut sent) = (0, Sent::default());
        while next < count {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            let left = (count - next) as libc::c_uint;
            // SAFETY: headers `next..count` were written above, and what they point to outlives the call.
            let taken = unsafe { libc::sendmmsg(fd, headers.add(next), left, flags) };
            match Errno::result(taken) {
                Ok(taken) => {
                    next += taken.unsigned_abs() as usize;
                    sent.sent += u64::from(taken.unsigned_abs());
                }
                Err(Errno::EINTR) => {}
                // It is about the first one alone: the others may have another route.
                Err(errno) => {
                    next += 1;
                    sent.lost += 1;
                    sent.why = Some(errno);
                }
            }
        }
        sent
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (f.debug_struct("Batch").field("places", &self.places.len()).field("size", &self.size))
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: it is numbers and pointers, and all of them may be zero.
    unsafe { std::mem::zeroed() }
}

/// What the kernel said beside a datagram: where it was sent to, and how many were dropped.
fn told(header: &libc::msghdr) -> (Source, Option<u32>) {
    let (mut source, mut overflow) = (Source::Any, None);
    // SAFETY: the kernel filled the control data of this header, which says its length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: it is within the control data, as the macros of cmsg(3) have it; data may be unaligned.
        unsafe {
            let data = libc::CMSG_DATA(next);
            match ((*next).cmsg_level, (*next).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let mut info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // The route is looked up again for the reply. Of a broadcast or a group,
                    // `ipi_spec_dst` is the address of this host.
                    info.ipi_addr.s_addr = 0;
                    source = Source::V4(info);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let mut info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    // A group is the source of nothing: the kernel chooses, on the same interface.
                    if info.ipi6_addr.s6_addr[0] == 0xff {
                        info.ipi6_addr.s6_addr = [0; 16];
                    }
                    source = Source::V6(info);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    overflow = Some(data.cast::<u32>().read_unaligned());
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    (source, overflow)
}

impl Source {
    /// Writes the control data that names it; how many bytes that is.
    fn write(self, control: &mut Control) -> usize {
        match self {
            Self::Any => 0,
            Self::V4(info) => put(control, libc::IPPROTO_IP, libc::IP_PKTINFO, info),
            Self::V6(info) => put(control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info),
        }
    }
}

fn put<T: Copy>(control: &mut Control, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
    const { assert!(size_of::<T>() + 32 <= CONTROL) };
    let len = size_of::<T>() as libc::c_uint;
    let mut header = empty_header().msg_hdr;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL;
    // SAFETY: the control data is longer than one header and `T` with their padding.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = level;
        (*first).cmsg_type = kind;
        (*first).cmsg_len = libc::CMSG_LEN(len) as usize;
        libc::CMSG_DATA(first).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(len) as usize
    }
}
