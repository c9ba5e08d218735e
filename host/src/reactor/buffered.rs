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

use windlass_core::time::Instant;

use super::silence::Silence;
use super::watch::micros;
use crate::drive::{BUDGET, Buffer, READ_SIZE, Readiness};
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
    pub(super) readiness: Readiness,
    pub(super) stage: Stage,
    pub(super) input: Side,
    pub(super) output: Side,
    pub(super) output_end: OutputEnd,
    /// Input is no answer to what comes, nor the other way round: it is read also while output waits.
    pub(super) two_way: bool,
}

/// One direction of a stream.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) buffer: Buffer,
    /// Input is told of from so many bytes on, and output when so many are left.
    pub(super) low: usize,
    /// No more is read from so many bytes on, of input or of output.
    high: usize,
    pub(super) silence: Silence,
    /// The user wants it to move.
    pub(super) is_on: bool,
    /// Its event is due: there is input, or output was written, since it was last told.
    pub(super) untold: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until then, if it is not to take for ever.
    Connecting {
        until: Option<Instant>,
    },
    Open,
    /// To be closed as soon as the output is out, or then.
    Closing {
        until: Option<Instant>,
    },
    /// Closed, and the peer still talks.
    Lingering {
        until: Instant,
    },
    /// To be dropped.
    Gone,
}

/// How far the output has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputEnd {
    Open,
    /// The user has written all that it will.
    Asked,
    /// The peer was told.
    Told,
    /// A write failed. What the peer had sent by then is still read.
    Broken(Errno),
}

impl Side {
    fn new(low: usize, high: usize, is_on: bool) -> Self {
        let (buffer, silence) = (Buffer::default(), Silence::default());
        Self { buffer, low, high, silence, is_on, untold: false }
    }

    fn is_full(&self) -> bool {
        self.buffer.len() >= self.high
    }

    fn turn(&mut self, on: bool) {
        if on && !self.is_on {
            self.silence.restart();
        }
        self.is_on = on;
    }
}

impl Buffered {
    pub(super) fn new(stream: Stream, stage: Stage) -> Self {
        let readiness = Readiness::of(&stream);
        let reads = readiness.is_socket() || !stream.is_write_only();
        Self {
            stream,
            readiness,
            stage,
            input: Side::new(1, READ_SIZE, reads),
            output: Side::new(0, BUDGET, true),
            output_end: OutputEnd::Open,
            two_way: false,
        }
    }

    /// What came and was not consumed.
    pub fn input(&self) -> &[u8] {
        self.input.buffer.data()
    }

    /// Takes `n` bytes of input from the front, or all there are.
    pub fn consume(&mut self, n: usize) {
        self.input.buffer.consume(n);
    }

    /// Queues output. It goes out when the callback returns, or when the loop comes to it, and waits
    /// in memory while the peer takes nothing: see [`is_full`](Self::is_full). After
    /// [`shutdown_write`](Self::shutdown_write) or a failure it is dropped; after
    /// [`close`](Self::close), in the same call, it still goes out.
    pub fn write(&mut self, bytes: &[u8]) {
        let over = self.output_end != OutputEnd::Open || self.stage == Stage::Gone;
        if !over && !bytes.is_empty() {
            if self.output.buffer.is_empty() {
                self.output.silence.restart();
            }
            self.output.buffer.append(bytes);
            self.output.untold = true;
        }
    }

    /// Bytes of output that wait.
    pub fn unsent(&self) -> usize {
        self.output.buffer.len()
    }

    /// Whether more output waits than the high watermark says: wait for [`StreamEvent::Drained`].
    /// Meanwhile nothing is read either, so a peer that takes no answers can ask for none; unless
    /// the stream goes [two ways](Self::set_two_way).
    pub fn is_full(&self) -> bool {
        self.output.is_full()
    }

    /// Moves `n` bytes of input, or all there are, to the output, as `change` leaves them.
    pub fn reply(&mut self, n: usize, change: impl FnOnce(&mut [u8])) {
        let n = n.min(self.input.buffer.len());
        let mut input = std::mem::take(&mut self.input.buffer);
        change(&mut input.data_mut()[..n]);
        self.write(&input.data()[..n]);
        input.consume(n);
        self.input.buffer = input;
    }

