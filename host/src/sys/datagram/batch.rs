//! Many datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)`.
//!
//! ```text
//!   kernel ──recvmmsg──▶ │ buffer │ buffer │ buffer │ …   and the sender, the destination of each
//!                          │ reply in place
//!   kernel ◀──sendmmsg── │ reply  │        │ reply  │ …   from the address that was asked
//! ```
//!
//! Replies of one length to one peer that stand together leave as one datagram, which the kernel cuts
//! (`UDP_SEGMENT`): a busy client is answered in two thirds of the time.
//!
//! All memory is made once. The kernel gives pages to the buffers as they are filled: short datagrams cost one
//! page for each place of the batch.

use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::AsFd;
#[cfg(feature = "transfer")]
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::UDP_MAX;
use super::control::{CONTROL, Control, Source, Told, put, told};
use super::many::{receive_headers, send_headers};
use super::peer::Peer;
use crate::sys::clock::Calendar;

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
    /// Replies of up to so many bytes are sent to one peer as one, which the kernel cuts (`UDP_SEGMENT`): what
    /// a packet of the path cannot hold is not cut.
    segment_max: usize,
}

/// What is known of a datagram in the batch.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Bytes that came.
    len: usize,
    /// It was longer than the buffer.
    cut: bool,
    source: Source,
    /// When it came, of a socket that was asked to tell.
    came: Option<Calendar>,
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
    /// The address of this host that it was sent to, or from which it is answered if it was sent to many.
    pub asked: Option<IpAddr>,
    /// When it came, if the socket tells that ([`tell_times`](super::tell_times)).
    pub came: Option<Calendar>,
    reply: &'b mut Option<usize>,
}

impl Received<'_> {
    /// The datagram.
    pub fn datagram(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    /// Makes the first `len` bytes of the buffer the reply, which [`Batch::reply`] sends. A Unix peer without a name
    /// cannot be answered, and gets none.
    pub fn reply(self, len: usize) {
        *self.reply = self.peer.is_named().then_some(len.min(self.buf.len()));
    }
}

/// What became of the replies of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Replies that the kernel took.
    pub sent: u64,
    /// The bytes of these replies.
    pub bytes: u64,
    /// Replies that are lost: the kernel had no room, or their address does not exist.
    pub lost: u64,
    /// Why the last one of the lost replies is lost.
    pub why: Option<Errno>,
    /// The socket has no room for the others: they are kept, and sent by the next call of [`Batch::reply`].
    pub is_full: bool,
}

