//! A stream with buffers: libevent's `bufferevent`.
//!
//! ```text
//!  socket ──read──▶ input ──▶ callback ──▶ output ──write──▶ socket
//!                     │ ≥ high: no reads          │ ≥ high: no reads either: the peer waits
//!                     ▼ ≥ low: Input              ▼ ≤ low: Drained
//! ```
//!
//! A stream is watched edge-triggered in both directions all the time, so reading and writing
//! never cost a call to change what is watched. The output of a callback is written when it returns, in
//! one piece, without waiting for an event.

use std::time::Duration;

use windlass_core::time::Instant;

use super::silence::Silence;
use super::watch::micros;
use crate::drive::{AnyChannel, BUDGET, Buffer, READ_SIZE, Readiness};
use crate::sys::Errno;

/// Why the callback of a buffered stream is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEvent {
    /// The connection that [`connect`](super::Context::connect) began is established
    /// (`BEV_EVENT_CONNECTED`).
    Connected,
    /// There is input, at least the low watermark.
    Input,
    /// The output has drained to its low watermark.
    Drained,
    /// The peer sends no more. Its earlier input is in [`Buffered::input`]; output is still written.
    Eof,
    /// No byte moved in this direction for its timeout. The stream is unchanged, but
    /// a read timeout has ended reading ([`Buffered::set_reading`]).
    TimedOut(Direction),
    /// The stream is broken, or could not connect (`ECONNREFUSED`, `ETIMEDOUT`, …). All input
    /// before that was delivered. The stream is removed after this call.
    Failed(Errno),
}

/// A direction of a stream.
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
    pub(super) channel: AnyChannel,
    pub(super) readiness: Readiness,
    pub(super) stage: Stage,
    pub(super) input: Side,
    pub(super) output: Side,
    pub(super) output_end: OutputEnd,
    /// The two directions do not depend on each other: it is read also while output waits.
    pub(super) two_way: bool,
}

/// What a buffered stream calls, with the program's state and the loop's context `C`.
pub(super) type StreamCallback<S, C> = Box<dyn FnMut(&mut Buffered, &mut S, &mut C, StreamEvent)>;

/// A buffered stream and its callback.
pub(super) struct Conversation<S, C> {
    pub(super) io: Buffered,
    pub(super) callback: StreamCallback<S, C>,
}

