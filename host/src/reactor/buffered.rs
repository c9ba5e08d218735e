//! A stream with buffers: libevent's `bufferevent`.
//!
//! ```text
//!  socket ──read──▶ input ──▶ callback ──▶ output ──write──▶ socket
//!                     │ ≥ high: no reads          │ ≥ high: no reads either, the peer feels it
//!                     ▼ ≥ low: Input              ▼ ≤ low: Drained
//! ```
//!
//! It is watched edge-triggered in both directions from beginning to end, so reading and writing
//! never cost a call to change what is watched. What a callback writes goes out when it returns, in
//! one piece, without waiting to be told that there is room.

use std::time::Duration;

use windlass_core::stream::Write;
use windlass_core::time::Instant;

use super::buffer::Buffer;
use super::watch::micros;
use crate::drive::{BUDGET, READ_SIZE, Readiness};
use crate::sys::Errno;
use crate::sys::stream::Stream;

/// Why the callback of a buffered stream is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// The connection that [`connect`](super::Context::connect) began is there (`BEV_EVENT_CONNECTED`).
    Connected,
    /// There is input, at least as much as the low watermark says.
    Input,
    /// The output has drained to its low watermark.
    Drained,
    /// The peer sends no more. What it sent before is in [`Buffered::input`]; output still goes out.
    Eof,
    /// Nothing moved in this direction for the length of its timeout. The stream is as it was, but
    /// a read timeout has ended reading ([`Buffered::set_reading`]).
    TimedOut(Direction),
    /// The stream is broken, or could not connect (`ECONNREFUSED`, `ETIMEDOUT`, …). All that came
    /// before was delivered. It is removed after this call.
    Failed(Errno),
}

/// Of the two directions of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Read,
    /// To the peer.
    Write,
}

/// A stream with buffers, as its callback sees it.
#[derive(Debug)]
pub struct Buffered {
    pub(super) stream: Stream,
    pub(super) input: Buffer,
    pub(super) output: Buffer,
    /// `Input` is told from so many bytes on; no more is read from so many on.
    pub(super) read_marks: Marks,
    pub(super) write_marks: Marks,
    pub(super) read_timeout_us: u64,
    pub(super) write_timeout_us: u64,
    /// When something last moved, or began to be waited for, if there is a timeout.
    pub(super) read_since: Instant,
    pub(super) write_since: Instant,
    /// Whether it was waited for when that was last asked: input, and room for output.
    pub(super) awaits_input: bool,
    pub(super) awaits_room: bool,
    /// Its timeout starts anew: something moved, or was asked for.
    pub(super) read_anew: bool,
    pub(super) write_anew: bool,
    pub(super) stage: Stage,
    /// The user wants input.
    pub(super) reading: bool,
    /// Output may go out.
    pub(super) writing: bool,
    /// Input is no answer to what comes, nor the other way round: it is read also while output waits.
    pub(super) two_way: bool,
    /// The user has written all it will.
    pub(super) shutting: bool,
    pub(super) readiness: Readiness,
    /// A write failed. What the peer had sent by then is still read.
    pub(super) broken: Option<Errno>,
    /// Output was written since `Drained` was last told.
    pub(super) owed: bool,
    /// Input that was not told of yet.
    pub(super) fresh: bool,
    pub(super) socket: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) low: usize,
    pub(super) high: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until then, if it is not to take for ever.
    Connecting {
        until: Option<Instant>,
    },
    Open,
    /// Our end was told.
    HalfClosed,
    /// To be closed as soon as the output is out, or then.
    Closing {
        until: Option<Instant>,
    },
    /// Closed, and the peer still talks: a reset could overtake our last bytes (see `drive`).
    Lingering {
        until: Instant,
    },
    /// To be dropped.
    Gone,
}