impl Sent {
    /// What became of these and of those that were kept, together.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        let Self { sent, bytes, lost, why, is_full } = later;
        let (sent, bytes, lost) = (self.sent + sent, self.bytes + bytes, self.lost + lost);
        Self { sent, bytes, lost, why: why.or(self.why), is_full }
    }
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
            memory: vec![0; count * stride(size)].into(),
            size,
            peers: vec![Peer::UNNAMED; count].into(),
            controls: vec![Control::EMPTY; count].into(),
            places: vec![Place::default(); count].into(),
            received: 0,
            asked: 0,
            overflow: 0,
            segment_max: SEGMENT_MAX,
        }
    }

    /// Receives what is there, without waiting: how many datagrams. Those of the call before are gone.
    ///
    /// # Errors
    /// `EAGAIN`: there is none. An error of something that was sent before, of a connected socket.
    pub fn receive(&mut self, socket: &impl AsFd) -> nix::Result<usize> {
        self.receive_with(socket, libc::MSG_DONTWAIT)
    }

    /// The same of a socket that blocks: it waits for the first one.
    ///
    /// # Errors
    /// `EINTR`; an error of the network. A socket that was shut down has one datagram without a peer, or `EAGAIN`.
    pub fn wait_and_receive(&mut self, socket: &impl AsFd) -> nix::Result<usize> {
        self.receive_with(socket, libc::MSG_WAITFORONE)
    }

    fn receive_with(&mut self, socket: &impl AsFd, flags: libc::c_int) -> nix::Result<usize> {
        let count = (2 * self.received).max(COUNT_MIN).min(self.places.len());
        (self.asked, self.received) = (count, 0);
        self.segment_max = SEGMENT_MAX;
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; COUNT_MAX];
        let buffers = buffers(&mut self.memory, self.size);
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
            header.msg_hdr.msg_control = control.as_mut_ptr();
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        // SAFETY: the first `count` headers were written just now, and all that they point to is theirs alone
        // and outlives the call.
        let received = unsafe { receive_headers(socket, headers, count, flags) }?;
        for nth in 0..received {
            // SAFETY: the kernel filled it, and nothing else refers to it.
            let header = unsafe { &*headers.add(nth) };
            let Told { source, overflow, came } = told(&header.msg_hdr);
            self.overflow = overflow.unwrap_or(self.overflow);
            self.peers[nth].len = header.msg_hdr.msg_namelen.min(Peer::ROOM);
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.places[nth] =
                Place { len: header.msg_len as usize, cut, source, came, reply: None };
        }
        self.received = received;
        Ok(received)
    }

    /// Receives one datagram; with `waits` it waits for it, in a socket that blocks. Those of the call before are gone.
    ///
    /// # Errors
    /// `EAGAIN`: there is none, none came in the time of the socket, or it was shut down. `EINTR`. An error of
    /// something that was sent before.
    #[cfg(feature = "transfer")]
    pub(super) fn receive_one(&mut self, socket: &impl AsFd, waits: bool) -> nix::Result<()> {
        (self.asked, self.received) = (COUNT_MIN, 0);
        let fd = socket.as_fd().as_raw_fd();
        let peer = &mut self.peers[0];
        peer.len = Peer::ROOM;
        let buf = &mut self.memory[..self.size];
        // SAFETY: the buffer and the name are ours alone, and outlive the call.
        let len = unsafe {
            libc::recvfrom(
                fd,
                buf.as_mut_ptr().cast(),
                buf.len(),
                libc::MSG_TRUNC | if waits { 0 } else { libc::MSG_DONTWAIT },
                (&raw mut peer.name).cast(),
                &raw mut peer.len,
            )
        };
        let len = Errno::result(len)?.unsigned_abs();
        if len == 0 {
            // It has nothing to say, and this is what is heard of a socket that was shut down.
            return Err(Errno::EAGAIN);
        }
        peer.len = peer.len.min(Peer::ROOM);
        self.places[0] = Place { len, cut: len > self.size, ..Place::default() };
        self.received = 1;
        Ok(())
    }

    /// Whether the last call found as many as it had places for, so that there may be more.
    pub fn is_full(&self) -> bool {
        self.received == self.asked
    }

    /// The datagrams that were received last.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Received<'_>> {
        let buffers = buffers(&mut self.memory, self.size);
        let parts = buffers.zip(&self.peers).zip(&mut self.places).take(self.received);
        parts.map(|((buf, peer), Place { len, cut, reply, source, came })| {
            let len = (*len).min(buf.len());
            Received { peer, buf, len, cut: *cut, asked: source.address(), came: *came, reply }
        })
    }

    /// Datagrams that the kernel dropped since the socket was made, because nothing received them in time
    /// (`SO_RXQ_OVFL`). It says so with the next one that it does not drop.
    pub fn overflow(&self) -> u32 {
        self.overflow
    }

    /// Sends the replies, each from the address that its question was sent to. One that the kernel refuses
    /// is lost, and the others are sent. While the socket has no room, all that are left are kept.
    pub fn reply(&mut self, socket: &impl AsFd) -> Sent {
        let mut sent = Sent::default();
        // Each time less is sent as one.
        while let Some(too_long) = self.send(socket, &mut sent) {
            self.segment_max = too_long - 1;
        }
        sent
    }

    /// Sends the replies that were not sent yet. The kernel refuses to cut into pieces of the returned length.
    fn send(&mut self, socket: &impl AsFd, sent: &mut Sent) -> Option<usize> {
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT_MAX];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; COUNT_MAX];
        // The replies of each header.
        let mut sizes = [0; COUNT_MAX];
        let (mut count, mut first) = (0, 0);
        while let Some(run) = self.next_run(first) {
            let vectors = &mut vectors[run.first..run.end];
            let parts = buffers(&mut self.memory, self.size).zip(&self.places);
            let parts = parts.skip(run.first).zip(vectors.iter_mut());
            for ((buf, _), vector) in parts.take(run.end - run.first) {
                vector.write(libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: run.len });
            }
            let control = &mut self.controls[run.first];
            let mut control_len = self.places[run.first].source.write(control);
            if vectors.len() > 1 {
                let len = u16::try_from(run.len).unwrap_or(u16::MAX);
                let (level, kind) = (libc::SOL_UDP, libc::UDP_SEGMENT);
                control_len = put(control, control_len, level, kind, len);
            }
            let header = headers[count].write(empty_header());
            header.msg_hdr.msg_name = (&raw mut self.peers[run.first].name).cast();
            header.msg_hdr.msg_namelen = self.peers[run.first].len;
            header.msg_hdr.msg_iov = vectors.as_mut_ptr().cast();
            header.msg_hdr.msg_iovlen = vectors.len() as _;
            header.msg_hdr.msg_controllen = control_len as _;
            if control_len > 0 {
                header.msg_hdr.msg_control = control.as_mut_ptr();
            }
            (sizes[count], first) = (vectors.len(), run.end);
            count += 1;
        }
        let headers = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        let mut next = 0;
        while next < count {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: headers `next..count` were written above, and what they point to outlives the call.
            let taken = unsafe { send_headers(socket, headers.add(next), count - next, flags) };
            let before = sent.sent;
            let done = match taken {
                Ok(taken) => {
                    sent.sent += sizes[next..next + taken].iter().sum::<usize>() as u64;
                    taken
                }
                Err(Errno::EINTR) => 0,
                Err(Errno::EAGAIN) if self.peers.first().is_some_and(Peer::is_inet) => {
                    sent.is_full = true;
                    return None;
                }
                Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO) if sizes[next] > 1 => {
                    return self.places.iter().find_map(|place| place.reply);
                }
                // It is about this one alone: the others may have another route, and of a Unix socket it is
                // the peer that has no room.
                Err(errno) => {
                    sent.lost += sizes[next] as u64;
                    sent.why = Some(errno);
                    1
                }
            };
            let replies = self.places.iter_mut().filter(|place| place.reply.is_some());
            let gone = sizes[next..next + done].iter().sum();
            let bytes = replies.take(gone).filter_map(|place| place.reply.take()).sum::<usize>();
            sent.bytes += if sent.sent > before { bytes as u64 } else { 0 };
            next += done;
        }
        None
    }

    /// The next reply from place `from` on, with those right behind it that can be sent as one with it.
    fn next_run(&mut self, from: usize) -> Option<Run> {
        let mut places = self.places[..self.received].iter().enumerate().skip(from);
        let (first, place, len) = places.find_map(|(nth, it)| Some((nth, it, it.reply?)))?;
        let peer = &self.peers[first];
        let is_cut = peer.is_inet() && (1..=self.segment_max).contains(&len);
        let most = if is_cut { UDP_MAX / len } else { 1 };
        let alike = self.places[first..self.received].iter().zip(&self.peers[first..]);
        let is_alike = |(it, at): &(&Place, &Peer)| {
            it.reply == Some(len) && it.source.is_same(place.source) && at.is_same(peer)
        };
        let end = first + alike.take(most).take_while(is_alike).count();
        Some(Run { first, end, len })
    }
}

/// Replies of `len` bytes each in the places `first..end`, to one peer.
struct Run {
    first: usize,
    end: usize,
    len: usize,
}

/// Longer ones would not fit into a packet of most networks, and the kernel does not cut them.
const SEGMENT_MAX: usize = 1_452;

/// From the beginning of one buffer to that of the next: each begins in another set of the caches. Those of a
/// power of two would all begin in the same one, and drive each other out.
const fn stride(size: usize) -> usize {
    const LINE: usize = 64;
    size.next_multiple_of(LINE) + LINE
}

fn buffers(memory: &mut [u8], size: usize) -> impl Iterator<Item = &mut [u8]> {
    memory.chunks_exact_mut(stride(size)).map(move |buffer| &mut buffer[..size])
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