    /// Reads, or does not (`bufferevent_enable`, `bufferevent_disable` of `EV_READ`). At first it
    /// reads what can be read. What is not read waits in the kernel, and then at the peer.
    pub fn set_reading(&mut self, reading: bool) {
        // What is left from before is told again.
        self.input.untold |= reading && !self.input.is_on && !self.input.buffer.is_empty();
        self.input.turn(reading);
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
        self.output.turn(writing);
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
        (self.input.low, self.input.high) = (low.max(1), high.max(low).max(1));
    }

    /// Tells that output has drained when `low` bytes are left, and is full from `high` bytes on: at
    /// first 0 and 256 KiB.
    pub fn set_write_watermarks(&mut self, low: usize, high: usize) {
        (self.output.low, self.output.high) = (low, high.max(low.saturating_add(1)));
    }

    /// Tells when nothing came for so long while it was read, and when output waited for so long
    /// and nothing of it went. Both count from the end of this call of the stream's callback, and anew
    /// from each time that something moves. At first it has all the time there is.
    pub fn set_timeouts(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.input.silence.set_limit(read.map_or(0, micros));
        self.output.silence.set_limit(write.map_or(0, micros));
    }

    /// Ends our direction when the output is out (`shutdown(SHUT_WR)`): the peer sees the end, and
    /// may still answer. What is no socket has no half-close; there it only ends writing.
    pub fn shutdown_write(&mut self) {
        if self.output_end == OutputEnd::Open {
            self.output_end = OutputEnd::Asked;
        }
    }

    /// Closes the stream when the output is out, and removes it; nothing is told any more. A peer that
    /// still talks is listened to for up to 2 seconds, so that our last bytes are not lost to a reset.
    pub fn close(&mut self) {
        self.output.is_on = true;
        self.stage = match self.stage {
            // It may never connect.
            Stage::Connecting { until } => Stage::Closing { until },
            Stage::Open => Stage::Closing { until: None },
            over @ (Stage::Closing { .. } | Stage::Lingering { .. } | Stage::Gone) => over,
        };
    }

    pub(super) fn wants_input(&self) -> bool {
        let no_room_to_answer = self.is_full() && !self.two_way;
        self.input.is_on
            && !self.readiness.has_ended()
            && !no_room_to_answer
            && !self.input.is_full()
    }

    /// Whether output waits for room.
    fn wants_room(&self) -> bool {
        self.output.is_on && !self.output.buffer.is_empty()
    }

    /// Whether it waits for input or for room.
    pub(super) fn wants_anything(&self) -> bool {
        self.wants_input() || !self.output.buffer.is_empty()
    }

    /// Why its output is lost, if it is.
    pub(super) fn broken(&self) -> Option<Errno> {
        if let OutputEnd::Broken(errno) = self.output_end { Some(errno) } else { None }
    }

    /// Sends what can be sent, and the end behind it.
    pub(super) fn flush(&mut self) {
        let Side { buffer, silence, is_on, .. } = &mut self.output;
        if *is_on {
            match buffer.send_to(&self.stream, &mut self.readiness) {
                Ok(0) => {}
                Ok(_) => silence.restart(),
                Err(errno) => {
                    self.output_end = OutputEnd::Broken(errno);
                    buffer.consume(usize::MAX);
                }
            }
        }
        let is_out = self.stage == Stage::Open && buffer.is_empty();
        if is_out && self.output_end == OutputEnd::Asked {
            self.output_end = OutputEnd::Told;
            self.stream.shutdown_write();
        }
    }

    /// The end of a call: starts the timeouts of what moved, or is waited for only now.
    pub(super) fn start_waits(&mut self, now: impl Fn() -> Instant) {
        let (reads, writes) = (self.wants_input(), self.wants_room());
        self.input.silence.wait(reads, &now);
        self.output.silence.wait(writes, &now);
    }

    /// Whether room was waited for for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.output.silence.end(self.wants_room()).is_some_and(|end| end <= now)
    }

    /// Whether input was waited for for too long.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.input.silence.end(self.wants_input()).is_some_and(|end| end <= now)
    }

    /// When it is to be looked at if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let close = match self.stage {
            Stage::Connecting { until } => return until,
            Stage::Lingering { until } => return Some(until),
            Stage::Gone => return None,
            Stage::Open => None,
            Stage::Closing { until } => until,
        };
        let read = self.input.silence.end(self.wants_input());
        let write = self.output.silence.end(self.wants_room());
        [read, write, close].into_iter().flatten().min()
    }
}