impl Buffered {
    pub(super) fn new(stream: Stream, stage: Stage) -> Self {
        let socket = stream.is_socket();
        let reading = socket || !stream.is_write_only();
        // The kernel says whether there is input: a FIFO without a writer reads as one at its end.
        let readiness = Readiness::of(!socket || stream.is_unix());
        Self {
            stream,
            input: Buffer::default(),
            output: Buffer::default(),
            read_marks: Marks { low: 1, high: READ_SIZE },
            write_marks: Marks { low: 0, high: BUDGET },
            read_timeout_us: 0,
            write_timeout_us: 0,
            read_since: Instant::ZERO,
            write_since: Instant::ZERO,
            awaits_input: false,
            awaits_room: false,
            read_anew: false,
            write_anew: false,
            stage,
            reading,
            writing: true,
            two_way: false,
            shutting: false,
            readiness,
            broken: None,
            owed: false,
            fresh: false,
            socket,
        }
    }

    /// What came and was not consumed.
    pub fn input(&self) -> &[u8] {
        self.input.data()
    }

    /// Takes `n` bytes of input from the front, or all there are.
    pub fn consume(&mut self, n: usize) {
        self.input.consume(n);
    }

    /// Queues output. It goes out when the callback returns, or when the loop comes to it, and waits
    /// in memory while the peer takes nothing: see [`is_full`](Self::is_full). After
    /// [`shutdown_write`](Self::shutdown_write) or a failure it is dropped; after
    /// [`close`](Self::close), in the same call, it still goes out.
    pub fn write(&mut self, bytes: &[u8]) {
        let over = self.shutting || self.broken.is_some() || self.stage == Stage::Gone;
        if !over && !bytes.is_empty() {
            self.write_anew |= self.output.is_empty();
            self.output.append(bytes);
            self.owed = true;
        }
    }

    /// Bytes of output that wait.
    pub fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Whether more output waits than the high watermark says: wait for [`StreamEvent::Drained`].
    /// Meanwhile nothing is read either, so a peer that takes no answers can ask for none; unless
    /// the stream goes [two ways](Self::set_two_way).
    pub fn is_full(&self) -> bool {
        self.output.len() >= self.write_marks.high
    }

    /// Moves `n` bytes of input, or all there are, to the output, as `change` leaves them.
    pub fn reply(&mut self, n: usize, change: impl FnOnce(&mut [u8])) {
        let n = n.min(self.input.len());
        let mut input = std::mem::take(&mut self.input);
        change(&mut input.data_mut()[..n]);
        self.write(&input.data()[..n]);
        input.consume(n);
        self.input = input;
    }

    /// Reads, or does not (`bufferevent_enable`, `bufferevent_disable` of `EV_READ`). At first it
    /// reads what can be read. What is not read waits in the kernel, and then at the peer.
    pub fn set_reading(&mut self, reading: bool) {
        // What is left from before is told again.
        self.fresh |= reading && !self.reading && !self.input.is_empty();
        self.read_anew |= reading && !self.reading;
        self.reading = reading;
    }

    /// Reads on after [`StreamEvent::Eof`]: a FIFO whose writers left may get another, a terminal may
    /// say more. One end may be told twice, when it is read before it is reported. Not for a regular
    /// file: it is always ready, and would be asked in every round.
    pub fn read_on(&mut self) {
        self.readiness.read_on();
    }

    /// Lets output go out, or keeps it (`bufferevent_enable`, `bufferevent_disable` of `EV_WRITE`). At
    /// first it goes.
    pub fn set_writing(&mut self, writing: bool) {
        self.write_anew |= writing && !self.writing;
        self.writing = writing;
    }

    /// Reads also while output waits: for a relay, whose output comes from somewhere else. If both ends
    /// of a connection read only what they have room to answer, and both are full, they wait for each
    /// other for ever. At first it does not.
    pub fn set_two_way(&mut self, two_way: bool) {
        self.two_way = two_way;
    }

    /// Tells of input from `low` bytes on, and reads no more while there are `high`: at first 1 and
    /// 64 KiB. One read may pass it by up to 64 KiB.
    pub fn set_read_watermarks(&mut self, low: usize, high: usize) {
        self.read_marks = Marks { low: low.max(1), high: high.max(low).max(1) };
    }

    /// Tells that output has drained when `low` bytes are left, and is full from `high` bytes on: at
    /// first 0 and 256 KiB.
    pub fn set_write_watermarks(&mut self, low: usize, high: usize) {
        self.write_marks = Marks { low, high: high.max(low.saturating_add(1)) };
    }