/// One direction of a stream.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) buffer: Buffer,
    /// The low watermark: input is reported from this number of bytes on, and output when this
    /// number is left.
    pub(super) low: usize,
    /// The high watermark: nothing is read while input or output has this number of bytes.
    high: usize,
    pub(super) silence: Silence,
    /// Whether the program enabled it.
    pub(super) is_on: bool,
    /// Whether its event is due: input has arrived, or output was written, since the last event.
    pub(super) untold: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The deadline of connecting, if there is one.
    Connecting {
        until: Option<Instant>,
    },
    Open,
    /// Closed when the output is written, or at this deadline.
    Closing {
        until: Option<Instant>,
    },
    /// Closed, and the peer still sends.
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
    /// The program has ended the output.
    Asked,
    /// The end was sent to the peer.
    Told,
    /// A write failed. Input that the peer sent before is still read.
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
    pub(super) fn new(channel: AnyChannel, stage: Stage) -> Self {
        let readiness = Readiness::of(channel.stream());
        let reads = readiness.is_socket() || !channel.stream().is_write_only();
        Self {
            channel,
            readiness,
            stage,
            input: Side::new(1, READ_SIZE, reads),
            output: Side::new(0, BUDGET, true),
            output_end: OutputEnd::Open,
            two_way: false,
        }
    }

    /// Input that was not consumed.
    pub fn input(&self) -> &[u8] {
        self.input.buffer.data()
    }

    /// Takes `n` bytes of input from the front, or all of it.
    pub fn consume(&mut self, n: usize) {
        self.input.buffer.consume(n);
    }

    /// Queues output. It is written when the callback returns, or at the stream's next turn, and waits
    /// in memory while the peer takes nothing: see [`is_full`](Self::is_full). After
    /// [`shutdown_write`](Self::shutdown_write) or a failure it is dropped; after
    /// [`close`](Self::close), in the same call, it is still written.
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

    /// Why TLS has failed, if it has. [`StreamEvent::Failed`] has `EPROTO` then, or what the socket says.
    pub fn failure(&self) -> Option<&str> {
        let cut = self.channel.is_handshaking() && self.broken().is_some();
        self.channel.failure().or(cut.then_some("it ended the connection during the handshake"))
    }

    /// Bytes of output that are not written yet.
    pub fn unsent(&self) -> usize {
        self.output.buffer.len()
    }

    /// Whether the output has reached its high watermark: wait for [`StreamEvent::Drained`].
    /// Meanwhile nothing is read either, so a peer that takes no answers cannot send requests, unless
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

    /// Enables or disables reading (`bufferevent_enable`, `bufferevent_disable` of `EV_READ`). A
    /// new stream reads. Input that is not read waits in the kernel, and then at the peer.
    pub fn set_reading(&mut self, reading: bool) {
        // Input that is left from before is reported again.
        self.input.untold |= reading && !self.input.is_on && !self.input.buffer.is_empty();
        self.input.turn(reading);
    }

    /// Reads on after [`StreamEvent::Eof`]: a FIFO without writers may get another one, a terminal
    /// may send more. One end may be reported twice, if it is read before the kernel reports it.
    /// Not for a regular file: it is always ready, and would be read in every round.
    pub fn read_on(&mut self) {
        self.readiness.read_on();
    }

    /// Enables or disables writing (`bufferevent_enable`, `bufferevent_disable` of `EV_WRITE`). At
    /// first it is enabled.
    pub fn set_writing(&mut self, writing: bool) {
        self.output.turn(writing);
    }

    /// Reads also while output waits: for a relay, which gets its output from another stream. If
    /// both ends of a connection read only what they have room to answer, and both are full, they
    /// wait for each other for ever. A new stream does not.
    pub fn set_two_way(&mut self, two_way: bool) {
        self.two_way = two_way;
    }

    /// Reports input from `low` bytes on, and reads no more while there are `high`: at first 1 and
    /// 64 KiB. One read may exceed `high` by up to 64 KiB.
    pub fn set_read_watermarks(&mut self, low: usize, high: usize) {
        (self.input.low, self.input.high) = (low.max(1), high.max(low).max(1));
    }

    /// Reports that output has drained when `low` bytes are left, and is full from `high` bytes on: at
    /// first 0 and 256 KiB.
    pub fn set_write_watermarks(&mut self, low: usize, high: usize) {
        (self.output.low, self.output.high) = (low, high.max(low.saturating_add(1)));
    }

    /// Reports when nothing was received for the time `read` while reading is enabled, and when
    /// output waited for `write` and none of it was written. Both count from the end of this call
    /// of the stream's callback, and again from each byte that moves. A new stream has no timeouts.
    pub fn set_timeouts(&mut self, read: Option<Duration>, write: Option<Duration>) {
        self.input.silence.set_limit(read.map_or(0, micros));
        self.output.silence.set_limit(write.map_or(0, micros));
    }

    /// Ends the output direction after the output is written (`shutdown(SHUT_WR)`): the peer sees
    /// the end, and may still answer. A stream that is not a socket has no half-close; there it
    /// only ends writing.
    pub fn shutdown_write(&mut self) {
        if self.output_end == OutputEnd::Open {
            self.output_end = OutputEnd::Asked;
        }
    }

    /// Closes the stream after the output is written, and removes it; there are no more events. A peer
    /// that takes none of it is waited for as long as the [write timeout](Self::set_timeouts) says, and
    /// for ever without one. If the peer still sends, it is read for up to 2 seconds, so that a reset does not destroy the
    /// last output.
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
        (self.input.is_on || self.channel.is_handshaking())
            && !self.readiness.has_ended()
            && !no_room_to_answer
            && !self.input.is_full()
    }

    /// Whether there is output that the socket has not taken.
    pub(super) fn has_output(&self) -> bool {
        !self.output.buffer.is_empty() || self.channel.has_records()
    }

    /// Whether output waits for room.
    fn wants_room(&self) -> bool {
        self.output.is_on && self.has_output()
    }

    /// Whether it waits for input or for room.
    pub(super) fn wants_anything(&self) -> bool {
        self.wants_input() || self.has_output()
    }

    /// Why its output is lost, if it is.
    pub(super) fn broken(&self) -> Option<Errno> {
        if let OutputEnd::Broken(errno) = self.output_end { Some(errno) } else { None }
    }

    /// Writes as much output as possible, and the end behind it.
    pub(super) fn flush(&mut self) {
        if self.output.is_on {
            self.send_output();
        }
        let is_out = self.stage == Stage::Open && !self.channel.is_handshaking();
        if is_out && self.output_end == OutputEnd::Asked && self.end_output() {
            self.output_end = OutputEnd::Told;
        }
    }

    fn send_output(&mut self) {
        let Self { channel, readiness, output: Side { buffer, silence, .. }, .. } = self;
        let sent = channel.flush(readiness).and_then(|wire| {
            let more = if channel.is_handshaking() {
                0
            } else {
                buffer.send_to(&mut **channel, readiness)?
            };
            Ok(wire + more)
        });
        match sent {
            Ok(0) => {}
            Ok(_) => silence.restart(),
            Err(errno) => {
                self.output_end = OutputEnd::Broken(errno);
                buffer.consume(usize::MAX);
            }
        }
    }

    /// Tells the peer that the output ends, once all of it is out. Whether that is done.
    pub(super) fn end_output(&mut self) -> bool {
        if !self.has_output() && self.channel.say_end() {
            self.send_output();
        }
        let is_out = !self.has_output();
        if is_out {
            self.channel.stream().shutdown_write();
        }
        is_out
    }

    /// The end of a call: starts the timeouts of directions that moved, or that are waited for only
    /// now.
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

    /// The next deadline of the stream.
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