    /// Tells when nothing came for so long while it was read, and when output waited for so long
    /// and nothing of it went. Both count from the end of this call of the stream's callback, and anew
    /// from each time that something moves. At first it has all the time there is.
    pub fn set_timeouts(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.read_timeout_us = read.map_or(0, micros);
        self.write_timeout_us = write.map_or(0, micros);
        (self.read_anew, self.write_anew) = (true, true);
    }

    /// Ends our direction when the output is out (`shutdown(SHUT_WR)`): the peer sees the end, and
    /// may still answer. What is no socket has no half-close; there it only ends writing.
    pub fn shutdown_write(&mut self) {
        self.shutting = true;
    }

    /// Closes the stream when the output is out, and removes it; nothing is told any more. A peer that
    /// still talks is listened to for up to 2 seconds, so that our last bytes are not lost to a reset.
    pub fn close(&mut self) {
        self.writing = true;
        self.stage = match self.stage {
            // It may never connect.
            Stage::Connecting { until } => Stage::Closing { until },
            Stage::Open | Stage::HalfClosed => Stage::Closing { until: None },
            over @ (Stage::Closing { .. } | Stage::Lingering { .. } | Stage::Gone) => over,
        };
    }

    pub(super) fn wants_input(&self) -> bool {
        let full = self.is_full() && !self.two_way;
        self.reading
            && !self.readiness.has_ended()
            && !full
            && self.input.len() < self.read_marks.high
    }

    /// Sends what can be sent, and the end behind it.
    pub(super) fn flush(&mut self) {
        while self.writing && self.readiness.is_writable() && !self.output.is_empty() {
            match self.stream.send([self.output.data(), &[]]) {
                Ok(written) => {
                    self.readiness.did_write(written, self.output.len());
                    if let Write::Moved(n) = written {
                        self.write_anew = true;
                        // What is no socket takes less than there is room for.
                        if !self.socket {
                            self.readiness.set_writable(true);
                        }
                        self.output.consume(n.get());
                    }
                }
                Err(errno) => {
                    self.broken = Some(errno);
                    self.output.consume(usize::MAX);
                }
            }
        }
        if self.output.is_empty() && self.shutting && self.stage == Stage::Open {
            self.stage = Stage::HalfClosed;
            self.stream.shutdown_write();
        }
    }

    /// Whether it waits for input or for room.
    pub(super) fn wants_anything(&self) -> bool {
        self.wants_input() || !self.output.is_empty()
    }

    /// Whether output waits for room.
    fn wants_room(&self) -> bool {
        self.writing && !self.output.is_empty()
    }

    /// Starts the timeouts of what moved, or is waited for only now. The clock is asked if one needs it.
    pub(super) fn start_waits(&mut self, from_now: impl FnOnce() -> Instant) {
        let (reads, writes) = (self.wants_input(), self.wants_room());
        self.read_anew |= !self.awaits_input;
        self.write_anew |= !self.awaits_room;
        (self.awaits_input, self.awaits_room) = (reads, writes);
        let read = std::mem::take(&mut self.read_anew) && reads && self.read_timeout_us > 0;
        let write = std::mem::take(&mut self.write_anew) && writes && self.write_timeout_us > 0;
        if read || write {
            let now = from_now();
            self.read_since = if read { now } else { self.read_since };
            self.write_since = if write { now } else { self.write_since };
        }
    }

    /// Whether room was waited for for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let until = self.write_since.after(self.write_timeout_us);
        self.write_timeout_us > 0 && self.wants_room() && until <= now
    }

    /// Whether input was waited for for too long.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let until = self.read_since.after(self.read_timeout_us);
        self.read_timeout_us > 0 && self.wants_input() && until <= now
    }

    /// When it is to be looked at if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Connecting { until } => until,
            Stage::Lingering { until } => Some(until),
            Stage::Gone => None,
            Stage::Open | Stage::HalfClosed | Stage::Closing { .. } => {
                let read = (self.read_timeout_us > 0 && self.wants_input())
                    .then(|| self.read_since.after(self.read_timeout_us));
                let write = (self.write_timeout_us > 0 && self.wants_room())
                    .then(|| self.write_since.after(self.write_timeout_us));
                let close = match self.stage {
                    Stage::Closing { until } => until,
                    _ => None,
                };
                [read, write, close].into_iter().flatten().min()
            }
        }
    }
}
